//! Arrow Flight SQL on the gRPC port: queries of ADBC and other Arrow clients, behind the same token, through the same
//! engine, limits and log as `POST /api/v1/sql`, in batches as they come. With the feature `flight` only.
//!
//! The port only reads. The server keeps nothing between two calls of a client: see [`handle`].

mod handle;
mod params;
mod service;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::middleware::{self, Next};

use crate::app::App;
use crate::grpc_message::{is_grpc, not_grpc, refusal};
use crate::pressure::{Pressure, collect};
use service::FlightSql;

/// All that a client says in one call: room for the longest SQL text, as often as a handle repeats it.
const CALL_BYTES_MAX: usize = 1 << 20;

/// The router of the gRPC port with Flight SQL in it.
pub(crate) fn beside(grpc: Router, app: &App) -> Router {
    let service = FlightServiceServer::new(FlightSql::new(app.query.clone()));
    let service = service.max_decoding_message_size(CALL_BYTES_MAX);
    let pressure = Arc::clone(&app.pressure);
    let flight = Router::new()
        .route_service("/arrow.flight.protocol.FlightService/{method}", service)
        .layer(middleware::from_fn(move |request, next| whole(Arc::clone(&pressure), request, next)));
    grpc.merge(flight)
}

/// Reads what the client has to say within the bounds of all bodies, before the service sees any of it. No call that
/// is answered here needs an answer before its client has finished.
async fn whole(pressure: Arc<Pressure>, request: Request, next: Next) -> Response<Body> {
    if !is_grpc(request.headers()) {
        return not_grpc();
    }
    let mut charge = pressure.bodies.charge();
    let (parts, body) = request.into_parts();
    match collect(body, CALL_BYTES_MAX, &pressure, &mut charge).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(fault) => refusal(&fault),
    }
}
