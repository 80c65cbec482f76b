//! OTLP on one side, Arrow batches of the signal tables on the other: decoding, validation, and the accounting of
//! what was not accepted.
//!
//! What this crate is not: it opens no socket, undoes no compression, bounds no request and picks no HTTP code;
//! that is the server's. It reads no clock: arrival and now come in the [`DecodeContext`].
//!
//! It keeps OTLP.md's rules on answers (6–8, 12), JSON (14–16) and data (17–25). In short:
//! - no bytes make it panic, recurse without bound, or grow to many times the request ([`Limits`], LIM-1);
//! - a request is unusable as a whole only when it cannot be read ([`DecodeError`]); otherwise each item is
//!   accepted, or refused with a [`Rejection`], and both are counted;
//! - nothing that was accepted is lost: [`to_requests`] leads back to the same request;
//! - `series_id` is a stable hash (rule 24, see `series.rs`), never to change.
//!
//! ```
//! use hindsight_model::Signal;
//! use hindsight_otlp::{AdmitAll, DecodeContext, Encoding, Interner, Limits, decode, response};
//!
//! let now: jiff::Timestamp = "2026-05-04T14:32:00Z".parse()?;
//! let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
//!     {"timeUnixNano":"1777905119000000000","body":{"stringValue":"hello"}}]}]}]}"#;
//! let (limits, interner) = (Limits::default(), Interner::new());
//! let context = DecodeContext { arrival: now, now, limits: &limits, interner: &interner, series: &AdmitAll };
//! let decoded = decode(Signal::Logs, Encoding::Json, body, &context)?;
//! assert_eq!((decoded.accepted, decoded.rejected), (1, 0));
//! assert_eq!(response(Signal::Logs, Encoding::Json, &decoded), b"{}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod attributes;
mod back;
mod decode;
mod encoding;
mod error;
mod json;
mod limits;
mod reject;
mod request;
mod request_time;
mod rows;
mod series;
mod series_gate;
mod tally;
mod wire;

pub use answer::{bad_request, response, status};
pub use back::to_requests;
pub use decode::{Decoded, decode};
pub use encoding::Encoding;
pub use error::{DecodeError, TableError};
pub use limits::{BODY_BYTES_MAX, DecodeContext, Limits};
pub use reject::{RejectReason, Rejection};
pub use request::{Request, decode_request, encode_request};
pub use request_time::{shift_request, time_range};
pub use rows::Interner;
pub use series_gate::{AdmitAll, SeriesGate};

#[cfg(test)]
mod tests;
