//! `/alerts/{group}/{alert}`: where a rule stands, what it saw, and why it fires or not.

mod drawing;
mod evidence;
mod history;

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::Response;
use hindsight_model::{AlertState, Evaluation, Labels, Tenant, Transition};
use hindsight_postmortem::chart::{exact, people_duration};
use hindsight_rules::{EngineView, GroupView, InstanceView, RuleView};
use hindsight_state::TransitionFilter;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::alert_words::{
    Chip, Moment, Number, chips, fires_words, labels_text, moment, number, plural, query_text,
    recovers_words, rule_path, sql_text, state_class,
};
use super::deploys::{deploys, event_lines};
use super::frame::{Frame, PageError, html, see_other, sql_link};
use super::range::{Range, RangeQuery};
use super::runbook::runbook_link;
use super::silences::{Panel, PanelQuery, Silences};
use crate::app::App;
use drawing::{Drawing, strip_names};
use evidence::EvaluationRow;
use history::{NotificationRow, TransitionRow};

/// Instances drawn and explained at once; the page of one instance shows that alone.
const INSTANCES_SHOWN_MAX: usize = 6;
/// Instances listed.
const INSTANCES_LISTED_MAX: usize = 500;
/// Transitions looked at, the newest.
const TRANSITIONS_MAX: u32 = 200;
/// Rules named when one is not found.
const RULES_NAMED_MAX: usize = 12;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RuleQuery {
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    /// Labels of the one instance to show, as canonical JSON.
    instance: Option<String>,
    silence: Option<String>,
    silenced: Option<String>,
    expired: Option<String>,
}

#[derive(Template)]
#[template(path = "rule.html")]
struct RulePage {
    frame: Frame,
    alert: String,
    group: String,
    state: AlertState,
    class: &'static str,
    is_held: bool,
    condition: String,
    why: Vec<String>,
    facts: Vec<(&'static str, String)>,
    instances: Vec<InstanceRow>,
    instances_hidden: usize,
    shown_alone: Option<Vec<Chip>>,
    path: String,
    chart: String,
    notes: Vec<String>,
    evaluations: Vec<EvaluationRow>,
    evaluations_sql: String,
    built_in: bool,
    sql: String,
    sql_door: String,
    annotations: Vec<AnnotationRow>,
    transitions: Vec<TransitionRow>,
    transitions_sql: String,
    notifications: Vec<NotificationRow>,
    notifications_sql: String,
    silencing: Panel,
}

struct InstanceRow {
    chips: Vec<Chip>,
    state: AlertState,
    class: &'static str,
    flapping: bool,
    value: Number,
    gauge: Option<String>,
    since: Option<Moment>,
    link: String,
    silence_link: String,
    silenced: Option<String>,
}

struct AnnotationRow {
    name: String,
    text: String,
    link: Option<String>,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<RuleQuery>,
) -> Result<Response<Body>, PageError> {
    if id.starts_with("slo/") || id.starts_with("meta/") {
        return Ok(see_other(&rule_path(&id)));
    }
    let now = app.clock.now();
    let address = RangeQuery { from: query.from.clone(), to: query.to.clone(), tz: query.tz.clone() };
    let range = Range::parse_or(&address, now, "3h").map_err(PageError::bad_request)?;
    let view = app.rules();
    let (group, rule) = find(&view, &id).ok_or_else(|| unknown(&view, &id))?;
    let tenant = Tenant::default();
    let filter =
        TransitionFilter { rule: Some(rule.id.clone()), limit: Some(TRANSITIONS_MAX), ..Default::default() };
    let transitions = app.state.transitions(&tenant, &filter).await?;
    let alone = query.instance.as_deref().and_then(|text| serde_json::from_str::<Labels>(text).ok());
    let shown = shown_instances(rule, &transitions, alone.as_ref(), &range);
    let seen = evidence::read(&app, rule, &shown, &range).await?;
    let services = services(&shown);
    let (changes, deploys_note) = deploys(&app, &services, &range).await;
    let panel_query = PanelQuery { silence: query.silence, silenced: query.silenced, expired: query.expired };
    let silences = Silences::read(&app, &panel_query, now).await?;
    let known: Vec<(&str, &Labels)> =
        rule.instances.iter().map(|instance| (rule.alert.as_str(), &instance.labels)).collect();
    let path = rule_path(&rule.id);
    let silencing = silences.panel(&panel_query, &path, Some(&rule.alert), &known, &range, now);
    let names = strip_names(&shown, &rule.alert);
    let evaluations_sql = sql_link(&evaluations_query(&rule.id), &range);
    let chart = Drawing {
        rule,
        interval: interval(group),
        shown: &shown,
        names: &names,
        seen: &seen,
        transitions: &transitions,
        deploys: event_lines(&changes),
        range: &range,
        sql_link: &evaluations_sql,
    }
    .chart();
    let mut notes = seen.notes(&range);
    notes.extend(deploys_note);
    if alone.is_none() && rule.instances.len() > INSTANCES_SHOWN_MAX {
        notes.push(format!(
            "{} of {} instances are drawn, the worst first; choose another one in the list.",
            shown.len(),
            rule.instances.len()
        ));
    }
    let told = history::notifications(&app, &transitions, &range).await?;
    let incidents = app.state.incidents(&tenant).await?;
    Ok(html(&RulePage {
        frame: Frame::new(rule.alert.clone(), "alerts")
            .with_range(path.clone(), &range)
            .keeping("instance", query.instance.as_deref()),
        alert: rule.alert.clone(),
        group: group.name.clone(),
        state: rule.state,
        class: standing_class(rule),
        is_held: is_held(rule),
        condition: condition_words(rule),
        why: why(rule, seen.last_outcome(), now, &range),
        facts: facts(group, rule, now, &range),
        instances: instance_rows(rule, &silences, now, &range),
        instances_hidden: rule.instances.len().saturating_sub(INSTANCES_LISTED_MAX),
        shown_alone: alone.as_ref().map(chips),
        path,
        chart,
        notes,
        evaluations: evidence::rows(rule, group, &seen, &names, &range),
        evaluations_sql,
        built_in: group.built_in,
        sql: rule.sql.trim().to_owned(),
        sql_door: sql_link(rule.sql.trim(), &range),
        annotations: annotations(rule),
        transitions: history::transitions(&transitions, &incidents, now, &range),
        transitions_sql: sql_link(&transitions_query(&rule.id), &range),
        notifications: told,
        notifications_sql: sql_link(&history::notifications_query(&rule.id), &range),
        silencing,
    }))
}

fn find<'a>(view: &'a EngineView, id: &str) -> Option<(&'a GroupView, &'a RuleView)> {
    view.groups.iter().find_map(|group| Some((group, group.rules.iter().find(|rule| rule.id == id)?)))
}

fn unknown(view: &EngineView, id: &str) -> PageError {
    let id: String = id.chars().take(120).collect();
    let names: Vec<&str> = view
        .groups
        .iter()
        .filter(|group| !group.built_in)
        .flat_map(|g| g.rules.iter().map(|r| r.id.as_str()))
        .take(RULES_NAMED_MAX)
        .collect();
    let hint = if names.is_empty() {
        "No rule is loaded; /alerts says how to write the first one.".to_owned()
    } else {
        format!("Rules in force: {}. /alerts lists them all.", names.join(", "))
    };
    PageError::not_found(format!("There is no rule {id}."), hint)
}

/// The instances to draw: the one that was asked for, else the worst and those that changed in the range.
fn shown_instances(
    rule: &RuleView,
    transitions: &[Transition],
    alone: Option<&Labels>,
    range: &Range,
) -> Vec<Labels> {
    if let Some(labels) = alone {
        return vec![labels.clone()];
    }
    let rank = |state: AlertState| match state {
        AlertState::Firing => 0,
        AlertState::Recovering => 1,
        AlertState::Pending => 2,
        AlertState::Inactive => 4,
    };
    let mut found: Vec<(u8, &Labels)> = rule.instances.iter().map(|i| (rank(i.state), &i.labels)).collect();
    let changed = transitions.iter().filter(|t| t.at >= range.from && t.at < range.to);
    found.extend(changed.map(|transition| (3, &transition.labels)));
    found.sort();
    let mut seen = BTreeSet::new();
    let labels =
        found.into_iter().filter(|(_, labels)| seen.insert(*labels)).map(|(_, labels)| labels.clone());
    labels.take(INSTANCES_SHOWN_MAX).collect()
}

fn services(shown: &[Labels]) -> BTreeSet<String> {
    shown.iter().filter_map(|labels| labels.get("service_name").cloned()).collect()
}

fn interval(group: &GroupView) -> SignedDuration {
    SignedDuration::try_from_secs_f64(group.interval_seconds).unwrap_or(SignedDuration::from_mins(1))
}

fn condition_words(rule: &RuleView) -> String {
    let lasts = match rule.for_seconds {
        seconds if seconds > 0.0 => format!(" for {}", people_duration(seconds)),
        _ => String::new(),
    };
    let mut words = match (rule.op, rule.fire, rule.recover) {
        (Some(op), Some(fire), Some(recover)) => {
            let mut fires = fires_words(op, fire);
            fires.replace_range(..1, "F");
            format!("{fires}{lasts}, {}", recovers_words(op, recover))
        }
        _ => format!("Fires while the query returns a row{lasts}"),
    };
    if rule.keep_firing_for_seconds > 0.0 {
        words.push_str(&format!(" once that has lasted {}", people_duration(rule.keep_firing_for_seconds)));
    }
    words.push('.');
    words
}

/// Why the rule stands where it stands, a sentence an instance; the worst first.
fn why(rule: &RuleView, last: Option<&Evaluation>, now: Timestamp, range: &Range) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let held = match last.map(|evaluation| evaluation.outcome.as_str()) {
        Some("error") => Some("Its last query failed: every state is held as it was."),
        Some("no_data") => Some("Its last query returned nothing at all."),
        Some("unobserved") => Some("The data of its last window was not complete: every state is held."),
        _ => None,
    };
    if let Some(held) = held {
        let no_data = last.is_some_and(|evaluation| evaluation.outcome.as_str() == "no_data");
        let then = if no_data { format!(" `on_no_data` is `{}`.", rule.on_no_data) } else { String::new() };
        sentences.push(format!("{held}{then}"));
    }
    let active = rule.instances.iter().filter(|instance| instance.state != AlertState::Inactive);
    sentences.extend(active.take(3).map(|instance| why_instance(rule, instance, now, range)));
    if sentences.is_empty() {
        sentences.push(match (rule.instances.len(), last) {
            (0, None) => "It was not evaluated in this range.".to_owned(),
            (0, Some(_)) => "Its query returned no instance.".to_owned(),
            (count, _) => format!("{} seen, none in breach.", plural(count, "instance")),
        });
    }
    sentences
}

fn why_instance(rule: &RuleView, instance: &InstanceView, now: Timestamp, range: &Range) -> String {
    let labels = labels_text(&instance.labels, 120);
    let value = number(instance.value).text;
    let since =
        |at: Option<Timestamp>| at.map_or("an unknown time".to_owned(), |at| moment(at, now, range).text);
    let due = |from: Option<Timestamp>, seconds: f64| {
        let length = SignedDuration::try_from_secs_f64(seconds).ok();
        let at = from.zip(length).and_then(|(from, length)| from.checked_add(length).ok());
        at.map_or(String::new(), |at| format!(" at {}", moment(at, now, range).text))
    };
    let against = match (rule.op, rule.fire) {
        (Some(op), Some(fire)) => format!(" (the rule {})", fires_words(op, fire)),
        _ => String::new(),
    };
    let flaps = if instance.flapping { " It comes and goes, so the worse state is held." } else { "" };
    let words = match instance.state {
        AlertState::Firing => format!(
            "fires since {}: its value was last {value}{against}, and the breach began at {}.",
            since(instance.since),
            since(instance.active_at)
        ),
        AlertState::Pending => format!(
            "is in breach since {}: its value was last {value}{against}. It fires{} if that goes on.",
            since(instance.active_at),
            due(instance.active_at, rule.for_seconds)
        ),
        AlertState::Recovering => format!(
            "recovers since {}: its value was last {value}. It resolves{} if that goes on.",
            since(instance.since),
            due(instance.since, rule.keep_firing_for_seconds)
        ),
        AlertState::Inactive => format!("is calm: its value was last {value}."),
    };
    let who = if labels.is_empty() { "It".to_owned() } else { labels };
    format!("{who} {words}{flaps}")
}

fn facts(group: &GroupView, rule: &RuleView, now: Timestamp, range: &Range) -> Vec<(&'static str, String)> {
    let when = |at: Option<Timestamp>| {
        at.map_or("not yet".to_owned(), |at| {
            let at = moment(at, now, range);
            format!("{} ({})", at.text, at.ago)
        })
    };
    let mut facts = vec![
        ("Group", group.name.clone()),
        ("File", format!("{}, line {}", rule.file, rule.line)),
        ("Evaluated every", people_duration(group.interval_seconds)),
        ("Window ends", format!("{} before the tick", people_duration(group.query_offset_seconds))),
        ("Last tick", when(group.last_tick)),
        ("Next tick", when(group.next_tick)),
        ("No data means", rule.on_no_data.to_owned()),
    ];
    if let Some(last) = &rule.last_evaluation {
        let outcome = last.outcome.replace('_', " ");
        let took = people_duration(last.duration_seconds);
        facts.push(("Last evaluation", format!("{outcome}, {}, {took}", plural(last.instances, "instance"))));
    }
    let labels = labels_text(&rule.labels, 300);
    if !labels.is_empty() {
        facts.push(("Labels", labels));
    }
    facts
}

fn instance_rows(rule: &RuleView, silences: &Silences, now: Timestamp, range: &Range) -> Vec<InstanceRow> {
    let mut rows: Vec<&InstanceView> = rule.instances.iter().collect();
    rows.sort_by_key(|instance| match instance.state {
        AlertState::Firing => 0,
        AlertState::Recovering => 1,
        AlertState::Pending => 2,
        AlertState::Inactive => 3,
    });
    let path = rule_path(&rule.id);
    let row = |instance: &InstanceView| {
        let key = serde_json::to_string(&instance.labels).unwrap_or_default();
        InstanceRow {
            chips: chips(&instance.labels),
            state: instance.state,
            class: state_class(instance.state),
            flapping: instance.flapping,
            value: number(instance.value),
            gauge: super::alerts::gauge_of(rule, instance.value, instance.state),
            since: instance.since.map(|at| moment(at, now, range)),
            link: format!("{path}?instance={}&{}", query_text(&key), range.kept()),
            silence_link: super::silences::link(&path, &rule.alert, &instance.labels, range),
            silenced: silences.until(&rule.alert, &instance.labels, now, range),
        }
    };
    rows.into_iter().take(INSTANCES_LISTED_MAX).map(row).collect()
}

/// The annotations as told of the worst instance, else as they stand in the file.
fn annotations(rule: &RuleView) -> Vec<AnnotationRow> {
    let told = rule.instances.iter().find(|i| i.state == rule.state && !i.annotations.is_empty());
    let texts = told.map_or(&rule.annotations, |instance| &instance.annotations);
    let row = |(name, text): (&String, &String)| AnnotationRow {
        name: name.clone(),
        link: if name.starts_with("runbook") { runbook_link(text) } else { None },
        text: text.clone(),
    };
    texts.iter().map(row).collect()
}

fn evaluations_query(rule: &str) -> String {
    format!(
        "SELECT timestamp, labels, outcome, value, state, watermark, duration_nano, error\nFROM rule_evaluations\n\
         WHERE rule = {} AND timestamp >= $from AND timestamp < $to\nORDER BY timestamp DESC",
        sql_text(rule)
    )
}

fn transitions_query(rule: &str) -> String {
    format!(
        "SELECT timestamp, labels, from_state, to_state, reason, value, episode\nFROM alert_transitions\n\
         WHERE rule = {}\nORDER BY timestamp DESC LIMIT 200",
        sql_text(rule)
    )
}

/// Whether the last evaluation told nothing, so that the states are those of an earlier one.
pub(crate) fn is_held(rule: &RuleView) -> bool {
    rule.last_evaluation.as_ref().is_some_and(|last| matches!(last.outcome, "error" | "unobserved"))
}

/// The class of a rule's state; calm is not green while nothing can be read.
pub(crate) fn standing_class(rule: &RuleView) -> &'static str {
    if is_held(rule) && rule.state == AlertState::Inactive { "unknown" } else { state_class(rule.state) }
}

/// A threshold as it stands in the file.
pub(crate) fn threshold_words(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), exact)
}
