//! What goes back to the sender: OTLP.md rules 6–8 and 12.

use hindsight_model::Signal;
use prost::Message;
use serde_json::json;

use crate::reject::cut;
use crate::{DecodeError, Decoded, Encoding};

/// Bytes of an `error_message` or a status message at most; rule 2 bounds the whole answer to 4 MiB.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// The `Export…ServiceResponse` bytes. `partial_success` is unset when every item was accepted without a remark.
pub fn response(signal: Signal, encoding: Encoding, decoded: &Decoded) -> Vec<u8> {
    let message = decoded.message(signal);
    let message = cut(&message, MESSAGE_BYTES_MAX);
    if decoded.rejected == 0 && message.is_empty() {
        return match encoding {
            Encoding::Protobuf => Vec::new(),
            Encoding::Json => b"{}".to_vec(),
        };
    }
    let rejected = i64::try_from(decoded.rejected).unwrap_or(i64::MAX);
    match encoding {
        // The three responses have the same fields with the same numbers; only the JSON names differ.
        Encoding::Protobuf => ExportResponse {
            partial_success: Some(PartialSuccess { rejected, error_message: message.to_owned() }),
        }
        .encode_to_vec(),
        Encoding::Json => {
            let name = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
            };
            json!({"partialSuccess": {name: rejected.to_string(), "errorMessage": message}})
                .to_string()
                .into_bytes()
        }
    }
}

/// A `google.rpc.Status` in the request's encoding: the body of every 4xx and 5xx. `code` is gRPC's.
pub fn status(encoding: Encoding, code: i32, message: &str) -> Vec<u8> {
    let message = cut(message, MESSAGE_BYTES_MAX);
    match encoding {
        Encoding::Protobuf => {
            Status { code, message: message.to_owned(), details: Vec::new() }.encode_to_vec()
        }
        Encoding::Json => json!({"code": code, "message": message}).to_string().into_bytes(),
    }
}

/// The status of an unusable request: `INVALID_ARGUMENT` with a `google.rpc.BadRequest` in its details (rule 11).
pub fn bad_request(encoding: Encoding, error: &DecodeError) -> Vec<u8> {
    const INVALID_ARGUMENT: i32 = 3;
    const TYPE_URL: &str = "type.googleapis.com/google.rpc.BadRequest";
    let whole = error.sentence();
    let message = cut(&whole, MESSAGE_BYTES_MAX).to_owned();
    match encoding {
        Encoding::Protobuf => {
            let violation = FieldViolation { field: "body".to_owned(), description: message.clone() };
            let detail = Any {
                type_url: TYPE_URL.to_owned(),
                value: BadRequest { field_violations: vec![violation] }.encode_to_vec(),
            };
            Status { code: INVALID_ARGUMENT, message, details: vec![detail] }.encode_to_vec()
        }
        Encoding::Json => json!({
            "code": INVALID_ARGUMENT,
            "message": message,
            "details": [{
                "@type": TYPE_URL,
                "fieldViolations": [{"field": "body", "description": message}],
            }],
        })
        .to_string()
        .into_bytes(),
    }
}

impl DecodeError {
    /// The error and its causes in one line, for the sender.
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            sentence.push_str(": ");
            sentence.push_str(&error.to_string());
            cause = error.source();
        }
        sentence
    }
}

#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}
