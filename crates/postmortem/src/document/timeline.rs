use std::sync::LazyLock;

use hindsight_model::TimelineSource;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use regex::Regex;

use super::dates::zone_or_utc;
use super::{FrontMatter, cited_evidence};

/// Rows read from one document; further ones are not.
pub const MAX_ROWS: usize = 5_000;

/// One row of `## Timeline`: ``- **14:32** `trigger` `system` Deployment 4.2.0 begins [E3]``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// Line in the file, from 1.
    pub line: usize,
    /// The time as written (`14:32` or `14:32:10`, with a date where one was given).
    pub time: String,
    /// The instant, in the document's zone; the nearest such time of day to the row before.
    pub at: Option<Timestamp>,
    /// Whether only the minute was written.
    pub to_the_minute: bool,
    /// Whether it is a milestone: its time is bold.
    pub milestone: bool,
    /// What kind of thing (`trigger`, `detected`, `alert`, …).
    pub kind: String,
    /// Who says so, if that is one of the two words.
    pub source: Option<TimelineSource>,
    /// The sentence, with its citations.
    pub text: String,
    /// Evidence cited in it.
    pub evidence: Vec<String>,
}

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^\s*[-*]\s+(\*\*)?(?:(\d{4}-\d{2}-\d{2})[ T])?(\d{1,2}:\d{2}(?::\d{2})?)(?:\s*([A-Z]{2,5}|[+-]\d{2}:\d{2}))?(?:\*\*)?\s+`([^`]+)`\s+(?:`([^`]+)`\s+)?(.*)$",
    )
    .expect("the pattern is constant and tested")
});

pub(super) fn parse(lines: &[(usize, &str)], front: &FrontMatter) -> Vec<TimelineEntry> {
    let zone = zone_or_utc(&front.timezone);
    let mut near = front.times.trigger.or(front.times.impact_start).or(front.times.detected);
    let mut rows = Vec::new();
    for (line, text) in lines {
        let Some(found) = ROW.captures(text) else { continue };
        if rows.len() == MAX_ROWS {
            break;
        }
        let part = |index: usize| found.get(index).map(|m| m.as_str());
        let (date, time) = (part(2), part(3).unwrap_or_default());
        let at = instant(date, time, near, &zone);
        near = at.or(near);
        let source = match part(6) {
            Some("system") => Some(TimelineSource::System),
            Some("human") => Some(TimelineSource::Human),
            _ => None,
        };
        let words = part(7).unwrap_or_default().trim().to_owned();
        rows.push(TimelineEntry {
            line: *line,
            time: date.map_or_else(|| time.to_owned(), |date| format!("{date} {time}")),
            at,
            to_the_minute: time.matches(':').count() == 1,
            milestone: part(1).is_some(),
            kind: part(5).unwrap_or_default().to_owned(),
            source,
            evidence: cited_evidence(&words),
            text: words,
        });
    }
    rows
}

/// With a date, that instant; without, the time of day nearest to the instant before it.
fn instant(date: Option<&str>, time: &str, near: Option<Timestamp>, zone: &TimeZone) -> Option<Timestamp> {
    let padded = if time.len() % 3 == 1 { format!("0{time}") } else { time.to_owned() };
    let format = if padded.len() == 5 { "%H:%M" } else { "%H:%M:%S" };
    let time = Time::strptime(format, &padded).ok()?;
    let resolve = |date: jiff::civil::Date| {
        zone.to_ambiguous_timestamp(DateTime::from_parts(date, time)).compatible().ok()
    };
    if let Some(date) = date {
        return resolve(date.parse().ok()?);
    }
    let near = near?;
    let day = near.to_zoned(zone.clone()).date();
    let days = [day.yesterday().ok(), Some(day), day.tomorrow().ok()];
    let candidates = days.into_iter().flatten().filter_map(resolve);
    candidates.min_by_key(|at| at.as_second().abs_diff(near.as_second()))
}
