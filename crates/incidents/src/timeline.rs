//! Timeline rows from what the machine saw; people accept or dismiss them (POSTMORTEM §2).

mod templates;

use std::collections::BTreeSet;

use hindsight_model::{AlertState, Incident, Suspect, TimelineKind, TimelineRow, TimelineSource, Transition};
use jiff::{SignedDuration, Timestamp};

use crate::alert_rows::alert_rows;
use crate::changes::Change;
use crate::gather::queries;
use crate::life::is_tier;
use crate::series::plus_minutes;
use crate::{ChangePoint, GaugeSeries, Indicator, Onset, ServiceSeries, Telemetry, change_points, format};

/// Most rows of one timeline; beyond it the weakest change points go first.
pub(crate) const ROWS_MAX: usize = 200;
/// Most rows of telemetry in one timeline: what customers felt first, then what moved most, whole series at a time.
const CHANGE_ROWS_MAX: usize = 10;
/// Most series of errors and latency that are told before anything else.
const FELT_MAX: usize = 3;
/// Most gauges per service that are told of.
const GAUGES_PER_SERVICE_MAX: usize = 2;
/// Steps the same way this close together are one climb, told in one row.
const CLIMB_MINUTES: i64 = 10;
/// How long before trigger or onset rows may begin.
const LEAD_MINUTES: i64 = 15;
/// How long before that a change may have been announced.
const ANNOUNCED_MINUTES: i64 = 45;
/// A gauge must move by this share of the larger level to be told.
const GAUGE_CHANGE_MIN: f64 = 0.3;

/// What a timeline is made of.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) incident: &'a Incident,
    pub(crate) transitions: &'a [Transition],
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) onset: Option<&'a Onset>,
    pub(crate) trigger: Option<&'a Change>,
    pub(crate) changes: &'a [Change],
    pub(crate) suspects: &'a [Suspect],
    /// Services whose errors or latency rose.
    pub(crate) affected: &'a [String],
    pub(crate) mitigated: Option<Timestamp>,
    pub(crate) resolved: Option<Timestamp>,
}

/// Rows in order of time, at most [`ROWS_MAX`], with at most one trigger.
pub(crate) fn build(inputs: &Inputs<'_>) -> Vec<TimelineRow> {
    let start =
        inputs.trigger.map(|t| t.at).or_else(|| inputs.onset.map(|o| plus_minutes(o.at, -LEAD_MINUTES)));
    let start = start.unwrap_or_else(|| plus_minutes(inputs.incident.opened_at, -LEAD_MINUTES));
    let mut rows = alert_rows(inputs);
    rows.extend(changes(inputs, start));
    rows.extend(inputs.onset.map(onset_row));
    rows.extend(milestones(inputs));
    rows.extend(change_point_rows(inputs, start));
    let announced_from = plus_minutes(start, -ANNOUNCED_MINUTES);
    let is_near =
        |row: &&TimelineRow| row.at >= if row.kind == TimelineKind::Change { announced_from } else { start };
    rows.extend(inputs.telemetry.told.iter().filter(is_near).cloned());
    rows.extend(inputs.telemetry.observations.iter().flat_map(templates::template_rows));
    // Stable: `mitigated` was pushed before a `resolved` of the same instant.
    rows.sort_by_key(|row| (row.at, row.kind));
    rows.dedup();
    bound(rows)
}

/// Keeps [`ROWS_MAX`] rows, giving up change points first, then log lines, notifications and the latest alerts.
fn bound(mut rows: Vec<TimelineRow>) -> Vec<TimelineRow> {
    let mut excess = rows.len().saturating_sub(ROWS_MAX);
    for kind in [
        TimelineKind::ChangePoint,
        TimelineKind::Log,
        TimelineKind::Notification,
        TimelineKind::Alert,
        TimelineKind::Change,
    ] {
        for i in (0..rows.len()).rev() {
            if excess > 0 && rows[i].kind == kind {
                rows.remove(i);
                excess -= 1;
            }
        }
    }
    rows
}

pub(crate) fn row(
    at: Timestamp,
    kind: TimelineKind,
    service: Option<&str>,
    text: String,
    sql: String,
) -> TimelineRow {
    TimelineRow {
        at,
        kind,
        source: TimelineSource::System,
        service: service.map(str::to_owned),
        text,
        sql: Some(sql),
        state: "suggested".to_owned(),
    }
}

fn changes(inputs: &Inputs<'_>, start: Timestamp) -> Vec<TimelineRow> {
    let is_trigger = |change: &Change| inputs.trigger.is_some_and(|t| t == change);
    inputs
        .changes
        .iter()
        .filter(|change| change.at >= start)
        .map(|change| {
            let kind = if is_trigger(change) { TimelineKind::Trigger } else { TimelineKind::Change };
            let what = match &change.flag {
                Some(flag) => format!("flag {flag} = {}", change.new),
                None => change.new.clone(),
            };
            let came = if change.is_return { "is back" } else { "first seen" };
            let text = format!("{} {what} {came} (before: {})", change.service, change.old);
            row(change.at, kind, Some(&change.service), text, change.sql.clone())
        })
        .collect()
}

fn onset_row(onset: &Onset) -> TimelineRow {
    let (low, high) = (onset.low.strftime("%H:%M"), onset.high.strftime("%H:%M"));
    let when =
        if onset.low == onset.high { String::new() } else { format!(", begun between {low} and {high} UTC") };
    let text = format!(
        "{} {} {} → {}{when}",
        onset.service,
        onset.indicator.as_str(),
        onset.indicator.show(onset.before),
        onset.indicator.show(onset.after),
    );
    row(onset.at, TimelineKind::Onset, Some(&onset.service), text, onset.sql.clone())
}

fn milestones(inputs: &Inputs<'_>) -> Vec<TimelineRow> {
    let mut rows = Vec::new();
    if let (Some(at), Some(onset)) = (inputs.mitigated, inputs.onset) {
        let text = format!(
            "{} {} back from {} to its level before: mitigated",
            onset.service,
            onset.indicator.as_str(),
            onset.indicator.show(onset.after)
        );
        let sql = queries::requests(plus_minutes(at, -30), plus_minutes(at, 30), Some(&onset.service));
        rows.push(row(at, TimelineKind::Milestone, Some(&onset.service), text, sql));
    }
    if let Some(at) = inputs.resolved {
        let last = inputs.transitions.iter().rfind(|t| {
            t.to == AlertState::Inactive && !is_tier(t) && inputs.incident.alerts.contains_key(&t.episode)
        });
        let sql = last.map(|t| queries::transitions(plus_minutes(at, -60), plus_minutes(at, 60), &t.rule));
        let said = if inputs.mitigated.is_some() {
            "customers are well and every alert ended: resolved"
        } else {
            "every alert ended: resolved"
        };
        rows.push(TimelineRow {
            sql,
            ..row(at, TimelineKind::Milestone, None, said.to_owned(), String::new())
        });
    }
    rows
}

/// One series that moved: its rows, and how plain its plainest change is.
struct Moved {
    /// Errors or latency of a service that was hurt.
    is_felt: bool,
    strength: f64,
    rows: Vec<TimelineRow>,
}

/// Change points on the services that matter here: whole series, [`FELT_MAX`] of what customers felt first, then
/// what moved most elsewhere, until [`CHANGE_ROWS_MAX`] rows are told. A rise without its fall would read as if it went on.
fn change_point_rows(inputs: &Inputs<'_>, start: Timestamp) -> Vec<TimelineRow> {
    let telemetry = inputs.telemetry;
    let scope: BTreeSet<&str> = (inputs.incident.services.iter().map(String::as_str))
        .chain(inputs.affected.iter().map(String::as_str))
        .chain(inputs.suspects.iter().map(|s| s.service.as_str()))
        .chain(inputs.onset.map(|o| o.service.as_str()))
        .collect();
    let mut found: Vec<Moved> = Vec::new();
    for name in &scope {
        if let Some(service) = telemetry.services.get(*name) {
            found.extend(Indicator::ALL.into_iter().map(|i| indicator_rows(inputs, name, i, service, start)));
        }
        found.extend(gauge_rows(telemetry, name, start));
    }
    found.retain(|moved| !moved.rows.is_empty());
    found.sort_by(|a, b| b.is_felt.cmp(&a.is_felt).then(b.strength.total_cmp(&a.strength)));
    let felt = found.iter().take_while(|moved| moved.is_felt).count();
    let felt_first = felt.min(FELT_MAX);
    // Then why they felt it (load, resources), and at last the rest of the same.
    found[felt_first..].rotate_left(felt - felt_first);
    let mut rows: Vec<TimelineRow> = Vec::new();
    for moved in found {
        if rows.len() + moved.rows.len() <= CHANGE_ROWS_MAX {
            rows.extend(moved.rows);
        }
    }
    rows
}

fn indicator_rows(
    inputs: &Inputs<'_>,
    service: &str,
    indicator: Indicator,
    series: &ServiceSeries,
    start: Timestamp,
) -> Moved {
    let telemetry = inputs.telemetry;
    // What is violated has its rows already: its onset, and its return as the milestone `mitigated`.
    let violated = inputs.onset.filter(|o| o.service == service && o.indicator == indicator);
    let told = |climb: &Climb| {
        let at = telemetry.minute_at(climb.at);
        violated.is_some_and(|onset| {
            let near = |other: Timestamp| at.duration_since(other).abs() <= SignedDuration::from_mins(2);
            near(onset.minute)
                || inputs.mitigated.is_some_and(|m| near(m) && !indicator.is_worse(climb.before, climb.after))
        })
    };
    let climbs: Vec<Climb> = climbs(&change_points(&indicator.series(series)))
        .into_iter()
        .filter(|climb| telemetry.minute_at(climb.at) >= start)
        .filter(|climb| indicator.is_notable(climb.before, climb.after) && !told(climb))
        .collect();
    let rows = climbs.iter().map(|climb| {
        let at = telemetry.minute_at(climb.at);
        let text = format!("{service} {} {}", indicator.as_str(), climb.words(|v| indicator.show(v)));
        let sql = queries::requests(plus_minutes(at, -30), plus_minutes(at, 30), Some(service));
        row(at, TimelineKind::ChangePoint, Some(service), text, sql)
    });
    let is_hurt = inputs.affected.iter().chain(&inputs.incident.services).any(|name| name == service);
    let is_felt = is_hurt && indicator != Indicator::Traffic;
    Moved { is_felt, strength: strongest(&climbs), rows: rows.collect() }
}

fn gauge_rows(telemetry: &Telemetry, service: &str, start: Timestamp) -> Vec<Moved> {
    let mut found: Vec<Moved> = telemetry
        .gauges
        .iter()
        .filter(|gauge| gauge.service == service)
        .map(|gauge| {
            let climbs: Vec<Climb> = climbs(&change_points(&gauge.values))
                .into_iter()
                .filter(|climb| telemetry.minute_at(climb.at) >= start)
                .filter(|climb| {
                    let (before, after) = (climb.before, climb.after);
                    (after - before).abs() >= GAUGE_CHANGE_MIN * before.abs().max(after.abs())
                })
                .collect();
            let rows = climbs.iter().map(|climb| gauge_row(telemetry, gauge, climb)).collect();
            Moved { is_felt: false, strength: strongest(&climbs), rows }
        })
        .filter(|moved| !moved.rows.is_empty())
        .collect();
    found.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    found.truncate(GAUGES_PER_SERVICE_MAX);
    found
}

fn strongest(climbs: &[Climb]) -> f64 {
    climbs.iter().map(|climb| climb.strength).fold(0.0, f64::max)
}

/// Steps of one series the same way and close together: one fact.
struct Climb {
    /// Minute of the first step.
    at: usize,
    /// Minutes from the first step to the last.
    minutes: usize,
    before: f64,
    after: f64,
    strength: f64,
}

impl Climb {
    /// `171 ms → 5.01 s`, and how long it took when it took several steps.
    fn words(&self, show: impl Fn(f64) -> String) -> String {
        let within = if self.minutes > 0 { format!(" within {} min", self.minutes) } else { String::new() };
        format!("{} → {}{within}", show(self.before), show(self.after))
    }
}

fn climbs(points: &[ChangePoint]) -> Vec<Climb> {
    let mut found: Vec<Climb> = Vec::new();
    let mut last: Option<&ChangePoint> = None;
    for point in points {
        let goes_on = last.is_some_and(|last| {
            let close = i64::try_from(point.index - last.index).is_ok_and(|apart| apart <= CLIMB_MINUTES);
            close && last.direction() == point.direction()
        });
        match found.last_mut() {
            Some(climb) if goes_on => {
                climb.minutes = point.index - climb.at;
                climb.after = point.after;
                climb.strength = climb.strength.max(point.strength);
            }
            _ => found.push(Climb {
                at: point.index,
                minutes: 0,
                before: point.before,
                after: point.after,
                strength: point.strength,
            }),
        }
        last = Some(point);
    }
    found
}

fn gauge_row(telemetry: &Telemetry, gauge: &GaugeSeries, climb: &Climb) -> TimelineRow {
    let at = telemetry.minute_at(climb.at);
    let moved = format::gauge_change(climb.before, climb.after, &gauge.unit);
    let within = if climb.minutes > 0 { format!(" within {} min", climb.minutes) } else { String::new() };
    let text = format!("{} {} {moved}{within}", gauge.service, gauge_name(gauge));
    let (from, to) = (plus_minutes(at, -30), plus_minutes(at, 30));
    let sql = queries::gauge(from, to, &gauge.service, &gauge.metric, &gauge.attributes);
    row(at, TimelineKind::ChangePoint, Some(&gauge.service), text, sql)
}

/// The metric's name with its attribute values: `db.client.connection.count used, orders`.
pub(crate) fn gauge_name(gauge: &GaugeSeries) -> String {
    /// Longest list of attribute values shown.
    const VALUES_CHARS_MAX: usize = 60;
    let Ok(attributes) = hindsight_model::attributes_from_json(&gauge.attributes) else {
        return gauge.metric.clone();
    };
    let values: Vec<String> = attributes
        .values()
        .map(|value| match value {
            hindsight_model::AnyValue::String(text) => text.clone(),
            other => other.to_json_text(),
        })
        .collect();
    let list: String = values.join(", ").chars().take(VALUES_CHARS_MAX).collect();
    if list.is_empty() { gauge.metric.clone() } else { format!("{} ({list})", gauge.metric) }
}

#[cfg(test)]
mod tests;
