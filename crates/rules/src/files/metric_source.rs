//! `metricSource`: where the numbers of an indicator come from.

use super::openslo::{Document, Kind};
use super::reference;
use super::section::Section;
use super::sink::Sink;
use super::yaml::{Node, Place};
use crate::slo::Source;

const OURS: &str = "hindsight";
const SOURCES: [(&str, From); 4] = [
    ("spans", From::Spans),
    ("metrics", From::Metrics),
    ("metric_histograms", From::Histograms),
    ("metric_exp_histograms", From::ExpHistograms),
];
const EXAMPLE: &str =
    "write `metricSource: {spec: {from: spans, where: \"…\"}}`, or `{sql: \"SELECT minute, value …\"}`";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Spans,
    Metrics,
    Histograms,
    ExpHistograms,
}

/// What the numbers of a source are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The good or the bad events: a threshold may part them from the others.
    Part,
    /// All events.
    Total,
    /// Values that the objective compares.
    Points,
    /// Ratios.
    Raw,
}

/// The source under `key`, for example `good`.
pub(super) fn read(
    section: &Section<'_>,
    key: &str,
    role: Role,
    counter: Option<bool>,
    all: &[Document<'_>],
    sink: &mut Sink,
) -> Option<Source> {
    let Some(node) = section.get(key) else {
        let message = format!("the metric has no `{key}`");
        sink.error(section.place, message, format!("add `{key}:`; {EXAMPLE}"));
        return None;
    };
    let section = Section::read(node, &format!("`{key}`"), &["metricSource"], sink)?;
    let Some(node) = section.get("metricSource") else {
        sink.error(section.place, format!("`{key}` has no `metricSource`"), EXAMPLE);
        return None;
    };
    let section = Section::read(node, "`metricSource`", &["metricSourceRef", "type", "spec"], sink)?;
    check_ours(&section, all, sink)?;
    let Some(node) = section.get("spec") else {
        sink.error(section.place, "`metricSource` has no `spec`", EXAMPLE);
        return None;
    };
    spec(node, role, counter, sink)
}

/// Refuses sources of other systems: their numbers are not here.
fn check_ours(section: &Section<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<()> {
    let mut kinds = vec![(section.text("type", sink), section.place_of("type"))];
    if let Some(name) = section.text("metricSourceRef", sink) {
        let place = section.place_of("metricSourceRef");
        let source = reference::find(all, Kind::DataSource, &name, place, sink)?;
        let spec = Section::read(source.spec, "`spec` of DataSource", Kind::DataSource.spec_keys(), sink)?;
        kinds.push((spec.text("type", sink), place));
    }
    for (kind, place) in kinds {
        if let Some(kind) = kind.filter(|kind| !kind.eq_ignore_ascii_case(OURS)) {
            let message =
                format!("numbers of `{kind}` cannot be read: SLOs are reckoned from the telemetry kept here");
            sink.error(
                place,
                message,
                format!("write `type: {OURS}`, and in `spec` where the numbers are; {EXAMPLE}"),
            );
            return None;
        }
    }
    Some(())
}

fn spec(node: &Node, role: Role, counter: Option<bool>, sink: &mut Sink) -> Option<Source> {
    let known = ["from", "where", "metric", "threshold", "value", "sql"];
    let before = sink.errors();
    let section = Section::read(node, "`spec` of a `metricSource`", &known, sink)?;
    if sink.errors() > before {
        return None;
    }
    if let Some(sql) = section.text("sql", sink) {
        refuse(&section, &["from", "where", "metric", "threshold", "value"], "`sql`", sink)?;
        return Some(Source::Sql(sql));
    }
    if section.get("from").is_none() {
        sink.error(section.place, "`spec` of a `metricSource` has neither `from` nor `sql`", EXAMPLE);
        return None;
    }
    let from = section.word("from", &SOURCES, sink)?;
    if from == From::Spans {
        return spans(&section, role, sink);
    }
    let what = format!("`from: {}`", SOURCES.iter().find(|(_, f)| *f == from).map_or("", |(word, _)| word));
    let metric = section.required_text("metric", &what, sink);
    let condition = section.text("where", sink);
    if from == From::Metrics {
        refuse(&section, &["threshold", "value"], &what, sink)?;
        return Some(Source::Metric { metric: metric?, condition, counter });
    }
    refuse(&section, &["value"], &what, sink)?;
    if role == Role::Raw {
        sink.error(
            section.place_of("from"),
            "a histogram holds no ratios",
            "write `good` and `total` in place of `raw`",
        );
        return None;
    }
    let threshold = section.number("threshold", sink);
    check_threshold(&section, role, threshold.is_some(), sink)?;
    let exponential = from == From::ExpHistograms;
    Some(Source::Histogram { exponential, metric: metric?, condition, threshold })
}

fn spans(section: &Section<'_>, role: Role, sink: &mut Sink) -> Option<Source> {
    refuse(section, &["metric"], "`from: spans`", sink)?;
    let condition = section.required_text("where", "`from: spans`", sink);
    let value = section.text("value", sink);
    let threshold = section.duration("threshold", sink);
    if section.get("threshold").is_some() && threshold.is_none() {
        return None;
    }
    check_threshold(section, role, threshold.is_some(), sink)?;
    match (role, &value) {
        (Role::Part | Role::Total, Some(_)) => {
            let hint = "put the comparison into `where`";
            sink.error(section.place_of("value"), "`value` has no meaning where spans are counted", hint);
            return None;
        }
        (Role::Raw, None) => {
            let hint = "add the SQL expression of the ratio, as `value: \"attributes->>'success.ratio'\"`";
            sink.error(section.place, "spans of a `raw` ratio have no `value`", hint);
            return None;
        }
        _ => {}
    }
    Some(Source::Spans { condition: condition?, threshold, value })
}

/// A threshold has a meaning for the good or bad part alone.
fn check_threshold(section: &Section<'_>, role: Role, is_given: bool, sink: &mut Sink) -> Option<()> {
    if !is_given || role == Role::Part {
        return Some(());
    }
    let hint = match role {
        Role::Points => "write it as `value` of the objective, with `op`",
        _ => "keep it under `good` or `bad`",
    };
    sink.error(section.place_of("threshold"), "`threshold` has no meaning here", hint);
    None
}

fn refuse(section: &Section<'_>, keys: &[&str], beside: &str, sink: &mut Sink) -> Option<()> {
    let found: Vec<(&str, Place)> = keys
        .iter()
        .filter(|key| section.get(key).is_some())
        .map(|key| (*key, section.place_of(key)))
        .collect();
    for (key, place) in &found {
        sink.error(*place, format!("`{key}` beside {beside}"), "keep either one");
    }
    found.is_empty().then_some(())
}
