//! One attempt at one notification. What comes back is sorted by who must act: nobody, time, or a person.

use std::time::Duration;

use hindsight_state::Claimed;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use crate::receiver::{Receiver, Target};
use crate::receivers::{alertmanager, file, pagerduty};
use crate::retry::retry_after;

/// The header that carries the dedup key of a call (RUL-2).
pub const DEDUP_HEADER: &str = "Idempotency-Key";
/// How much of an unfriendly answer is kept in the reason.
const ANSWER_BYTES_MAX: usize = 200;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The receiver has it.
    Accepted,
    /// It may work later, not before `after` if the receiver said so.
    Again { reason: String, after: Option<Duration> },
    /// It will never work as it is.
    Refused { reason: String },
}

pub(crate) async fn send(
    client: Option<&Client>,
    receiver: &Receiver,
    claimed: &Claimed,
    now: Timestamp,
) -> Attempt {
    let timeout = receiver.timeout();
    let (url, body) = match receiver.target() {
        Target::File { path } => {
            return match file::append(path, &claimed.dedup_key, &claimed.payload, now).await {
                Ok(()) => Attempt::Accepted,
                Err(error) => again(format!("append to {}: {error}", path.display())),
            };
        }
        Target::Email(postbox) => {
            return postbox.send(&claimed.dedup_key, &claimed.payload, timeout, now).await;
        }
        Target::Webhook(url) | Target::Slack(url) => (url, Some(claimed.payload.clone())),
        Target::Alertmanager(url) => (url, alertmanager::body(&claimed.payload, now)),
        Target::PagerDuty { url, routing_key } => {
            (url, pagerduty::body(&claimed.payload, routing_key.expose()))
        }
    };
    match (client, body) {
        (Some(client), Some(body)) => post(client, url, body, &claimed.dedup_key, timeout, now).await,
        (None, _) => again("there is no HTTP client".to_owned()),
        // Its receiver has become one of another type since it was written.
        (_, None) => Attempt::Refused { reason: "it was written for another type of receiver".to_owned() },
    }
}

async fn post(
    client: &Client,
    url: &Url,
    body: String,
    dedup_key: &str,
    timeout: Duration,
    now: Timestamp,
) -> Attempt {
    let call = client
        .post(url.clone())
        .timeout(timeout)
        .header(CONTENT_TYPE, "application/json")
        .header(DEDUP_HEADER, dedup_key)
        .body(body);
    match call.send().await {
        Ok(response) => judge(response, now).await,
        Err(error) if error.is_builder() => Attempt::Refused { reason: chain(&error.without_url()) },
        Err(error) if error.is_timeout() => again(format!("no answer within {timeout:?}")),
        Err(error) => again(chain(&error.without_url())),
    }
}

async fn judge(response: Response, now: Timestamp) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Accepted;
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|header| retry_after(header, now));
    let transient = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    let reason = reason(response).await;
    if transient || status.is_server_error() {
        return Attempt::Again { reason, after };
    }
    let reason = match status.is_redirection() {
        true => format!("{reason}; redirects are not followed, configure the final URL"),
        false => reason,
    };
    Attempt::Refused { reason }
}

/// The status and the beginning of the answer, which often says what is wrong.
async fn reason(mut response: Response) -> String {
    let status = response.status();
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => answer.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX)]),
            Ok(None) | Err(_) => break,
        }
    }
    answer.truncate(ANSWER_BYTES_MAX);
    let answer = String::from_utf8_lossy(&answer);
    let answer: String = answer.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match answer.trim() {
        "" => format!("answered {status}"),
        answer => format!("answered {status}: {answer}"),
    }
}

fn again(reason: String) -> Attempt {
    Attempt::Again { reason, after: None }
}

/// An error and its causes as one sentence: it goes into the outbox row, which has no `source`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
