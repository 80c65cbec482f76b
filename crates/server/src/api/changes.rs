//! `POST /api/v1/changes`: somebody, or a pipeline, says what was changed. It becomes a log record, so that it is
//! durable, is asked for with SQL, is held with an incident, and stands in timelines.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use hindsight_incidents::CHANGE_EVENT;
use hindsight_model::{Signal, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::{Ingest, IngestError};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::idempotency::once;
use super::incidents::parse;
use crate::app::App;
use crate::fault::chain;

const HINT: &str = r#"send {"author": "ci", "service": "checkout", "text": "raised the pool to 40", "at": "2026-05-04T14:32:00Z", "link": "https://…"}; `at` and `link` may be left out"#;
/// Longest of each text.
const TEXT_CHARS_MAX: usize = 2_000;
/// How far ahead of ours another clock may be.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    author: String,
    service: String,
    text: String,
    at: Option<Timestamp>,
    link: Option<String>,
}

/// Durable on return, as a record of `logs` with the event name `hindsight.change`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let change: Change = parse(&body, HINT)?;
    let now = app.clock.now();
    let at = change.at.unwrap_or(now);
    change.check(at, now)?;
    once(&app, &headers, "change", &body, async {
        let ingest = Ingest {
            tenant: Tenant::default(),
            signal: Signal::Logs,
            encoding: Encoding::Json,
            body: change.record(at).to_string().into(),
            sender: Some(change.author.chars().take(60).collect()),
        };
        let done = app.store.ingest(ingest).await.map_err(|error| refused(&error))?;
        if done.decoded.accepted == 0 && !done.duplicate {
            let message = format!("the change of {at} is not taken: it is older than what is kept");
            return Err(ApiError::bad_request(message, HINT));
        }
        Ok(json!({"change": {"at": at, "service": change.service, "text": change.text}}))
    })
    .await
}

/// What the store says, by who must act: intake that is full or too fast takes it a little later.
fn refused(error: &IngestError) -> ApiError {
    let (status, code, hint) = match error {
        IngestError::Invalid(_) => return ApiError::bad_request(chain(error), HINT),
        IngestError::RateLimited { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "send it again in some seconds")
        }
        IngestError::Busy { .. } | IngestError::Unavailable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "busy", "send it again in some seconds; nothing was stored")
        }
    };
    ApiError::new(status, code, chain(error), hint)
}

impl Change {
    fn check(&self, at: Timestamp, now: Timestamp) -> Result<(), ApiError> {
        let given = [("author", &self.author), ("service", &self.service), ("text", &self.text)];
        for (name, text) in given {
            if text.trim().is_empty() {
                return Err(ApiError::bad_request(format!("`{name}` is empty"), HINT));
            }
        }
        let texts = given.into_iter().chain(self.link.iter().map(|link| ("link", link)));
        for (name, text) in texts {
            if text.chars().count() > TEXT_CHARS_MAX {
                let message = format!("`{name}` is longer than {TEXT_CHARS_MAX} characters");
                return Err(ApiError::bad_request(message, HINT));
            }
        }
        if at.duration_since(now) > AHEAD {
            return Err(ApiError::bad_request(format!("{at} lies ahead; it is {now}"), HINT));
        }
        Ok(())
    }

    /// The request that an exporter would send.
    fn record(&self, at: Timestamp) -> Value {
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let mut attributes = vec![text("change.author", &self.author)];
        attributes.extend(self.link.as_deref().map(|link| text("change.link", link)));
        json!({"resourceLogs": [{
            "resource": {"attributes": [text("service.name", &self.service)]},
            "scopeLogs": [{
                "scope": {"name": "hindsight"},
                "logRecords": [{
                    "timeUnixNano": at.as_nanosecond().to_string(),
                    "severityNumber": 9,
                    "severityText": "INFO",
                    "eventName": CHANGE_EVENT,
                    "body": {"stringValue": self.text},
                    "attributes": attributes,
                }],
            }],
        }]})
    }
}
