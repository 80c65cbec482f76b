//! One tick of one rule over all its instances: pure, and the one function that live runs, catch-up and tests
//! share (RUL-1).

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{AlertState, Evaluation, Labels, Outcome, Tenant, Transition};
use jiff::Timestamp;

use super::instance::{Instance, META_PREFIX, OfRule};
use super::reading::{Found, RuleReading, instance_labels};
use crate::condition::{Condition, Op};
use crate::machine::{Change, InstanceState, Reason, end, step};
use crate::rule::{Absence, CheckedRule, Measure, Policy};
use crate::template::Template;

/// What a tick of a rule changes.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleTick {
    /// All instances after the tick.
    pub(super) instances: OfRule,
    /// Those that are no longer kept.
    pub(super) forgotten: Vec<Labels>,
    pub(super) transitions: Vec<Transition>,
    pub(super) evaluations: Vec<Evaluation>,
}

pub(super) fn evaluate(
    rule: &CheckedRule,
    tenant: &Tenant,
    prior: &OfRule,
    reading: &RuleReading,
    t: Timestamp,
) -> RuleTick {
    let mut tick = RuleTick::default();
    let hash = rule.condition_hash();
    let carried = carry(rule, tenant, prior, &hash, t, &mut tick);
    for (labels, outcome) in outcomes(rule, &carried, &reading.found) {
        let before = carried.get(&labels).cloned().unwrap_or_default();
        let (state, change) = step(rule, &labels, &before.state, &outcome, t);
        let instance = next_instance(rule, &labels, &before, state, &outcome, &hash);
        tick.evaluations.push(evaluation(rule, tenant, &labels, &outcome, instance.state.state, reading, t));
        if let Some(change) = change {
            let value = value_of(&outcome);
            tick.transitions.push(transition(rule, tenant, &labels, &instance.annotations, change, value, t));
        }
        if !instance.state.is_forgettable(forget_after(rule)) {
            tick.instances.insert(labels, instance);
        }
    }
    if let Some(outcome) = outcome_of_the_whole(&reading.found) {
        let labels = Labels::new();
        tick.evaluations.push(evaluation(rule, tenant, &labels, &outcome, AlertState::Inactive, reading, t));
    }
    tick.forgotten = prior.keys().filter(|labels| !tick.instances.contains_key(*labels)).cloned().collect();
    tick
}

/// The instances whose rule still asks the same question; the episodes of the others end with `updated`.
fn carry(
    rule: &CheckedRule,
    tenant: &Tenant,
    prior: &OfRule,
    hash: &str,
    t: Timestamp,
    tick: &mut RuleTick,
) -> OfRule {
    let mut carried = OfRule::new();
    for (labels, instance) in prior {
        // An empty hash is a state rebuilt from its row; it is given the benefit of the doubt.
        if instance.hash == hash || instance.hash.is_empty() {
            carried.insert(labels.clone(), instance.clone());
        } else if let Some(change) = end(&instance.state, Reason::Updated) {
            let annotations = &instance.annotations;
            tick.transitions.push(transition(rule, tenant, labels, annotations, change, None, t));
        }
    }
    carried
}

/// Which instances there are, and what this tick says of each.
fn outcomes(rule: &CheckedRule, carried: &OfRule, found: &Found) -> BTreeMap<Labels, Outcome> {
    let all = |outcome: &Outcome| carried.keys().map(|l| (l.clone(), outcome.clone())).collect();
    match found {
        Found::Error(message) => all(&Outcome::Error(message.clone())),
        Found::Unobserved => all(&Outcome::Unobserved),
        Found::Values(values) if values.is_empty() => {
            let mut outcomes: BTreeMap<_, _> = all(&Outcome::NoData);
            if outcomes.is_empty() && rule.policy.on_no_data == Absence::Fire {
                outcomes.insert(instance_labels(rule, &Labels::new()), Outcome::NoData);
            }
            outcomes
        }
        Found::Values(values) => {
            let names: BTreeSet<&Labels> = carried.keys().chain(values.keys()).collect();
            let outcome =
                |labels: &Labels| values.get(labels).map_or(Outcome::Missing, |v| Outcome::Value(*v));
            names.into_iter().map(|labels| (labels.clone(), outcome(labels))).collect()
        }
    }
}

/// What is recorded of the rule itself, so that a rule without instances leaves a trace of every tick too.
fn outcome_of_the_whole(found: &Found) -> Option<Outcome> {
    match found {
        Found::Error(message) => Some(Outcome::Error(message.clone())),
        Found::Unobserved => Some(Outcome::Unobserved),
        Found::Values(values) if values.is_empty() => Some(Outcome::NoData),
        Found::Values(_) => None,
    }
}

fn next_instance(
    rule: &CheckedRule,
    labels: &Labels,
    before: &Instance,
    state: InstanceState,
    outcome: &Outcome,
    hash: &str,
) -> Instance {
    let value = value_of(outcome).or(before.value);
    let told = state.state != AlertState::Inactive || before.state.state != AlertState::Inactive;
    let annotations = if told { render(&rule.annotations, labels, value) } else { Labels::new() };
    Instance { alert: rule.alert.clone(), state, hash: hash.to_owned(), value, annotations }
}

fn forget_after(rule: &CheckedRule) -> u32 {
    let remembered = rule.policy.flapping.map_or(0, |flapping| u32::from(flapping.window));
    rule.policy.on_missing.after.max(remembered)
}

fn value_of(outcome: &Outcome) -> Option<f64> {
    match outcome {
        Outcome::Value(value) => Some(*value),
        _ => None,
    }
}

pub(super) fn render(templates: &BTreeMap<String, Template>, labels: &Labels, value: Option<f64>) -> Labels {
    templates.iter().map(|(name, template)| (name.clone(), template.render(labels, value))).collect()
}

fn evaluation(
    rule: &CheckedRule,
    tenant: &Tenant,
    labels: &Labels,
    outcome: &Outcome,
    state: AlertState,
    reading: &RuleReading,
    t: Timestamp,
) -> Evaluation {
    Evaluation {
        at: t,
        tenant: tenant.clone(),
        rule: rule.id.clone(),
        labels: labels.clone(),
        outcome: outcome.clone(),
        state,
        watermark: reading.watermark,
        duration: reading.duration,
    }
}

fn transition(
    rule: &CheckedRule,
    tenant: &Tenant,
    labels: &Labels,
    annotations: &Labels,
    change: Change,
    value: Option<f64>,
    t: Timestamp,
) -> Transition {
    Transition {
        at: t,
        tenant: tenant.clone(),
        rule: rule.id.clone(),
        alert: rule.alert.clone(),
        labels: labels.clone(),
        annotations: annotations.clone(),
        from: change.from,
        to: change.to,
        reason: change.reason.as_str().to_owned(),
        value,
        active_at: change.active_at,
        episode: change.episode,
        incident: rule.incident.clone(),
    }
}

/// The rule that watches a rule: it fires when the query has failed for `error_after`.
fn meta_rule(rule: &CheckedRule, error: &str) -> CheckedRule {
    let mut labels: BTreeMap<_, _> =
        rule.labels.iter().filter(|(_, t)| !t.has_holes()).map(|(n, t)| (n.clone(), t.clone())).collect();
    labels.insert("rule".to_owned(), Template::literal(&rule.id));
    labels.insert("severity".to_owned(), Template::literal("ticket"));
    let summary = format!("rule {} cannot be evaluated; its alerts are frozen as they were", rule.id);
    let annotations = BTreeMap::from([
        ("summary".to_owned(), Template::literal(&summary)),
        ("error".to_owned(), Template::literal(error)),
    ]);
    CheckedRule {
        id: format!("{META_PREFIX}{}", rule.id),
        alert: "RuleError".to_owned(),
        line: rule.line,
        sql: String::new(),
        measure: Measure::Sql,
        condition: Some(Condition { op: Op::Gt, fire: 0.0, recover: 0.0 }),
        policy: Policy { for_: rule.error_after, ..Policy::default() },
        error_after: rule.error_after,
        require_watermark: false,
        labels,
        annotations,
        incident: None,
    }
}

/// One tick of the meta-alert. Unlike other instances it is kept only while it is active.
pub(super) fn evaluate_meta(
    rule: &CheckedRule,
    tenant: &Tenant,
    prior: &OfRule,
    reading: &RuleReading,
    t: Timestamp,
) -> Option<RuleTick> {
    let (failed, error) = match &reading.found {
        Found::Error(message) => (1.0, message.as_str()),
        Found::Values(_) => (0.0, ""),
        Found::Unobserved => return None,
    };
    if failed == 0.0 && prior.is_empty() {
        return None;
    }
    let meta = meta_rule(rule, error);
    let labels = instance_labels(&meta, &Labels::new());
    let values = BTreeMap::from([(labels, failed)]);
    let reading = RuleReading { found: Found::Values(values), ..reading.clone() };
    let mut tick = evaluate(&meta, tenant, prior, &reading, t);
    tick.instances.retain(|_, instance| instance.state.state != AlertState::Inactive);
    tick.forgotten = prior.keys().filter(|labels| !tick.instances.contains_key(*labels)).cloned().collect();
    Some(tick)
}
