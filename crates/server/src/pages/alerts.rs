//! `/alerts`: what fires, how far it is from its thresholds, and what every rule is doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::Response;
use hindsight_model::{AlertInstance, AlertState, Labels, Tenant};
use hindsight_postmortem::chart::{gauge, people_duration, shorten};
use hindsight_rules::{EngineView, GroupView, InstanceView, ProblemView, RuleView, TierView};
use jiff::Timestamp;
use serde::Deserialize;

use super::alert_words::{
    Chip, Moment, Number, chips, moment, number, plural, rule_path, sql_text, state_class,
};
use super::frame::{Frame, PageError, html, see_other, sql_link};
use super::range::{Range, RangeQuery};
use super::rule::{is_held, standing_class, threshold_words};
use super::silences::{self, Panel, PanelQuery, Silences};
use crate::app::App;

/// Active instances listed; the rest is counted and left to SQL.
const ACTIVE_MAX: usize = 300;
/// Problems listed.
const PROBLEMS_MAX: usize = 100;
/// Characters of what an alert says.
const SUMMARY_CHARS_MAX: usize = 300;

const STATES_SQL: &str = "SELECT state, rule, labels, value, since, active_at, annotations\nFROM alert_states\n\
     WHERE state <> 'inactive'\nORDER BY since DESC";

#[derive(Debug, Default, Deserialize)]
pub(crate) struct AlertsQuery {
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    /// A rule's id, as older notifications link to it.
    rule: Option<String>,
    silence: Option<String>,
    silenced: Option<String>,
    expired: Option<String>,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    frame: Frame,
    sentence: String,
    class: &'static str,
    active: Vec<ActiveRow>,
    active_hidden: usize,
    states_sql: String,
    no_rules: bool,
    groups: Vec<GroupRow>,
    slos: usize,
    problems: Vec<ProblemView>,
    problems_hidden: usize,
    pulse_error: Option<String>,
    version: String,
    loaded: Option<Moment>,
    refused: Option<Refusal>,
    workspace: String,
    silencing: Panel,
}

/// A version of the files that is not in force.
struct Refusal {
    version: String,
    at: Moment,
    errors: String,
}

struct ActiveRow {
    state: AlertState,
    class: &'static str,
    flapping: bool,
    name: String,
    path: String,
    summary: String,
    chips: Vec<Chip>,
    value: Number,
    value_door: String,
    gauge: Option<String>,
    fire: String,
    recover: String,
    since: Moment,
    next: Option<Moment>,
    silence_link: String,
    silenced: Option<String>,
}

struct GroupRow {
    name: String,
    file: String,
    interval: String,
    next: Option<Moment>,
    rules: Vec<RuleRow>,
}

struct RuleRow {
    name: String,
    path: String,
    state: AlertState,
    class: &'static str,
    is_held: bool,
    condition: String,
    lasts: String,
    instances: String,
    value: Number,
    gauge: Option<String>,
    last: Option<LastRow>,
}

struct LastRow {
    outcome: String,
    class: &'static str,
    at: Moment,
    duration: String,
    error: Option<String>,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Query(query): Query<AlertsQuery>,
) -> Result<Response<Body>, PageError> {
    if let Some(rule) = query.rule.as_deref().filter(|rule| !rule.is_empty()) {
        return Ok(see_other(&rule_path(rule)));
    }
    let now = app.clock.now();
    let address = RangeQuery { from: query.from.clone(), to: query.to.clone(), tz: query.tz.clone() };
    let range = Range::parse_or(&address, now, "3h").map_err(PageError::bad_request)?;
    let view = app.rules();
    let instances = app.state.instances(&Tenant::default()).await?;
    let panel_query = PanelQuery { silence: query.silence, silenced: query.silenced, expired: query.expired };
    let silences = Silences::read(&app, &panel_query, now).await?;
    let known: Vec<(&str, &Labels)> = instances.iter().map(|i| (i.alert.as_str(), &i.labels)).collect();
    let silencing = silences.panel(&panel_query, "/alerts", None, &known, &range, now);
    let (active, active_hidden) = active_rows(&view, &instances, &silences, now, &range);
    let (sentence, class) = sentence(&view, &instances, &silences, now, &range);
    Ok(html(&AlertsPage {
        frame: Frame::new("Alerts", "alerts").with_range("/alerts", &range),
        sentence,
        class,
        active,
        active_hidden,
        states_sql: sql_link(STATES_SQL, &range),
        no_rules: written(&view).next().is_none(),
        groups: view.groups.iter().map(|group| group_row(group, now, &range)).collect(),
        slos: view.slos.len(),
        problems: view.problems.iter().take(PROBLEMS_MAX).cloned().collect(),
        problems_hidden: view.problems.len().saturating_sub(PROBLEMS_MAX),
        pulse_error: app.last_pulse_error(),
        version: view.version.id.clone(),
        loaded: view.version.loaded_at.map(|at| moment(at, now, &range)),
        refused: view.refused.as_ref().map(|refused| Refusal {
            version: refused.version.clone(),
            at: moment(refused.at, now, &range),
            errors: plural(refused.errors, "error"),
        }),
        workspace: app.config.workspace.value.display().to_string(),
        silencing,
    }))
}

/// The one sentence that a tired person can act on.
fn sentence(
    view: &EngineView,
    instances: &[AlertInstance],
    silences: &Silences,
    now: Timestamp,
    range: &Range,
) -> (String, &'static str) {
    let rules: usize = written(view).map(|group| group.rules.len()).sum();
    let tiers: usize = view.slos.iter().map(|slo| slo.tiers.len()).sum();
    let problems = match (&view.refused, view.problems.len()) {
        (Some(_), _) => " The last edit of the rule files is refused.".to_owned(),
        (None, 0) => String::new(),
        (None, count) => format!(" {} in rule files.", plural(count, "problem")),
    };
    if rules + tiers == 0 {
        return (format!("No rules yet.{problems}"), "unknown");
    }
    let of = |state: AlertState| instances.iter().filter(move |i| i.state == state);
    let (firing, pending) = (of(AlertState::Firing).count(), of(AlertState::Pending).count());
    let recovering = of(AlertState::Recovering).count();
    let more: Vec<String> = [(pending, "pending"), (recovering, "recovering")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let more = if more.is_empty() { String::new() } else { format!(", {}", more.join(", ")) };
    let Some(first) = of(AlertState::Firing).min_by_key(|instance| instance.since) else {
        let failing = failing_rules(view);
        let failing = match failing {
            0 => String::new(),
            count => format!(" {} not be evaluated last time.", can(count)),
        };
        let class = if more.is_empty() && failing.is_empty() { "ok" } else { "warn" };
        let all = format!("{} and {}", plural(rules, "rule"), plural(tiers, "burn-rate alert"));
        return (format!("Nothing fires{more}; {all} are in force.{failing}{problems}"), class);
    };
    let silenced = of(AlertState::Firing)
        .filter(|instance| silences.until(&instance.alert, &instance.labels, now, range).is_some())
        .count();
    let silenced = if silenced == 0 { String::new() } else { format!(" ({silenced} silenced)") };
    let since = moment(first.since, now, range);
    let firing = plural(firing, "alert");
    (
        format!(
            "{firing} firing{silenced}{more}; {} the longest, since {}.{problems}",
            first.alert, since.text
        ),
        "bad",
    )
}

/// The groups that people wrote.
fn written(view: &EngineView) -> impl Iterator<Item = &GroupView> {
    view.groups.iter().filter(|group| !group.built_in)
}

fn can(count: usize) -> String {
    format!("{} could", plural(count, "rule"))
}

fn failing_rules(view: &EngineView) -> usize {
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    rules.filter(|rule| rule.last_evaluation.as_ref().is_some_and(|last| last.outcome == "error")).count()
}

/// What the page knows of the rule behind an instance.
struct Behind<'a> {
    rule: Option<&'a RuleView>,
    tier: Option<&'a TierView>,
    next: Option<Timestamp>,
}

fn rules_by_id(view: &EngineView) -> BTreeMap<&str, Behind<'_>> {
    let mut all = BTreeMap::new();
    for group in &view.groups {
        for rule in &group.rules {
            all.insert(rule.id.as_str(), Behind { rule: Some(rule), tier: None, next: group.next_tick });
        }
    }
    for tier in view.slos.iter().flat_map(|slo| &slo.tiers) {
        all.insert(tier.id.as_str(), Behind { rule: None, tier: Some(tier), next: None });
    }
    all
}

/// The instances that are not inactive: firing first, then the newest; and how many are left out.
fn active_rows(
    view: &EngineView,
    instances: &[AlertInstance],
    silences: &Silences,
    now: Timestamp,
    range: &Range,
) -> (Vec<ActiveRow>, usize) {
    let rules = rules_by_id(view);
    let mut active: Vec<&AlertInstance> =
        instances.iter().filter(|instance| instance.state != AlertState::Inactive).collect();
    let rank = |state: AlertState| match state {
        AlertState::Firing => 0,
        AlertState::Recovering => 1,
        _ => 2,
    };
    active.sort_by(|a, b| rank(a.state).cmp(&rank(b.state)).then_with(|| b.since.cmp(&a.since)));
    let hidden = active.len().saturating_sub(ACTIVE_MAX);
    let none = Behind { rule: None, tier: None, next: None };
    let row = |instance: &&AlertInstance| {
        let behind = rules.get(instance.rule.as_str()).unwrap_or(&none);
        // A meta-alert has no thresholds of its own; it ticks with the rule that it watches.
        let watched = instance.rule.strip_prefix("meta/").and_then(|rule| rules.get(rule));
        let watched = watched.map(|watched| Behind { rule: None, tier: None, next: watched.next });
        let behind = watched.as_ref().unwrap_or(behind);
        active_row(instance, behind, silences, now, range)
    };
    (active.iter().take(ACTIVE_MAX).map(row).collect(), hidden)
}

fn active_row(
    instance: &AlertInstance,
    behind: &Behind<'_>,
    silences: &Silences,
    now: Timestamp,
    range: &Range,
) -> ActiveRow {
    let path = rule_path(&instance.rule);
    let (fire, recover) = match (behind.rule, behind.tier) {
        (Some(rule), _) => (rule.fire, rule.recover),
        (None, Some(tier)) => (Some(tier.factor), None),
        (None, None) => (None, None),
    };
    let gauge = fire.map(|fire| gauge(instance.value, fire, recover, state_class(instance.state)));
    let known = behind.rule.and_then(|rule| rule.instances.iter().find(|i| i.labels == instance.labels));
    ActiveRow {
        state: instance.state,
        class: state_class(instance.state),
        flapping: known.is_some_and(|known: &InstanceView| known.flapping),
        name: instance.alert.clone(),
        summary: shorten(instance.annotations.get("summary").map_or("", String::as_str), SUMMARY_CHARS_MAX),
        chips: chips(&instance.labels),
        value: number(instance.value),
        value_door: sql_link(&instance_query(&instance.rule, &instance.labels), range),
        gauge,
        fire: threshold_words(fire),
        recover: threshold_words(recover),
        since: moment(instance.since, now, range),
        next: behind.next.map(|at| moment(at, now, range)),
        silence_link: silences::link("/alerts", &instance.alert, &instance.labels, range),
        silenced: silences.until(&instance.alert, &instance.labels, now, range),
        path,
    }
}

fn instance_query(rule: &str, labels: &Labels) -> String {
    let labels = serde_json::to_string(labels).unwrap_or_default();
    format!(
        "SELECT timestamp, outcome, value, state\nFROM rule_evaluations\nWHERE rule = {} AND labels = {}\n  \
         AND timestamp >= $from AND timestamp < $to\nORDER BY timestamp",
        sql_text(rule),
        sql_text(&labels)
    )
}

fn group_row(group: &GroupView, now: Timestamp, range: &Range) -> GroupRow {
    GroupRow {
        name: group.name.clone(),
        file: group.file.clone(),
        interval: people_duration(group.interval_seconds),
        next: group.next_tick.map(|at| moment(at, now, range)),
        rules: group.rules.iter().map(|rule| rule_row(rule, now, range)).collect(),
    }
}

fn rule_row(rule: &RuleView, now: Timestamp, range: &Range) -> RuleRow {
    let active = rule.instances.iter().filter(|i| i.state != AlertState::Inactive).count();
    let worst = worst_value(rule);
    RuleRow {
        name: rule.alert.clone(),
        path: rule_path(&rule.id),
        state: rule.state,
        class: standing_class(rule),
        is_held: is_held(rule),
        condition: rule.condition.clone().unwrap_or_else(|| "any row".to_owned()),
        lasts: if rule.for_seconds > 0.0 { people_duration(rule.for_seconds) } else { "at once".to_owned() },
        instances: if active == 0 {
            plural(rule.instances.len(), "instance")
        } else {
            format!("{active} of {}", plural(rule.instances.len(), "instance"))
        },
        value: number(worst),
        gauge: gauge_of(rule, worst, rule.state),
        last: rule.last_evaluation.as_ref().map(|last| LastRow {
            outcome: last.outcome.replace('_', " "),
            class: if last.outcome == "value" { "ok" } else { "unknown" },
            at: moment(last.at, now, range),
            duration: people_duration(last.duration_seconds),
            error: last.error.as_deref().map(|error| shorten(error, SUMMARY_CHARS_MAX)),
        }),
    }
}

/// The value that is nearest to firing, or furthest beyond.
fn worst_value(rule: &RuleView) -> Option<f64> {
    let values = rule.instances.iter().filter_map(|instance| instance.value).filter(|v| v.is_finite());
    if rule.op.is_some_and(|op| op.starts_with('<')) {
        values.min_by(f64::total_cmp)
    } else {
        values.max_by(f64::total_cmp)
    }
}

/// The value against both thresholds; none for a rule without them.
pub(crate) fn gauge_of(rule: &RuleView, value: Option<f64>, state: AlertState) -> Option<String> {
    rule.fire.map(|fire| gauge(value, fire, rule.recover, state_class(state)))
}

#[cfg(test)]
mod tests {
    use hindsight_rules::{EvaluationView, Version};

    use super::*;

    fn now() -> Timestamp {
        "2026-05-04T22:00:00Z".parse().unwrap()
    }

    fn labels(service: &str) -> Labels {
        Labels::from([("service_name".to_owned(), service.to_owned())])
    }

    /// A rule whose last evaluation had this outcome.
    fn view(outcome: &'static str) -> EngineView {
        let last = EvaluationView { at: now(), outcome, instances: 1, error: None, duration_seconds: 0.002 };
        let rule = RuleView {
            id: "g/A".to_owned(),
            alert: "A".to_owned(),
            file: "rules/g.yaml".to_owned(),
            line: 3,
            sql: "SELECT 1 AS value".to_owned(),
            condition: Some("value > 0.9".to_owned()),
            op: Some(">"),
            fire: Some(0.9),
            recover: Some(0.75),
            for_seconds: 120.0,
            keep_firing_for_seconds: 0.0,
            on_no_data: "keep",
            labels: Labels::new(),
            annotations: Labels::new(),
            state: AlertState::Inactive,
            instances: Vec::new(),
            last_evaluation: Some(last),
        };
        let group = GroupView {
            name: "g".to_owned(),
            file: "rules/g.yaml".to_owned(),
            interval_seconds: 30.0,
            query_offset_seconds: 30.0,
            last_tick: Some(now()),
            next_tick: None,
            built_in: false,
            rules: vec![rule],
        };
        let groups = vec![group];
        EngineView {
            groups,
            slos: Vec::new(),
            problems: Vec::new(),
            version: Version::default(),
            refused: None,
        }
    }

    fn instance(service: &str, state: AlertState, since: &str) -> AlertInstance {
        AlertInstance {
            tenant: Tenant::default(),
            rule: "g/A".to_owned(),
            alert: "A".to_owned(),
            labels: labels(service),
            annotations: Labels::new(),
            state,
            since: since.parse().unwrap(),
            active_at: None,
            value: None,
            episode: String::new(),
            machine: String::new(),
        }
    }

    fn said(view: &EngineView, instances: &[AlertInstance]) -> (String, &'static str) {
        let range = Range::parse(&RangeQuery::default(), now()).unwrap();
        sentence(view, instances, &Silences::none(), now(), &range)
    }

    #[test]
    fn calm_is_not_claimed_of_a_rule_that_cannot_be_read() {
        let (calm, class) = said(&view("value"), &[]);
        assert_eq!(
            (calm.as_str(), class),
            ("Nothing fires; 1 rule and 0 burn-rate alerts are in force.", "ok")
        );
        let (blind, class) = said(&view("error"), &[]);
        assert!(blind.ends_with("1 rule could not be evaluated last time."), "{blind}");
        assert_eq!(class, "warn");
        let range = Range::parse(&RangeQuery::default(), now()).unwrap();
        let row = |outcome| rule_row(&view(outcome).groups[0].rules[0], now(), &range);
        assert_eq!((row("value").class, row("error").class), ("ok", "unknown"));
        assert_eq!(row("value").value.text, "unknown", "no instance has a value, which is not zero");
    }

    #[test]
    fn what_fires_comes_before_what_may_and_the_oldest_is_named() {
        let instances = [
            instance("a", AlertState::Pending, "2026-05-04T21:59:00Z"),
            instance("b", AlertState::Firing, "2026-05-04T21:30:00Z"),
            instance("c", AlertState::Firing, "2026-05-04T21:40:00Z"),
            instance("d", AlertState::Inactive, "2026-05-04T20:00:00Z"),
        ];
        let (text, class) = said(&view("value"), &instances);
        assert_eq!(text, "2 alerts firing, 1 pending; A the longest, since 21:30:00 UTC.");
        assert_eq!(class, "bad");
        let range = Range::parse(&RangeQuery::default(), now()).unwrap();
        let view = view("value");
        let (rows, hidden) = active_rows(&view, &instances, &Silences::none(), now(), &range);
        let shown: Vec<&str> = rows.iter().map(|row| row.chips[0].text.as_str()).collect();
        assert_eq!(shown, ["service_name=c", "service_name=b", "service_name=a"]);
        assert_eq!(hidden, 0);
        assert_eq!((rows[0].fire.as_str(), rows[0].recover.as_str()), ("0.9", "0.75"));
        assert_eq!(rows[0].value.text, "unknown");
    }
}
