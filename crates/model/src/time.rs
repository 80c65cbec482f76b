use std::time::Duration;

use jiff::Timestamp;

/// Splits nanoseconds since the epoch into the microseconds a `timestamp` column holds and the 0–999 below.
pub fn split_nanos(unix_nano: u64) -> (i64, i16) {
    let micros = i64::try_from(unix_nano / 1_000).expect("u64::MAX / 1000 fits in i64");
    let below = i16::try_from(unix_nano % 1_000).expect("a remainder of 1000 fits in i16");
    (micros, below)
}

/// The inverse of [`split_nanos`]; `None` when the pair cannot come from it.
pub fn join_nanos(micros: i64, below: i16) -> Option<u64> {
    let micros = u64::try_from(micros).ok()?;
    let below = u64::try_from(below).ok().filter(|n| *n < 1_000)?;
    micros.checked_mul(1_000)?.checked_add(below)
}

/// Microseconds since the epoch, rounded towards the past.
pub fn to_micros(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond().div_euclid(1_000)).expect("jiff's range in microseconds fits in i64")
}

/// The instant of a `timestamp` column's value; `None` outside the years jiff knows (−9999 to 9999).
pub fn timestamp_from_micros(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

/// A duration that could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a duration; write a number and a unit, for example 30s, 5m, 1h30m or 14d")]
pub struct DurationError {
    text: String,
}

/// Reads a Prometheus-style duration: one or more `number unit` pairs with units `ms s m h d w`.
///
/// # Errors
/// When the text is empty, has another unit, or exceeds what a [`Duration`] holds.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let fail = || DurationError { text: text.to_owned() };
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(fail());
    }
    if rest == "0" {
        return Ok(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
        let number: u64 = rest[..digits].parse().map_err(|_| fail())?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(letters.len());
        let unit_millis = match &letters[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(fail()),
        };
        let millis = number.checked_mul(unit_millis).ok_or_else(fail)?;
        total = total.checked_add(Duration::from_millis(millis)).ok_or_else(fail)?;
        rest = &letters[end..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nanosecond_survives_the_split() {
        for nanos in [0, 1, 999, 1_000, 1_762_000_000_123_456_789, u64::MAX] {
            let (micros, below) = split_nanos(nanos);
            assert_eq!(join_nanos(micros, below), Some(nanos));
        }
        assert_eq!(join_nanos(-1, 0), None);
        assert_eq!(join_nanos(0, 1_000), None);
    }

    #[test]
    fn durations_read_as_prometheus_writes_them() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("14d"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "m", "5 m", "-5m", "5y", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
