//! Parameters of a bound statement as the engine's own.

use std::time::Duration;

use hindsight_model::{SqlParam, timestamp_from_micros};

use super::encode::Format;
use super::fault::PgFault;
use super::{numeric, text};

const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const CHAR: u32 = 18;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const JSON: u32 = 114;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
pub(super) const UNKNOWN: u32 = 705;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const DATE: u32 = 1082;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const INTERVAL: u32 = 1186;
const NUMERIC: u32 = 1700;
const UUID: u32 = 2950;

/// The value of parameter number `place`, of the type that the client or the statement gave it.
///
/// # Errors
/// A value that is none of its type, or a type that no parameter can have here.
pub(super) fn read(place: usize, oid: u32, format: Format, bytes: &[u8]) -> Result<SqlParam, PgFault> {
    match format {
        Format::Text => {
            let text =
                std::str::from_utf8(bytes).map_err(|_| PgFault::new("22021", "a parameter is not UTF-8"))?;
            from_text(oid, text).ok_or_else(|| wrong(place, oid))
        }
        Format::Binary => from_binary(place, oid, bytes)?.ok_or_else(|| wrong(place, oid)),
    }
}

/// A value of the type, to plan a statement that is not bound yet; none where the type says nothing.
pub(super) fn example(oid: u32) -> Option<SqlParam> {
    Some(match oid {
        BOOL => SqlParam::Bool(false),
        INT2 | INT4 | INT8 | OID => SqlParam::Int(0),
        FLOAT4 | FLOAT8 | NUMERIC => SqlParam::Double(0.0),
        TEXT | VARCHAR | BPCHAR | NAME | CHAR | UUID | JSON => SqlParam::Text(String::new()),
        TIMESTAMP | TIMESTAMPTZ => SqlParam::Time(timestamp_from_micros(0)?),
        INTERVAL => SqlParam::Interval(Duration::ZERO),
        _ => return None,
    })
}

fn wrong(place: usize, oid: u32) -> PgFault {
    PgFault::new("22P02", format!("parameter ${place} is not a value of the type with oid {oid}"))
        .hint("text, numbers, booleans, times and spans of time can be parameters; arrays cannot")
}

fn from_text(oid: u32, text: &str) -> Option<SqlParam> {
    Some(match oid {
        BOOL => SqlParam::Bool(match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "yes" => true,
            "f" | "false" | "0" | "off" | "no" => false,
            _ => return None,
        }),
        INT2 | INT4 | INT8 | OID => SqlParam::Int(text.trim().parse().ok()?),
        FLOAT4 | FLOAT8 => SqlParam::Double(text.trim().parse().ok()?),
        NUMERIC => number(text.trim())?,
        TIMESTAMP | TIMESTAMPTZ => SqlParam::Time(instant(text.trim())?),
        INTERVAL => SqlParam::Interval(span(text)?),
        0 | UNKNOWN | TEXT | VARCHAR | BPCHAR | NAME | CHAR | DATE | UUID | JSON => {
            SqlParam::Text(text.to_owned())
        }
        _ => return None,
    })
}

fn from_binary(place: usize, oid: u32, bytes: &[u8]) -> Result<Option<SqlParam>, PgFault> {
    let word = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_be_bytes);
    Ok(match oid {
        BOOL => match bytes {
            [flag] => Some(SqlParam::Bool(*flag != 0)),
            _ => None,
        },
        INT2 => bytes.try_into().ok().map(|b| SqlParam::Int(i16::from_be_bytes(b).into())),
        INT4 => bytes.try_into().ok().map(|b| SqlParam::Int(i32::from_be_bytes(b).into())),
        OID => bytes.try_into().ok().map(|b| SqlParam::Int(u32::from_be_bytes(b).into())),
        INT8 => word(bytes).map(SqlParam::Int),
        FLOAT4 => bytes.try_into().ok().map(|b| SqlParam::Double(f32::from_be_bytes(b).into())),
        FLOAT8 => bytes.try_into().ok().map(|b| SqlParam::Double(f64::from_be_bytes(b))),
        NUMERIC => number(&numeric::read(bytes)?),
        TIMESTAMP | TIMESTAMPTZ => word(bytes)
            .and_then(|micros| timestamp_from_micros(micros.checked_add(text::EPOCH_MICROS)?))
            .map(SqlParam::Time),
        DATE => bytes.try_into().ok().map(|b| {
            let mut shown = String::new();
            text::date(&mut shown, i64::from(i32::from_be_bytes(b)) + text::EPOCH_DAYS);
            SqlParam::Text(shown)
        }),
        INTERVAL => match bytes.split_at_checked(8) {
            Some((micros, [d0, d1, d2, d3, 0, 0, 0, 0])) => word(micros)
                .and_then(|micros| {
                    let days = i64::from(i32::from_be_bytes([*d0, *d1, *d2, *d3]));
                    let all = days.checked_mul(text::DAY_MICROS)?.checked_add(micros)?;
                    Some(Duration::from_micros(u64::try_from(all).ok()?))
                })
                .map(SqlParam::Interval),
            _ => None,
        },
        UUID => match bytes.len() {
            16 => uuid::Uuid::from_slice(bytes).ok().map(|id| SqlParam::Text(id.to_string())),
            _ => None,
        },
        0 | UNKNOWN | TEXT | VARCHAR | BPCHAR | NAME | CHAR | JSON => {
            return read(place, TEXT, Format::Text, bytes).map(Some);
        }
        BYTEA => None,
        _ => None,
    })
}

fn number(text: &str) -> Option<SqlParam> {
    match text.parse() {
        Ok(whole) => Some(SqlParam::Int(whole)),
        Err(_) => text.parse().ok().map(SqlParam::Double),
    }
}

/// ISO as drivers write it: with a space or a `T`, with an offset (`+00`, `+02:00`, `Z`) or, for UTC, without.
fn instant(text: &str) -> Option<jiff::Timestamp> {
    let text = text.replacen(' ', "T", 1).replace(' ', "");
    let time = text.split_once('T').map_or("", |(_, time)| time);
    let complete = match time.rfind(['+', '-']) {
        Some(_) => text.clone(),
        None if time.ends_with(['Z', 'z']) => text.clone(),
        None if time.is_empty() => format!("{text}T00:00:00Z"),
        None => format!("{text}Z"),
    };
    complete.parse().ok()
}

/// `1 day 02:03:04.5`, `90 seconds`, `5 min`: spans of a fixed length that are not negative.
fn span(text: &str) -> Option<Duration> {
    let mut micros = 0_f64;
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word.contains(':') {
            let mut unit = 3_600.0;
            for part in word.split(':') {
                micros += part.parse::<f64>().ok()? * unit * 1e6;
                unit /= 60.0;
            }
            continue;
        }
        let digits = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (count, unit) = match word.split_at(digits) {
            (count, "") => (count, words.next()?),
            split => split,
        };
        let seconds = match unit.to_ascii_lowercase().as_str() {
            "w" | "week" | "weeks" => 604_800.0,
            "d" | "day" | "days" => 86_400.0,
            "h" | "hour" | "hours" => 3_600.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "ms" | "millisecond" | "milliseconds" => 1e-3,
            "us" | "microsecond" | "microseconds" => 1e-6,
            _ => return None,
        };
        micros += count.parse::<f64>().ok()? * seconds * 1e6;
    }
    Duration::try_from_secs_f64(micros.round() / 1e6).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_binaries_of_one_value_are_the_same_parameter() {
        let at: jiff::Timestamp = "2026-05-04T21:32:00.5Z".parse().unwrap();
        let micros = (at.as_microsecond() - text::EPOCH_MICROS).to_be_bytes();
        let cases: [(u32, &str, &[u8], SqlParam); 7] = [
            (BOOL, "t", &[1], SqlParam::Bool(true)),
            (INT2, "-2", &[0xff, 0xfe], SqlParam::Int(-2)),
            (INT8, "7", &[0, 0, 0, 0, 0, 0, 0, 7], SqlParam::Int(7)),
            (FLOAT8, "1.5", &1.5_f64.to_be_bytes(), SqlParam::Double(1.5)),
            (VARCHAR, "checkout", b"checkout", SqlParam::Text("checkout".into())),
            (TIMESTAMPTZ, "2026-05-04 23:32:00.5+02", &micros, SqlParam::Time(at)),
            (TIMESTAMP, "2026-05-04 21:32:00.5", &micros, SqlParam::Time(at)),
        ];
        for (oid, shown, binary, expected) in cases {
            assert_eq!(read(1, oid, Format::Text, shown.as_bytes()).unwrap(), expected, "{shown}");
            assert_eq!(read(1, oid, Format::Binary, binary).unwrap(), expected, "{shown}");
        }
        let day = [0_i64.to_be_bytes().as_slice(), &1_i32.to_be_bytes(), &[0; 4]].concat();
        let span = SqlParam::Interval(Duration::from_secs(86_400));
        assert_eq!(read(1, INTERVAL, Format::Binary, &day).unwrap(), span);
        for shown in ["1 day", "24:00:00", "23 hours 60 min", "86400s"] {
            assert_eq!(read(1, INTERVAL, Format::Text, shown.as_bytes()).unwrap(), span, "{shown}");
        }
    }

    #[test]
    fn what_is_no_value_of_its_type_is_refused_with_its_place() {
        for (oid, bytes) in
            [(INT4, &b"x"[..]), (BOOL, b"maybe"), (1007, b"{1}"), (INTERVAL, b"1 mon"), (TEXT, b"\xff")]
        {
            assert!(read(3, oid, Format::Text, bytes).is_err(), "{oid}");
        }
        let error = read(3, INT4, Format::Binary, &[1]).unwrap_err();
        assert!(error.message.contains("$3") && error.code == "22P02", "{error:?}");
    }
}
