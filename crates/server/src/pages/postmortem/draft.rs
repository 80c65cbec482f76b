//! The first draft of an incident's post-mortem, or its generated parts again, from a page.

use std::sync::Arc;

use axum::Form;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use hindsight_model::{IncidentId, SqlRequest, SqlSource as _, Tenant};
use hindsight_postmortem::DraftInput;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::super::frame::{PageError, see_other};
use crate::app::App;

/// Name and version that evidence carries.
const ENGINE: &str = concat!("hindsight ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Deserialize)]
pub(super) struct DraftForm {
    author: String,
    /// IANA name of the zone of the document's times.
    #[serde(default)]
    tz: String,
}

/// Drafts and goes to the document. One that exists keeps every region that somebody edited.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(form): Form<DraftForm>,
) -> Result<Response<Body>, PageError> {
    let author = super::author(&form.author)?;
    let hint = "The list of incidents has every id.";
    let id: IncidentId = id.parse().map_err(|error| PageError::not_found(format!("{error}."), hint))?;
    let incident = app.state.incident(&Tenant::default(), id).await?;
    let incident = incident.ok_or_else(|| PageError::not_found(format!("There is no {id}."), hint))?;
    let timeline = app.state.timeline(&Tenant::default(), id).await?;
    let similar = hindsight_postmortem::similar_incidents(&app.state, &app.config.workspace.value, &incident);
    let similar = similar.await.map_err(super::said)?;
    let input = DraftInput {
        incident: &incident,
        timeline: &timeline,
        workspace: &app.config.workspace.value,
        now: app.clock.now(),
        watermark: watermark(&app).await,
        engine: ENGINE,
        similar: &similar,
        timezone: if form.tz.trim().is_empty() { "UTC" } else { form.tz.trim() },
    };
    let drafted = hindsight_postmortem::draft(input, &app.query).await.map_err(super::said)?;
    let detail = json!({"incident": id, "created": drafted.created});
    super::audit(&app, author, "postmortem.draft", &drafted.id, &detail).await?;
    Ok(see_other(&format!("/postmortems/{}?done=drafted", drafted.id)))
}

/// How far the telemetry reaches, when it is known.
async fn watermark(app: &App) -> Option<Timestamp> {
    let answer = app.query.sql(SqlRequest::new("SELECT max(timestamp) FROM spans")).await.ok()?;
    answer.rows().ok()?.first()?.first()?.as_time()
}
