//! A bad trace of an incident beside a good one, for the API and for its page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use hindsight_incidents::gather::{ComparedTrace, TraceComparison, gather_comparison};
use hindsight_incidents::{AlignedSpan, Went};
use hindsight_model::{Incident, Tenant};
use serde_json::{Value, json};

use super::ApiError;
use super::incidents::{incident_id, unknown};
use crate::app::App;

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = incident_id(&id)?;
    let incident = app.state.incident(&Tenant::default(), id).await?.ok_or_else(|| unknown(id))?;
    let found = compared(&app, &incident).await.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({"comparison": found.as_ref().map(comparison)})))
}

/// A bad request at the services that are hurt, or at the first suspect where none are named, beside a good one.
pub(crate) async fn compared(
    app: &App,
    incident: &Incident,
) -> hindsight_incidents::Result<Option<TraceComparison>> {
    let times = &incident.times;
    let from = times.impact_start.or(times.detected).unwrap_or(incident.opened_at);
    let to = times.mitigated.or(times.resolved).unwrap_or_else(|| app.clock.now());
    let mut entries = incident.services.clone();
    if entries.is_empty() {
        entries.extend(incident.suspects.first().map(|suspect| suspect.service.clone()));
    }
    // Boxed: a handful of queries after one another is a large future.
    Box::pin(gather_comparison(&app.query, &Tenant::default(), &entries, from, to)).await
}

fn comparison(found: &TraceComparison) -> Value {
    json!({
        "service": found.service,
        "operation": found.operation,
        "bad": trace(&found.bad),
        "good": found.good.as_ref().map(trace),
        "differences": found.differences(),
        "spans": found.rows.iter().map(span).collect::<Vec<_>>(),
        "spans_left_out": found.left_out,
        "sql": found.sql(),
    })
}

fn trace(of: &ComparedTrace) -> Value {
    json!({
        "trace_id": of.trace_id, "span_id": of.span_id, "timestamp": of.at, "duration_ms": of.ms, "failed": of.failed,
    })
}

fn span(of: &AlignedSpan) -> Value {
    json!({
        "depth": of.depth, "service": of.service, "name": of.operation, "bad": of.bad.as_ref().map(went),
        "good": of.good.as_ref().map(went),
    })
}

fn went(of: &Went) -> Value {
    json!({"duration_ms": of.ms, "self_time_ms": of.own_ms, "failed": of.failed, "message": of.message})
}
