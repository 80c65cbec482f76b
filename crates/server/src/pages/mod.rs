//! The pages: each a struct that a pure function builds and a template prints. They work without script; the one
//! small script adds keys.

mod actions;
mod alert_words;
mod alerts;
mod assets;
mod deploys;
mod frame;
mod home;
mod incident;
mod incident_forms;
mod incident_steps;
mod incident_traces;
mod lists;
mod postmortem;
mod range;
mod review;
mod rule;
mod runbook;
mod silences;
mod slo;
mod slos;
mod sql;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub(crate) use frame::not_found;

use crate::app::App;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(home::show))
        .route("/alerts", get(alerts::show))
        .route("/alerts/{*id}", get(rule::show))
        .route("/silences", post(silences::add))
        .route("/silences/{id}/expire", post(silences::expire))
        .route("/runbooks/{*file}", get(runbook::show))
        .route("/slos", get(slos::show))
        .route("/slos/{*name}", get(slo::show))
        .route("/sql", get(sql::show))
        .route("/incidents", get(lists::incidents).post(incident_forms::declare))
        .route("/incidents/{id}", get(incident::show))
        .route("/incidents/{id}/changes", post(incident_forms::change))
        .route("/incidents/{id}/timeline", post(incident_forms::add))
        .route("/incidents/{id}/rows", post(incident_forms::judge))
        .route("/incidents/{id}/rows/{row}", post(incident_forms::edit))
        .route("/incidents/{id}/import", post(incident_forms::import_rows))
        .route("/postmortems", get(lists::postmortems))
        .route("/actions", get(actions::show))
        .route("/actions/verify", post(actions::verify_all))
        .route("/actions/{postmortem}/{item}", post(actions::say_of))
        .route("/patterns", get(review::patterns))
        .route("/review", get(review::review))
        .merge(postmortem::router())
        .route("/assets/{name}", get(assets::serve))
}
