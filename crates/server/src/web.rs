//! The web port: the API and the pages behind one set of limits.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::origin::same_origin;
use crate::{api, pages};

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(api::router())
        .merge(pages::router())
        .fallback(pages::not_found)
        .layer(DefaultBodyLimit::max(api::BODY_BYTES_MAX))
        .layer(middleware::from_fn(same_origin))
        .layer(CompressionLayer::new().gzip(true))
        .with_state(app)
}
