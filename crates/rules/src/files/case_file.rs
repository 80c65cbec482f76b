//! Files of rule tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hindsight_model::{AlertState, Labels, RESOURCE_PROMOTED};
use jiff::Timestamp;

use super::section::Section;
use super::sink::Sink;
use super::yaml::{self, Node, Value};
use crate::cases::{Case, CaseFile, Expectation, Fixture, Metric, MetricKind, Occurrences, Told, series};

pub(super) const FILE_KEYS: [&str; 5] = ["rule_files", "slo_files", "evaluation_interval", "start", "tests"];
pub(super) const CASE_KEYS: [&str; 10] = [
    "name",
    "interval",
    "start",
    "series",
    "spans",
    "logs",
    "replay",
    "expect",
    "notifications",
    "restart_at",
];
pub(super) const EXPECT_KEYS: [&str; 7] =
    ["at", "alert", "state", "labels", "reason", "value", "annotations"];
const STATES: [(&str, AlertState); 4] = [
    ("inactive", AlertState::Inactive),
    ("pending", AlertState::Pending),
    ("firing", AlertState::Firing),
    ("recovering", AlertState::Recovering),
];
const KINDS: [(&str, MetricKind); 3] =
    [("gauge", MetricKind::Gauge), ("cumulative", MetricKind::Cumulative), ("delta", MetricKind::Delta)];
const REASONS: [&str; 7] =
    ["breach", "recovered", "missing_series", "no_data", "flapping", "updated", "rule_deleted"];
/// Time between values of a file that names none.
const INTERVAL: Duration = Duration::from_secs(60);
/// A start that is easy to reckon from.
const START: &str = "2026-01-01T00:00:00Z";

/// Reads one file of tests; `None` when something in it is wrong.
pub(super) fn read(file: &Path, text: &str, sink: &mut Sink) -> Option<CaseFile> {
    sink.enter(file);
    let before = sink.errors();
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            sink.error(error.place, error.message, "correct the YAML");
            return None;
        }
    };
    let [document] = documents.as_slice() else {
        sink.whole_file(format!("a test file is one document, not {}", documents.len()), None);
        return None;
    };
    let section = Section::read(document, "a test file", &FILE_KEYS, sink)?;
    let rule_files = paths(&section, "rule_files", sink);
    let slo_files = paths(&section, "slo_files", sink);
    if rule_files.is_empty() && slo_files.is_empty() {
        let hint = "for example `rule_files: [rules/checkout-db.yaml]`";
        sink.error(section.place, "the test file names no rules", hint);
    }
    let interval = section.duration("evaluation_interval", sink).unwrap_or(INTERVAL);
    let start = start(&section, sink).unwrap_or_else(|| START.parse().expect("a fixed time"));
    let nodes = section.list("tests", sink);
    if nodes.is_empty() {
        sink.error(section.place, "the test file has no tests", "write them under `tests:`");
    }
    let cases: Vec<Case> = nodes.iter().filter_map(|node| case(node, interval, start, sink)).collect();
    (sink.errors() == before).then(|| CaseFile { file: file.to_owned(), rule_files, slo_files, cases })
}

fn paths(section: &Section<'_>, key: &str, sink: &mut Sink) -> Vec<PathBuf> {
    if section.get(key).is_none() {
        return Vec::new();
    }
    section.list(key, sink).iter().filter_map(Node::as_text).map(PathBuf::from).collect()
}

fn start(section: &Section<'_>, sink: &mut Sink) -> Option<Timestamp> {
    let text = section.text("start", sink)?;
    match text.parse() {
        Ok(start) => Some(start),
        Err(_) => {
            let message = format!("`start: {text}` is not a time");
            sink.error(section.place_of("start"), message, format!("for example `start: {START}`"));
            None
        }
    }
}

fn case(node: &Node, interval: Duration, start_of_file: Timestamp, sink: &mut Sink) -> Option<Case> {
    sink.about(None);
    let section = Section::read(node, "a test", &CASE_KEYS, sink)?;
    let name = section.required_text("name", "a test", sink)?;
    sink.about(Some(name.clone()));
    let interval = section.duration("interval", sink).unwrap_or(interval);
    if interval.is_zero() {
        sink.error(section.place, "the interval between values is zero", "for example `interval: 30s`");
    }
    // `series: {replay: …}` reads as well as `replay: …` beside it.
    let recorded = section.get("series").filter(|node| matches!(node.value, Value::Map(_)));
    let recorded = recorded.and_then(|node| Section::read(node, "`series`", &["replay"], sink));
    let replay = recorded.as_ref().unwrap_or(&section).text("replay", sink).map(PathBuf::from);
    let metrics = if recorded.is_some() { Vec::new() } else { listed(&section, "series", sink, metric) };
    let fixture = Fixture {
        interval,
        metrics,
        spans: listed(&section, "spans", sink, occurrences),
        logs: listed(&section, "logs", sink, occurrences),
        replay,
    };
    let expect = listed(&section, "expect", sink, expectation);
    let notifications = section.get("notifications").and_then(|node| told(node, sink));
    if expect.is_empty() && notifications.is_none() {
        let hint = "for example `expect: [{at: 5m, alert: MyAlert, state: firing}]`";
        sink.error(section.place, format!("test `{name}` expects nothing"), hint);
    }
    let restart_at = section.get("restart_at").map(|_| durations(&section, "restart_at", sink));
    Some(Case {
        line: node.place.line,
        start: start(&section, sink).unwrap_or(start_of_file),
        fixture,
        expect,
        notifications,
        restart_at: restart_at.unwrap_or_default(),
        name,
    })
}

fn listed<T>(
    section: &Section<'_>,
    key: &str,
    sink: &mut Sink,
    read: fn(&Node, &mut Sink) -> Option<T>,
) -> Vec<T> {
    if section.get(key).is_none() {
        return Vec::new();
    }
    let nodes = section.list(key, sink);
    nodes.iter().filter_map(|node| read(node, sink)).collect()
}

fn durations(section: &Section<'_>, key: &str, sink: &mut Sink) -> Vec<Duration> {
    let mut durations = Vec::new();
    for node in section.list(key, sink) {
        match hindsight_model::parse_duration(&node.as_text().unwrap_or_default()) {
            Ok(duration) => durations.push(duration),
            Err(error) => sink.error(node.place, format!("`{key}`: {error}"), "for example `[4m, 12m]`"),
        }
    }
    durations
}

fn metric(node: &Node, sink: &mut Sink) -> Option<Metric> {
    let section = Section::read(node, "a series", &["metric", "type", "labels", "values"], sink)?;
    let name = section.required_text("metric", "a series", sink)?;
    let kind = section.word("type", &KINDS, sink).unwrap_or_default();
    Some(Metric { name, kind, labels: labels(&section, "labels", sink), values: values(&section, sink)? })
}

fn occurrences(node: &Node, sink: &mut Sink) -> Option<Occurrences> {
    let section = Section::read(node, "an entry", &["labels", "values"], sink)?;
    let counts = values(&section, sink)?;
    if let Some(bad) = counts.iter().flatten().find(|count| !(0.0..=10_000.0).contains(*count)) {
        let hint = "these are counts in each interval, from 0 to 10000";
        sink.error(section.place_of("values"), format!("`{bad}` is not a count"), hint);
    }
    Some(Occurrences { labels: labels(&section, "labels", sink), counts })
}

fn values(section: &Section<'_>, sink: &mut Sink) -> Option<Vec<Option<f64>>> {
    let text = section.required_text("values", "a series", sink)?;
    series(&text)
        .map_err(|message| {
            sink.error(section.place_of("values"), message, "see Prometheus' unit tests for the notation");
        })
        .ok()
}

fn labels(section: &Section<'_>, key: &str, sink: &mut Sink) -> Labels {
    let mut labels = Labels::new();
    for (key, text, place) in section.texts(key, sink) {
        if let Some(column) = RESOURCE_PROMOTED.iter().find(|promoted| promoted.attribute == key.name) {
            let hint = format!("write `{}`, the column's name", column.column);
            sink.warning(place, format!("`{}` becomes an attribute, not the resource's", key.name), hint);
        }
        labels.insert(key.name.clone(), text);
    }
    labels
}

fn expectation(node: &Node, sink: &mut Sink) -> Option<Expectation> {
    let section = Section::read(node, "an expectation", &EXPECT_KEYS, sink)?;
    for key in ["at", "state"] {
        if section.get(key).is_none() {
            let hint = "for example `{at: 5m, alert: MyAlert, state: firing}`";
            sink.error(section.place, format!("an expectation has no `{key}`"), hint);
        }
    }
    let reason = section.text("reason", sink);
    if let Some(reason) = reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        let hint = format!("there are {}", REASONS.join(", "));
        sink.error(section.place_of("reason"), format!("there is no reason `{reason}`"), hint);
    }
    let texts = |key, sink: &mut Sink| {
        section.texts(key, sink).into_iter().map(|(key, text, _)| (key.name.clone(), text)).collect()
    };
    Some(Expectation {
        line: node.place.line,
        at: section.duration("at", sink)?,
        alert: section.required_text("alert", "an expectation", sink)?,
        state: section.word("state", &STATES, sink)?,
        labels: texts("labels", sink),
        reason,
        value: section.get("value").and_then(|_| section.number("value", sink)),
        annotations: texts("annotations", sink),
    })
}

fn told(node: &Node, sink: &mut Sink) -> Option<Told> {
    let section = Section::read(node, "`notifications`", &["firing", "resolved"], sink)?;
    let count = |key, sink: &mut Sink| {
        let count = section.get(key).and_then(|_| section.count(key, 0, 1_000_000, sink));
        usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX)
    };
    Some(Told { firing: count("firing", sink), resolved: count("resolved", sink) })
}
