//! Mail over SMTP: one connection for each message, encrypted unless the configuration says aloud that it is not.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use sha2::{Digest as _, Sha256};

use crate::receiver::Encryption;
use crate::receivers::email::Mail;
use crate::secret::Secret;
use crate::send::{Attempt, chain};

/// Most addresses of one receiver.
pub(crate) const ADDRESSES_MAX: usize = 64;

/// A checked mail receiver.
#[derive(Clone, Debug)]
pub(crate) struct Postbox {
    pub(crate) host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Postbox {
    /// # Errors
    /// A sentence about what makes no sense.
    pub(crate) fn new(
        host: String,
        port: Option<u16>,
        encryption: Encryption,
        credentials: Option<(String, Secret)>,
        from: &str,
        to: &[String],
    ) -> Result<Self, String> {
        if host.is_empty() || host.len() > 253 || host.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err(format!("`{host}` is not the name of a mail server; write smtp.example.org"));
        }
        if to.len() > ADDRESSES_MAX {
            return Err(format!("`to` has {} addresses; at most {ADDRESSES_MAX} are taken", to.len()));
        }
        if encryption == Encryption::None && credentials.is_some() && !is_loopback(&host) {
            return Err("the password would cross the network unencrypted; use tls = \"starttls\"".to_owned());
        }
        let mailbox = |text: &str| {
            let wrong =
                |error| format!("`{text}` is not an address ({error}); write Name <name@example.org>");
            // A line break in a name would begin a header of its own.
            if text.chars().any(char::is_control) {
                return Err(format!("{text:?} is not an address; it has control characters"));
            }
            text.parse::<Mailbox>().map_err(wrong)
        };
        Ok(Self {
            port: port.unwrap_or(match encryption {
                Encryption::Starttls => 587,
                Encryption::Tls => 465,
                Encryption::None => 25,
            }),
            from: mailbox(from)?,
            to: to.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?,
            host,
            encryption,
            credentials,
        })
    }

    /// The message that a stored mail becomes. Its `Message-ID` is made from the dedup key alone, so that a mail sent
    /// again is seen as the same; all mails of a group refer to one another, so that they make a thread.
    fn message(&self, dedup_key: &str, payload: &str, now: Timestamp) -> Result<Message, String> {
        let mail: Mail = serde_json::from_str(payload).map_err(|error| error.to_string())?;
        let id = |text: &str| {
            let hash = hex::encode(&Sha256::digest(text)[..16]);
            format!("<{hash}@{}>", self.from.email.domain())
        };
        let group = dedup_key.rsplit_once('/').map_or(dedup_key, |(group, _)| group);
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(SystemTime::from(now))
            .message_id(Some(id(dedup_key)))
            .references(id(group))
            .subject(mail.subject)
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        message.body(mail.text).map_err(|error| error.to_string())
    }

    /// One attempt.
    pub(crate) async fn send(
        &self,
        dedup_key: &str,
        payload: &str,
        timeout: Duration,
        now: Timestamp,
    ) -> Attempt {
        let message = match self.message(dedup_key, payload, now) {
            Ok(message) => message,
            Err(problem) => {
                return Attempt::Refused { reason: format!("no mail can be made of it: {problem}") };
            }
        };
        let transport = match self.transport(timeout) {
            Ok(transport) => transport,
            Err(error) => return Attempt::Again { reason: chain(&error), after: None },
        };
        // The transport's own timeout is for each step; this one is for all of them.
        match tokio::time::timeout(timeout, transport.send(message)).await {
            Err(_) => Attempt::Again { reason: format!("no answer within {timeout:?}"), after: None },
            Ok(Ok(_)) => Attempt::Accepted,
            Ok(Err(error)) if error.is_permanent() => Attempt::Refused { reason: chain(&error) },
            Ok(Err(error)) => Attempt::Again { reason: chain(&error), after: None },
        }
    }

    fn transport(
        &self,
        timeout: Duration,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let tls = match self.encryption {
            Encryption::None => Tls::None,
            Encryption::Starttls => Tls::Required(TlsParameters::new_rustls(self.host.clone())?),
            Encryption::Tls => Tls::Wrapper(TlsParameters::new_rustls(self.host.clone())?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.clone())
            .port(self.port)
            .tls(tls)
            .timeout(Some(timeout));
        if let Some((user, password)) = &self.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(builder.build())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
