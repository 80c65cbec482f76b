use std::time::Duration;

use crate::condition::Op;

/// What an SLO measures: how the good and all events of a minute are counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Indicator {
    /// A ratio of two counts.
    Ratio(Ratio),
    /// Every point is an event, good when `point op value`.
    Threshold {
        /// Where the points come from.
        source: Source,
        /// How a point is compared.
        op: Op,
        /// With what.
        value: f64,
    },
    /// Points that are ratios already; each counts as one event that is partly good.
    Raw {
        /// Where the ratios come from.
        source: Source,
        /// Whether they are shares of good events or of bad ones.
        part: Part,
    },
}

/// A ratio of two counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// Whether the part is the good or the bad events.
    pub part: Part,
    /// The count of that part.
    pub part_source: Source,
    /// The count of all events.
    pub total_source: Source,
}

/// Which events a ratio's part counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `good / total`.
    Good,
    /// `bad / total`.
    Bad,
}

/// Where a count per minute comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Spans for which a SQL condition holds, by the minute of their start. A sampled span counts as many as it
    /// stands for.
    Spans {
        /// The condition.
        condition: String,
        /// The longest duration that is good.
        threshold: Option<Duration>,
        /// A SQL expression for the number that a threshold metric compares; the duration in seconds without one.
        value: Option<String>,
    },
    /// Points of the table `metrics`, by the minute of the later of two points.
    Metric {
        /// `metric_name`.
        metric: String,
        /// A further SQL condition.
        condition: Option<String>,
        /// OpenSLO's `counter`; `None` when the file does not say.
        counter: Option<bool>,
    },
    /// Points of `metric_histograms` or `metric_exp_histograms`.
    Histogram {
        /// Whether the buckets are exponential.
        exponential: bool,
        /// `metric_name`.
        metric: String,
        /// A further SQL condition.
        condition: Option<String>,
        /// The largest value that is good, in the metric's unit; every value without one.
        threshold: Option<f64>,
    },
    /// A query with columns `minute` and `value`, over `$from <= minute < $to`.
    Sql(String),
}
