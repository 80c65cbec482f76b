//! The timeline of an incident: read, add, accept, dismiss, edit, import, gather again.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use hindsight_incidents::{ImportFormat, ImportOptions, import, said};
use hindsight_model::{
    IncidentId, NewTimelineRow, Tenant, TimelineEdit, TimelineEntry, TimelineKind, TimelineState,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::idempotency::once;
use super::incident_changes::refused;
use super::incidents::{incident_id, parse, unknown};
use crate::app::App;

const ADD_HINT: &str = r#"send {"author": "scribe", "rows": [{"at": "2026-05-04T14:55:00Z", "text": "customers told", "kind": "note", "service": "checkout", "role": "communications"}]}"#;
const EDIT_HINT: &str = r#"send {"author": "scribe", "state": "accepted"}; also "dismissed" or "suggested", and "at" or "text" to edit it"#;
const IMPORT_HINT: &str = r#"send {"author": "scribe", "text": "time,text\n2026-05-04T14:55:00Z,customers told\n", "timezone": "UTC"}"#;

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = incident_id(&id)?;
    app.state.incident(&Tenant::default(), id).await?.ok_or_else(|| unknown(id))?;
    let rows = app.state.timeline_entries(&Tenant::default(), id).await?;
    Ok(Json(json!({"timeline": rows})))
}

/// A row that a person writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowCall {
    /// When it happened; now unless given.
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: String,
    pub(crate) kind: Option<TimelineKind>,
    pub(crate) service: Option<String>,
    /// Role of who says so; the author's unless given.
    pub(crate) role: Option<String>,
}

impl RowCall {
    pub(crate) fn row(self, author: &str, now: Timestamp) -> NewTimelineRow {
        let kind = self.kind.unwrap_or(TimelineKind::Note);
        let mut new = said(self.at.unwrap_or(now), kind, self.text, author);
        new.row.service = self.service.filter(|name| !name.is_empty());
        new.role = self.role.filter(|role| !role.is_empty()).or(new.role);
        new
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddCall {
    author: String,
    rows: Vec<RowCall>,
}

pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let id = incident_id(&id)?;
    let call: AddCall = parse(&body, ADD_HINT)?;
    once(&app, &headers, &format!("timeline {id}"), &body, async {
        let now = app.clock.now();
        let rows = call.rows.into_iter().map(|row| row.row(&call.author, now)).collect();
        let added = app.add_rows(id, rows, &call.author, "timeline.add").await.map_err(refused)?;
        Ok(json!({"added": added.added, "known": added.known}))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EditCall {
    author: String,
    state: Option<TimelineState>,
    at: Option<Timestamp>,
    text: Option<String>,
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Path((id, row)): Path<(String, u64)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let id = incident_id(&id)?;
    let EditCall { author, state, at, text } = parse(&body, EDIT_HINT)?;
    let edit = TimelineEdit { id: row, author, state, at, text };
    once(&app, &headers, &format!("timeline {id} {row}"), &body, async {
        Ok(json!({"row": edit_row(&app, id, edit).await?}))
    })
    .await
}

/// Changes a row in somebody's name.
pub(crate) async fn edit_row(
    app: &App,
    id: IncidentId,
    edit: TimelineEdit,
) -> Result<TimelineEntry, ApiError> {
    if edit.state.is_none() && edit.at.is_none() && edit.text.is_none() {
        return Err(ApiError::bad_request("the edit changes nothing", EDIT_HINT));
    }
    app.edit_row(id, edit).await.map_err(refused)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportCall {
    author: String,
    text: String,
    format: Option<String>,
    timezone: Option<String>,
    role: Option<String>,
}

pub(crate) async fn import_rows(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let id = incident_id(&id)?;
    let call: ImportCall = parse(&body, IMPORT_HINT)?;
    let wrong = |problem: String| ApiError::bad_request(problem, IMPORT_HINT);
    let format = match call.format.as_deref() {
        None => None,
        Some("csv") => Some(ImportFormat::Csv),
        Some("chat-json") => Some(ImportFormat::ChatJson),
        Some("chat-text") => Some(ImportFormat::ChatText),
        Some(other) => {
            return Err(wrong(format!("`{other}` is no format; there are csv, chat-json and chat-text")));
        }
    };
    let name = call.timezone.as_deref().unwrap_or("UTC");
    let zone = TimeZone::get(name)
        .map_err(|_| wrong(format!("`{name}` is no time zone; write it like America/Los_Angeles")))?;
    let role = call.role.unwrap_or_else(|| "responder".to_owned());
    let rows = import(&call.text, &ImportOptions { format, zone, role }).map_err(refused)?;
    once(&app, &headers, &format!("import {id}"), &body, async {
        let added = app.add_rows(id, rows, &call.author, "timeline.import").await.map_err(refused)?;
        Ok(json!({"added": added.added, "known": added.known}))
    })
    .await
}

pub(crate) async fn gather(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let rows = app.gather_again(incident_id(&id)?).await.map_err(refused)?;
    Ok(Json(json!({"timeline": rows})))
}
