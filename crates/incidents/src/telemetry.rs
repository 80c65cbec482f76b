use std::collections::BTreeMap;
use std::ops::Range;

use hindsight_model::TimelineRow;
use jiff::Timestamp;

use crate::series::{Series, minutes_between, plus_minutes, share};
use crate::{CloseUp, Observations, ServiceGraph};

/// What the telemetry says about a stretch of time, minute by minute: the input of [`analyse`](crate::analyse).
///
/// Every series has one slot per minute of `[from, to)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Start of the first minute.
    pub from: Timestamp,
    /// End of the last minute.
    pub to: Timestamp,
    /// Entry-side figures by service: requests it was sent.
    pub services: BTreeMap<String, ServiceSeries>,
    /// Who calls whom.
    pub edges: Vec<Edge>,
    /// Calls and errors by `service.version`.
    pub versions: Vec<VersionSeries>,
    /// Evaluations of feature flags, and the requests that they were part of.
    pub flags: Vec<FlagSeries>,
    /// Gauges and up-down counters by service.
    pub gauges: Vec<GaugeSeries>,
    /// Good and bad requests by attribute value.
    pub attributes: Vec<AttributeCount>,
    /// Requests around the onset and the end, in seconds rather than minutes.
    pub close_ups: Vec<CloseUp>,
    /// Single spans, points and records around the onset; `None` until they are asked for.
    pub observations: Option<Observations>,
    /// Rows of the timeline that were gathered as they are: announced changes, budgets, notifications.
    pub told: Vec<TimelineRow>,
    /// What could not be learned, one sentence each (a signal that is missing, an answer that was cut).
    pub gaps: Vec<String>,
}

/// One service's entry side, minute by minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceSeries {
    /// Requests received: server and consumer spans.
    pub calls: Series,
    /// Those that failed.
    pub errors: Series,
    /// Median duration in milliseconds.
    pub p50_ms: Series,
    /// 95th percentile of the duration in milliseconds.
    pub p95_ms: Series,
    /// Log records of severity error or above.
    pub log_errors: Series,
}

/// Calls from one service to another, or to a peer that has no spans of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The calling service.
    pub caller: String,
    /// The called service, or the peer's address or database name.
    pub callee: String,
    /// Whether the callee's own spans were seen.
    pub resolved: bool,
    /// Calls per minute, at the caller.
    pub calls: Series,
    /// Those that failed.
    pub errors: Series,
    /// 95th percentile of the duration in milliseconds, at the caller.
    pub p95_ms: Series,
}

/// One version of one service, minute by minute.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionSeries {
    /// The service.
    pub service: String,
    /// Its `service.version`.
    pub version: String,
    /// Spans of any kind: whether the version ran at all.
    pub spans: Series,
    /// Requests it received.
    pub calls: Series,
    /// Those that failed.
    pub errors: Series,
}

/// One variant of a feature flag as one service was given it, minute by minute.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagSeries {
    /// Key of the flag.
    pub flag: String,
    /// The variant as if it were a version: how often it was given, and the requests of the service in the traces in
    /// which it was.
    pub given: VersionSeries,
}

/// One gauge or up-down counter of one service, minute by minute.
#[derive(Clone, Debug, PartialEq)]
pub struct GaugeSeries {
    /// The service that sent it.
    pub service: String,
    /// The metric's name.
    pub metric: String,
    /// Its attributes as canonical JSON; empty when series were merged.
    pub attributes: String,
    /// UCUM unit, empty when none was sent.
    pub unit: String,
    /// Mean of the points of each minute.
    pub values: Series,
}

/// How often one attribute value stood on good and on bad requests of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeCount {
    /// The service whose entry spans were counted.
    pub service: String,
    /// Column of `spans`.
    pub attribute: String,
    /// The value as text.
    pub value: String,
    /// Requests that failed.
    pub bad: u64,
    /// Requests that did not.
    pub good: u64,
}

impl Telemetry {
    /// Nothing observed in `[from, to)`.
    pub fn empty(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            to,
            services: BTreeMap::new(),
            edges: Vec::new(),
            versions: Vec::new(),
            flags: Vec::new(),
            gauges: Vec::new(),
            attributes: Vec::new(),
            close_ups: Vec::new(),
            observations: None,
            told: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Number of minutes, the length of every series.
    pub fn minutes(&self) -> usize {
        usize::try_from(minutes_between(self.from, self.to)).unwrap_or(0)
    }

    /// Start of the minute with this index.
    pub fn minute_at(&self, index: usize) -> Timestamp {
        plus_minutes(self.from, i64::try_from(index).unwrap_or(i64::MAX / 120))
    }

    /// The index of the minute that `at` lies in, cut to the ends.
    pub fn index_of(&self, at: Timestamp) -> usize {
        usize::try_from(minutes_between(self.from, at)).unwrap_or(0).min(self.minutes())
    }

    /// One past the index of the last minute that ends at or holds what is before `to`.
    pub(crate) fn index_of_end(&self, to: Timestamp) -> usize {
        let last = self.index_of(to);
        if self.minute_at(last) < to { (last + 1).min(self.minutes()) } else { last }
    }

    /// The minutes of `[from, to)` as indices.
    pub fn range(&self, from: Timestamp, to: Timestamp) -> Range<usize> {
        let start = self.index_of(from);
        start..self.index_of(to).max(start)
    }

    /// The service graph of all edges.
    pub fn graph(&self) -> ServiceGraph {
        ServiceGraph::from_edges(&self.edges)
    }
}

impl ServiceSeries {
    /// A service of which nothing was observed for `minutes`.
    pub fn empty(minutes: usize) -> Self {
        let none = vec![None; minutes];
        Self {
            calls: none.clone(),
            errors: none.clone(),
            p50_ms: none.clone(),
            p95_ms: none.clone(),
            log_errors: none,
        }
    }

    /// Share of requests that failed, 0 to 1; `None` in minutes without requests.
    pub fn error_share(&self) -> Series {
        share(&self.errors, &self.calls)
    }
}
