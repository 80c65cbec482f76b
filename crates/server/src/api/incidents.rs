//! One incident: its record, and what people declare and note.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use hindsight_incidents::{Declaration, said};
use hindsight_model::{IncidentId, IncidentSeverity, SqlRequest, SqlSource as _, Tenant, TimelineKind};
use hindsight_query::output;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::idempotency::once;
use super::incident_changes::refused;
use crate::app::App;

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = incident_id(&id)?;
    let incident = app.state.incident(&Tenant::default(), id).await?.ok_or_else(|| unknown(id))?;
    let request = SqlRequest::new("SELECT * FROM holds WHERE id = $id").param("id", id.to_string());
    let held =
        output::to_objects(&app.query.sql(request).await?).map_err(|error| ApiError::internal(&error))?;
    let similar = hindsight_postmortem::similar_incidents(&app.state, &app.config.workspace.value, &incident);
    let similar = similar.await.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({"incident": incident, "hold": held.first(), "similar": similar})))
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
    let new = said(app.clock.now(), TimelineKind::Note, note.text, &note.author);
    let row = new.row.clone();
    once(&app, &headers, &format!("note {id}"), &body, async {
        app.add_rows(id, vec![new], &note.author, "incident.note").await.map_err(refused)?;
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
    once(&app, &headers, "declare", &body, async {
        let declaration = Declaration {
            title: declaration.title,
            severity: declaration.severity,
            services: declaration.services,
            at: app.clock.now(),
            author: declaration.author,
        };
        let incident = app.declare(declaration).await.map_err(refused)?;
        Ok(json!({"incident": incident}))
    })
    .await
}

/// A body of JSON, or a refusal that shows how it should be.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &[u8], hint: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}"), hint))
}

pub(crate) fn incident_id(text: &str) -> Result<IncidentId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::bad_request(format!("{error}"), "GET /api/v1/incidents lists them"))
}

pub(crate) fn unknown(id: IncidentId) -> ApiError {
    ApiError::not_found(format!("there is no {id}"), "GET /api/v1/incidents lists them")
}
