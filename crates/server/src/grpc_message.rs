//! One unary gRPC call as bytes: a message in, a message or a status out. The length that a message announces is paid
//! for before any of it is read, which no codec behind a library's buffer can do.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};

use crate::decompress::Packing;
use crate::fault::Fault;
use crate::pressure::{BodyReader, Charge, Pressure};

/// Before each message: whether it is packed, and its length as four bytes, big-endian.
const PREFIX_BYTES: usize = 5;
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// Reads the one message of a call, at most `limit` bytes as sent, into a budget that is asked first.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    pressure: &Pressure,
    charge: &mut Charge,
) -> Result<(Packing, Bytes), Fault> {
    let named = headers.get("grpc-encoding").map(|name| name.to_str().unwrap_or("?"));
    let mut reader = BodyReader::new(body, pressure.body_timeout);
    let mut have = Vec::with_capacity(PREFIX_BYTES);
    while have.len() < PREFIX_BYTES {
        match reader.chunk().await? {
            Some(chunk) => have.extend_from_slice(&chunk),
            None => return Err(cut_short()),
        }
    }
    let (packed, length) = prefix(&have)?;
    if length > limit {
        return Err(Fault::body_too_large(limit));
    }
    let packing = if packed {
        Packing::named(named).map_err(|error| Fault::unknown_packing(error.to_string()))?
    } else {
        Packing::None
    };
    if packed && packing == Packing::None {
        return Err(Fault::invalid("the message is packed, and no grpc-encoding says how"));
    }
    charge.grow_to(length).map_err(|_| Fault::bodies_full())?;
    let mut message = Vec::with_capacity(length);
    let mut next = Some(Bytes::from(have).slice(PREFIX_BYTES..));
    while let Some(chunk) = next {
        if chunk.len() > length - message.len() {
            return Err(Fault::invalid("an export is one message, and more came"));
        }
        message.extend_from_slice(&chunk);
        next = reader.chunk().await?;
    }
    if message.len() < length {
        return Err(cut_short());
    }
    Ok((packing, message.into()))
}

fn prefix(bytes: &[u8]) -> Result<(bool, usize), Fault> {
    let [flag, length @ ..] = bytes.first_chunk::<PREFIX_BYTES>().ok_or_else(cut_short)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    match flag {
        0 => Ok((false, length)),
        1 => Ok((true, length)),
        _ => Err(Fault::invalid("the message does not begin as gRPC messages do")),
    }
}

fn cut_short() -> Fault {
    Fault::invalid("the message is cut short")
}

/// A successful answer: the message, packed with gzip where the client takes that, and status 0 behind it.
pub(crate) fn answer(headers: &HeaderMap, message: &[u8]) -> Response<Body> {
    let accepted = headers.get("grpc-accept-encoding").and_then(|names| names.to_str().ok()).unwrap_or("");
    let packed = accepted.split(',').any(|name| name.trim() == "gzip").then(|| gzip(message)).flatten();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frame = Full::new(frame(packed.is_some(), packed.as_deref().unwrap_or(message)));
    let body = frame.with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().insert("grpc-accept-encoding", ACCEPTED);
    if packed.is_some() {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

/// A refusal: only headers.
pub(crate) fn refusal(fault: &Fault) -> Response<Body> {
    let mut response = fault.to_grpc().into_http::<Body>();
    response.headers_mut().insert("grpc-accept-encoding", ACCEPTED);
    response
}

/// What a request that is no gRPC call at all hears.
pub(crate) fn not_grpc() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

/// Whether the request is a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    media.starts_with(b"application/grpc") && !media.starts_with(b"application/grpc-web")
}

fn frame(packed: bool, message: &[u8]) -> Bytes {
    // Answers are bounded to a few KiB (OTLP.md rule 2).
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(u8::from(packed));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn gzip(message: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_flag_and_a_length() {
        assert_eq!(prefix(&[0, 0, 0, 1, 2]).unwrap(), (false, 258));
        assert_eq!(prefix(&[1, 255, 255, 255, 255, 9]).unwrap(), (true, 4_294_967_295));
        assert!(prefix(&[2, 0, 0, 0, 0]).is_err() && prefix(&[0, 0]).is_err());
    }

    #[tokio::test]
    async fn an_answer_is_packed_where_that_is_wanted_and_ends_in_status_0() {
        let mut headers = HeaderMap::new();
        let plain = answer(&headers, b"abc").into_body().collect().await.unwrap();
        assert_eq!(plain.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(plain.to_bytes(), &b"\0\0\0\0\x03abc"[..]);
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("zstd, gzip"));
        let packed = answer(&headers, b"abc");
        assert_eq!(packed.headers()["grpc-encoding"], "gzip");
        assert_eq!(packed.into_body().collect().await.unwrap().to_bytes()[0], 1);
    }

    #[test]
    fn only_calls_are_calls() {
        let is = |media: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
            is_grpc(&headers)
        };
        assert!(is("application/grpc") && is("application/grpc+proto"));
        assert!(!is("application/grpc-web") && !is("application/json") && !is_grpc(&HeaderMap::new()));
    }
}
