//! One time range rules a page, and stands in its address.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use hindsight_model::parse_duration;

use crate::capsule::served;

/// Longest range that a page draws.
const RANGE_MAX: SignedDuration = SignedDuration::from_hours(24 * 31);
/// Choices offered by the picker.
pub(crate) const CHOICES: [(&str, &str); 6] = [
    ("15m", "last 15 minutes"),
    ("1h", "last hour"),
    ("3h", "last 3 hours"),
    ("12h", "last 12 hours"),
    ("1d", "last day"),
    ("7d", "last week"),
];

/// `from`, `to` and `tz` as they stand in the address.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RangeQuery {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) tz: Option<String>,
}

/// A checked range.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) tz: TimeZone,
    /// The relative choice, if the range is one.
    pub(crate) choice: Option<String>,
}

impl Range {
    /// Reads the address; `from` is an RFC 3339 instant or a length back from `to` (default 1h), which is now unless
    /// the address says otherwise, and the end of the incident when a capsule is served.
    ///
    /// # Errors
    /// A sentence for the person who wrote the address.
    pub(crate) fn parse(query: &RangeQuery, now: Timestamp) -> Result<Self, String> {
        Self::parse_or(query, now, "1h")
    }

    /// The same, with the length that an address without `from` means.
    ///
    /// # Errors
    /// As [`Range::parse`].
    pub(crate) fn parse_or(query: &RangeQuery, now: Timestamp, default_length: &str) -> Result<Self, String> {
        let tz = match query.tz.as_deref().filter(|name| !name.is_empty()) {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| format!("`{name}` is not a time zone; use a name like Europe/Vienna"))?,
        };
        let to = match query.to.as_deref().filter(|to| !to.is_empty() && *to != "now") {
            None => served().map_or(now, |capsule| capsule.shown_until),
            Some(text) => instant(text)?,
        };
        let text = query.from.as_deref().filter(|from| !from.is_empty()).unwrap_or(default_length);
        let (from, choice) = match parse_duration(text) {
            Ok(length) => {
                let length = SignedDuration::try_from(length).map_err(|_| too_long())?;
                (to.checked_sub(length).map_err(|_| too_long())?, Some(text.to_owned()))
            }
            Err(_) => (instant(text)?, None),
        };
        if from >= to {
            return Err("the range is empty: `from` must lie before `to`".to_owned());
        }
        if to.duration_since(from) > RANGE_MAX {
            return Err(too_long());
        }
        Ok(Self { from, to, tz, choice })
    }

    /// Width of a chart's buckets: whole minutes, about a hundred of them.
    pub(crate) fn bucket_minutes(&self) -> i64 {
        (self.to.duration_since(self.from).as_secs() / 60 / 100).max(1)
    }

    /// Length in seconds.
    #[expect(clippy::cast_precision_loss, reason = "at most 31 days of seconds")]
    pub(crate) fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs() as f64
    }

    /// `from=…&to=…` with fixed instants, for links that must keep showing the same.
    pub(crate) fn fixed(&self) -> String {
        format!("from={}&to={}", self.from, self.to)
    }

    /// What keeps the range in a link to another page: the choice where it is one, so that it stays relative.
    pub(crate) fn kept(&self) -> String {
        let range = match &self.choice {
            Some(choice) => format!("from={choice}"),
            None => self.fixed(),
        };
        match self.tz.iana_name() {
            Some(name) if name != "UTC" => format!("{range}&tz={name}"),
            _ => range,
        }
    }

    /// The range as a person reads it, with its zone.
    pub(crate) fn words(&self) -> String {
        let from = self.from.to_zoned(self.tz.clone());
        let to = self.to.to_zoned(self.tz.clone());
        let end = if from.date() == to.date() { "%H:%M %Z" } else { "%Y-%m-%d %H:%M %Z" };
        format!("{} – {}", from.strftime("%Y-%m-%d %H:%M"), to.strftime(end))
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(60).collect();
        format!("`{text}` is not a time; write 2026-05-04T21:30:00Z, or a length like 3h")
    })
}

fn too_long() -> String {
    "the range is longer than 31 days; choose a shorter one".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(from: &str, to: &str) -> Result<Range, String> {
        let now = "2026-05-04T22:00:00Z".parse().unwrap();
        let query = RangeQuery { from: Some(from.into()), to: Some(to.into()), tz: None };
        Range::parse(&query, now)
    }

    #[test]
    fn relative_and_absolute_ranges_are_read() {
        let range = parse("90m", "").unwrap();
        assert_eq!(range.from.to_string(), "2026-05-04T20:30:00Z");
        let range = parse("2026-05-04T21:00:00Z", "2026-05-04T21:30:00Z").unwrap();
        assert!((range.seconds() - 1_800.0).abs() < 1e-9);
        assert_eq!(range.choice, None);
    }

    #[test]
    fn senseless_ranges_get_a_sentence() {
        for (from, to) in [("yesterday", ""), ("99d", ""), ("2026-05-05T00:00:00Z", "2026-05-04T00:00:00Z")] {
            assert!(parse(from, to).is_err(), "{from} {to}");
        }
    }
}
