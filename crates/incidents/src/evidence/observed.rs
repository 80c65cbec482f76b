use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

/// Single observations around a moment, finer than the minutes of [`Telemetry`](crate::Telemetry): the input of
/// [`blame`](crate::blame). Times are seconds from `at`, negative before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// The moment that is asked about: an onset, a detection, or a time that a person gave.
    pub at: Timestamp,
    /// Seconds from `at` until which was looked.
    pub until_s: f64,
    /// Spans with their parents; a sample of whole traces where there are too many.
    pub spans: Vec<ObservedSpan>,
    /// Metric series, counters as rates.
    pub metrics: Vec<MetricPoints>,
    /// Log records as templates.
    pub logs: Vec<LogEvent>,
    /// Texts of the templates.
    pub templates: Vec<String>,
    /// Names of services and operations, by the numbers in spans and logs.
    pub names: Names,
    /// Calls from one service to another that are known from elsewhere than spans.
    pub calls: BTreeSet<(String, String)>,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedSpan {
    /// Its service.
    pub service: u32,
    /// Its operation.
    pub name: u32,
    /// When it began.
    pub at_s: f64,
    /// How long it took, in milliseconds; never negative.
    pub ms: f64,
    /// Index of its parent, when that was seen.
    pub parent: Option<usize>,
    /// Whether it says that it has a parent, seen or not.
    pub has_parent: bool,
    /// Whether it is a client or producer span.
    pub is_call: bool,
    /// Whether it failed.
    pub failed: bool,
}

/// One metric series of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoints {
    /// Whose it is.
    pub service: String,
    /// The metric's name.
    pub metric: String,
    /// Its attributes as canonical JSON.
    pub attributes: String,
    /// UCUM unit, empty when none was sent.
    pub unit: String,
    /// Seconds and value, in order of time.
    pub points: Vec<(f64, f64)>,
    /// Where the points were read; `None` where no table holds them.
    pub source: Option<MetricSource>,
}

/// The rows that points were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSource {
    /// Ids of the series, one for each instance.
    pub series: Vec<i64>,
    /// How the points of a minute become its value.
    pub reading: Reading,
}

/// How the points of a series become values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The mean of the minute.
    Level,
    /// Rise of a counter per second.
    Rise,
    /// What came in the minute.
    Amount,
    /// Mean of the values that a histogram took in; whether it counts from minute to minute anew.
    HistogramMean {
        /// Whether its temporality is delta.
        is_delta: bool,
    },
    /// How many values a histogram took in: in the minute, or per second when it counts on.
    HistogramCount {
        /// Whether its temporality is delta.
        is_delta: bool,
    },
}

/// One log record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// Its service.
    pub service: u32,
    /// Its template.
    pub template: u32,
    /// When it was written.
    pub at_s: f64,
    /// Severity number of OpenTelemetry, 0 when not given.
    pub severity: i64,
}

/// Texts by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    texts: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Names {
    /// The number of a text, a new one for a new text.
    pub fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }

    /// The text of a number; empty for one that was never given.
    pub fn text(&self, id: u32) -> &str {
        usize::try_from(id).ok().and_then(|id| self.texts.get(id)).map_or("", String::as_str)
    }
}

impl Observations {
    /// Nothing seen.
    pub fn empty(at: Timestamp) -> Self {
        Self {
            at,
            until_s: 0.0,
            spans: Vec::new(),
            metrics: Vec::new(),
            logs: Vec::new(),
            templates: Vec::new(),
            names: Names::default(),
            calls: BTreeSet::new(),
        }
    }

    /// The text of a template; empty for one that was never given.
    pub fn template(&self, id: u32) -> &str {
        usize::try_from(id).ok().and_then(|id| self.templates.get(id)).map_or("", String::as_str)
    }

    /// Every service of which anything was seen.
    pub fn services(&self) -> BTreeSet<&str> {
        let of_spans = self.spans.iter().map(|span| span.service);
        let ids: BTreeSet<u32> = of_spans.chain(self.logs.iter().map(|log| log.service)).collect();
        let metrics = self.metrics.iter().map(|series| series.service.as_str());
        ids.into_iter().map(|id| self.names.text(id)).chain(metrics).collect()
    }

    /// Callees by caller: what spans show, and what else is known.
    pub fn callees(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut callees: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (caller, callee) in &self.calls {
            callees.entry(caller).or_default().insert(callee);
        }
        for span in &self.spans {
            let Some(parent) = span.parent.and_then(|parent| self.spans.get(parent)) else { continue };
            if parent.service != span.service {
                callees
                    .entry(self.names.text(parent.service))
                    .or_default()
                    .insert(self.names.text(span.service));
            }
        }
        callees
    }
}
