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

use crate::decompress::{DecompressError, Packing, decompress};
use crate::fault::{Fault, content_type};
use crate::pressure::{Charge, Pressure, collect};

/// What the receivers need.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) request_bytes_max: usize,
    pub(crate) pressure: Arc<Pressure>,
}

impl Intake {
    /// The body as it was before it was packed, and what it holds of the budget.
    pub(crate) async fn unpack(
        &self,
        packing: Packing,
        body: Bytes,
        mut charge: Charge,
    ) -> Result<(Bytes, Charge), Fault> {
        let limit = self.request_bytes_max;
        if packing == Packing::None {
            return Ok((body, charge));
        }
        // Each unpacker has a window of its own, so their number is bounded with their threads.
        let _unpacker = self.pressure.unpackers.acquire().await;
        // Inflating megabytes takes longer than a turn on the I/O threads may.
        let work = tokio::task::spawn_blocking(move || {
            let unpacked = decompress(packing, body, limit, &mut charge);
            (unpacked, charge)
        });
        let (unpacked, charge) =
            work.await.map_err(|_| Fault::invalid("the body could not be decompressed"))?;
        let unpacked = unpacked.map_err(|error| match error {
            DecompressError::TooLarge { .. } => Fault::too_large(error.to_string()),
            DecompressError::TooTight => Fault::packed_too_tight(error.to_string()),
            DecompressError::Full => Fault::bodies_full(),
            DecompressError::Unknown(_) => Fault::media_type(error.to_string()),
            DecompressError::Corrupt { .. } => Fault::invalid(error.to_string()),
        })?;
        Ok((unpacked, charge))
    }
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
    let sender = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
    let encoding = match encoding_of(request.headers()) {
        Ok(encoding) => encoding,
        Err(fault) => {
            intake.pressure.note(&intake.store, signal, sender.as_deref(), &fault);
            return fault.to_http(refusal_encoding(request.headers()));
        }
    };
    match accept(&intake, signal, encoding, sender.clone(), request).await {
        Ok(body) => Response::builder()
            .status(StatusCode::OK)
            .header(header::CONTENT_TYPE, content_type(encoding))
            .body(Body::from(body))
            .expect("fixed headers and bytes make a response"),
        Err(fault) => {
            intake.pressure.note(&intake.store, signal, sender.as_deref(), &fault);
            fault.to_http(encoding)
        }
    }
}

async fn accept(
    intake: &Intake,
    signal: Signal,
    encoding: Encoding,
    sender: Option<String>,
    request: Request,
) -> Result<Vec<u8>, Fault> {
    let (parts, body) = request.into_parts();
    let packing = packing_of(&parts.headers)?;
    let mut charge = intake.pressure.bodies.charge();
    let body = collect(body, intake.request_bytes_max, &intake.pressure, &mut charge).await?;
    // What the body holds of the budget is given back when the request is done.
    let (body, _charge) = intake.unpack(packing, body, charge).await?;
    let ingest = Ingest { tenant: Tenant::default(), signal, encoding, body, sender };
    let ingested = intake.store.ingest(ingest).await?;
    Ok(hindsight_otlp::response(signal, encoding, &ingested.decoded))
}

fn packing_of(headers: &HeaderMap) -> Result<Packing, Fault> {
    let named = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    Packing::named(named).map_err(|error| Fault::media_type(error.to_string()))
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
