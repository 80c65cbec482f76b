//! One judgement of a refused OTLP request, from which the gRPC status, the HTTP status, retryability and the body
//! all follow (OTLP.md rules 9–12).

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use hindsight_otlp::{DecodeError, Encoding};
use hindsight_store::{IngestError, RateUnit};
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt as _};

/// When to try again after a failure whose end nobody knows.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// When to try again after a body found no room or a port no place: others end soon.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why OTLP requests are refused as a whole: the words of `rejected_telemetry` and of the metrics.
pub(crate) const REASONS: [&str; 11] = [
    MALFORMED,
    TOO_LARGE,
    PACKED_TOO_TIGHT,
    MEDIA_TYPE,
    HEAD_FULL,
    BODIES_FULL,
    SLOW_BODY,
    RATE_OF_BYTES,
    RATE_OF_ITEMS,
    UNAVAILABLE,
    CONNECTIONS_FULL,
];
const MALFORMED: &str = "malformed";
const TOO_LARGE: &str = "request_too_large";
const PACKED_TOO_TIGHT: &str = "packed_too_tight";
const MEDIA_TYPE: &str = "media_type";
const HEAD_FULL: &str = "busy";
const BODIES_FULL: &str = "bodies_full";
const SLOW_BODY: &str = "slow_body";
const RATE_OF_BYTES: &str = "rate_of_bytes";
const RATE_OF_ITEMS: &str = "rate_of_items";
const UNAVAILABLE: &str = "unavailable";
const CONNECTIONS_FULL: &str = "connections_full";

/// The challenge that makes a browser ask for the token as a password.
pub(crate) const BASIC: &str = r#"Basic realm="Hindsight""#;

/// A refused request.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: Kind,
    message: String,
    /// One of [`REASONS`].
    reason: &'static str,
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
    /// Time will help, and sending less would have: the tenant is over its rate.
    RateLimited { retry_after: Duration },
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
        Self::new(Kind::Invalid, MALFORMED, message)
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes; send smaller batches");
        Self::new(Kind::TooLarge, TOO_LARGE, message)
    }

    /// The body's compression hides more than a request may hold.
    pub(crate) fn packed_too_tight(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, PACKED_TOO_TIGHT, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, TOO_LARGE, message)
    }

    pub(crate) fn media_type(message: impl Into<String>) -> Self {
        Self::new(Kind::MediaType, MEDIA_TYPE, message)
    }

    /// A gRPC compression that is not ours; the answer names those that are.
    pub(crate) fn unknown_packing(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, MEDIA_TYPE, message)
    }

    /// The bodies of other requests take all the memory that bodies may take.
    pub(crate) fn bodies_full() -> Self {
        let message = "the requests under way take all the memory they may; retry in a second";
        Self::new(Kind::Busy { retry_after: FULL_RETRY_AFTER }, BODIES_FULL, message)
    }

    pub(crate) fn slow_body(timeout: Duration) -> Self {
        let message = format!("the body did not arrive within {} s; send smaller batches", timeout.as_secs());
        Self::new(Kind::Busy { retry_after: FULL_RETRY_AFTER }, SLOW_BODY, message)
    }

    pub(crate) fn connections_full() -> Self {
        let message = "the port has all the connections it may have; retry in a second";
        Self::new(Kind::Busy { retry_after: FULL_RETRY_AFTER }, CONNECTIONS_FULL, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, MALFORMED, message)
    }

    pub(crate) fn method(message: impl Into<String>) -> Self {
        Self::new(Kind::Method, MALFORMED, message)
    }

    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Kind::Unauthenticated, MALFORMED, message)
    }

    fn new(kind: Kind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, reason, message: message.into(), undecodable: None }
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Code {
        match self.kind {
            Kind::Invalid | Kind::MediaType => Code::InvalidArgument,
            // With RetryInfo for the rate, without for the size: that is how OTLP tells them apart.
            Kind::TooLarge | Kind::RateLimited { .. } => Code::ResourceExhausted,
            Kind::Busy { .. } => Code::Unavailable,
            Kind::NotFound | Kind::Method => Code::Unimplemented,
            Kind::Unauthenticated => Code::Unauthenticated,
        }
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Kind::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Kind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }

    /// The gRPC status, with `RetryInfo` only where a retry makes sense.
    pub(crate) fn to_grpc(&self) -> tonic::Status {
        let details = match self.kind {
            Kind::Busy { retry_after } | Kind::RateLimited { retry_after } => {
                ErrorDetails::with_retry_info(Some(retry_after))
            }
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
            Kind::Busy { retry_after } | Kind::RateLimited { retry_after } => {
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

    /// The HTTP answer as the bytes of a last answer on its connection, for who answers before there is a request.
    pub(crate) fn to_http1(&self, encoding: Encoding) -> Vec<u8> {
        let body = self.body(encoding);
        let mut answer = format!(
            "HTTP/1.1 {}\r\ncontent-type: {}\r\nretry-after: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.http_status(),
            content_type(encoding),
            FULL_RETRY_AFTER.as_secs(),
            body.len()
        )
        .into_bytes();
        answer.extend(body);
        answer
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
            IngestError::Busy { retry_after } => Self::new(Kind::Busy { retry_after }, HEAD_FULL, message),
            IngestError::RateLimited { retry_after, unit } => {
                let reason = match unit {
                    RateUnit::Bytes => RATE_OF_BYTES,
                    RateUnit::Items => RATE_OF_ITEMS,
                };
                Self::new(Kind::RateLimited { retry_after }, reason, message)
            }
            IngestError::Unavailable { .. } => {
                Self::new(Kind::Busy { retry_after: UNAVAILABLE_RETRY_AFTER }, UNAVAILABLE, message)
            }
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
        let busy = Fault::new(Kind::Busy { retry_after: Duration::from_secs(2) }, HEAD_FULL, "full");
        assert_eq!(busy.http_status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.to_http(Encoding::Json).headers()[header::RETRY_AFTER], "2");
        let details = busy.to_grpc().get_error_details();
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(2)));
        let rate = IngestError::RateLimited { unit: RateUnit::Items, retry_after: Duration::from_secs(3) };
        let rate = Fault::from(rate);
        assert_eq!(
            (rate.http_status(), rate.to_grpc().code()),
            (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted)
        );
        assert_eq!(rate.to_http(Encoding::Json).headers()[header::RETRY_AFTER], "3");
        assert!(rate.to_grpc().get_error_details().retry_info().is_some());
        assert!(REASONS.contains(&rate.reason()) && rate.message().contains("items a second"), "{rate:?}");
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
