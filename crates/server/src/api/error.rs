use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use hindsight_model::SqlError;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fault::chain;

/// A refused API call: `{"error":{"code","message","hint","request_id"}}`.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), hint: hint.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, hint)
    }

    pub(crate) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    /// Our own fault: the caller gets a kind sentence, the log gets the cause.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = chain(error), "API call failed");
        let hint = "the server's log has the cause under this request id; try again, then report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server could not answer", hint)
    }
}

impl ApiError {
    /// A fresh request id, and the error as the caller hears it; the log hears of it too where it is our fault.
    pub(crate) fn told(&self) -> (String, Value) {
        let request_id = Uuid::new_v4().to_string();
        if self.status.is_server_error() {
            tracing::error!(request_id, code = self.code, "answered {}: {}", self.status, self.message);
        }
        let error = json!({
            "code": self.code, "message": self.message, "hint": self.hint, "request_id": request_id,
        });
        (request_id, error)
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        let message = error.to_string();
        match error {
            SqlError::Invalid { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_query",
                message,
                "mend the query; `SHOW TABLES` and `DESCRIBE spans` list what there is",
            ),
            SqlError::Limit { limit, .. } => {
                let status = if limit == "concurrency" {
                    StatusCode::TOO_MANY_REQUESTS
                } else {
                    StatusCode::UNPROCESSABLE_ENTITY
                };
                Self::new(
                    status,
                    "limit",
                    message,
                    "narrow the time range or the columns, or raise the limit",
                )
            }
            SqlError::Cancelled => {
                Self::new(StatusCode::CONFLICT, "cancelled", message, "run it again if that was not meant")
            }
            SqlError::Failed { .. } => {
                tracing::error!(error = message, "query failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "query_failed",
                    message,
                    "the server's log has the cause under this request id",
                )
            }
        }
    }
}

impl From<hindsight_state::Error> for ApiError {
    fn from(error: hindsight_state::Error) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let (request_id, error) = self.told();
        let body = json!({"error": error});
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-request-id", request_id);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response = response.header(header::RETRY_AFTER, 1);
        }
        response.body(Body::from(body.to_string())).expect("a status, fixed headers and JSON make a response")
    }
}
