//! Whether the server lives, is ready, and what it did so far.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use crate::app::App;

pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Ready as soon as the ports answer: replay of the log is over by then, and a node that replays must not be
/// restarted for it.
pub(crate) async fn readyz() -> &'static str {
    "ok\n"
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    // The other figures are worth having without these.
    let outbox = app.state.outbox_counts().await.ok();
    let text = crate::metrics::render(&app, outbox.as_ref());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

pub(crate) async fn status(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let outbox = app.state.outbox_counts().await?;
    let stats = app.store.stats();
    let rules = app.rules();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": app.clock.now().to_string(),
        "started_at": app.started_at.to_string(),
        "clock": if app.logical.is_some() { "logical" } else { "system" },
        "data_dir": app.config.data_dir.value,
        "workspace": app.config.workspace.value,
        "store": {
            "head_rows": stats.head_rows, "head_bytes": stats.head_bytes, "wal_bytes": stats.wal_bytes,
            "blocks": stats.blocks, "block_bytes": stats.block_bytes, "block_rows": stats.block_rows,
            "requests_acked_total": stats.requests_acked_total,
            "items_accepted_total": stats.items_accepted_total,
            "items_rejected_total": stats.items_rejected_total,
            "duplicates_dropped_total": stats.duplicates_dropped_total,
            "last_seal": stats.last_seal.map(|at| at.to_string()),
            "last_error": stats.last_error, "poisoned": stats.poisoned,
        },
        "rules": {
            "version": rules.version.id, "loaded_at": rules.version.loaded_at,
            "refused": rules.refused, "problems": rules.problems.len(),
            "alert_rules": rules.groups.iter().filter(|group| !group.built_in).map(|group| group.rules.len()).sum::<usize>(),
            "slos": rules.slos.len(),
        },
        "outbox": {
            "waiting": outbox.waiting, "pending": outbox.pending, "sent": outbox.sent, "dead": outbox.dead,
            "muted": outbox.muted, "unsent": outbox.unsent,
        },
        "capsule": app.capsule.as_ref().map(|capsule| json!({
            "incident": capsule.incident.to_string(), "exported_at": capsule.exported_at.to_string(),
        })),
        "last_pulse_error": app.last_pulse_error(),
    })))
}

pub(crate) async fn clock(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"now": app.clock.now().to_string(), "logical": app.logical.is_some()}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTime {
    now: Timestamp,
}

/// Moves a logical clock forward and evaluates every rule that falls due on the way.
pub(crate) async fn set_clock(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let Some(logical) = &app.logical else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "system_clock",
            "this server runs on the system clock",
            "start it with `serve --logical-clock` to replay old telemetry at its own time",
        ));
    };
    let wanted: NewTime = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(
            format!("the body cannot be read: {error}"),
            r#"send {"now": "2026-05-04T21:00:00Z"}"#,
        )
    })?;
    logical.advance_to(wanted.now);
    app.pulse().await.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({"now": app.clock.now().to_string(), "logical": true})))
}
