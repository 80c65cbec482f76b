//! One incident: its record, its timeline, and what people add to it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use hindsight_incidents::Declaration;
use hindsight_model::{IncidentId, IncidentSeverity, Tenant, TimelineKind, TimelineRow, TimelineSource};
use hindsight_state::AuditEntry;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::idempotency::once;
use crate::app::App;

/// Longest title or note.
const TEXT_CHARS_MAX: usize = 4_000;

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = incident_id(&id)?;
    let incident = app.state.incident(&Tenant::default(), id).await?.ok_or_else(|| unknown(id))?;
    Ok(Json(json!({"incident": incident})))
}

pub(crate) async fn timeline(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = incident_id(&id)?;
    app.state.incident(&Tenant::default(), id).await?.ok_or_else(|| unknown(id))?;
    let rows = app.state.timeline(&Tenant::default(), id).await?;
    Ok(Json(json!({"timeline": rows})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    author: String,
    text: String,
}

pub(crate) async fn note(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let id = incident_id(&id)?;
    let note: Note = parse(&body, r#"send {"author": "incident commander", "text": "what you saw or did"}"#)?;
    text_ok("text", &note.text)?;
    app.state.incident(&Tenant::default(), id).await?.ok_or_else(|| unknown(id))?;
    let now = app.clock.now();
    let row = TimelineRow {
        at: now,
        kind: TimelineKind::Note,
        source: TimelineSource::Human,
        service: None,
        text: note.text,
        sql: None,
        state: "accepted".to_owned(),
    };
    let call = format!("note {id}");
    once(&app, &headers, &call, &body, async {
        app.state.add_note(&Tenant::default(), id, &row).await?;
        let detail = json!({"text": row.text});
        audit(&app, note.author, "incident.note", id, &detail).await?;
        Ok(json!({"note": row}))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclareCall {
    author: String,
    title: String,
    severity: IncidentSeverity,
    #[serde(default)]
    services: Vec<String>,
}

pub(crate) async fn declare(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let hint = r#"send {"author": "…", "title": "…", "severity": "SEV2", "services": ["checkout"]}"#;
    let declaration: DeclareCall = parse(&body, hint)?;
    text_ok("title", &declaration.title)?;
    once(&app, &headers, "declare", &body, async {
        let now = app.clock.now();
        let incident = app
            .declare(Declaration {
                title: declaration.title,
                severity: declaration.severity,
                services: declaration.services,
                at: now,
            })
            .await
            .map_err(|error| ApiError::internal(&error))?;
        let detail = json!({"title": incident.title, "severity": incident.severity});
        audit(&app, declaration.author, "incident.declare", incident.id, &detail).await?;
        Ok(json!({"incident": incident}))
    })
    .await
}

/// Writes down who changed what (SEC-2).
async fn audit(
    app: &App,
    actor: String,
    action: &str,
    id: IncidentId,
    detail: &Value,
) -> Result<(), ApiError> {
    let entry = AuditEntry {
        tenant: Tenant::default(),
        actor,
        action: action.to_owned(),
        subject: id.to_string(),
        detail: detail.to_string(),
    };
    app.state.audit(&entry, app.clock.now()).await?;
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8], hint: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}"), hint))
}

fn text_ok(field: &str, text: &str) -> Result<(), ApiError> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > TEXT_CHARS_MAX {
        let hint = format!("write 1 to {TEXT_CHARS_MAX} characters");
        return Err(ApiError::bad_request(format!("`{field}` has {length} characters"), hint));
    }
    Ok(())
}

pub(crate) fn incident_id(text: &str) -> Result<IncidentId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::bad_request(format!("{error}"), "GET /api/v1/incidents lists them"))
}

fn unknown(id: IncidentId) -> ApiError {
    ApiError::not_found(format!("there is no {id}"), "GET /api/v1/incidents lists them")
}
