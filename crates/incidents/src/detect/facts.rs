use jiff::Timestamp;

use crate::Meaning;

/// What was seen of a system in one minute.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    /// Its start.
    pub at: Timestamp,
    /// In any order.
    pub facts: Vec<Fact>,
}

/// One thing that was seen of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Whose.
    pub service: String,
    /// What.
    pub measure: Measure,
}

/// What can be seen of a service in a minute.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Requests it received.
    Requests {
        /// All of them.
        all: f64,
        /// Those that failed.
        failed: f64,
        /// Geometric mean of the durations in milliseconds: steadier than the median where operations differ.
        usual_ms: f64,
        /// 95th percentile.
        p95_ms: f64,
    },
    /// Log records it wrote.
    Records {
        /// All of them.
        all: f64,
        /// Those of errors.
        errors: f64,
        /// Those of warnings.
        warnings: f64,
    },
    /// How often something happened that a metric counts.
    Amount {
        /// The metric.
        metric: String,
        /// What it measures.
        meaning: Meaning,
        /// Times in this minute.
        times: f64,
    },
    /// The level of a metric.
    Level {
        /// The metric.
        metric: String,
        /// What it measures.
        meaning: Meaning,
        /// Mean of the minute.
        value: f64,
    },
}
