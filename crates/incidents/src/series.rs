use jiff::{SignedDuration, Timestamp};

/// One value per minute; `None` where nothing was observed.
pub type Series = Vec<Option<f64>>;

/// The start of the minute that `at` lies in.
pub(crate) fn floor_minute(at: Timestamp) -> Timestamp {
    let minutes = at.as_nanosecond().div_euclid(60_000_000_000);
    i64::try_from(minutes * 60).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(at)
}

/// `at` moved by whole minutes; stays put at the ends of time.
pub(crate) fn plus_minutes(at: Timestamp, minutes: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(at)
}

/// Whole minutes from `from` to `to`, negative when `to` is earlier.
pub(crate) fn minutes_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs().div_euclid(60)
}

/// `errors / calls` minute by minute; `None` where nothing was called.
pub(crate) fn share(errors: &[Option<f64>], calls: &[Option<f64>]) -> Series {
    errors
        .iter()
        .zip(calls)
        .map(|(errors, calls)| match (errors, calls) {
            (errors, Some(calls)) if *calls > 0.0 => Some(errors.unwrap_or(0.0) / calls),
            _ => None,
        })
        .collect()
}

/// The observed values of a part of a series; an empty part when the range lies outside.
pub(crate) fn observed(series: &[Option<f64>], range: std::ops::Range<usize>) -> Vec<f64> {
    let end = range.end.min(series.len());
    let start = range.start.min(end);
    series[start..end].iter().flatten().copied().filter(|value| value.is_finite()).collect()
}

/// Sum of the observed values of a part of a series.
pub(crate) fn total(series: &[Option<f64>], range: std::ops::Range<usize>) -> f64 {
    observed(series, range).iter().sum()
}
