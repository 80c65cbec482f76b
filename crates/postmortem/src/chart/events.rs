use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::labels::{free_row, text_width};
use super::scale::Scale;
use super::{EventLine, MAX_EVENTS, escape, shorten};

const ROW_HEIGHT: f64 = 14.0;
const MAX_ROWS: usize = 3;
const MAX_WORD: usize = 18;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Event lines placed on a time axis: where each stands and in which row its word is written.
pub(super) struct Placed<'a> {
    events: Vec<(&'a EventLine, f64, Option<usize>)>,
    rows: usize,
    dropped: usize,
}

/// Places the events between the ends of the axis.
pub(super) fn place<'a>(events: &'a [EventLine], from: Timestamp, to: Timestamp, x: &Scale) -> Placed<'a> {
    let mut shown: Vec<&EventLine> = events.iter().filter(|e| e.at >= from && e.at <= to).collect();
    shown.sort_by_key(|event| event.at);
    let dropped = shown.len().saturating_sub(MAX_EVENTS);
    shown.truncate(MAX_EVENTS);
    let mut rows = Vec::new();
    let events = shown
        .into_iter()
        .map(|event| {
            let at = x.at(seconds(event.at));
            let width = 12.0 + text_width(&shorten(&event.kind, MAX_WORD));
            (event, at, free_row(&mut rows, MAX_ROWS, at - 5.0, at + width))
        })
        .collect();
    Placed { events, rows: rows.len(), dropped }
}

impl Placed<'_> {
    /// Pixels above the plot that the words need.
    pub(super) fn height(&self) -> f64 {
        8.0 + ROW_HEIGHT * self.rows.max(1) as f64
    }

    /// The lines from their words down to `bottom`.
    pub(super) fn draw(&self, svg: &mut String, bottom: f64) {
        for (event, x, row) in &self.events {
            let y = 8.0 + ROW_HEIGHT * row.unwrap_or(0) as f64;
            let class = class_of(&event.kind);
            let label = escape(&shorten(&event.label, 200));
            let _ = write!(
                svg,
                r#"<g class="event {class}"><title>{label}</title><line x1="{x:.1}" x2="{x:.1}" y1="{y:.1}" y2="{bottom:.1}"/>{shape}"#,
                shape = shape(&event.kind, *x, y),
            );
            if row.is_some() {
                let word = escape(&shorten(&event.kind, MAX_WORD));
                let _ = write!(svg, r#"<text x="{:.1}" y="{:.1}">{word}</text>"#, x + 7.0, y + 4.0);
            }
            svg.push_str("</g>");
        }
    }

    /// The legend under the drawing: shape, word, time, sentence.
    pub(super) fn legend(&self, zone: &TimeZone) -> String {
        let (Some(first), Some(last)) = (self.events.first(), self.events.last()) else {
            return String::new();
        };
        // Over more than a day a time of day alone would name two events.
        let is_long = last.0.at.duration_since(first.0.at) > DAY;
        let format = if is_long { "%b %e %H:%M:%S" } else { "%H:%M:%S" };
        let mut out = String::from(r#"<ol class="events" aria-label="Events on this chart">"#);
        for (event, _, _) in &self.events {
            let at = event.at.to_zoned(zone.clone()).strftime(format).to_string();
            let _ = write!(
                out,
                r#"<li><svg class="mark" viewBox="-6 -6 12 12" width="12" height="12" aria-hidden="true"><g class="event {class}">{shape}</g></svg> <time datetime="{iso}">{at}</time> <b>{word}</b> <bdi>{label}</bdi></li>"#,
                class = class_of(&event.kind),
                shape = shape(&event.kind, 0.0, 0.0),
                iso = event.at,
                word = escape(&shorten(&event.kind, MAX_WORD)),
                label = escape(&shorten(&event.label, 200)),
            );
        }
        if self.dropped > 0 {
            let _ = write!(out, "<li>and {} more events</li>", self.dropped);
        }
        out.push_str("</ol>");
        out
    }
}

/// Colour by meaning, never alone: each class has a shape and its word too.
fn class_of(kind: &str) -> &'static str {
    match kind {
        "alert" | "detected" | "firing" => "e-alert",
        "onset" | "impact_start" | "impact" => "e-onset",
        "deploy" | "rollback" | "trigger" | "change" | "flag" => "e-change",
        "mitigated" | "resolved" | "recovered" => "e-good",
        _ => "e-note",
    }
}

fn shape(kind: &str, x: f64, y: f64) -> String {
    match class_of(kind) {
        "e-alert" => format!(r#"<path d="M{x:.1} {:.1}l4.5 8h-9z"/>"#, y - 4.5),
        "e-onset" => format!(r#"<path d="M{x:.1} {:.1}l4.5 4.5-4.5 4.5-4.5-4.5z"/>"#, y - 4.5),
        "e-change" => format!(r#"<path d="M{:.1} {:.1}h9l-4.5 8z"/>"#, x - 4.5, y - 4.0),
        "e-good" => format!(r#"<rect x="{:.1}" y="{:.1}" width="7" height="7"/>"#, x - 3.5, y - 3.5),
        _ => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#),
    }
}

/// Seconds since the epoch, with their fraction.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}
