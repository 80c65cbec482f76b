use std::time::Duration;

use hindsight_model::parse_duration;

use super::openslo::{Document, Kind, document};
use super::section::Section;
use super::sink::Sink;
use super::sli;
use super::yaml::{Node, Place};
use crate::slo::{Guard, Ratio, Slo, Tier, google_30d};

pub(super) const SPEC_KEYS: [&str; 8] = [
    "description",
    "service",
    "indicator",
    "indicatorRef",
    "timeWindow",
    "budgetingMethod",
    "objectives",
    "alertPolicies",
];
const OBJECTIVE_KEYS: [&str; 10] = [
    "displayName",
    "op",
    "value",
    "target",
    "targetPercent",
    "timeSliceTarget",
    "timeSliceWindow",
    "indicator",
    "indicatorRef",
    "compositeWeight",
];

const BURN_POLICY: &str = "hindsight.dev/burn-policy";
const MIN_FAILURES: &str = "hindsight.dev/min-failures";
const KEEP_FIRING_FOR: &str = "hindsight.dev/keep-firing-for";
const OURS: [&str; 3] = [BURN_POLICY, MIN_FAILURES, KEEP_FIRING_FOR];
const GOOGLE_30D: &str = "google-30d";
/// How long a tier's short window must stay under the factor, unless annotated.
const KEEP_FIRING: Duration = Duration::from_secs(120);

/// Reads an `SLO` document; `None` when it cannot be in force.
pub(super) fn read(slo: &Document<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<Slo> {
    let before = sink.errors();
    let section = Section::read(slo.spec, "`spec` of SLO", &SPEC_KEYS, sink)?;
    let service = section.required_text("service", "an SLO", sink);
    check_budgeting(&section, sink);
    let indicator = indicator(&section, all, sink);
    let period = period(&section, sink);
    let (objective, objective_place) = objective(&section, sink)?;
    let budget = 1.0 - objective;
    let policies = policies(slo, &section, all, budget, sink);
    let annotations = Annotations::of(slo, &policies, sink);
    let (service, indicator, period) = (service?, indicator?, period?);
    let tiers = if annotations.burns { tiers(period, budget, objective_place, sink) } else { Vec::new() };
    let display_name = slo.display_name.clone().unwrap_or_else(|| slo.name.clone());
    let alert =
        policies.first().map(|policy| policy.display_name.clone().unwrap_or_else(|| policy.name.clone()));
    let checked = Slo {
        name: slo.name.clone(),
        description: section.text("description", sink).unwrap_or_default(),
        file: slo.file.clone(),
        line: slo.node.place.line,
        service,
        objective,
        period,
        indicator,
        alert: alert.unwrap_or_else(|| format!("{display_name} budget burn")),
        display_name,
        labels: slo.labels.clone(),
        tiers,
        guard: annotations.guard,
        keep_firing_for: annotations.keep_firing_for,
    };
    (sink.errors() == before).then_some(checked)
}

fn check_budgeting(section: &Section<'_>, sink: &mut Sink) {
    let Some(method) = section.text("budgetingMethod", sink) else {
        return;
    };
    let place = section.place_of("budgetingMethod");
    match method.as_str() {
        "Occurrences" => {}
        "Timeslices" | "RatioTimeslices" => {
            let message = format!("budgeting method `{method}` is not supported yet");
            sink.error(place, message, "write `budgetingMethod: Occurrences`");
        }
        _ => {
            let message = format!("there is no budgeting method `{method}`");
            sink.error(place, message, "write `budgetingMethod: Occurrences`");
        }
    }
}

fn indicator(section: &Section<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<Ratio> {
    match (section.get("indicator"), section.text("indicatorRef", sink)) {
        (Some(node), None) => {
            let inline =
                Section::read(node, "`indicator`", &["apiVersion", "kind", "metadata", "spec"], sink)?;
            let Some(spec) = inline.get("spec") else {
                sink.error(inline.place, "`indicator` has no `spec`", "add `spec: {ratioMetric: …}`");
                return None;
            };
            sli::read(spec, sink)
        }
        (None, Some(name)) => {
            let referenced = all.iter().find(|d| d.kind == Kind::Sli && d.name == name);
            let Some(referenced) = referenced else {
                let place = section.place_of("indicatorRef");
                sink.error(place, format!("there is no usable SLI `{name}`"), "add one, or correct the name");
                return None;
            };
            sli::read(referenced.spec, sink)
        }
        (Some(_), Some(_)) => {
            let place = section.place_of("indicatorRef");
            sink.error(place, "the SLO has `indicator` and `indicatorRef`", "keep one of them");
            None
        }
        (None, None) => {
            sink.error(section.place, "the SLO has no indicator", "add `indicator:` or `indicatorRef:`");
            None
        }
    }
}

fn period(section: &Section<'_>, sink: &mut Sink) -> Option<Duration> {
    let windows = section.list("timeWindow", sink);
    let [node] = windows else {
        let message = format!("the SLO has {} time windows", windows.len());
        let place = section.place_of("timeWindow");
        sink.error(place, message, "write one: `timeWindow: [{duration: 30d, isRolling: true}]`");
        return None;
    };
    let window = Section::read(node, "`timeWindow`", &["duration", "isRolling", "calendar"], sink)?;
    let rolling = window.flag("isRolling", sink).unwrap_or(false);
    if !rolling || window.get("calendar").is_some() {
        sink.error(
            node.place,
            "calendar windows are not supported yet",
            "write `isRolling: true` and no `calendar`",
        );
        return None;
    }
    let period = window.duration("duration", sink);
    if period.is_none() && window.get("duration").is_none() {
        sink.error(node.place, "`timeWindow` has no `duration`", "for example `duration: 30d`");
    }
    if period.is_some_and(|period| period < Duration::from_secs(86_400)) {
        sink.error(window.place_of("duration"), "the time window is shorter than a day", "for example `30d`");
    }
    period
}

fn objective(section: &Section<'_>, sink: &mut Sink) -> Option<(f64, Place)> {
    let objectives = section.list("objectives", sink);
    let [node] = objectives else {
        let message = format!("the SLO has {} objectives, and one is supported yet", objectives.len());
        sink.error(section.place_of("objectives"), message, "write one SLO for each objective");
        return None;
    };
    let objective = Section::read(node, "an objective", &OBJECTIVE_KEYS, sink)?;
    for key in
        ["op", "value", "timeSliceTarget", "timeSliceWindow", "indicator", "indicatorRef", "compositeWeight"]
    {
        if objective.get(key).is_some() {
            let message = format!("`{key}` of an objective is not supported yet");
            sink.error(objective.place_of(key), message, "use `target` with a `ratioMetric`");
        }
    }
    let (key, target) = match (objective.number("target", sink), objective.number("targetPercent", sink)) {
        (Some(target), None) => ("target", target),
        (None, Some(percent)) => ("targetPercent", percent / 100.0),
        (Some(_), Some(_)) => {
            sink.error(node.place, "the objective has `target` and `targetPercent`", "keep one of them");
            return None;
        }
        (None, None) => {
            sink.error(node.place, "the objective has no `target`", "for example `target: 0.999`");
            return None;
        }
    };
    let place = objective.get(key).map_or(node.place, |node| node.place);
    if !(target > 0.0 && target < 1.0) {
        let hint = "write a ratio between 0 and 1, as `target: 0.999`; at 1 there is no budget to spend";
        sink.error(
            place,
            format!("`{key}` cannot be {}", if key == "target" { target } else { target * 100.0 }),
            hint,
        );
        return None;
    }
    Some((target, place))
}

/// Alert policies of an SLO: written inline or named.
fn policies<'a>(
    slo: &Document<'_>,
    section: &Section<'a>,
    all: &[Document<'a>],
    budget: f64,
    sink: &mut Sink,
) -> Vec<Document<'a>> {
    let mut policies = Vec::new();
    for node in section.list("alertPolicies", sink) {
        let policy = match reference(node, "alertPolicyRef", sink) {
            Some(name) => {
                let found = all.iter().find(|d| d.kind == Kind::AlertPolicy && d.name == name).cloned();
                if found.is_none() {
                    let message = format!("there is no usable AlertPolicy `{name}`");
                    sink.error(node.place, message, "add one, or correct the name");
                }
                found
            }
            None => document(&slo.file, node, sink),
        };
        sink.about(Some(slo.name.clone()));
        if let Some(policy) = policy {
            check_conditions(&policy, all, budget, sink);
            policies.push(policy);
        }
    }
    policies
}

/// A name given as text or as `{key: name}`.
fn reference(node: &Node, key: &str, sink: &mut Sink) -> Option<String> {
    if let Some(text) = node.as_text() {
        return Some(text);
    }
    let is_reference = match &node.value {
        super::yaml::Value::Map(entries) => entries.iter().any(|(k, _)| k.name == key),
        _ => false,
    };
    is_reference.then(|| Section::read(node, "a reference", &[key], sink)?.text(key, sink)).flatten()
}

fn check_conditions(policy: &Document<'_>, all: &[Document<'_>], budget: f64, sink: &mut Sink) {
    let known = Kind::AlertPolicy;
    debug_assert!(policy.kind == known, "callers pass alert policies");
    let keys = [
        "description",
        "alertWhenNoData",
        "alertWhenResolved",
        "alertWhenBreaching",
        "conditions",
        "notificationTargets",
    ];
    let Some(spec) = Section::read(policy.spec, "`spec` of AlertPolicy", &keys, sink) else {
        return;
    };
    for node in spec.list("conditions", sink) {
        match reference(node, "conditionRef", sink) {
            Some(name) => match all.iter().find(|d| d.kind == Kind::AlertCondition && d.name == name) {
                Some(condition) => check_condition(condition.spec, Some(budget), sink),
                None => {
                    let message = format!("there is no usable AlertCondition `{name}`");
                    sink.error(node.place, message, "add one, or correct the name");
                }
            },
            None => {
                let keys = ["apiVersion", "kind", "metadata", "spec"];
                let inline = Section::read(node, "an inline condition", &keys, sink);
                if let Some(spec) = inline.and_then(|inline| inline.get("spec")) {
                    check_condition(spec, Some(budget), sink);
                }
            }
        }
    }
}

/// Checks the burn-rate comparison of an AlertCondition's `spec`, against a budget when one is known.
pub(super) fn check_condition(spec: &Node, budget: Option<f64>, sink: &mut Sink) {
    let Some(spec) =
        Section::read(spec, "`spec` of AlertCondition", &["description", "severity", "condition"], sink)
    else {
        return;
    };
    let Some(node) = spec.get("condition") else {
        sink.error(
            spec.place,
            "the AlertCondition has no `condition`",
            "add `condition: {kind: burnrate, …}`",
        );
        return;
    };
    let keys = ["kind", "op", "threshold", "lookbackWindow", "alertAfter"];
    let Some(condition) = Section::read(node, "`condition`", &keys, sink) else {
        return;
    };
    condition.word("kind", &[("burnrate", ()), ("burnRate", ())], sink);
    condition.duration("lookbackWindow", sink);
    condition.duration("alertAfter", sink);
    let op = condition.word("op", &[("gt", true), ("gte", true), ("lt", false), ("lte", false)], sink);
    if op == Some(false) {
        let message =
            "a burn rate below a threshold is good news: this alert would fire whenever the service is well";
        sink.error(condition.place_of("op"), message, "write `op: gt` or `op: gte`");
    }
    let threshold = condition.number("threshold", sink);
    if let (Some(threshold), Some(budget)) = (threshold, budget) {
        check_factor(threshold, budget, condition.place_of("threshold"), sink);
    }
}

fn tiers(period: Duration, budget: f64, place: Place, sink: &mut Sink) -> Vec<Tier> {
    let tiers = google_30d(period).to_vec();
    if let Some(tier) = tiers.iter().find(|tier| tier.long > period) {
        let hours = tier.long.as_secs() / 3_600;
        let message =
            format!("the time window is shorter than the {hours} h of burn-rate tier {}", tier.name);
        sink.error(place, message, "use a longer `timeWindow`, or no burn policy");
    }
    for tier in &tiers {
        check_factor(tier.factor, budget, place, sink);
    }
    tiers
}

/// When everything fails the burn rate is 1/B, and no more.
fn check_factor(factor: f64, budget: f64, place: Place, sink: &mut Sink) {
    let most = 1.0 / budget;
    if factor >= most {
        let message = format!(
            "a burn rate above {factor:.1} can never be reached: with a budget of {:.3} % a total outage burns at {most:.1}",
            budget * 100.0
        );
        sink.error(place, message, "set a stricter objective, or a lower threshold");
    }
}

/// Our own annotations, on the SLO or on one of its policies.
struct Annotations {
    burns: bool,
    guard: Guard,
    keep_firing_for: Duration,
}

impl Annotations {
    fn of(slo: &Document<'_>, policies: &[Document<'_>], sink: &mut Sink) -> Self {
        let mut read = Self { burns: false, guard: Guard::default(), keep_firing_for: KEEP_FIRING };
        for document in policies.iter().chain([slo]) {
            for (key, value) in &document.annotations {
                read.take(key, value, document.node.place, sink);
            }
        }
        if !read.burns && !policies.is_empty() {
            let message = "the SLO's alert policies have no effect without a burn policy";
            sink.warning(slo.node.place, message, format!("annotate it with `{BURN_POLICY}: {GOOGLE_30D}`"));
        }
        read
    }

    fn take(&mut self, key: &str, value: &str, place: Place, sink: &mut Sink) {
        match key {
            BURN_POLICY if value == GOOGLE_30D => self.burns = true,
            BURN_POLICY => {
                sink.error(
                    place,
                    format!("there is no burn policy `{value}`"),
                    format!("write `{GOOGLE_30D}`"),
                );
            }
            MIN_FAILURES => match value.parse() {
                Ok(least) if least >= 1.0 => self.guard.min_failures = least,
                _ => sink.error(
                    place,
                    format!("`{MIN_FAILURES}` cannot be `{value}`"),
                    "write a number from 1",
                ),
            },
            KEEP_FIRING_FOR => match parse_duration(value) {
                Ok(duration) => self.keep_firing_for = duration,
                Err(error) => sink.error(place, format!("`{KEEP_FIRING_FOR}`: {error}"), "for example 2m"),
            },
            _ if key.starts_with("hindsight.dev/") => {
                let hint = format!("there are {}", OURS.join(", "));
                sink.error(place, format!("there is no annotation `{key}`"), hint);
            }
            _ => {}
        }
    }
}
