//! Alert policies and conditions: which burn rates of an SLO alert, and whom they speak to.

use std::time::Duration;

use hindsight_model::parse_duration;

use super::openslo::{Document, Kind, inline};
use super::reference::{find, reference};
use super::section::Section;
use super::sink::Sink;
use super::time_window::whole_minutes;
use super::yaml::{Node, Place};
use crate::condition::Op;
use crate::slo::{BudgetWindow, Guard, Severity, Tier, google_30d, short_window};

pub(super) const POLICY_KEYS: [&str; 6] = [
    "description",
    "alertWhenNoData",
    "alertWhenResolved",
    "alertWhenBreaching",
    "conditions",
    "notificationTargets",
];
pub(super) const CONDITION_KEYS: [&str; 3] = ["description", "severity", "condition"];

const BURN_POLICY: &str = "hindsight.dev/burn-policy";
const MIN_FAILURES: &str = "hindsight.dev/min-failures";
const KEEP_FIRING_FOR: &str = "hindsight.dev/keep-firing-for";
const OURS: [&str; 3] = [BURN_POLICY, MIN_FAILURES, KEEP_FIRING_FOR];
const GOOGLE_30D: &str = "google-30d";
/// How long a tier's short window must stay under the factor, unless annotated.
const KEEP_FIRING: Duration = Duration::from_secs(120);
/// Words for how urgent an alert is, and whether somebody is woken.
const SEVERITIES: [(&str, Severity); 14] = [
    ("page", Severity::Page),
    ("critical", Severity::Page),
    ("high", Severity::Page),
    ("sev1", Severity::Page),
    ("sev2", Severity::Page),
    ("p1", Severity::Page),
    ("p2", Severity::Page),
    ("ticket", Severity::Ticket),
    ("warning", Severity::Ticket),
    ("low", Severity::Ticket),
    ("info", Severity::Ticket),
    ("sev3", Severity::Ticket),
    ("sev4", Severity::Ticket),
    ("p3", Severity::Ticket),
];

/// What the policies of an SLO amount to.
#[derive(Clone, Debug)]
pub(super) struct Alerting {
    /// What its alerts are called; `None` without a policy.
    pub(super) alert: Option<String>,
    /// Its tiers, for an objective of any budget.
    pub(super) tiers: Vec<Tier>,
    /// Where what makes them stands.
    places: Vec<Place>,
    pub(super) guard: Guard,
    pub(super) keep_firing_for: Duration,
}

/// Reads an SLO's policies, written inline or named, and the annotations of both.
pub(super) fn read(
    slo: &Document<'_>,
    section: &Section<'_>,
    window: &BudgetWindow,
    all: &[Document<'_>],
    sink: &mut Sink,
) -> Alerting {
    let mut alerting = Alerting {
        alert: None,
        tiers: Vec::new(),
        places: Vec::new(),
        guard: Guard::default(),
        keep_firing_for: KEEP_FIRING,
    };
    let policies = policies(slo, section, all, sink);
    let first = policies.first().map(|(policy, _)| policy);
    alerting.alert = first.map(|policy| policy.display_name.clone().unwrap_or_else(|| policy.name.clone()));
    for (policy, is_inline) in &policies {
        // The mistakes of an inline policy were told already, those of another where it stands.
        let mut quiet = Sink::default();
        let tiers = conditions(policy, all, slo, &mut quiet, sink);
        if quiet.errors() > 0 && !is_inline {
            let message = format!("the conditions of alert policy `{}` have errors", policy.name);
            sink.error(slo.node.place, message, "correct them where they stand");
        }
        if alerting.annotate(policy, window, sink) || slo.annotations.contains_key(BURN_POLICY) {
            // The annotation says with several windows what a condition can only say with one.
            continue;
        }
        for (tier, place) in tiers {
            alerting.add(tier, place, sink);
        }
    }
    alerting.annotate(slo, window, sink);
    if alerting.tiers.is_empty() && !policies.is_empty() {
        let message = "the SLO's alert policies have no effect without a condition or a burn policy";
        sink.warning(slo.node.place, message, format!("annotate it with `{BURN_POLICY}: {GOOGLE_30D}`"));
    }
    alerting
}

impl Alerting {
    /// Refuses tiers that no outage of an SLO with this budget could ever reach.
    pub(super) fn check(&self, budget: f64, objective: Place, sink: &mut Sink) {
        for (tier, place) in self.tiers.iter().zip(&self.places) {
            let place = if *place == Place::default() { objective } else { *place };
            check_factor(tier, budget, place, sink);
        }
    }

    fn add(&mut self, tier: Tier, place: Place, sink: &mut Sink) {
        match self.tiers.iter().find(|known| known.name == tier.name) {
            Some(known) if *known == tier => {}
            Some(_) => {
                let message = format!("the SLO has two alert conditions `{}`", tier.name);
                sink.error(place, message, "give one of them another name");
            }
            None => {
                self.tiers.push(tier);
                self.places.push(place);
            }
        }
    }

    /// Takes our own annotations of an SLO or a policy; returns whether they name a burn policy.
    fn annotate(&mut self, document: &Document<'_>, window: &BudgetWindow, sink: &mut Sink) -> bool {
        let place = document.node.place;
        for (key, value) in &document.annotations {
            match key.as_str() {
                BURN_POLICY if value == GOOGLE_30D => self.google(window, place, sink),
                BURN_POLICY => {
                    let hint = format!("write `{GOOGLE_30D}`, or spell the tiers out as alert conditions");
                    sink.error(place, format!("there is no burn policy `{value}`"), hint);
                }
                MIN_FAILURES => match value.parse() {
                    Ok(least) if least >= 1.0 => self.guard.min_failures = least,
                    _ => {
                        let message = format!("`{MIN_FAILURES}` cannot be `{value}`");
                        sink.error(place, message, "write a number from 1");
                    }
                },
                KEEP_FIRING_FOR => match parse_duration(value) {
                    Ok(duration) => self.keep_firing_for = duration,
                    Err(error) => {
                        sink.error(place, format!("`{KEEP_FIRING_FOR}`: {error}"), "for example 2m");
                    }
                },
                _ if key.starts_with("hindsight.dev/") => {
                    let hint = format!("there are {}", OURS.join(", "));
                    sink.error(place, format!("there is no annotation `{key}`"), hint);
                }
                _ => {}
            }
        }
        document.annotations.contains_key(BURN_POLICY)
    }

    fn google(&mut self, window: &BudgetWindow, place: Place, sink: &mut Sink) {
        let period = window.nominal();
        for tier in google_30d(period) {
            if tier.long > period {
                let hours = tier.long.as_secs() / 3_600;
                let message =
                    format!("the time window is shorter than the {hours} h of burn-rate tier {}", tier.name);
                sink.error(
                    place,
                    message,
                    "use a longer `timeWindow`, or spell the tiers out as alert conditions",
                );
                return;
            }
            self.add(tier, Place::default(), sink);
        }
    }
}

/// The policies, and which of them are written inline.
fn policies<'a>(
    slo: &Document<'_>,
    section: &Section<'a>,
    all: &[Document<'a>],
    sink: &mut Sink,
) -> Vec<(Document<'a>, bool)> {
    let mut policies = Vec::new();
    for node in section.list("alertPolicies", sink) {
        match reference(node, "alertPolicyRef", sink) {
            Some(name) => {
                let found = find(all, Kind::AlertPolicy, &name, node.place, sink);
                policies.extend(found.map(|policy| (policy.clone(), false)));
            }
            None => {
                let read = inline(&slo.file, node, Kind::AlertPolicy, sink);
                if let Some(policy) = &read {
                    check_policy(policy, all, sink);
                }
                policies.extend(read.map(|policy| (policy, true)));
            }
        }
        sink.about(Some(slo.name.clone()));
    }
    policies
}

/// Checks an AlertPolicy that stands for itself: what its references name, and its conditions.
pub(super) fn check_policy(policy: &Document<'_>, all: &[Document<'_>], sink: &mut Sink) {
    let Some(spec) = Section::read(policy.spec, "`spec` of AlertPolicy", &POLICY_KEYS, sink) else {
        return;
    };
    for key in ["alertWhenNoData", "alertWhenResolved", "alertWhenBreaching"] {
        spec.flag(key, sink);
    }
    if spec.flag("alertWhenNoData", sink) == Some(true) {
        let message = "`alertWhenNoData` has no effect: without data the alert stays as it was";
        sink.warning(
            spec.place_of("alertWhenNoData"),
            message,
            "write an alert rule with `on_no_data: fire`",
        );
    }
    for node in spec.list("notificationTargets", sink) {
        match reference(node, "targetRef", sink) {
            Some(name) => {
                find(all, Kind::AlertNotificationTarget, &name, node.place, sink);
            }
            None => {
                inline(&policy.file, node, Kind::AlertNotificationTarget, sink);
            }
        }
    }
    for node in spec.list("conditions", sink) {
        match reference(node, "conditionRef", sink) {
            Some(name) => {
                find(all, Kind::AlertCondition, &name, node.place, sink);
            }
            None => {
                if let Some(condition) = inline(&policy.file, node, Kind::AlertCondition, sink) {
                    check_condition(&condition, sink);
                }
            }
        }
    }
}

/// The tiers that a policy spells out, and where when that is in the SLO's file. Its mistakes go to `quiet`.
fn conditions(
    policy: &Document<'_>,
    all: &[Document<'_>],
    slo: &Document<'_>,
    quiet: &mut Sink,
    sink: &mut Sink,
) -> Vec<(Tier, Place)> {
    let place = slo.node.place;
    let Some(spec) = Section::read(policy.spec, "`spec` of AlertPolicy", &POLICY_KEYS, quiet) else {
        return Vec::new();
    };
    if spec.flag("alertWhenBreaching", quiet) == Some(false) {
        let hint = "write `alertWhenBreaching: true`, or leave the policy out";
        let message = format!("alert policy `{}` never alerts: `alertWhenBreaching` is false", policy.name);
        sink.warning(place, message, hint);
        return Vec::new();
    }
    let mut tiers = Vec::new();
    for node in spec.list("conditions", quiet) {
        let condition = match reference(node, "conditionRef", quiet) {
            Some(name) => all.iter().find(|d| d.kind == Kind::AlertCondition && d.name == name).cloned(),
            None => inline(&policy.file, node, Kind::AlertCondition, quiet),
        };
        let Some(condition) = condition else { continue };
        if let Some((tier, place)) = tier(&condition, quiet) {
            let is_here = condition.file == slo.file;
            tiers.push((tier, if is_here { place } else { Place::default() }));
        }
    }
    tiers
}

/// Checks an AlertCondition that stands for itself.
pub(super) fn check_condition(condition: &Document<'_>, sink: &mut Sink) {
    tier(condition, sink);
}

/// One burn-rate tier: the condition's window is the long one, and the short one a twelfth of it.
fn tier(condition: &Document<'_>, sink: &mut Sink) -> Option<(Tier, Place)> {
    let before = sink.errors();
    let spec = Section::read(condition.spec, "`spec` of AlertCondition", &CONDITION_KEYS, sink)?;
    let severity = severity(&spec, sink);
    let Some(node) = spec.get("condition") else {
        let hint = "add `condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h}`";
        sink.error(spec.place, "the AlertCondition has no `condition`", hint);
        return None;
    };
    let keys = ["kind", "op", "threshold", "lookbackWindow", "alertAfter"];
    let section = Section::read(node, "`condition`", &keys, sink)?;
    section.word("kind", &[("burnrate", ()), ("burnRate", ())], sink);
    let op = section.word("op", &[("gt", Op::Gt), ("gte", Op::Gte), ("lt", Op::Lt), ("lte", Op::Lte)], sink);
    if op.is_some_and(|op| !op.is_upward()) {
        let message =
            "a burn rate below a threshold is good news: this alert would fire whenever the service is well";
        sink.error(section.place_of("op"), message, "write `op: gt` or `op: gte`");
    }
    let factor =
        required(&section, "threshold", node, sink).then(|| section.number("threshold", sink)).flatten();
    if factor.is_some_and(|factor| factor <= 0.0) {
        sink.error(
            section.place_of("threshold"),
            "`threshold` is not above zero",
            "for example `threshold: 14.4`",
        );
    }
    let long = required(&section, "lookbackWindow", node, sink)
        .then(|| whole_minutes(&section, "lookbackWindow", sink))
        .flatten();
    let alert_after = section.duration("alertAfter", sink).unwrap_or_default();
    let (factor, long) = (factor?, long?);
    let tier = Tier {
        name: condition.name.clone(),
        severity,
        long,
        short: short_window(long),
        factor,
        op: op.unwrap_or(Op::Gt),
        alert_after,
    };
    (sink.errors() == before).then(|| (tier, section.place_of("threshold")))
}

fn required(section: &Section<'_>, key: &str, node: &Node, sink: &mut Sink) -> bool {
    let is_there = section.get(key).is_some();
    if !is_there {
        sink.error(node.place, format!("the condition has no `{key}`"), format!("add `{key}:`"));
    }
    is_there
}

fn severity(spec: &Section<'_>, sink: &mut Sink) -> Severity {
    let word = spec.text("severity", sink).unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    let known = SEVERITIES.iter().find(|(known, _)| *known == lower).map(|(_, severity)| *severity);
    if known.is_none() {
        let message = match word.as_str() {
            "" => "the AlertCondition has no `severity`; it becomes a ticket".to_owned(),
            _ => format!("severity `{word}` is not known; it becomes a ticket"),
        };
        sink.warning(spec.place_of("severity"), message, "write `severity: page` or `severity: ticket`");
    }
    known.unwrap_or(Severity::Ticket)
}

/// When everything fails the burn rate is 1/B, and no more.
fn check_factor(tier: &Tier, budget: f64, place: Place, sink: &mut Sink) {
    let most = 1.0 / budget;
    if !tier.op.holds(most, tier.factor) {
        let message = format!(
            "a burn rate above {:.1} can never be reached: with a budget of {:.3} % a total outage burns at {most:.1}",
            tier.factor,
            budget * 100.0
        );
        sink.error(place, message, "set a stricter objective, or a lower threshold");
    }
}
