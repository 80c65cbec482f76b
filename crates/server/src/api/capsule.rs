//! `GET /api/v1/incidents/{id}/capsule`: an incident with its telemetry and post-mortems as one file.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{Response, StatusCode, header};
use futures::StreamExt as _;
use hindsight_model::Clearance;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::ApiError;
use super::incidents::incident_id;
use crate::app::App;
use crate::capsule::{CapsuleError, Documents, ExportOptions, export_capsule};
use crate::fault::chain;

const HINT: &str = "send ?author=scribe, restricted=include to take restricted post-mortems along, report=none to \
                    leave all out";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(default = "somebody")]
    author: String,
    restricted: Option<String>,
    report: Option<String>,
}

fn somebody() -> String {
    "unnamed".to_owned()
}

/// Streams the capsule; `X-Hindsight-Manifest-Sha256` has what the receiver may compare. One is made at a time.
pub(crate) async fn export(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    options: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(options) = options.map_err(|error| ApiError::bad_request(error.to_string(), HINT))?;
    let options = options.read(clearance)?;
    let id = incident_id(&id)?;
    if app.capsule.is_some() {
        let hint = "send the file that you opened";
        return Err(ApiError::new(StatusCode::CONFLICT, "capsule", "this is a capsule already", hint));
    }
    let turn = Arc::clone(&app.exporting).try_acquire_owned().map_err(|_| {
        let message = "another capsule is being made";
        ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            message,
            "one is made at a time; ask again when it is done",
        )
    })?;
    let now = app.clock.now();
    let tell = Arc::new(|_| {});
    let export = export_capsule(&app.store, &app.state, &app.library, id, now, &options, tell).await;
    let export = export.map_err(|error| refused(&error))?;
    tracing::info!(
        incident = %id,
        author = options.author,
        rows = export.manifest().rows(),
        bytes = export.total_bytes(),
        "a capsule is exported"
    );
    Response::builder()
        .header(header::CONTENT_TYPE, "application/x-tar")
        .header(header::CONTENT_LENGTH, export.total_bytes())
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", export.file_name()))
        .header(header::CACHE_CONTROL, "no-store")
        .header("x-hindsight-manifest-sha256", export.sha256())
        .body(Body::from_stream(told(export.stream(), turn)))
        .map_err(|error| ApiError::internal(&error))
}

/// The stream, whose failure the log hears of, and with whose end the turn ends.
fn told(
    stream: impl futures::Stream<Item = Result<Bytes, CapsuleError>> + Send + 'static,
    turn: OwnedSemaphorePermit,
) -> impl futures::Stream<Item = Result<Bytes, CapsuleError>> + Send + 'static {
    stream.inspect(move |piece| {
        let _held = &turn;
        if let Err(error) = piece {
            tracing::error!(error = chain(error), "a capsule broke off");
        }
    })
}

impl Options {
    fn read(self, clearance: Clearance) -> Result<ExportOptions, ApiError> {
        let documents = match (self.restricted.as_deref(), self.report.as_deref()) {
            (None, None) => Documents::Unrestricted,
            (Some("include"), None) => Documents::Restricted,
            (None, Some("none")) => Documents::None,
            _ => return Err(ApiError::bad_request("`restricted` and `report` have other values", HINT)),
        };
        let author = self.author.trim().to_owned();
        if author.is_empty() || author.len() > hindsight_state::AUDIT_WORD_BYTES_MAX {
            return Err(ApiError::bad_request("`author` is empty or too long", HINT));
        }
        if documents == Documents::Restricted && clearance == Clearance::Everyone {
            let message = "restricted post-mortems go along only for those who may see them";
            let hint = "leave `restricted` out, or ask somebody with the role `restricted`";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "restricted", message, hint));
        }
        Ok(ExportOptions { author, documents, clearance })
    }
}

/// Sorted by who must act.
fn refused(error: &CapsuleError) -> ApiError {
    let hint = "GET /api/v1/incidents lists them";
    match error {
        CapsuleError::NoIncident(id) => super::incidents::unknown(*id),
        CapsuleError::PartOf { .. } => {
            ApiError::new(StatusCode::CONFLICT, "conflict", error.to_string(), hint)
        }
        CapsuleError::Restricted(_) => {
            ApiError::new(StatusCode::FORBIDDEN, "restricted", error.to_string(), HINT)
        }
        CapsuleError::Id { .. } => ApiError::bad_request(error.to_string(), HINT),
        _ => ApiError::internal(error),
    }
}
