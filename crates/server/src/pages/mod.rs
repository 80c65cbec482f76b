//! The pages: each a struct that a pure function builds and a template prints. They work without script; the one
//! small script adds keys.

mod assets;
mod frame;
mod home;
mod incident;
mod lists;
mod postmortem;
mod range;
mod sql;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub(crate) use frame::not_found;

use crate::app::App;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(home::show))
        .route("/sql", get(sql::show))
        .route("/incidents", get(lists::incidents))
        .route("/incidents/{id}", get(incident::show))
        .route("/postmortems", get(lists::postmortems))
        .route("/postmortems/{id}", get(postmortem::show))
        .route("/assets/{name}", get(assets::serve))
}
