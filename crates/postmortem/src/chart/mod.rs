//! Server-drawn SVG, shared by the report and the pages: pure functions from plain data to text, no script needed.
//!
//! Every text from outside is escaped and cut to a bounded length; unknown is a gap, never a zero; colours are CSS
//! variables of [`stylesheet`], so one drawing serves light, dark and print.
//!
//! ```
//! use hindsight_postmortem::chart::{LineChart, Series, Unit, line_chart};
//! let from: jiff::Timestamp = "2026-05-04T14:00:00Z".parse()?;
//! let to: jiff::Timestamp = "2026-05-04T15:00:00Z".parse()?;
//! let series = Series { name: "checkout".into(), points: vec![(from, Some(0.01)), (to, Some(0.14))] };
//! let chart = LineChart { series: vec![series], ..LineChart::new("errors", "Error rate", Unit::Percent, from, to) };
//! assert!(line_chart(&chart).contains("<svg"));
//! # Ok::<(), jiff::Error>(())
//! ```

mod diagram;
mod dots;
mod escape;
mod events;
mod gauge;
mod labels;
mod line;
mod palette;
mod scale;
mod spark;
mod strip;
mod table;
mod unit;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use diagram::{DiagramEdge, DiagramNode, NodeState, ServiceDiagram, service_diagram};
pub use dots::{DotRow, duration_dots};
pub(crate) use escape::is_safe_href;
pub use escape::{escape, html_id, shorten};
pub use gauge::{gauge, share_bar};
pub use line::line_chart;
pub use palette::{PALETTE_SIZE, colour_class, colour_index};
pub use spark::sparkline;
pub use unit::{Unit, exact, people_duration};

/// Series drawn in colour; further ones are drawn thin and grey as "others".
pub const MAX_SERIES: usize = 8;
/// Points of one series that are drawn; more are thinned to the lowest and highest of each stretch.
pub const MAX_POINTS: usize = 1_200;
/// Event lines drawn; later ones are counted in the legend.
pub const MAX_EVENTS: usize = 24;
/// Strips drawn under one plot; further ones are counted in the legend.
pub const MAX_STRIPS: usize = 8;
/// Stretches of one strip that are drawn; the table names the rest.
pub const MAX_STRETCHES: usize = 1_000;
/// Rows of the data table under a chart; the rest is named and left to the SQL.
pub const MAX_TABLE_ROWS: usize = 400;

/// One line of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the line is; decides its colour.
    pub name: String,
    /// Values in order of time; `None` is a gap and is drawn as one.
    pub points: Vec<(Timestamp, Option<f64>)>,
}

/// Something that happened, drawn as a vertical line on every chart of a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    /// When.
    pub at: Timestamp,
    /// `deploy`, `flag`, `alert`, `note`, `trigger`, `onset`, `detected`, `mitigated`, …: decides shape and word.
    pub kind: String,
    /// The sentence shown in the legend and on hover.
    pub label: String,
}

/// The range that was normal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Lower edge, in the chart's unit.
    pub low: f64,
    /// Upper edge, in the chart's unit.
    pub high: f64,
    /// What it was measured from.
    pub label: String,
}

/// A dashed horizontal line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Where, in the chart's unit.
    pub value: f64,
    /// What it stands for (`fires above 2 %`).
    pub label: String,
}

/// A row under the plot, on the plot's axis of time: the states of one thing, and when there was nothing to read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strip {
    /// Whose states.
    pub name: String,
    /// In order of time. A state and an absence may cover the same time; what no stretch covers stays blank.
    pub stretches: Vec<Stretch>,
}

/// A stretch of time in which something looked the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// What was.
    pub look: StripLook,
}

/// What a stretch shows. States differ in height, absences in pattern, all in colour and word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StripLook {
    /// The state of calm.
    Inactive,
    /// A breach that is not yet long enough.
    Pending,
    /// An alarm.
    Firing,
    /// An alarm that is about to end.
    Recovering,
    /// Absence: others were returned, this one was not.
    Missing,
    /// Absence: nothing at all was returned.
    NoData,
    /// Absence: the query failed.
    Error,
    /// Absence: the window's data was not complete.
    Unobserved,
}

/// Everything a line chart shows.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// Unique on its page; used for element ids.
    pub id: String,
    /// What is drawn.
    pub title: String,
    /// What it shows and why it matters.
    pub caption: String,
    /// Unit of every value.
    pub unit: Unit,
    /// Left end of the time axis.
    pub from: Timestamp,
    /// Right end of the time axis.
    pub to: Timestamp,
    /// The lines.
    pub series: Vec<Series>,
    /// The vertical lines.
    pub events: Vec<EventLine>,
    /// What was normal, if known.
    pub baseline: Option<Band>,
    /// Dashed lines (fire, recover).
    pub thresholds: Vec<Threshold>,
    /// Rows of states under the plot.
    pub strips: Vec<Strip>,
    /// Whether the axis starts at zero: yes for rates and shares.
    pub zero_based: bool,
    /// Zone of the time axis, written on it.
    pub timezone: TimeZone,
    /// Ways onward (`as SQL`), as text and address; addresses that are not `/…`, `#…` or `https:` are dropped.
    pub links: Vec<(String, String)>,
}

impl LineChart {
    /// An empty chart in UTC that starts at zero.
    pub fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        unit: Unit,
        from: Timestamp,
        to: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            caption: String::new(),
            unit,
            from,
            to,
            series: Vec::new(),
            events: Vec::new(),
            baseline: None,
            thresholds: Vec::new(),
            strips: Vec::new(),
            zero_based: true,
            timezone: TimeZone::UTC,
            links: Vec::new(),
        }
    }
}

/// The one small stylesheet of design tokens and shared forms (PAGES): light and dark from the same names, print
/// overrides. Report and pages both embed it; pages add their frame.
pub fn stylesheet() -> &'static str {
    include_str!("style.css")
}
