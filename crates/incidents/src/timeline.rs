//! Timeline rows from what the machine saw; people accept or dismiss them (POSTMORTEM §2).

use std::collections::BTreeSet;

use hindsight_model::{AlertState, Incident, Suspect, TimelineKind, TimelineRow, TimelineSource, Transition};
use jiff::Timestamp;

use crate::changes::Change;
use crate::gather::queries;
use crate::life::service_of;
use crate::series::plus_minutes;
use crate::{ChangePoint, GaugeSeries, Indicator, Onset, Telemetry, change_points, format};

/// Most rows of one timeline; beyond it the weakest change points go first.
pub(crate) const ROWS_MAX: usize = 200;
/// Most change points of telemetry in one timeline.
const CHANGE_POINTS_MAX: usize = 60;
/// Most change points of gauges per service.
const GAUGES_PER_SERVICE_MAX: usize = 3;
/// How long before trigger or onset rows may begin.
const LEAD_MINUTES: i64 = 15;
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
    let mut rows = alerts(inputs);
    rows.extend(changes(inputs, start));
    rows.extend(inputs.onset.map(onset_row));
    rows.extend(milestones(inputs));
    rows.extend(change_point_rows(inputs, start));
    rows.sort_by(|a, b| (a.at, a.kind, &a.service, &a.text).cmp(&(b.at, b.kind, &b.service, &b.text)));
    rows.dedup();
    bound(rows)
}

/// Keeps [`ROWS_MAX`] rows, giving up change points first and then the latest alerts.
fn bound(mut rows: Vec<TimelineRow>) -> Vec<TimelineRow> {
    let mut excess = rows.len().saturating_sub(ROWS_MAX);
    for kind in [TimelineKind::ChangePoint, TimelineKind::Alert, TimelineKind::Change] {
        for i in (0..rows.len()).rev() {
            if excess > 0 && rows[i].kind == kind {
                rows.remove(i);
                excess -= 1;
            }
        }
    }
    rows
}

fn row(at: Timestamp, kind: TimelineKind, service: Option<&str>, text: String, sql: String) -> TimelineRow {
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

fn alerts(inputs: &Inputs<'_>) -> Vec<TimelineRow> {
    inputs
        .transitions
        .iter()
        .filter(|t| inputs.incident.alerts.contains_key(&t.episode) && t.tenant == inputs.incident.tenant)
        .filter_map(|t| {
            let what = match (t.from, t.to) {
                (_, AlertState::Firing) => "fires",
                (_, AlertState::Pending) => "is pending",
                (AlertState::Pending, AlertState::Inactive) => return None,
                (_, AlertState::Inactive) => "is resolved",
                (_, AlertState::Recovering) => "recovers",
            };
            let value = t.value.map(|v| format!(" at {}", format::number(v))).unwrap_or_default();
            let why = if t.to == AlertState::Inactive { format!(" ({})", t.reason) } else { String::new() };
            let sql = queries::transitions(plus_minutes(t.at, -60), plus_minutes(t.at, 60), &t.rule);
            let text = format!("alert {} {what}{value}{why}", t.alert);
            Some(row(t.at, TimelineKind::Alert, service_of(&t.labels), text, sql))
        })
        .collect()
}

fn changes(inputs: &Inputs<'_>, start: Timestamp) -> Vec<TimelineRow> {
    let is_trigger = |change: &Change| inputs.trigger.is_some_and(|t| t == change);
    inputs
        .changes
        .iter()
        .filter(|change| change.at >= start)
        .map(|change| {
            let kind = if is_trigger(change) { TimelineKind::Trigger } else { TimelineKind::Change };
            let came = if change.is_return { "is back" } else { "first seen" };
            let text = format!("{} {} {came} (before: {})", change.service, change.new, change.old);
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
        let text =
            format!("{} {} back to its level before: mitigated", onset.service, onset.indicator.as_str());
        let sql = queries::requests(plus_minutes(at, -30), plus_minutes(at, 30), Some(&onset.service));
        rows.push(row(at, TimelineKind::Milestone, Some(&onset.service), text, sql));
    }
    if let Some(at) = inputs.resolved {
        let last = inputs
            .transitions
            .iter()
            .rfind(|t| t.to == AlertState::Inactive && inputs.incident.alerts.contains_key(&t.episode));
        let sql = last.map(|t| queries::transitions(plus_minutes(at, -60), plus_minutes(at, 60), &t.rule));
        rows.push(TimelineRow {
            sql,
            ..row(
                at,
                TimelineKind::Milestone,
                None,
                "every alert is resolved: resolved".to_owned(),
                String::new(),
            )
        });
    }
    rows
}

/// Change points on the services that matter here, the strongest [`CHANGE_POINTS_MAX`].
fn change_point_rows(inputs: &Inputs<'_>, start: Timestamp) -> Vec<TimelineRow> {
    let telemetry = inputs.telemetry;
    let scope: BTreeSet<&str> = (inputs.incident.services.iter().map(String::as_str))
        .chain(inputs.affected.iter().map(String::as_str))
        .chain(inputs.suspects.iter().map(|s| s.service.as_str()))
        .chain(inputs.onset.map(|o| o.service.as_str()))
        .collect();
    let mut found: Vec<(f64, TimelineRow)> = Vec::new();
    for name in &scope {
        if let Some(service) = telemetry.services.get(*name) {
            for indicator in Indicator::ALL {
                for point in change_points(&indicator.series(service)) {
                    found.extend(indicator_row(inputs, name, indicator, &point, start));
                }
            }
        }
        found.extend(gauge_rows(telemetry, name, start));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(CHANGE_POINTS_MAX);
    found.into_iter().map(|(_, row)| row).collect()
}

fn indicator_row(
    inputs: &Inputs<'_>,
    service: &str,
    indicator: Indicator,
    point: &ChangePoint,
    start: Timestamp,
) -> Option<(f64, TimelineRow)> {
    let at = inputs.telemetry.minute_at(point.index);
    let is_onset = |o: &Onset| o.service == service && o.indicator == indicator && o.at == at;
    if at < start || !indicator.is_notable(point.before, point.after) || inputs.onset.is_some_and(is_onset) {
        return None;
    }
    let text = format!(
        "{service} {} {} → {}",
        indicator.as_str(),
        indicator.show(point.before),
        indicator.show(point.after)
    );
    let sql = queries::requests(plus_minutes(at, -30), plus_minutes(at, 30), Some(service));
    Some((point.strength, row(at, TimelineKind::ChangePoint, Some(service), text, sql)))
}

fn gauge_rows(telemetry: &Telemetry, service: &str, start: Timestamp) -> Vec<(f64, TimelineRow)> {
    let mut found: Vec<(f64, TimelineRow)> = telemetry
        .gauges
        .iter()
        .filter(|gauge| gauge.service == service)
        .flat_map(|gauge| change_points(&gauge.values).into_iter().map(move |point| (gauge, point)))
        .filter(|(_, point)| telemetry.minute_at(point.index) >= start)
        .filter(|(_, point)| {
            (point.after - point.before).abs() >= GAUGE_CHANGE_MIN * point.before.abs().max(point.after.abs())
        })
        .map(|(gauge, point)| (point.strength, gauge_row(telemetry, gauge, &point)))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(GAUGES_PER_SERVICE_MAX);
    found
}

fn gauge_row(telemetry: &Telemetry, gauge: &GaugeSeries, point: &ChangePoint) -> TimelineRow {
    let at = telemetry.minute_at(point.index);
    let text = format!(
        "{} {} {} → {}",
        gauge.service,
        gauge_name(gauge),
        format::gauge(point.before, &gauge.unit),
        format::gauge(point.after, &gauge.unit)
    );
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
