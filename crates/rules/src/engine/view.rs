//! What pages and the API show of the engine, as plain structs.

use std::time::Duration;

use hindsight_model::{AlertState, Labels, SloStatus};
use jiff::Timestamp;
use serde::Serialize;

use super::Engine;
use super::reading::{Found, RuleReading};
use crate::files::Problem;
use crate::rule::{CheckedRule, RuleGroup};
use crate::slo::{Slo, Tier, TierReading, time_to_exhaust};

/// Rules, SLOs and problems as they stand after the last run.
#[derive(Clone, Debug, Serialize)]
pub struct EngineView {
    /// Groups in the order of their files.
    pub groups: Vec<GroupView>,
    /// SLOs by name.
    pub slos: Vec<SloView>,
    /// What is wrong with the files.
    pub problems: Vec<ProblemView>,
}

/// A rule group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its file, relative to the workspace.
    pub file: String,
    /// Seconds between ticks.
    pub interval_seconds: f64,
    /// Its last committed tick.
    pub last_tick: Option<Timestamp>,
    /// Its next tick.
    pub next_tick: Option<Timestamp>,
    /// Its rules in order.
    pub rules: Vec<RuleView>,
}

/// An alerting rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    /// `group/alert`.
    pub id: String,
    /// The alert's name.
    pub alert: String,
    /// Its file, relative to the workspace.
    pub file: String,
    /// Its line there.
    pub line: u64,
    /// The query.
    pub sql: String,
    /// The condition in words; `None`: any row is a breach.
    pub condition: Option<String>,
    /// Seconds that a breach must last.
    pub for_seconds: f64,
    /// Seconds that it must be over.
    pub keep_firing_for_seconds: f64,
    /// What an empty result means.
    pub on_no_data: &'static str,
    /// Labels as written.
    pub labels: Labels,
    /// Annotations as written.
    pub annotations: Labels,
    /// Worst state of its instances.
    pub state: AlertState,
    /// Its instances by labels.
    pub instances: Vec<InstanceView>,
    /// Its last evaluation.
    pub last_evaluation: Option<EvaluationView>,
}

/// An alert instance.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceView {
    /// All its labels.
    pub labels: Labels,
    /// Where it stands.
    pub state: AlertState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When the breach was first seen.
    pub active_at: Option<Timestamp>,
    /// Last value seen.
    pub value: Option<f64>,
    /// Whether its state is held because it comes and goes.
    pub flapping: bool,
    /// Annotations as last rendered; empty when inactive.
    pub annotations: Labels,
}

/// One evaluation of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationView {
    /// Logical time of the tick.
    pub at: Timestamp,
    /// `value`, `no_data`, `error` or `unobserved`.
    pub outcome: &'static str,
    /// Instances returned.
    pub instances: usize,
    /// What went wrong, when something did.
    pub error: Option<String>,
    /// Seconds that the query took.
    pub duration_seconds: f64,
}

impl EvaluationView {
    pub(super) fn of(reading: &RuleReading, at: Timestamp) -> Self {
        let (outcome, instances, error) = match &reading.found {
            Found::Values(values) if values.is_empty() => ("no_data", 0, None),
            Found::Values(values) => ("value", values.len(), None),
            Found::Error(message) => ("error", 0, Some(message.clone())),
            Found::Unobserved => ("unobserved", 0, None),
        };
        Self { at, outcome, instances, error, duration_seconds: reading.duration.as_secs_f64() }
    }

    pub(super) fn of_tier(error: Option<&str>, duration: Duration, at: Timestamp) -> Self {
        Self {
            at,
            outcome: if error.is_some() { "error" } else { "value" },
            instances: 1,
            error: error.map(str::to_owned),
            duration_seconds: duration.as_secs_f64(),
        }
    }
}

/// An SLO.
#[derive(Clone, Debug, Serialize)]
pub struct SloView {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it promises.
    pub description: String,
    /// Its file, relative to the workspace.
    pub file: String,
    /// The service it speaks for.
    pub service: String,
    /// Objective as a ratio.
    pub objective: f64,
    /// Length of the budget window in seconds.
    pub period_seconds: u64,
    /// Where it stands; `None` before its first tick.
    pub status: Option<SloStatus>,
    /// Share of the budget that is left, below zero when overspent.
    pub budget_remaining: Option<f64>,
    /// Seconds until the budget is spent at the rate of the last hour.
    pub time_to_exhaust_seconds: Option<f64>,
    /// Its burn-rate alerts.
    pub tiers: Vec<TierView>,
}

/// One burn-rate alert of an SLO.
#[derive(Clone, Debug, Serialize)]
pub struct TierView {
    /// `slo/name/tier`.
    pub id: String,
    /// `page` or `ticket`.
    pub severity: &'static str,
    /// Seconds of the long window.
    pub long_seconds: u64,
    /// Seconds of the short window.
    pub short_seconds: u64,
    /// The factor that both must exceed.
    pub factor: f64,
    /// Burn rate of the long window.
    pub burn_long: Option<f64>,
    /// Burn rate of the short window.
    pub burn_short: Option<f64>,
    /// Whether the windows say anything; the state is frozen when not.
    pub observed: bool,
    /// Where the alert stands.
    pub state: AlertState,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A problem in a file.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemView {
    /// Relative to the workspace.
    pub file: String,
    /// From 1; 0 when it concerns the file as a whole.
    pub line: u64,
    /// From 1; 0 when it concerns the file as a whole.
    pub column: u64,
    /// `error` or `warning`.
    pub level: &'static str,
    /// The rule or SLO, if one is meant.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Engine {
    /// Everything that a page about rules and SLOs shows.
    pub fn describe(&self) -> EngineView {
        let rules = &self.loaded.rules;
        EngineView {
            groups: rules.groups.iter().map(|group| self.group_view(group)).collect(),
            slos: rules.slos.iter().map(|slo| self.slo_view(slo)).collect(),
            problems: self.loaded.problems.iter().map(problem_view).collect(),
        }
    }

    fn group_view(&self, group: &RuleGroup) -> GroupView {
        GroupView {
            name: group.name.clone(),
            file: group.file.display().to_string(),
            interval_seconds: group.interval.as_secs_f64(),
            last_tick: self.last_tick.get(&group.name).copied(),
            next_tick: self.due.get(&group.name).copied(),
            rules: group.rules.iter().map(|rule| self.rule_view(group, rule)).collect(),
        }
    }

    fn rule_view(&self, group: &RuleGroup, rule: &CheckedRule) -> RuleView {
        let sources = |templates: &std::collections::BTreeMap<String, crate::Template>| {
            templates.iter().map(|(name, t)| (name.clone(), t.source().to_owned())).collect()
        };
        RuleView {
            id: rule.id.clone(),
            alert: rule.alert.clone(),
            file: group.file.display().to_string(),
            line: rule.line,
            sql: rule.sql.clone(),
            condition: rule.condition.map(|condition| condition.to_string()),
            for_seconds: rule.policy.for_.as_secs_f64(),
            keep_firing_for_seconds: rule.policy.keep_firing_for.as_secs_f64(),
            on_no_data: rule.policy.on_no_data.as_str(),
            labels: sources(&rule.labels),
            annotations: sources(&rule.annotations),
            state: self.instances.worst(&rule.id),
            instances: self.instance_views(&rule.id),
            last_evaluation: self.last_evaluation.get(&rule.id).cloned(),
        }
    }

    fn instance_views(&self, rule: &str) -> Vec<InstanceView> {
        let view = |(labels, instance): (&Labels, &super::instance::Instance)| InstanceView {
            labels: labels.clone(),
            state: instance.state.state,
            since: instance.state.since,
            active_at: instance.state.active_at,
            value: instance.value,
            flapping: instance.state.flapping,
            annotations: instance.annotations.clone(),
        };
        self.instances.of_rule(rule).iter().map(view).collect()
    }

    fn slo_view(&self, slo: &Slo) -> SloView {
        let standing = self.standings.get(&slo.name);
        let status = standing.map(|standing| standing.status.clone());
        let consumed = status.as_ref().and_then(|status| status.budget_consumed);
        let burn = status.as_ref().and_then(|status| status.burn_1h);
        let exhaust = consumed.zip(burn).and_then(|(c, burn)| time_to_exhaust(c, slo.period, burn));
        let reading = |at: usize| standing.and_then(|standing| standing.tiers.get(at).copied());
        let tiers = slo.tiers.iter().enumerate();
        SloView {
            name: slo.name.clone(),
            display_name: slo.display_name.clone(),
            description: slo.description.clone(),
            file: slo.file.display().to_string(),
            service: slo.service.clone(),
            objective: slo.objective,
            period_seconds: slo.period.as_secs(),
            budget_remaining: consumed.map(|consumed| 1.0 - consumed),
            time_to_exhaust_seconds: exhaust.map(|time| time.as_secs_f64()),
            status,
            tiers: tiers.map(|(at, tier)| self.tier_view(slo, tier, reading(at))).collect(),
        }
    }

    fn tier_view(&self, slo: &Slo, tier: &Tier, reading: Option<TierReading>) -> TierView {
        let id = slo.tier_id(tier);
        let since = self.instances.of_rule(&id).values().find_map(|instance| instance.state.since);
        TierView {
            severity: tier.severity.as_str(),
            long_seconds: tier.long.as_secs(),
            short_seconds: tier.short.as_secs(),
            factor: tier.factor,
            burn_long: reading.and_then(|reading| reading.burn_long),
            burn_short: reading.and_then(|reading| reading.burn_short),
            observed: reading.is_some_and(|reading| reading.verdict.is_some()),
            state: self.instances.worst(&id),
            since,
            id,
        }
    }
}

fn problem_view(problem: &Problem) -> ProblemView {
    ProblemView {
        file: problem.file.display().to_string(),
        line: problem.line,
        column: problem.column,
        level: problem.level.as_str(),
        rule: problem.rule.clone(),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}
