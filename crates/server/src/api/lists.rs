//! Lists: the system tables as JSON, so that the API and SQL can never disagree.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use hindsight_model::{Clearance, SqlRequest, SqlSource as _};
use hindsight_query::output;
use serde_json::{Value, json};

use super::ApiError;
use crate::app::App;

/// Most rows that a list returns.
const ROWS_MAX: usize = 1_000;

pub(crate) async fn rules(State(app): State<Arc<App>>) -> Json<Value> {
    let view = app.rules();
    Json(json!({
        "groups": view.groups, "slos": view.slos, "problems": view.problems,
        "version": view.version, "refused": view.refused,
    }))
}

pub(crate) async fn alerts(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    list(&app, "alerts", "SELECT * FROM alert_states ORDER BY since DESC").await
}

pub(crate) async fn slos(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    list(&app, "slos", "SELECT * FROM slo_status ORDER BY slo").await
}

pub(crate) async fn incidents(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    list(&app, "incidents", "SELECT * FROM incidents ORDER BY opened_at DESC").await
}

pub(crate) async fn postmortems(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
) -> Result<Json<Value>, ApiError> {
    list_for(&app, clearance, "postmortems", "SELECT * FROM postmortems ORDER BY id DESC").await
}

/// Incidents that are over and have no post-mortem.
pub(crate) async fn lacking(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let lacking = crate::lacking::lacking(&app).await.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({ "lacking": lacking })))
}

pub(crate) async fn holds(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    list(&app, "holds", "SELECT * FROM holds ORDER BY id").await
}

pub(crate) async fn action_items(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
) -> Result<Json<Value>, ApiError> {
    list_for(&app, clearance, "action_items", "SELECT * FROM action_items").await
}

/// The rows of a query that everyone may see, as objects under `name`.
pub(crate) async fn list(app: &App, name: &str, sql: &str) -> Result<Json<Value>, ApiError> {
    list_for(app, Clearance::Everyone, name, sql).await
}

/// The same for a reader who may see more.
async fn list_for(app: &App, clearance: Clearance, name: &str, sql: &str) -> Result<Json<Value>, ApiError> {
    let request = SqlRequest::new(format!("{sql} LIMIT {ROWS_MAX}")).clearance(clearance);
    let answer = app.query.sql(request).await?;
    let rows = output::to_objects(&answer).map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({ name: rows })))
}
