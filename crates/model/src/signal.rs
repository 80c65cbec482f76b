use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Table;

/// One of OTLP's kinds of telemetry, as they arrive in separate requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points of the five metric kinds.
    Metrics,
    /// Log records and events.
    Logs,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// `traces`, `metrics` or `logs`, as in the OTLP/HTTP path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// What OTLP calls one item: `span`, `data point` or `log record`.
    pub fn item(self) -> &'static str {
        match self {
            Self::Traces => "span",
            Self::Metrics => "data point",
            Self::Logs => "log record",
        }
    }

    /// The tables that a request of this signal may write to.
    pub fn tables(self) -> &'static [Table] {
        match self {
            Self::Traces => &[Table::Spans],
            Self::Metrics => {
                &[Table::Metrics, Table::MetricHistograms, Table::MetricExpHistograms, Table::MetricSummaries]
            }
            Self::Logs => &[Table::Logs],
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
