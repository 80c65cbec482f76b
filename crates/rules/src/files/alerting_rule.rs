use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hindsight_model::{IncidentSeverity, IncidentSpec};

use super::runbook;
use super::section::Section;
use super::sink::Sink;
use super::yaml::{Node, Place};
use crate::condition::{Condition, Op};
use crate::rule::{Absence, CheckedRule, Flapping, Measure, OnMissing, Policy};
use crate::template::Template;

/// When a rule names no `error_after`.
const ERROR_AFTER: Duration = Duration::from_secs(300);
/// When an `incident:` block names no `reopen_within`.
const REOPEN_WITHIN: Duration = Duration::from_secs(30 * 60);
/// Longest `window` of flapping detection, in states.
const FLAPPING_WINDOW_MAX: u32 = 32;

pub(super) const RULE_KEYS: [&str; 15] = [
    "alert",
    "record",
    "expr",
    "sql",
    "condition",
    "for",
    "keep_firing_for",
    "on_no_data",
    "on_missing",
    "error_after",
    "require_watermark",
    "flapping",
    "labels",
    "annotations",
    "incident",
];
/// Tables of telemetry, whose rows go on coming.
const SIGNAL_TABLES: [&str; 10] = [
    "logs",
    "spans",
    "metrics",
    "metric_histograms",
    "metric_exp_histograms",
    "metric_summaries",
    "span_events",
    "span_links",
    "exemplars",
    "traces",
];
const OPS: [(&str, Op); 4] = [("gt", Op::Gt), ("gte", Op::Gte), ("lt", Op::Lt), ("lte", Op::Lte)];
const ABSENCES: [(&str, Absence); 3] =
    [("keep", Absence::Keep), ("resolve", Absence::Resolve), ("fire", Absence::Fire)];
const SEVERITIES: [(&str, IncidentSeverity); 4] = [
    ("SEV1", IncidentSeverity::Sev1),
    ("SEV2", IncidentSeverity::Sev2),
    ("SEV3", IncidentSeverity::Sev3),
    ("SEV4", IncidentSeverity::Sev4),
];

/// What a group gives its rules.
#[derive(Debug)]
pub(super) struct GroupDefaults<'a> {
    pub(super) workspace: &'a Path,
    pub(super) group: &'a str,
    pub(super) labels: BTreeMap<String, Template>,
}

/// Reads one rule; `None` when it cannot be in force, the problems say why.
pub(super) fn read(defaults: &GroupDefaults<'_>, node: &Node, sink: &mut Sink) -> Option<CheckedRule> {
    sink.about(Some(defaults.group.to_owned()));
    let before = sink.errors();
    let section = Section::read(node, "a rule", &RULE_KEYS, sink)?;
    if let Some(name) = section.get("alert").or(section.get("record")).and_then(Node::as_text) {
        sink.about(Some(format!("{}/{name}", defaults.group)));
    }
    refuse_other_kinds(&section, sink)?;
    let alert = section.required_text("alert", "a rule", sink)?;
    let id = format!("{}/{alert}", defaults.group);
    let sql = section.required_text("sql", "a rule", sink).unwrap_or_default();
    check_window(&section, &sql, sink);
    let condition = section.get("condition").map(|node| condition(node, sink));
    let policy = policy(&section, condition.is_some(), sink);
    let mut labels = defaults.labels.clone();
    labels.extend(self::labels(&section, sink));
    let rule = CheckedRule {
        line: node.place.line,
        sql,
        measure: Measure::Sql,
        condition: condition.flatten(),
        policy,
        error_after: section.duration("error_after", sink).unwrap_or(ERROR_AFTER),
        require_watermark: section.flag("require_watermark", sink).unwrap_or(false),
        labels,
        annotations: annotations(defaults.workspace, &section, sink),
        incident: section.get("incident").and_then(|node| incident(node, sink)),
        id,
        alert,
    };
    (sink.errors() == before).then_some(rule)
}

/// A window that does not end where the tick says sees other rows when it is evaluated later: after downtime, in a
/// test, in a backtest.
fn check_window(section: &Section<'_>, sql: &str, sink: &mut Sink) {
    let words: Vec<String> = sql.split_whitespace().map(str::to_lowercase).collect();
    let reads_signals = words
        .windows(2)
        .any(|pair| pair[0] == "from" && SIGNAL_TABLES.contains(&pair[1].trim_matches(['(', ')', ','])));
    if !reads_signals {
        return;
    }
    let text = words.join(" ");
    let hint = "write `timestamp >= $now - INTERVAL '5 minutes' AND timestamp < $now`";
    if !text.contains("$now") {
        let message = "the query does not read `$now`, so a tick that is evaluated later sees other rows";
        sink.warning(section.place_of("sql"), message, hint);
    } else if !["< $now", "<= $now", "<$now", "<=$now", "and $now", "and ($now", "< ($now", "<= ($now"]
        .iter()
        .any(|end| text.contains(end))
    {
        let message = "nothing ends the window at `$now`, so a tick that is evaluated later sees other rows";
        sink.warning(section.place_of("sql"), message, hint);
    }
}

fn refuse_other_kinds(section: &Section<'_>, sink: &mut Sink) -> Option<()> {
    for (key, message, hint) in [
        (
            "record",
            "not supported yet: recording rules",
            "the rule is not in force; remove it, or write an alert with `sql:`",
        ),
        (
            "expr",
            "not supported yet: PromQL",
            "the rule is not in force; write the query as `sql:` and the comparison as `condition:`",
        ),
    ] {
        if section.get(key).is_some() {
            let name = section.get("alert").or(section.get("record")).and_then(Node::as_text);
            let message = name.map_or(message.to_owned(), |name| format!("`{name}`: {message}"));
            sink.unsupported(section.place_of(key), message, hint);
            return None;
        }
    }
    Some(())
}

fn condition(node: &Node, sink: &mut Sink) -> Option<Condition> {
    let section = Section::read(node, "`condition`", &["op", "fire", "recover"], sink)?;
    for key in ["op", "fire"] {
        if section.get(key).is_none() {
            sink.error(
                section.place,
                format!("`condition` has no `{key}`"),
                "for example {op: gt, fire: 0.9}",
            );
        }
    }
    let op = section.word("op", &OPS, sink)?;
    let fire = section.number("fire", sink)?;
    let recover = if section.get("recover").is_some() { section.number("recover", sink)? } else { fire };
    let wrong_side = if op.is_upward() { recover > fire } else { recover < fire };
    if wrong_side {
        let (message, hint) = if op.is_upward() { ("above", "below") } else { ("below", "above") };
        let message = format!(
            "`recover` {recover} is {message} `fire` {fire}, so the alert would recover while it still fires"
        );
        sink.error(section.place_of("recover"), message, format!("set `recover` to {fire} or {hint}"));
    }
    Some(Condition { op, fire, recover })
}

fn policy(section: &Section<'_>, has_condition: bool, sink: &mut Sink) -> Policy {
    // Without a condition the query itself filters, so that a row that is gone is a breach that is over.
    let (absent, after) = if has_condition { (Absence::Keep, 2) } else { (Absence::NoBreach, 1) };
    let missing = if has_condition { Absence::Resolve } else { Absence::NoBreach };
    let on_missing = section.get("on_missing").and_then(|node| on_missing(node, sink));
    Policy {
        for_: section.duration("for", sink).unwrap_or_default(),
        keep_firing_for: section.duration("keep_firing_for", sink).unwrap_or_default(),
        on_no_data: section.word("on_no_data", &ABSENCES, sink).unwrap_or(absent),
        on_missing: on_missing.unwrap_or(OnMissing { after, then: missing }),
        flapping: section.get("flapping").and_then(|node| flapping(node, sink)),
    }
}

fn on_missing(node: &Node, sink: &mut Sink) -> Option<OnMissing> {
    let section = Section::read(node, "`on_missing`", &["after", "then"], sink)?;
    let unless_given = OnMissing::default();
    Some(OnMissing {
        after: section.count("after", 1, 10_000, sink).unwrap_or(unless_given.after),
        then: section.word("then", &ABSENCES, sink).unwrap_or(unless_given.then),
    })
}

fn flapping(node: &Node, sink: &mut Sink) -> Option<Flapping> {
    let section = Section::read(node, "`flapping`", &["window", "high", "low"], sink)?;
    let window = section.count("window", 3, FLAPPING_WINDOW_MAX, sink).unwrap_or(21);
    let high = section.number("high", sink).unwrap_or(20.0);
    let low = section.number("low", sink).unwrap_or(5.0);
    if !(0.0 < low && low < high && high <= 100.0) {
        let message = format!("flapping cannot end at {low} % and start at {high} %");
        sink.error(section.place, message, "choose 0 < low < high <= 100, for example {high: 20, low: 5}");
    }
    Some(Flapping { window: u8::try_from(window).unwrap_or(21), high, low })
}

/// The `labels:` of a rule or group.
pub(super) fn labels(section: &Section<'_>, sink: &mut Sink) -> BTreeMap<String, Template> {
    let mut labels = BTreeMap::new();
    for (key, text, place) in section.texts("labels", sink) {
        if !is_label_name(&key.name) {
            let hint =
                "letters, digits and `_`, not beginning with a digit or `__`; `alertname` is set already";
            sink.error(key.place, format!("`{}` is not a label name", key.name), hint);
            continue;
        }
        let Some(template) = template(&text, place, sink) else {
            continue;
        };
        if template.reads_value() {
            let hint = "put the value in an annotation; labels name the instance and must not change with it";
            sink.error(place, format!("label `{}` reads `value`", key.name), hint);
            continue;
        }
        labels.insert(key.name.clone(), template);
    }
    labels
}

fn annotations(workspace: &Path, section: &Section<'_>, sink: &mut Sink) -> BTreeMap<String, Template> {
    let mut annotations = BTreeMap::new();
    for (key, text, place) in section.texts("annotations", sink) {
        let Some(template) = template(&text, place, sink) else {
            continue;
        };
        let is_runbook = matches!(key.name.as_str(), "runbook" | "runbook_url");
        if is_runbook && !template.has_holes() {
            // An alert with a broken link is worse than one with a good link, and far better than none.
            if let Err((message, hint)) = runbook::check(workspace, &text) {
                sink.warning(place, message, hint);
            }
        }
        annotations.insert(key.name.clone(), template);
    }
    annotations
}

fn template(text: &str, place: Place, sink: &mut Sink) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            let message = format!("template, at its column {}: {error}", error.column);
            sink.error(place, message, "for example \"{{ labels.service_name }} at {{ value | percent }}\"");
            None
        }
    }
}

fn incident(node: &Node, sink: &mut Sink) -> Option<IncidentSpec> {
    let section = Section::read(node, "`incident`", &["severity", "key", "reopen_within"], sink)?;
    if section.get("severity").is_none() {
        sink.error(section.place, "`incident` has no `severity`", "write one of SEV1, SEV2, SEV3, SEV4");
    }
    let severity = section.word("severity", &SEVERITIES, sink)?;
    let key = match section.get("key") {
        None => vec!["service_name".to_owned()],
        Some(_) => section.list("key", sink).iter().filter_map(Node::as_text).collect(),
    };
    if key.is_empty() {
        let hint = "name the labels that alerts of one incident share, for example [service_name]";
        sink.error(section.place_of("key"), "`incident.key` is empty", hint);
    }
    let reopen_within = section.duration("reopen_within", sink).unwrap_or(REOPEN_WITHIN);
    Some(IncidentSpec { severity, key, reopen_within })
}

fn is_label_name(name: &str) -> bool {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    starts
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with("__")
        && name != "alertname"
}
