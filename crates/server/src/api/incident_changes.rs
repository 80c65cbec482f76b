//! What people do with an incident: one call for every step, and the forms of the page make the same one.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use hindsight_incidents::{By, Step};
use hindsight_model::{Incident, IncidentId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::ApiError;
use super::idempotency::once;
use super::incidents::{incident_id, parse};
use crate::app::App;

const HINT: &str = r#"send {"author": "incident commander", "change": "mitigate", "text": "rolled back 4.2.0", "at": "2026-05-04T15:10:00Z"}; `change` is acknowledge, cause (text), mitigate (text), resolve, reopen (reason), close (without_postmortem), severity (severity, reason), role (role, person), time (milestone, at) or merge (into, reason); `at` is now unless given"#;

/// A change in the words of the API; which fields it needs depends on `change`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangeCall {
    pub(crate) author: String,
    pub(crate) change: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) person: Option<String>,
    pub(crate) milestone: Option<String>,
    pub(crate) without_postmortem: Option<String>,
    pub(crate) into: Option<String>,
}

/// `POST /api/v1/incidents/{id}/changes`.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let id = incident_id(&id)?;
    let call: ChangeCall = parse(&body, HINT)?;
    once(&app, &headers, &format!("change {id}"), &body, async {
        let incident = apply(&app, id, call).await?;
        Ok(json!({"incident": incident}))
    })
    .await
}

/// Carries a change out in somebody's name.
pub(crate) async fn apply(app: &App, id: IncidentId, call: ChangeCall) -> Result<Incident, ApiError> {
    let now = app.clock.now();
    if call.change == "merge" {
        let into = incident_id(&needed("into", call.into)?)?;
        let reason = needed("reason", call.reason)?;
        let by = By { author: call.author, at: call.at.unwrap_or(now), now };
        return app.merge(id, into, &reason, &by).await.map_err(refused);
    }
    // Of a milestone `at` is what is set, not when it was said.
    let at = if call.change == "time" { now } else { call.at.unwrap_or(now) };
    if let Some(future) = call.at.filter(|at| *at > now) {
        return Err(refused(hindsight_incidents::Error::Future(future)));
    }
    let by = By { author: call.author.clone(), at, now };
    let step = step(call)?;
    app.respond(id, &step, &by).await.map_err(refused)
}

fn step(call: ChangeCall) -> Result<Step, ApiError> {
    let word = |problem: String| ApiError::bad_request(problem, HINT);
    Ok(match call.change.as_str() {
        "acknowledge" => Step::Acknowledge,
        "cause" => Step::Cause { text: needed("text", call.text)? },
        "mitigate" => Step::Mitigate { text: call.text },
        "resolve" => Step::Resolve,
        "reopen" => Step::Reopen { reason: needed("reason", call.reason)? },
        "close" => Step::Close { without_postmortem: call.without_postmortem },
        "severity" => Step::Severity {
            severity: needed("severity", call.severity)?.parse().map_err(word)?,
            reason: needed("reason", call.reason)?,
        },
        "role" => Step::Role { role: needed("role", call.role)?.parse().map_err(word)?, person: call.person },
        "time" => {
            Step::Time { milestone: needed("milestone", call.milestone)?.parse().map_err(word)?, at: call.at }
        }
        other => return Err(word(format!("`{other}` is no change that is known"))),
    })
}

fn needed(field: &str, value: Option<String>) -> Result<String, ApiError> {
    value.ok_or_else(|| ApiError::bad_request(format!("`{field}` is missing"), HINT))
}

/// Sorted by who must act: the caller, for what does not exist, does not fit or comes at the wrong time; else us.
#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` asks for")]
pub(crate) fn refused(error: hindsight_incidents::Error) -> ApiError {
    use hindsight_incidents::Error as E;
    match &error {
        E::Refused { id, what, hint } => {
            ApiError::new(StatusCode::CONFLICT, "conflict", format!("{id} {what}"), hint.clone())
        }
        E::UnknownIncident(id) => {
            ApiError::not_found(format!("there is no {id}"), "GET /api/v1/incidents lists them")
        }
        E::UnknownRow { id, .. } => ApiError::not_found(
            error.to_string(),
            format!("GET /api/v1/incidents/{id}/timeline has their ids"),
        ),
        E::Text { .. } | E::Import { .. } | E::Rows { .. } | E::Future(_) => {
            ApiError::bad_request(error.to_string(), "mend the request and send it again")
        }
        E::State { source: hindsight_state::Error::TooMany { .. }, .. } => {
            let said = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            ApiError::new(StatusCode::CONFLICT, "limit", said, "dismissed rows count too")
        }
        _ => ApiError::internal(&error),
    }
}
