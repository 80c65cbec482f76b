//! Silences, in the form of Alertmanager's API v2.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Response, StatusCode};
use hindsight_model::{Matcher, NewSilence, Silence, SilenceId, Tenant};
use hindsight_notify::Matchers;
use hindsight_state::{AuditEntry, SILENCE_COMMENT_BYTES_MAX};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::idempotency::once;
use crate::app::App;

/// Longest silence: one that is meant to stay for ever is a rule to be deleted, or a route.
const SILENCE_LENGTH_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest name of who silences.
const AUTHOR_BYTES_MAX: usize = 200;

const HINT: &str = r#"send {"matchers": [{"name": "service_name", "value": "checkout", "isRegex": false, "isEqual": true}], "endsAt": "2026-05-04T16:00:00Z", "createdBy": "ana", "comment": "why"}; "startsAt" is now unless given"#;

pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let now = app.clock.now();
    let silences = app.state.silences(&Tenant::default()).await?;
    Ok(Json(json!({"silences": silences.iter().map(|one| shown(one, now)).collect::<Vec<_>>()})))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = silence_id(&id)?;
    let silences = app.state.silences(&Tenant::default()).await?;
    let silence = silences.iter().find(|silence| silence.id == id).ok_or_else(|| unknown(id))?;
    Ok(Json(json!({"silence": shown(silence, app.clock.now())})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Call {
    pub(crate) matchers: Vec<Matcher>,
    #[serde(default)]
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) ends_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) comment: String,
}

pub(crate) async fn add(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let call: Call = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}"), HINT))?;
    let now = app.clock.now();
    once(&app, &headers, "silence", &body, async {
        let silence = add_silence(&app, call, now).await?;
        Ok(json!({"silence": shown(&silence, now)}))
    })
    .await
}

/// Checks what was asked for, stores it and writes down who asked.
pub(crate) async fn add_silence(app: &App, call: Call, now: Timestamp) -> Result<Silence, ApiError> {
    let asked = checked(call, now)?;
    let silence = app.state.add_silence(asked, now).await.map_err(refused)?;
    audit(app, &silence.asked.author, "silence.add", &silence).await?;
    Ok(silence)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expiry {
    /// Who ends it.
    author: Option<String>,
}

/// Ends a silence now. Ending one that is over changes nothing, so the call needs no key to be repeated safely.
pub(crate) async fn expire(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(expiry): Query<Expiry>,
) -> Result<Json<Value>, ApiError> {
    let id = silence_id(&id)?;
    let author = expiry.author.unwrap_or_else(|| "api".to_owned());
    let now = app.clock.now();
    let silence = expire_silence(&app, id, &author, now).await?;
    Ok(Json(json!({"silence": shown(&silence, now)})))
}

/// Ends a silence in somebody's name and writes that down.
pub(crate) async fn expire_silence(
    app: &App,
    id: SilenceId,
    author: &str,
    now: Timestamp,
) -> Result<Silence, ApiError> {
    text_ok("author", author, AUTHOR_BYTES_MAX)?;
    let silence = app.state.expire_silence(&Tenant::default(), id, author, now).await?;
    let silence = silence.ok_or_else(|| unknown(id))?;
    if silence.expired.as_ref().is_some_and(|(_, at)| *at == now) {
        audit(app, author, "silence.expire", &silence).await?;
    }
    Ok(silence)
}

fn checked(call: Call, now: Timestamp) -> Result<NewSilence, ApiError> {
    let refuse = |problem: &str| Err(ApiError::bad_request(problem, HINT));
    Matchers::selective(&call.matchers).map_err(|error| ApiError::bad_request(error.to_string(), HINT))?;
    text_ok("createdBy", &call.created_by, AUTHOR_BYTES_MAX)?;
    text_ok("comment", &call.comment, SILENCE_COMMENT_BYTES_MAX)?;
    // As Alertmanager does: what was silent cannot be changed any more.
    let starts_at = call.starts_at.map_or(now, |at| at.max(now));
    if call.ends_at <= starts_at {
        return refuse("`endsAt` must lie in the future and after `startsAt`");
    }
    let longest = SignedDuration::try_from(SILENCE_LENGTH_MAX).unwrap_or(SignedDuration::MAX);
    if call.ends_at.duration_since(starts_at) > longest {
        return refuse("a silence lasts at most 366 days; for ever, change the rule or the route");
    }
    Ok(NewSilence {
        tenant: Tenant::default(),
        matchers: call.matchers,
        starts_at,
        ends_at: call.ends_at,
        author: call.created_by,
        comment: call.comment,
    })
}

/// A silence as Alertmanager shows it, and who ended it.
fn shown(silence: &Silence, now: Timestamp) -> Value {
    let asked = &silence.asked;
    let mut value = json!({
        "id": silence.id,
        "status": {"state": silence.state(now)},
        "matchers": asked.matchers,
        "startsAt": asked.starts_at,
        "endsAt": asked.ends_at,
        "createdBy": asked.author,
        "comment": asked.comment,
        "createdAt": silence.created_at,
        "updatedAt": silence.expired.as_ref().map_or(silence.created_at, |(_, at)| *at),
    });
    if let Some((by, _)) = &silence.expired {
        value["expiredBy"] = json!(by);
    }
    value
}

/// Writes down who changed what (SEC-2).
async fn audit(app: &App, actor: &str, action: &str, silence: &Silence) -> Result<(), ApiError> {
    let matchers: Vec<String> = silence.asked.matchers.iter().map(ToString::to_string).collect();
    let detail = json!({
        "matchers": matchers,
        "starts_at": silence.asked.starts_at,
        "ends_at": silence.asked.ends_at,
        "comment": silence.asked.comment,
    });
    let entry = AuditEntry {
        tenant: Tenant::default(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: silence.id.to_string(),
        detail: detail.to_string(),
    };
    app.state.audit(&entry, app.clock.now()).await?;
    Ok(())
}

fn refused(error: hindsight_state::Error) -> ApiError {
    match error {
        hindsight_state::Error::TooMany { .. } => ApiError::new(
            StatusCode::CONFLICT,
            "limit",
            error.to_string(),
            "DELETE /api/v1/silences/{id} ends one",
        ),
        error => error.into(),
    }
}

fn text_ok(field: &str, text: &str, bytes_max: usize) -> Result<(), ApiError> {
    if text.trim().is_empty() || text.len() > bytes_max {
        let message = format!("`{field}` has {} bytes", text.len());
        return Err(ApiError::bad_request(message, format!("write 1 to {bytes_max} bytes")));
    }
    Ok(())
}

fn silence_id(text: &str) -> Result<SilenceId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(format!("{error}"), "GET /api/v1/silences lists them"))
}

fn unknown(id: SilenceId) -> ApiError {
    ApiError::not_found(format!("there is no {id}"), "GET /api/v1/silences lists them")
}
