use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::mail::Postbox;
use crate::receivers::alertmanager;
use crate::routing::Timings;
use crate::secret::Secret;

mod load;

pub use load::load_receivers;

/// Most receivers.
pub const RECEIVERS_MAX: usize = 64;
/// Longest name of a receiver.
pub const RECEIVER_NAME_BYTES_MAX: usize = 64;
/// How long one attempt may take unless `timeout` says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest `timeout`.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// One `[[receivers]]` table of hindsight.toml, as written. Which keys belong to which type is checked by
/// [`load_receivers`]; docs/notifications.md has an example of each.
///
/// ```toml
/// [[receivers]]
/// name = "ops"
/// type = "webhook"
/// url = "http://127.0.0.1:9095/hook"   # or url_file = "secrets/ops-url", or url_env = "OPS_URL"
/// timeout = "10s"
///
/// [[receivers]]
/// name = "record"
/// type = "file"
/// path = "notifications.jsonl"         # relative to the workspace
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverConfig {
    /// The name that outbox rows and routes use.
    pub name: String,
    /// What kind it is.
    #[serde(rename = "type")]
    pub kind: ReceiverKind,
    /// Where to post; an Alertmanager's address without `/api/v2/alerts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A file, relative to the workspace, that holds the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// An environment variable that holds the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    /// How long one attempt may take, as `10s`; [`TIMEOUT_DEFAULT`] unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// File: where to append, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// PagerDuty: a file that holds the integration's routing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key_file: Option<PathBuf>,
    /// PagerDuty: an environment variable that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key_env: Option<String>,
    /// E-mail: the SMTP server's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// E-mail: its port; 587 with `starttls`, 465 with `tls`, 25 with `none` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// E-mail: how the connection is encrypted; `starttls` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Encryption>,
    /// E-mail: who signs in, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// E-mail: a file that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// E-mail: an environment variable that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// E-mail: the sender, as `Hindsight <hindsight@example.org>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// E-mail: who gets it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

/// The kinds of receivers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// Posts Alertmanager's webhook payload to a URL.
    Webhook,
    /// Posts to the API of an Alertmanager.
    Alertmanager,
    /// Posts a message in the form of Slack's incoming webhooks.
    Slack,
    /// Posts events to PagerDuty.
    PagerDuty,
    /// Sends mail.
    Email,
    /// Appends lines to a file.
    File,
}

impl ReceiverKind {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Alertmanager => "alertmanager",
            Self::Slack => "slack",
            Self::PagerDuty => "pagerduty",
            Self::Email => "email",
            Self::File => "file",
        }
    }
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Begun in the clear, then required.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Not at all: for a server on this machine.
    None,
}

/// A receiver that can be sent to.
#[derive(Clone, Debug)]
pub struct Receiver {
    name: String,
    timeout: Duration,
    target: Target,
}

/// Where it sends.
#[derive(Clone)]
pub(crate) enum Target {
    Webhook(Url),
    Alertmanager(Url),
    Slack(Url),
    PagerDuty { url: Url, routing_key: Secret },
    Email(Box<Postbox>),
    File { path: PathBuf },
}

/// A webhook's path often is its secret, so no text about it shows more than the host.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind().as_str())?;
        match self {
            Self::Email(postbox) => write!(f, "by {}", postbox.host),
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Webhook(url) | Self::Alertmanager(url) | Self::Slack(url) | Self::PagerDuty { url, .. } => {
                write!(f, "at {}", url.host_str().unwrap_or("?"))
            }
        }
    }
}

impl Target {
    fn kind(&self) -> ReceiverKind {
        match self {
            Self::Webhook(_) => ReceiverKind::Webhook,
            Self::Alertmanager(_) => ReceiverKind::Alertmanager,
            Self::Slack(_) => ReceiverKind::Slack,
            Self::PagerDuty { .. } => ReceiverKind::PagerDuty,
            Self::Email(_) => ReceiverKind::Email,
            Self::File { .. } => ReceiverKind::File,
        }
    }

    /// Where it posts, if it does.
    pub(crate) fn url(&self) -> Option<&Url> {
        match self {
            Self::Webhook(url) | Self::Alertmanager(url) | Self::Slack(url) | Self::PagerDuty { url, .. } => {
                Some(url)
            }
            Self::Email(_) | Self::File { .. } => None,
        }
    }
}

impl Receiver {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind it is.
    pub fn kind(&self) -> ReceiverKind {
        self.target.kind()
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether it posts to an https URL.
    pub fn is_https(&self) -> bool {
        self.target.url().is_some_and(|url| url.scheme() == "https")
    }

    /// The timings of a route to it: an Alertmanager has its own, and only needs to hear in time.
    pub(crate) fn timings(&self, configured: Timings) -> Timings {
        match self.target {
            Target::Alertmanager(_) => alertmanager::timings(configured),
            _ => configured,
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

#[cfg(test)]
mod tests;
