//! What pages and the API show of the engine, as plain structs.

use std::time::Duration;

use hindsight_model::{AlertState, Labels, SloStatus};
use jiff::Timestamp;
use serde::Serialize;

use super::instance::META_PREFIX;
use super::reading::{Found, RuleReading};
use super::schedule::{Unit, What};
use super::{Engine, Version};
use crate::files::{Level, Problem, built_in};
use crate::rule::{CheckedRule, RuleGroup};
use crate::slo::{BudgetWindow, Budgeting, Slo, Tier, TierReading, queries};

/// Rules, SLOs and problems as they stand after the last run.
#[derive(Clone, Debug, Serialize)]
pub struct EngineView {
    /// Groups in the order of their files.
    pub groups: Vec<GroupView>,
    /// SLOs by name.
    pub slos: Vec<SloView>,
    /// What is wrong with the files; of the refused version when there is one.
    pub problems: Vec<ProblemView>,
    /// Which state of the files is in force.
    pub version: Version,
    /// The state of the files that is not in force, because something in it is wrong.
    pub refused: Option<RefusedView>,
}

/// A version of the files that was not taken over.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedView {
    /// Its id.
    pub version: String,
    /// When it was first seen.
    pub at: Timestamp,
    /// Errors in it.
    pub errors: usize,
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
    /// Seconds between the end of an evaluated window and its tick.
    pub query_offset_seconds: f64,
    /// The tick up to which all its rules are evaluated.
    pub last_tick: Option<Timestamp>,
    /// Its next tick.
    pub next_tick: Option<Timestamp>,
    /// Whether the program brought it along, to watch itself: its rules are measured from within and have no SQL.
    pub built_in: bool,
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
    /// How a value is compared with `fire` and `recover`: `>`, `>=`, `<` or `<=`.
    pub op: Option<&'static str>,
    /// A breach begins where `value op fire`.
    pub fire: Option<f64>,
    /// It lasts while `value op recover`; the same as `fire` where the rule has no band.
    pub recover: Option<f64>,
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
    /// How events become budget units: `Occurrences`, `Timeslices` or `RatioTimeslices`.
    pub method: &'static str,
    /// The same, for [`ledger`](crate::ledger): its `units` are what slices are charged in.
    #[serde(skip)]
    pub budgeting: Budgeting,
    /// Whether the budget window is the last so much time, or a period of the calendar.
    pub is_rolling: bool,
    /// Length of the budget window in seconds; of the present one, when it is the calendar's.
    pub period_seconds: u64,
    /// Where it stands; `None` before its first tick.
    pub status: Option<SloStatus>,
    /// Share of the budget that is left, below zero when overspent.
    pub budget_remaining: Option<f64>,
    /// Share of the budget that will be spent when the calendar period ends, if it goes on as in the last day.
    pub budget_projected: Option<f64>,
    /// Share of the window's minutes that were observed.
    pub coverage: Option<f64>,
    /// What the figures leave open: a threshold between two bounds of a histogram.
    pub note: Option<String>,
    /// Seconds until the budget is spent at the rate of the last hour.
    pub time_to_exhaust_seconds: Option<f64>,
    /// Its line there.
    pub line: u64,
    /// The queries that count its events, with `$from` and `$to`.
    pub queries: Vec<String>,
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
    /// `error`, `unsupported` or `warning`.
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
            groups: rules.groups.iter().enumerate().map(|(at, group)| self.group_view(at, group)).collect(),
            slos: rules.slos.iter().map(|slo| self.slo_view(slo)).collect(),
            problems: self.problems().iter().map(problem_view).collect(),
            version: self.version.clone(),
            refused: self.refused.as_ref().map(|refused| RefusedView {
                version: refused.version.clone(),
                at: refused.at,
                errors: refused.problems.iter().filter(|problem| problem.level == Level::Error).count(),
            }),
        }
    }

    /// Ids of the rules that a name means: an alert's name or an id.
    pub(crate) fn rules_named(&self, name: &str) -> Vec<String> {
        let named = self.alerts().filter(|(id, alert)| id == name || alert == name);
        named.map(|(id, _)| id).collect()
    }

    /// Every alert's name, for a message.
    pub(crate) fn alert_names(&self) -> String {
        let names: std::collections::BTreeSet<String> = self.alerts().map(|(_, alert)| alert).collect();
        if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") }
    }

    /// Id and alert of every rule, tier and meta-alert.
    fn alerts(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let rules = &self.loaded.rules;
        let of_groups = rules.groups.iter().flat_map(|group| &group.rules).flat_map(|rule| {
            let meta = (format!("{META_PREFIX}{}", rule.id), "RuleError".to_owned());
            [(rule.id.clone(), rule.alert.clone()), meta]
        });
        let of_slos = rules
            .slos
            .iter()
            .flat_map(|slo| slo.tiers.iter().map(move |tier| (slo.tier_id(tier), slo.tier_alert(tier))));
        of_groups.chain(of_slos)
    }

    fn group_view(&self, at: usize, group: &RuleGroup) -> GroupView {
        GroupView {
            name: group.name.clone(),
            file: group.file.display().to_string(),
            interval_seconds: group.interval.as_secs_f64(),
            query_offset_seconds: group.query_offset.as_secs_f64(),
            last_tick: group.rules.iter().filter_map(|rule| self.last_tick.get(&rule.id).copied()).min(),
            next_tick: self.next_tick_of(at),
            built_in: group.name == built_in::GROUP,
            rules: group.rules.iter().map(|rule| self.rule_view(group, rule)).collect(),
        }
    }

    fn next_tick_of(&self, at: usize) -> Option<Timestamp> {
        let of_group = |unit: &&Unit| matches!(unit.what, What::Rule { group, .. } if group == at);
        self.units.iter().filter(of_group).filter_map(|unit| unit.next).min()
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
            op: rule.condition.map(|condition| condition.op.symbol()),
            fire: rule.condition.map(|condition| condition.fire),
            recover: rule.condition.map(|condition| condition.recover),
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

    pub(crate) fn instance_views(&self, rule: &str) -> Vec<InstanceView> {
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
        let of_status = |value: fn(&SloStatus) -> Option<f64>| status.as_ref().and_then(value);
        let period = status.as_ref().map_or(slo.window.nominal().as_secs(), |status| status.window_s);
        let reading = |at: usize| standing.and_then(|standing| standing.tiers.get(at).copied());
        let tiers = slo.tiers.iter().enumerate();
        SloView {
            name: slo.name.clone(),
            display_name: slo.display_name.clone(),
            description: slo.description.clone(),
            file: slo.file.display().to_string(),
            line: slo.line,
            queries: self.queries_of(slo),
            service: slo.service.clone(),
            objective: slo.objective,
            method: slo.budgeting.as_str(),
            budgeting: slo.budgeting,
            is_rolling: matches!(slo.window, BudgetWindow::Rolling(_)),
            period_seconds: period,
            budget_remaining: consumed.map(|consumed| 1.0 - consumed),
            budget_projected: of_status(|status| status.projected),
            coverage: of_status(|status| Some(status.coverage)),
            note: status.as_ref().and_then(|status| status.note.clone()),
            time_to_exhaust_seconds: of_status(|status| status.time_to_exhaust_s),
            status,
            tiers: tiers.map(|(at, tier)| self.tier_view(slo, tier, reading(at))).collect(),
        }
    }

    fn queries_of(&self, slo: &Slo) -> Vec<String> {
        // The texts do not depend on the range: it comes in by parameters.
        let requests = queries(&slo.indicator, &self.tenant, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        requests.into_iter().map(|(_, request)| request.sql).collect()
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
