//! OTLP/JSON (OTLP.md rules 14–16): protobuf's JSON mapping, with hex ids and integer enums.
//!
//! The decoder is our own: it goes from text to messages in one pass, so that unknown fields cost nothing, a
//! `oneof` can never be lost on the way, and every error has its line and column.

mod common;
mod logs;
mod message;
mod metrics;
mod scalar;
mod trace;
mod write;

use hindsight_model::Signal;

use crate::wire::{UNPACKED_BYTES_FREE, UNPACKED_BYTES_RATIO};
use crate::{DecodeError, Request};

pub(crate) use write::encode;

/// What a message takes in memory, about: spans and points take more, attributes (far more of them) less.
const MESSAGE_BYTES: usize = 200;

/// Reads a request.
pub(crate) fn decode(signal: Signal, body: &[u8]) -> Result<Request, DecodeError> {
    check_unpacked(body)?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let request = match signal {
        Signal::Traces => message::read_top(&mut reader).map(Request::Traces),
        Signal::Metrics => message::read_top(&mut reader).map(Request::Metrics),
        Signal::Logs => message::read_top(&mut reader).map(Request::Logs),
    };
    request.and_then(|request| reader.end().map(|()| request)).map_err(|error| explain(&error))
}

/// Refuses bodies that are little more than braces: each pair may become a whole message.
fn check_unpacked(body: &[u8]) -> Result<(), DecodeError> {
    let max = body.len().saturating_mul(UNPACKED_BYTES_RATIO).saturating_add(UNPACKED_BYTES_FREE);
    let mut in_text = false;
    let mut escaped = false;
    let mut braces: usize = 0;
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => braces += 1,
            _ => {}
        }
    }
    if braces.saturating_mul(MESSAGE_BYTES) > max { Err(DecodeError::Unpacks { max }) } else { Ok(()) }
}

fn explain(error: &serde_json::Error) -> DecodeError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let position = format!(" at line {line} column {column}");
    let what = text.strip_suffix(&position).unwrap_or(&text);
    let what = if what == "recursion limit exceeded" { "it nests too deep; flatten it" } else { what };
    DecodeError::Json { line, column, what: crate::reject::cut(what, 300).to_owned() }
}
