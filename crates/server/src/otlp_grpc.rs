//! OTLP over gRPC. The messages stay raw bytes here: what the exporter sent is what goes to the log, and decoding
//! belongs to the store's pipeline.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response};
use axum::routing::post;
use bytes::{Buf, BufMut, Bytes};
use hindsight_model::{Signal, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::Ingest;
use tonic::codec::{BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use crate::fault::Fault;
use crate::otlp_http::Intake;

/// The router of the OTLP/gRPC port.
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
    let sender = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
    let limit = intake.request_bytes_max;
    let service = Export { intake, signal, sender };
    let mut grpc = Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit);
    let mut response = grpc.unary(service, request).await.map(Body::new);
    mend_status(&mut response, limit);
    response
}

/// tonic answers an oversized message with `OUT_OF_RANGE`, which OTLP clients retry for ever, and a broken
/// compressed one with `INTERNAL`; both are the sender's to mend (OTLP.md rules 1 and 9). Our own answers use
/// neither code.
fn mend_status(response: &mut Response<Body>, limit: usize) {
    let code = response.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    let fault = match code {
        Some(Code::OutOfRange | Code::ResourceExhausted) => {
            Fault::too_large(format!("the message is larger than {limit} bytes; send smaller batches"))
        }
        Some(Code::Internal) => {
            let said =
                response.headers().get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or("");
            Fault::invalid(format!("the message could not be read: {}", said.replace("%20", " ")))
        }
        _ => return,
    };
    let mended = fault.to_grpc().into_http::<Body>();
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        let value = mended.headers().get(name).cloned().unwrap_or_else(|| HeaderValue::from_static(""));
        response.headers_mut().insert(name, value);
    }
}

async fn unimplemented(request: Request) -> Response<Body> {
    let path: String = request.uri().path().chars().take(120).collect();
    Fault::not_found(format!("`{path}` is not an OTLP service; export traces, metrics or logs"))
        .to_grpc()
        .into_http()
}

struct Export {
    intake: Arc<Intake>,
    signal: Signal,
    sender: Option<String>,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = futures::future::BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let store = self.intake.store.clone();
        let signal = self.signal;
        let ingest = Ingest {
            tenant: Tenant::default(),
            signal,
            encoding: Encoding::Protobuf,
            body: request.into_inner(),
            sender: self.sender.take(),
        };
        Box::pin(async move {
            let ingested = store.ingest(ingest).await.map_err(|error| Fault::from(error).to_grpc())?;
            let body = hindsight_otlp::response(signal, Encoding::Protobuf, &ingested.decoded);
            Ok(tonic::Response::new(body.into()))
        })
    }
}

/// A codec that copies bytes and knows no message type.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
