//! OTLP over HTTP: `POST /v1/{traces,metrics,logs}`, protobuf or JSON, none, gzip or zstd.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::post;
use hindsight_model::{Signal, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::{Ingest, Store};
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;

use crate::decompress::{DecompressError, decompress};
use crate::fault::{Fault, content_type};

/// What the receivers need.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) request_bytes_max: usize,
}

/// The router of the OTLP/HTTP port. `cors_origins` lets browser exporters in.
pub(crate) fn router(intake: Intake, cors_origins: &[String]) -> Router {
    let signal = |signal: Signal| {
        post(move |State(intake): State<Arc<Intake>>, request: Request| export(intake, signal, request))
    };
    let origins = cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect::<Vec<_>>();
    Router::new()
        .route("/v1/traces", signal(Signal::Traces))
        .route("/v1/metrics", signal(Signal::Metrics))
        .route("/v1/logs", signal(Signal::Logs))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(Arc::new(intake))
        .layer(CompressionLayer::new().gzip(true))
        .layer(
            CorsLayer::new().allow_origin(origins).allow_methods([axum::http::Method::POST]).allow_headers([
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::AUTHORIZATION,
            ]),
        )
}

async fn export(intake: Arc<Intake>, signal: Signal, request: Request) -> Response<Body> {
    let encoding = match encoding_of(request.headers()) {
        Ok(encoding) => encoding,
        Err(fault) => return fault.to_http(refusal_encoding(request.headers())),
    };
    match accept(&intake, signal, encoding, request).await {
        Ok(body) => Response::builder()
            .status(StatusCode::OK)
            .header(header::CONTENT_TYPE, content_type(encoding))
            .body(Body::from(body))
            .expect("fixed headers and bytes make a response"),
        Err(fault) => fault.to_http(encoding),
    }
}

async fn accept(
    intake: &Intake,
    signal: Signal,
    encoding: Encoding,
    request: Request,
) -> Result<Vec<u8>, Fault> {
    let sender = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
    let (parts, body) = request.into_parts();
    let limit = intake.request_bytes_max;
    let body = axum::body::to_bytes(body, limit).await.map_err(|error| read_fault(&error, limit))?;
    let body = inflate(&parts.headers, body, limit).await?;
    let ingest = Ingest { tenant: Tenant::default(), signal, encoding, body, sender };
    let ingested = intake.store.ingest(ingest).await?;
    Ok(hindsight_otlp::response(signal, encoding, &ingested.decoded))
}

async fn inflate(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Fault> {
    let encoding =
        headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").to_owned());
    // Inflating megabytes takes longer than a turn on the I/O threads may.
    let inflated = tokio::task::spawn_blocking(move || decompress(encoding.as_deref(), body, limit)).await;
    let inflated = inflated.map_err(|_| Fault::invalid("the body could not be decompressed"))?;
    inflated.map_err(|error| match error {
        DecompressError::TooLarge { .. } => Fault::too_large(error.to_string()),
        DecompressError::Unknown(_) => Fault::media_type(error.to_string()),
        DecompressError::Corrupt { .. } => Fault::invalid(error.to_string()),
    })
}

fn read_fault(error: &axum::Error, limit: usize) -> Fault {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(link) = cause {
        if link.is::<http_body_util::LengthLimitError>() {
            return Fault::too_large(format!("the body is larger than {limit} bytes; send smaller batches"));
        }
        cause = link.source();
    }
    Fault::invalid(format!("the body could not be read: {error}"))
}

/// In which encoding to refuse a request: its own, or JSON, which people read, when it has none of ours.
pub(crate) fn refusal_encoding(headers: &HeaderMap) -> Encoding {
    encoding_of(headers).unwrap_or(Encoding::Json)
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Fault> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = given.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/x-protobuf") {
        return Ok(Encoding::Protobuf);
    }
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(Encoding::Json);
    }
    let given: String = given.chars().take(80).collect();
    Err(Fault::media_type(format!(
        "content-type `{given}` is not supported; send application/x-protobuf or application/json"
    )))
}

async fn no_such_path(request: Request) -> Response<Body> {
    let encoding = refusal_encoding(request.headers());
    let path: String = request.uri().path().chars().take(80).collect();
    let text = if path == "/v1development/profiles" {
        "profiles are not supported yet; send traces, metrics and logs".to_owned()
    } else {
        format!("`{path}` is not an OTLP path; POST to /v1/traces, /v1/metrics or /v1/logs")
    };
    Fault::not_found(text).to_http(encoding)
}

async fn no_such_method(request: Request) -> Response<Body> {
    let text = format!("{} is not how OTLP is sent; use POST", request.method());
    Fault::method(text).to_http(refusal_encoding(request.headers()))
}
