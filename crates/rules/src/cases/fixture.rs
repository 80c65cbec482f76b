use std::path::PathBuf;
use std::time::Duration;

use hindsight_model::Labels;
use jiff::Timestamp;

/// The telemetry of a test.
#[derive(Clone, Debug, Default)]
pub struct Fixture {
    /// Time between two values of a series.
    pub interval: Duration,
    /// Points of metrics.
    pub metrics: Vec<Metric>,
    /// Spans that occur.
    pub spans: Vec<Occurrences>,
    /// Logs that occur.
    pub logs: Vec<Occurrences>,
    /// Recorded telemetry, a file or folder relative to the workspace; then the test starts when it does.
    pub replay: Option<PathBuf>,
}

/// One series of a metric. Labels named like a resource column fill it, the rest are attributes.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// How its values are meant.
    pub kind: MetricKind,
    /// What identifies it.
    pub labels: Labels,
    /// One value for each interval from the start; `None`: no point came.
    pub values: Vec<Option<f64>>,
}

/// How the values of a series are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricKind {
    /// As they are.
    #[default]
    Gauge,
    /// A total since the series began.
    Cumulative,
    /// What was added since the last value.
    Delta,
}

/// Spans or logs that are alike, so many in each interval, spread evenly over it.
#[derive(Clone, Debug)]
pub struct Occurrences {
    /// Labels named like a column fill it, the rest are attributes.
    pub labels: Labels,
    /// How many in each interval from the start.
    pub counts: Vec<Option<f64>>,
}

impl Fixture {
    /// When the last thing of it comes, given the start. Recordings are not looked at.
    pub fn end(&self, start: Timestamp) -> Timestamp {
        let metrics = self.metrics.iter().map(|metric| metric.values.len());
        let occurrences = self.spans.iter().chain(&self.logs).map(|occurrences| occurrences.counts.len());
        let intervals = u32::try_from(metrics.chain(occurrences).max().unwrap_or(0)).unwrap_or(u32::MAX);
        start.checked_add(self.interval.saturating_mul(intervals)).unwrap_or(start)
    }
}
