//! OTLP over gRPC. The messages stay raw bytes here: what the exporter sent is what goes to the log, and decoding
//! belongs to the store's pipeline.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Response;
use axum::routing::post;
use hindsight_model::{Signal, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::Ingest;

use crate::fault::Fault;
use crate::grpc_message::{answer, is_grpc, not_grpc, read, refusal};
use crate::otlp_http::Intake;

/// The router of the gRPC port.
pub(crate) fn router(intake: Intake) -> Router {
    let export = |signal: Signal| {
        post(move |State(intake): State<Arc<Intake>>, request: Request| export(intake, signal, request))
    };
    Router::new()
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", export(Signal::Traces))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", export(Signal::Metrics))
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", export(Signal::Logs))
        .fallback(unimplemented)
        .with_state(Arc::new(intake))
}

async fn export(intake: Arc<Intake>, signal: Signal, request: Request) -> Response<Body> {
    if !is_grpc(request.headers()) {
        return not_grpc();
    }
    let sender = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
    let (parts, body) = request.into_parts();
    let accepted = async {
        let mut charge = intake.pressure.bodies.charge();
        let limit = intake.request_bytes_max;
        let (packing, message) = read(&parts.headers, body, limit, &intake.pressure, &mut charge).await?;
        let (body, _charge) = intake.unpack(packing, message, charge).await?;
        let ingest = Ingest {
            tenant: Tenant::default(),
            signal,
            encoding: Encoding::Protobuf,
            body,
            sender: sender.clone(),
        };
        let ingested = intake.store.ingest(ingest).await?;
        Ok(hindsight_otlp::response(signal, Encoding::Protobuf, &ingested.decoded))
    };
    match accepted.await {
        Ok(message) => answer(&parts.headers, &message),
        Err(fault) => {
            intake.pressure.note(&intake.store, signal, sender.as_deref(), &fault);
            refusal(&fault)
        }
    }
}

async fn unimplemented(request: Request) -> Response<Body> {
    let path: String = request.uri().path().chars().take(120).collect();
    Fault::not_found(format!("`{path}` is not an OTLP service; export traces, metrics or logs"))
        .to_grpc()
        .into_http()
}
