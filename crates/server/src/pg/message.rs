//! The messages of PostgreSQL's protocol 3.0 that we hear and say. Nothing read from a client can panic, and nothing
//! longer than a bound is waited for.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::encode::Format;
use super::fault::PgFault;
use super::types::PgType;

/// Longest message of a client: room for the longest SQL text and its parameters.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Longest message before the password was right.
pub(super) const STARTUP_BYTES_MAX: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_3: u32 = 3;

/// How a connection begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Asks for encryption, which is answered with one byte.
    /// By TLS, or by GSSAPI, which is not spoken here.
    Encrypt {
        tls: bool,
    },
    Cancel {
        pid: i32,
        secret: i32,
    },
    Start {
        minor: u32,
        settings: Vec<(String, String)>,
    },
}

/// What a client says afterwards.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Password(String),
    Query(String),
    Parse { name: String, sql: String, types: Vec<u32> },
    Bind(Bind),
    Describe { kind: Kind, name: String },
    Execute { portal: String, rows_max: usize },
    Close { kind: Kind, name: String },
    Flush,
    Sync,
    Terminate,
}

/// A prepared statement, or one with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Statement,
    Portal,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) parameter_formats: Vec<i16>,
    pub(super) parameters: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// Takes the first message off `heard`; `None` while it has not all arrived.
///
/// # Errors
/// A message that is too long or not of the protocol; the connection ends then.
pub(super) fn opening(heard: &mut BytesMut) -> Result<Option<Opening>, PgFault> {
    let Some(mut body) = take(heard, 0, STARTUP_BYTES_MAX)? else { return Ok(None) };
    let code = unsigned(&mut body)?;
    match code {
        SSL_REQUEST | GSS_REQUEST => return Ok(Some(Opening::Encrypt { tls: code == SSL_REQUEST })),
        CANCEL_REQUEST => {
            let (pid, secret) = (unsigned(&mut body)?.cast_signed(), unsigned(&mut body)?.cast_signed());
            return Ok(Some(Opening::Cancel { pid, secret }));
        }
        _ => {}
    }
    if code >> 16 != PROTOCOL_3 {
        return Err(PgFault::protocol(format!(
            "protocol {}.{} is not spoken here; use 3.0",
            code >> 16,
            code & 0xFFFF
        )));
    }
    let mut settings = Vec::new();
    while body.first().is_some_and(|first| *first != 0) {
        settings.push((string(&mut body)?, string(&mut body)?));
    }
    Ok(Some(Opening::Start { minor: code & 0xFFFF, settings }))
}

/// Takes the next message off `heard`; `None` while it has not all arrived.
///
/// # Errors
/// As [`opening`].
pub(super) fn next(heard: &mut BytesMut, bytes_max: usize) -> Result<Option<Said>, PgFault> {
    let Some(kind) = heard.first().copied() else { return Ok(None) };
    let Some(mut body) = take(heard, 1, bytes_max)? else { return Ok(None) };
    let body = &mut body;
    Ok(Some(match kind {
        b'p' => Said::Password(string(body)?),
        b'Q' => Said::Query(string(body)?),
        b'P' => {
            let (name, sql) = (string(body)?, string(body)?);
            let types = (0..short(body)?).map(|_| unsigned(body)).collect::<Result<_, _>>()?;
            Said::Parse { name, sql, types }
        }
        b'B' => Said::Bind(bind(body)?),
        b'D' => Said::Describe { kind: target(body)?, name: string(body)? },
        b'E' => {
            let portal = string(body)?;
            let rows = unsigned(body)?.cast_signed();
            Said::Execute { portal, rows_max: usize::try_from(rows).unwrap_or(0) }
        }
        b'C' => Said::Close { kind: target(body)?, name: string(body)? },
        b'H' => Said::Flush,
        b'S' => Said::Sync,
        b'X' => Said::Terminate,
        b'd' | b'c' | b'f' => return Err(PgFault::unsupported("COPY is not supported; use SELECT").fatal()),
        other => return Err(PgFault::protocol(format!("message type {other} is not known"))),
    }))
}

fn bind(body: &mut Bytes) -> Result<Bind, PgFault> {
    let (portal, statement) = (string(body)?, string(body)?);
    let parameter_formats = formats(body)?;
    let mut parameters = Vec::new();
    for _ in 0..short(body)? {
        let length = unsigned(body)?.cast_signed();
        let value = match usize::try_from(length) {
            Err(_) => None,
            Ok(length) if length <= body.len() => Some(body.split_to(length)),
            Ok(_) => return Err(cut()),
        };
        parameters.push(value);
    }
    let result_formats = formats(body)?;
    Ok(Bind { portal, statement, parameter_formats, parameters, result_formats })
}

fn formats(body: &mut Bytes) -> Result<Vec<i16>, PgFault> {
    (0..short(body)?).map(|_| short(body).map(u16::cast_signed)).collect()
}

fn target(body: &mut Bytes) -> Result<Kind, PgFault> {
    match body.try_get_u8() {
        Ok(b'S') => Ok(Kind::Statement),
        Ok(b'P') => Ok(Kind::Portal),
        _ => Err(cut()),
    }
}

/// The body of a whole message that begins with `before` bytes ahead of its length.
fn take(heard: &mut BytesMut, before: usize, bytes_max: usize) -> Result<Option<Bytes>, PgFault> {
    let Some(length) = heard.get(before..before + 4) else { return Ok(None) };
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    if length < 4 {
        return Err(cut());
    }
    if length > bytes_max {
        return Err(PgFault::new(
            "54000",
            format!("a message of {length} bytes is too long; the limit is {bytes_max}"),
        )
        .fatal());
    }
    if heard.len() < before + length {
        return Ok(None);
    }
    let mut whole = heard.split_to(before + length).freeze();
    whole.advance(before + 4);
    Ok(Some(whole))
}

fn string(body: &mut Bytes) -> Result<String, PgFault> {
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
    let text = body.split_to(end);
    body.advance(1);
    String::from_utf8(text.to_vec()).map_err(|_| PgFault::new("22021", "a text is not UTF-8").fatal())
}

fn short(body: &mut Bytes) -> Result<u16, PgFault> {
    body.try_get_u16().map_err(|_| cut())
}

fn unsigned(body: &mut Bytes) -> Result<u32, PgFault> {
    body.try_get_u32().map_err(|_| cut())
}

fn cut() -> PgFault {
    PgFault::protocol("a message ends before it should")
}

/// A column of an answer as it is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: PgType,
}

/// What we say; each writes one message to the end of `out`.
pub(super) mod say {
    use super::*;

    fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        out.put_u8(kind);
        let at = out.len();
        out.put_u32(0);
        body(out);
        // What we say ourselves is short; rows have `row`.
        let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn text(out: &mut BytesMut, text: &str) {
        // A zero would end it early.
        out.extend(text.bytes().filter(|byte| *byte != 0));
        out.put_u8(0);
    }

    fn count(out: &mut BytesMut, length: usize) {
        out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
    }

    pub(in crate::pg) fn ask_for_password(out: &mut BytesMut) {
        message(out, b'R', |out| out.put_u32(3));
    }

    pub(in crate::pg) fn welcome(out: &mut BytesMut) {
        message(out, b'R', |out| out.put_u32(0));
    }

    /// The newest minor version of protocol 3 that is spoken, and which options are not known.
    pub(in crate::pg) fn only_3_0(out: &mut BytesMut, unknown: &[&str]) {
        message(out, b'v', |out| {
            out.put_u32(0);
            out.put_u32(u32::try_from(unknown.len()).unwrap_or(0));
            unknown.iter().for_each(|name| text(out, name));
        });
    }

    pub(in crate::pg) fn setting(out: &mut BytesMut, name: &str, value: &str) {
        message(out, b'S', |out| {
            text(out, name);
            text(out, value);
        });
    }

    pub(in crate::pg) fn key(out: &mut BytesMut, pid: i32, secret: i32) {
        message(out, b'K', |out| {
            out.put_i32(pid);
            out.put_i32(secret);
        });
    }

    /// `I` outside of a transaction, `T` inside, `E` inside one that failed.
    pub(in crate::pg) fn ready(out: &mut BytesMut, transaction: u8) {
        message(out, b'Z', |out| out.put_u8(transaction));
    }

    pub(in crate::pg) fn columns(out: &mut BytesMut, columns: &[Column], formats: &[Format]) {
        message(out, b'T', |out| {
            count(out, columns.len());
            for (column, format) in columns.iter().zip(formats) {
                text(out, &column.name);
                out.put_u32(0);
                out.put_u16(0);
                out.put_u32(column.kind.oid());
                out.put_i16(column.kind.width());
                out.put_i32(-1);
                out.put_u16(u16::from(*format == Format::Binary));
            }
        });
    }

    pub(in crate::pg) fn parameters(out: &mut BytesMut, types: &[u32]) {
        message(out, b't', |out| {
            count(out, types.len());
            types.iter().for_each(|oid| out.put_u32(*oid));
        });
    }

    /// One row, whose values `write` puts out.
    pub(in crate::pg) fn row(
        out: &mut BytesMut,
        columns: usize,
        write: impl FnOnce(&mut BytesMut) -> Result<(), PgFault>,
    ) -> Result<(), PgFault> {
        let start = out.len();
        out.put_u8(b'D');
        out.put_u32(0);
        count(out, columns);
        let written = write(out).and_then(|()| {
            i32::try_from(out.len() - start - 1)
                .map_err(|_| PgFault::new("54000", "a row has more than 2 GiB; select fewer columns"))
        });
        match written {
            Ok(length) => out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes()),
            Err(fault) => {
                // Half a row must not go out.
                out.truncate(start);
                return Err(fault);
            }
        }
        Ok(())
    }

    pub(in crate::pg) fn complete(out: &mut BytesMut, tag: &str) {
        message(out, b'C', |out| text(out, tag));
    }

    pub(in crate::pg) fn empty_query(out: &mut BytesMut) {
        message(out, b'I', |_| {});
    }

    pub(in crate::pg) fn parsed(out: &mut BytesMut) {
        message(out, b'1', |_| {});
    }

    pub(in crate::pg) fn bound(out: &mut BytesMut) {
        message(out, b'2', |_| {});
    }

    pub(in crate::pg) fn closed(out: &mut BytesMut) {
        message(out, b'3', |_| {});
    }

    pub(in crate::pg) fn no_rows_to_come(out: &mut BytesMut) {
        message(out, b'n', |_| {});
    }

    pub(in crate::pg) fn suspended(out: &mut BytesMut) {
        message(out, b's', |_| {});
    }

    pub(in crate::pg) fn fault(out: &mut BytesMut, fault: &PgFault) {
        message(out, b'E', |out| {
            let severity = if fault.fatal { "FATAL" } else { "ERROR" };
            for (field, value) in
                [(b'S', severity), (b'V', severity), (b'C', fault.code), (b'M', &fault.message)]
            {
                out.put_u8(field);
                text(out, value);
            }
            if let Some(hint) = fault.hint {
                out.put_u8(b'H');
                text(out, hint);
            }
            out.put_u8(0);
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bind_is_read_whole_and_its_nulls_are_kept() {
        let mut heard = BytesMut::new();
        heard.put_slice(b"B\0\0\0\0p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0");
        let length = u32::try_from(heard.len() - 1).unwrap();
        heard[1..5].copy_from_slice(&length.to_be_bytes());
        heard.put_slice(b"S\0\0\0\x04");
        let Some(Said::Bind(bind)) = next(&mut heard, MESSAGE_BYTES_MAX).unwrap() else { panic!() };
        assert_eq!((bind.portal.as_str(), bind.statement.as_str()), ("p", "s"));
        assert_eq!(bind.parameters, [Some(Bytes::from_static(b"x")), None]);
        assert_eq!((bind.parameter_formats, bind.result_formats), (vec![1], vec![]));
        assert_eq!(next(&mut heard, MESSAGE_BYTES_MAX).unwrap(), Some(Said::Sync));
        assert_eq!(next(&mut heard, MESSAGE_BYTES_MAX).unwrap(), None);
    }

    #[test]
    fn a_message_that_claims_too_much_is_refused_before_it_is_waited_for() {
        let mut heard = BytesMut::from(&b"Q\x40\0\0\0"[..]);
        assert_eq!(next(&mut heard, MESSAGE_BYTES_MAX).unwrap_err().code, "54000");
        let mut heard = BytesMut::from(&b"\0\0\xff\xff"[..]);
        assert_eq!(opening(&mut heard).unwrap_err().code, "54000");
    }

    proptest! {
        #[test]
        fn properties_of_foreign_bytes(kind in "[pQPBDECHSXdz]", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut heard = BytesMut::from(kind.as_bytes());
            heard.put_u32(u32::try_from(body.len() + 4).unwrap());
            heard.put_slice(&body);
            let _ = next(&mut heard, MESSAGE_BYTES_MAX);
            let _ = opening(&mut BytesMut::from(&body[..]));
            let _ = next(&mut BytesMut::from(&body[..]), MESSAGE_BYTES_MAX);
        }
    }
}
