//! `timeWindow`, and durations as OpenSLO writes them.

use std::time::Duration;

use hindsight_model::parse_duration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::section::Section;
use super::sink::Sink;
use super::yaml::{Node, Place};
use crate::slo::{BudgetWindow, Calendar, CalendarUnit, SLICE};

const DAY: Duration = Duration::from_secs(86_400);
/// Without a `timeWindow`, which OpenSLO makes optional.
const DEFAULT: Duration = Duration::from_secs(30 * 86_400);
/// Minutes of SLOs are kept for 400 days.
const LONGEST: Duration = Duration::from_secs(400 * 86_400);
const UNITS: [(char, CalendarUnit); 5] = [
    ('d', CalendarUnit::Day),
    ('w', CalendarUnit::Week),
    ('M', CalendarUnit::Month),
    ('Q', CalendarUnit::Quarter),
    ('Y', CalendarUnit::Year),
];

/// The budget window of an SLO's `spec`.
pub(super) fn read(section: &Section<'_>, sink: &mut Sink) -> Option<BudgetWindow> {
    let node = match section.list("timeWindow", sink) {
        [node] => node,
        [] if section.get("timeWindow").is_none() => {
            let hint = "write `timeWindow: [{duration: 30d, isRolling: true}]`";
            sink.warning(section.place, "the SLO has no `timeWindow`; it gets the last 30 days", hint);
            return Some(BudgetWindow::Rolling(DEFAULT));
        }
        windows => {
            let message = format!("the SLO has {} time windows", windows.len());
            let place = section.place_of("timeWindow");
            sink.error(place, message, "write one: `timeWindow: [{duration: 30d, isRolling: true}]`");
            return None;
        }
    };
    let window = Section::read(node, "`timeWindow`", &["duration", "isRolling", "calendar"], sink)?;
    let rolling = window.flag("isRolling", sink);
    let Some(text) = window.get("duration").and_then(Node::as_text) else {
        sink.error(node.place, "`timeWindow` has no `duration`", "for example `duration: 30d`");
        return None;
    };
    let place = window.place_of("duration");
    let read = match (window.get("calendar"), rolling) {
        (Some(_), Some(true)) => {
            let hint = "write `isRolling: true`, or `calendar:`";
            sink.error(node.place, "`timeWindow` is rolling and has a `calendar`", hint);
            return None;
        }
        (Some(calendar), _) => BudgetWindow::Calendar(read_calendar(calendar, &text, place, sink)?),
        (None, Some(true)) => BudgetWindow::Rolling(shorthand("duration", &text, place, sink)?),
        (None, _) => {
            let hint =
                "write `isRolling: true`, or `calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}`";
            sink.error(node.place, "`timeWindow` is neither rolling nor has it a `calendar`", hint);
            return None;
        }
    };
    if read.nominal() < DAY {
        sink.error(place, "the time window is shorter than a day", "for example `30d`");
        return None;
    }
    if read.longest() > LONGEST {
        sink.error(
            place,
            "the time window is longer than minutes are kept, 400 days",
            "for example `365d` or `1Y`",
        );
        return None;
    }
    Some(read)
}

fn read_calendar(node: &Node, duration: &str, place: Place, sink: &mut Sink) -> Option<Calendar> {
    let section = Section::read(node, "`calendar`", &["startTime", "timeZone"], sink)?;
    let start = section.required_text("startTime", "`calendar`", sink)?;
    let zone = section.required_text("timeZone", "`calendar`", sink)?;
    let start = start.parse::<DateTime>().map_err(|_| {
        let message = format!("`startTime` cannot be `{start}`");
        let hint = "write a date and a time without a zone, as `2026-01-01 00:00:00`";
        sink.error(section.place_of("startTime"), message, hint);
    });
    let zone = TimeZone::get(&zone).map_err(|_| {
        let hint = "write a name of the IANA database, as `Europe/Berlin` or `UTC`";
        sink.error(section.place_of("timeZone"), format!("there is no time zone `{zone}`"), hint);
    });
    let unit = duration.chars().last().and_then(|last| UNITS.iter().find(|(letter, _)| *letter == last));
    let count = duration.get(..duration.len().saturating_sub(1)).and_then(|count| count.parse().ok());
    let (Some((_, unit)), Some(count)) = (unit, count.filter(|count| (1..=400).contains(count))) else {
        let message = format!("`{duration}` is not the length of a calendar period");
        sink.error(place, message, "write a number and d, w, M, Q or Y, for example `1M`");
        return None;
    };
    Some(Calendar { start: start.ok()?, zone: zone.ok()?, unit: *unit, count })
}

/// A duration in OpenSLO's shorthand: a month of `M` has 30 days, a quarter `Q` 90 and a year `Y` 365, since no
/// calendar says which one is meant.
fn shorthand(key: &str, text: &str, place: Place, sink: &mut Sink) -> Option<Duration> {
    let days = match text.chars().last() {
        Some('M') => 30,
        Some('Q') => 90,
        Some('Y') => 365,
        _ => {
            return match parse_duration(text) {
                Ok(duration) => Some(duration),
                Err(error) => {
                    sink.error(place, format!("`{key}`: {error}"), format!("for example `{key}: 30d`"));
                    None
                }
            };
        }
    };
    let count: Option<u32> = text.get(..text.len() - 1).and_then(|count| count.parse().ok());
    let duration = count.and_then(|count| DAY.checked_mul(days)?.checked_mul(count));
    if duration.is_none() {
        sink.error(place, format!("`{key}` cannot be `{text}`"), format!("for example `{key}: 30d`"));
    }
    duration
}

/// A span of whole minutes, of at least one; a bare number counts minutes.
pub(super) fn whole_minutes(section: &Section<'_>, key: &str, sink: &mut Sink) -> Option<Duration> {
    let node = section.get(key)?;
    let text = node.as_text().unwrap_or_default();
    let duration = match text.parse::<u32>() {
        Ok(minutes) => Some(SLICE * minutes),
        Err(_) => Some(shorthand(key, &text, node.place, sink)?),
    };
    let whole =
        duration.filter(|d| *d >= SLICE && d.as_secs() % SLICE.as_secs() == 0 && d.subsec_nanos() == 0);
    if whole.is_none() {
        let message = format!("`{key}` cannot be `{text}`: SLOs are kept by the minute");
        sink.error(node.place, message, format!("write whole minutes, as `{key}: 5m`"));
    }
    whole
}
