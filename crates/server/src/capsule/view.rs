//! How a server of a capsule differs: it says so on every page, changes nothing, and shows the incident's own time.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use hindsight_capsule::Manifest;
use hindsight_model::{Incident, IncidentId};
use jiff::{SignedDuration, Timestamp};

use crate::api::ApiError;
use crate::pages::PageError;

/// How much after the end of the incident a page's range ends, unless its address says otherwise.
const AFTER_END: SignedDuration = SignedDuration::from_mins(15);

/// What is known, on every page, of the capsule that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapsuleView {
    /// What it is about.
    pub incident: IncidentId,
    /// When it was made; the server's clock stands there.
    pub exported_at: Timestamp,
    /// Where pages' ranges end.
    pub shown_until: Timestamp,
}

impl CapsuleView {
    /// The view of a capsule of this incident.
    pub(super) fn of(manifest: &Manifest, incident: &Incident) -> Self {
        let ended = incident.times.resolved.filter(|_| !incident.status.is_live());
        let until = ended.and_then(|at| at.checked_add(AFTER_END).ok());
        let exported_at = manifest.exported_at;
        Self {
            incident: incident.id,
            exported_at,
            shown_until: until.unwrap_or(exported_at).min(exported_at),
        }
    }

    /// `2026-05-04 21:00 UTC`.
    pub(crate) fn exported_words(&self) -> String {
        self.exported_at.strftime("%Y-%m-%d %H:%M UTC").to_string()
    }
}

tokio::task_local! {
    /// The capsule that the request in hand asks.
    static SERVED: Arc<CapsuleView>;
}

/// The capsule that is served, for code that makes a page of it; `None` on an ordinary server.
pub(crate) fn served() -> Option<Arc<CapsuleView>> {
    SERVED.try_with(Arc::clone).ok()
}

/// Lets requests through that read, and refuses all others.
pub(crate) async fn read_only(view: Arc<CapsuleView>, request: Request, next: Next) -> Response<Body> {
    if reads(request.method(), request.uri().path()) {
        return SERVED.scope(view, next.run(request)).await;
    }
    let message =
        format!("this is a capsule of {}, made {}: it is read-only", view.incident, view.exported_words());
    let hint = "change it on the server that it came from; GET and POST /api/v1/sql answer here";
    let refused = ApiError::new(StatusCode::FORBIDDEN, "read_only", message, hint);
    if request.uri().path().starts_with("/api/") || request.uri().path().starts_with("/v1/") {
        return refused.into_response();
    }
    let page = async {
        PageError::from_api(refused).with_hint("Change it on the server that it came from.").into_response()
    };
    SERVED.scope(view, page).await
}

/// Whether a request cannot change anything. Queries read, by whatever method they come; and what somebody runs here he
/// may end.
fn reads(method: &Method, path: &str) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::POST => path == "/api/v1/sql",
        Method::DELETE => path.starts_with("/api/v1/queries/"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_passes() {
        for (method, path, passes) in [
            (Method::GET, "/incidents/INC-1", true),
            (Method::HEAD, "/", true),
            (Method::POST, "/api/v1/sql", true),
            (Method::DELETE, "/api/v1/queries/7", true),
            (Method::POST, "/api/v1/sql/", false),
            (Method::POST, "/api/v1/incidents", false),
            (Method::POST, "/api/v1/incidents/INC-1/changes", false),
            (Method::DELETE, "/api/v1/silences/SIL-1", false),
            (Method::POST, "/api/v1/clock", false),
            (Method::POST, "/postmortems/PM-2026-001/edit", false),
            (Method::POST, "/v1/traces", false),
            (Method::PUT, "/api/v1/sql", false),
            (Method::PATCH, "/", false),
        ] {
            assert_eq!(reads(&method, path), passes, "{method} {path}");
        }
    }
}
