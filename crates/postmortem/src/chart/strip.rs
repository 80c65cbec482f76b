use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::events::seconds;
use super::scale::Scale;
use super::{LineChart, MAX_STRETCHES, MAX_STRIPS, Strip, StripLook, escape, shorten};

/// The lane of absences, the space below it, the lane of states.
const READING_HEIGHT: f64 = 6.0;
const STATE_HEIGHT: f64 = 12.0;
const ROW_HEIGHT: f64 = READING_HEIGHT + 1.0 + STATE_HEIGHT + 5.0;
const TOP_GAP: f64 = 8.0;
const MAX_NAME: usize = 19;
/// Narrowest stretch drawn, in pixels: one evaluation of a long day is still seen.
const MIN_WIDTH: f64 = 1.0;

impl StripLook {
    /// In the order of the legend.
    const ALL: [Self; 8] = [
        Self::Inactive,
        Self::Pending,
        Self::Firing,
        Self::Recovering,
        Self::Missing,
        Self::NoData,
        Self::Error,
        Self::Unobserved,
    ];

    fn is_absence(self) -> bool {
        matches!(self, Self::Missing | Self::NoData | Self::Error | Self::Unobserved)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
            Self::Missing => "missing",
            Self::NoData => "no data",
            Self::Error => "error",
            Self::Unobserved => "unobserved",
        }
    }

    /// What it means, where the word alone does not say it.
    fn meaning(self) -> &'static str {
        match self {
            Self::Inactive | Self::Pending | Self::Firing | Self::Recovering => "",
            Self::Missing => "others were returned, this one was not",
            Self::NoData => "the query returned nothing at all",
            Self::Error => "the query failed",
            Self::Unobserved => "the window's data was not complete",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Inactive => "st-inactive",
            Self::Pending => "st-pending",
            Self::Firing => "st-firing",
            Self::Recovering => "st-recovering",
            Self::Missing => "st-missing",
            Self::NoData => "st-no-data",
            Self::Error => "st-error",
            Self::Unobserved => "st-unobserved",
        }
    }

    /// Top and height within a row: a state is told by its height too, an absence by its pattern.
    fn place(self) -> (f64, f64) {
        let bottom = READING_HEIGHT + 1.0 + STATE_HEIGHT;
        match self {
            Self::Inactive => (bottom - 2.0, 2.0),
            Self::Pending | Self::Recovering => (bottom - 6.0, 6.0),
            Self::Firing => (bottom - STATE_HEIGHT, STATE_HEIGHT),
            Self::Missing | Self::NoData | Self::Error | Self::Unobserved => (0.0, READING_HEIGHT),
        }
    }

    /// The strokes inside: none for a state, each absence its own.
    fn strokes(self, x: f64, width: f64, y: f64, height: f64) -> String {
        let step = 6.0_f64.max(width / 200.0);
        let count = (width / step).floor().max(1.0) as usize;
        let mut path = String::new();
        for index in 0..count {
            let at = x + step * index as f64;
            let _ = match self {
                Self::Missing => write!(path, "M{:.1} {:.1}h1.5", at + 1.0, y + height / 2.0),
                Self::Error => write!(
                    path,
                    "M{at:.1} {y:.1}l{size:.1} {height:.1}m0 -{height:.1}l-{size:.1} {height:.1}",
                    size = 4.0_f64.min(width)
                ),
                Self::Unobserved => {
                    write!(path, "M{at:.1} {:.1}l{:.1} -{height:.1}", y + height, 4.0_f64.min(width))
                }
                _ => return String::new(),
            };
        }
        format!(r#"<path d="{path}"/>"#)
    }

    fn shape(self, x: f64, width: f64, y: f64) -> String {
        let (top, height) = self.place();
        let y = y + top;
        format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>{}"#,
            self.strokes(x, width, y, height)
        )
    }
}

/// Pixels below the plot that the strips need.
pub(super) fn height(strips: &[Strip]) -> f64 {
    if strips.is_empty() { 0.0 } else { TOP_GAP + ROW_HEIGHT * shown(strips).len() as f64 }
}

fn shown(strips: &[Strip]) -> &[Strip] {
    &strips[..strips.len().min(MAX_STRIPS)]
}

/// The rows below `top`, each with its name at `label_x`.
pub(super) fn draw(out: &mut String, chart: &LineChart, x: &Scale, top: f64, label_x: f64) {
    for (row, strip) in shown(&chart.strips).iter().enumerate() {
        let y = top + TOP_GAP + ROW_HEIGHT * row as f64;
        let _ = write!(out, r#"<g class="strip"><title>{}</title>"#, escape(&shorten(&strip.name, 200)));
        for stretch in strip.stretches.iter().take(MAX_STRETCHES) {
            let (from, to) = (stretch.from.max(chart.from), stretch.to.min(chart.to));
            if from > to {
                continue;
            }
            let start = x.at(seconds(from));
            let width = (x.at(seconds(to)) - start).max(MIN_WIDTH);
            let _ = write!(
                out,
                r#"<g class="{}"><title>{} {}</title>{}</g>"#,
                stretch.look.class(),
                stretch.look.word(),
                escape(&span_words(from, to, &chart.timezone)),
                stretch.look.shape(start, width, y),
            );
        }
        let _ = write!(
            out,
            r#"<text x="{label_x:.1}" y="{:.1}">{}</text></g>"#,
            y + READING_HEIGHT + STATE_HEIGHT,
            escape(&shorten(&strip.name, MAX_NAME))
        );
    }
}

fn span_words(from: Timestamp, to: Timestamp, zone: &TimeZone) -> String {
    let local = |at: Timestamp| at.to_zoned(zone.clone());
    format!("{} – {}", local(from).strftime("%Y-%m-%d %H:%M:%S"), local(to).strftime("%H:%M:%S %Z"))
}

/// The looks that are there, with their words.
pub(super) fn legend(strips: &[Strip]) -> String {
    let used: BTreeSet<StripLook> =
        shown(strips).iter().flat_map(|strip| strip.stretches.iter().map(|s| s.look)).collect();
    if used.is_empty() {
        return String::new();
    }
    let mut out = String::from(r#"<ul class="looks" aria-label="How states and absences are drawn">"#);
    for look in StripLook::ALL.into_iter().filter(|look| used.contains(look)) {
        let meaning = look.meaning();
        let _ = write!(
            out,
            r#"<li><svg class="mark" viewBox="0 0 24 20" width="24" height="20" aria-hidden="true"><g class="strip"><g class="{}">{}</g></g></svg> <b>{}</b>{}{meaning}</li>"#,
            look.class(),
            look.shape(0.5, 23.0, if look.is_absence() { 7.0 } else { 0.0 }),
            look.word(),
            if meaning.is_empty() { "" } else { ": " },
        );
    }
    let hidden = strips.len() - shown(strips).len();
    if hidden > 0 {
        let _ = write!(out, "<li>{hidden} more are not drawn</li>");
    }
    out.push_str("<li>blank: not evaluated</li></ul>");
    out
}

/// The same as rows of a table, to stand in the chart's `<details>`.
pub(super) fn table(chart: &LineChart) -> String {
    if chart.strips.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        r#"<div class="scroll" role="group" tabindex="0" aria-label="Table, scrollable when narrow"><table><caption>States and absences</caption><thead><tr><th scope="col">Of</th><th scope="col">What</th><th scope="col">When</th></tr></thead><tbody>"#,
    );
    let mut left = super::MAX_TABLE_ROWS;
    let mut hidden = 0;
    for strip in shown(&chart.strips) {
        for stretch in &strip.stretches {
            if left == 0 {
                hidden += 1;
                continue;
            }
            left -= 1;
            let _ = write!(
                out,
                r#"<tr><th scope="row"><bdi>{}</bdi></th><td>{}</td><td><time datetime="{}">{}</time></td></tr>"#,
                escape(&shorten(&strip.name, 100)),
                stretch.look.word(),
                stretch.from,
                escape(&span_words(stretch.from, stretch.to, &chart.timezone)),
            );
        }
    }
    out.push_str("</tbody></table></div>");
    if hidden > 0 {
        let _ = write!(out, "<p>{hidden} more stretches: run the SQL to see them.</p>");
    }
    out
}
