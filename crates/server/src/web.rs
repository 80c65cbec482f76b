//! The web port: the API and the pages behind one set of limits.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tower_http::compression::CompressionLayer;

use crate::api::ApiError;
use crate::app::App;
use crate::capsule::read_only;
use crate::origin::same_origin;
use crate::pressure::{Pressure, collect};
use crate::{api, jaeger, pages};

pub(crate) fn router(app: Arc<App>) -> Router {
    let pressure = Arc::clone(&app.pressure);
    let capsule = app.capsule.clone();
    let router = Router::new()
        .merge(api::router())
        .merge(jaeger::router())
        .merge(pages::router())
        .fallback(pages::not_found)
        .layer(DefaultBodyLimit::max(api::BODY_BYTES_MAX))
        .layer(middleware::from_fn(move |request, next| whole_body(Arc::clone(&pressure), request, next)))
        .layer(middleware::from_fn(same_origin));
    let router = match capsule {
        Some(view) => router
            .layer(middleware::from_fn(move |request, next| read_only(Arc::clone(&view), request, next))),
        None => router,
    };
    router.layer(CompressionLayer::new().gzip(true)).with_state(app)
}

/// Reads the body before the handler runs, so that a slow or large one costs what every other body may cost.
async fn whole_body(pressure: Arc<Pressure>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut charge = pressure.bodies.charge();
    match collect(body, api::BODY_BYTES_MAX, &pressure, &mut charge).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(fault) => {
            let status = fault.http_status();
            let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "body" };
            ApiError::new(status, code, fault.message(), "send it again, smaller or a little later")
                .into_response()
        }
    }
}
