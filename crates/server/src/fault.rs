//! One judgement of a refused OTLP request, from which the gRPC status, the HTTP status, retryability and the body
//! all follow (OTLP.md rules 9–12).

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use hindsight_otlp::{DecodeError, Encoding};
use hindsight_store::IngestError;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt as _};

/// When to try again after a failure whose end nobody knows.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The challenge that makes a browser ask for the token as a password.
pub(crate) const BASIC: &str = r#"Basic realm="Hindsight""#;

/// A refused request.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: Kind,
    message: String,
    /// Why the bytes could not be read, when that is the reason.
    undecodable: Option<DecodeError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The sender must change the request; it must not retry.
    Invalid,
    /// The sender must send less at once.
    TooLarge,
    /// Time will help: the sender keeps the data and tries again.
    Busy { retry_after: Duration },
    /// The media type is not one OTLP has.
    MediaType,
    /// No such path.
    NotFound,
    /// The path is right, the method is not.
    Method,
    /// The token is missing or wrong.
    Unauthenticated,
}

impl Fault {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    pub(crate) fn media_type(message: impl Into<String>) -> Self {
        Self::new(Kind::MediaType, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn method(message: impl Into<String>) -> Self {
        Self::new(Kind::Method, message)
    }

    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Kind::Unauthenticated, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), undecodable: None }
    }

    fn code(&self) -> Code {
        match self.kind {
            Kind::Invalid | Kind::MediaType => Code::InvalidArgument,
            Kind::TooLarge => Code::ResourceExhausted,
            Kind::Busy { .. } => Code::Unavailable,
            Kind::NotFound | Kind::Method => Code::Unimplemented,
            Kind::Unauthenticated => Code::Unauthenticated,
        }
    }

    fn http_status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Kind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }

    /// The gRPC status, with `RetryInfo` only where a retry makes sense.
    pub(crate) fn to_grpc(&self) -> tonic::Status {
        let details = match self.kind {
            Kind::Busy { retry_after } => ErrorDetails::with_retry_info(Some(retry_after)),
            Kind::Invalid => ErrorDetails::with_bad_request_violation("body", &self.message),
            _ => return tonic::Status::new(self.code(), &self.message),
        };
        tonic::Status::with_error_details(self.code(), &self.message, details)
    }

    /// The HTTP answer: a `google.rpc.Status` in the request's encoding, `Retry-After` where a retry makes sense.
    pub(crate) fn to_http(&self, encoding: Encoding) -> Response<Body> {
        let mut response = Response::builder()
            .status(self.http_status())
            .header(header::CONTENT_TYPE, content_type(encoding));
        match self.kind {
            Kind::Busy { retry_after } => {
                response = response.header(header::RETRY_AFTER, retry_after.as_secs().max(1));
            }
            Kind::Unauthenticated => {
                response = response.header(header::WWW_AUTHENTICATE, BASIC);
            }
            _ => {}
        }
        response
            .body(Body::from(self.body(encoding)))
            .expect("a status, fixed headers and bytes make a response")
    }

    fn body(&self, encoding: Encoding) -> Vec<u8> {
        match &self.undecodable {
            Some(error) => hindsight_otlp::bad_request(encoding, error),
            None => hindsight_otlp::status(encoding, self.code() as i32, &self.message),
        }
    }
}

impl From<IngestError> for Fault {
    fn from(error: IngestError) -> Self {
        let message = chain(&error);
        match error {
            IngestError::Invalid(error) => Self { undecodable: Some(error), ..Self::invalid(message) },
            IngestError::Busy { retry_after } => Self::new(Kind::Busy { retry_after }, message),
            _ => Self::new(Kind::Busy { retry_after: UNAVAILABLE_RETRY_AFTER }, message),
        }
    }
}

/// `application/x-protobuf` or `application/json`.
pub(crate) fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    }
}

/// An error and its causes as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let link = error.to_string();
        if !text.ends_with(&link) {
            text.push_str(": ");
            text.push_str(&link);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_conditions_are_retryable() {
        let busy = Fault::new(Kind::Busy { retry_after: Duration::from_secs(2) }, "full");
        assert_eq!(busy.http_status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.to_http(Encoding::Json).headers()[header::RETRY_AFTER], "2");
        let details = busy.to_grpc().get_error_details();
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(2)));
        let large = Fault::too_large("big");
        assert_eq!(large.to_grpc().code(), Code::ResourceExhausted);
        assert!(large.to_grpc().get_error_details().retry_info().is_none());
        assert_eq!(Fault::invalid("bad").to_grpc().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_json_request_is_refused_in_json() {
        let body = Fault::invalid("line 3 is cut off").body(Encoding::Json);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], 3);
        assert_eq!(body["message"], "line 3 is cut off");
    }
}
