//! The JSON API on the web port (DESIGN §8).

mod actions;
mod capsule;
mod changes;
mod error;
mod idempotency;
pub(crate) mod incident_changes;
pub(crate) mod incident_traces;
pub(crate) mod incidents;
mod lists;
pub(crate) mod silences;
mod sql;
mod sql_answer;
mod status;
pub(crate) mod timeline;

pub(crate) use error::ApiError;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{delete, get, post};

use crate::app::App;

/// Largest body that an API call may send.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/sql", post(sql::run))
        .route("/api/v1/queries", get(sql::running))
        .route("/api/v1/queries/{id}", delete(sql::cancel))
        .route("/api/v1/rules", get(lists::rules))
        .route("/api/v1/alerts", get(lists::alerts))
        .route("/api/v1/slos", get(lists::slos))
        .route("/api/v1/postmortems", get(lists::postmortems))
        .route("/api/v1/postmortems/lacking", get(lists::lacking))
        .route("/api/v1/action-items", get(lists::action_items))
        .route("/api/v1/action-items/verify", post(actions::verify_now))
        .route("/api/v1/action-items/{postmortem}/{item}", post(actions::say_of))
        .route("/api/v1/incidents", get(lists::incidents).post(incidents::declare))
        .route("/api/v1/incidents/{id}", get(incidents::show))
        .route("/api/v1/incidents/{id}/capsule", get(capsule::export))
        .route("/api/v1/incidents/{id}/changes", post(incident_changes::change))
        .route("/api/v1/incidents/{id}/traces", get(incident_traces::show))
        .route("/api/v1/incidents/{id}/gather", post(timeline::gather))
        .route("/api/v1/incidents/{id}/timeline", get(timeline::list).post(timeline::add))
        .route("/api/v1/incidents/{id}/timeline/import", post(timeline::import_rows))
        .route("/api/v1/incidents/{id}/timeline/{row}", post(timeline::edit))
        .route("/api/v1/changes", post(changes::post))
        .route("/api/v1/holds", get(lists::holds))
        .route("/api/v1/incidents/{id}/notes", post(incidents::note))
        .route("/api/v1/silences", get(silences::list).post(silences::add))
        .route("/api/v1/silences/{id}", get(silences::show).delete(silences::expire))
        .route("/api/v1/clock", get(status::clock).post(status::set_clock))
        .route("/api/v1/status", get(status::status))
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .method_not_allowed_fallback(no_such_method)
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
        "the `Allow` header names what it does",
    )
}
