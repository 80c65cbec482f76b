use std::fmt;

use arrow::datatypes::SchemaRef;

use crate::schema;

/// A signal table: where sealed telemetry lives, one Delta table each (DESIGN §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Log records and events.
    Logs,
    /// Spans.
    Spans,
    /// Number points: gauges and sums.
    Metrics,
    /// Explicit-bucket histogram points.
    MetricHistograms,
    /// Exponential histogram points.
    MetricExpHistograms,
    /// Summary points.
    MetricSummaries,
}

impl Table {
    /// Every signal table.
    pub const ALL: [Self; 6] = [
        Self::Logs,
        Self::Spans,
        Self::Metrics,
        Self::MetricHistograms,
        Self::MetricExpHistograms,
        Self::MetricSummaries,
    ];

    /// The name that users type, also the table's directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
            Self::MetricHistograms => "metric_histograms",
            Self::MetricExpHistograms => "metric_exp_histograms",
            Self::MetricSummaries => "metric_summaries",
        }
    }

    /// The table with this name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// All columns in order, the partition columns `tenant` and `date` first.
    pub fn schema(self) -> SchemaRef {
        schema::of(self)
    }

    /// The columns that rows of a block are sorted by, ascending.
    pub fn sort_key(self) -> &'static [&'static str] {
        match self {
            Self::Logs | Self::Spans => &["service_name", "timestamp"],
            _ => &["metric_name", "service_name", "series_id", "timestamp"],
        }
    }

    /// Position in [`Table::ALL`]; handy as an array index.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
