//! `/incidents/{id}`: the timeline down the middle, suspects and impact beside it, the charts that show it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use hindsight_model::{
    Incident, IncidentId, Reason, SqlRequest, SqlSource as _, Suspect, Tenant, TimelineEntry, TimelineKind,
    TimelineRow, TimelineState, Transition,
};
use hindsight_postmortem::chart::{EventLine, LineChart, Series, Unit, line_chart, people_duration};
use hindsight_postmortem::{PastAction, Similar, similar_incidents};
use hindsight_state::TransitionFilter;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::alert_words::rule_path;
use super::frame::{Frame, PageError, html, rows, sql_link};
use super::incident_steps::{StepForm, steps};
use super::incident_traces::{TracesView, traces};
use super::lists::listed;
use super::range::Range;
use crate::app::App;

/// Context shown before the first and after the last event.
const CONTEXT: SignedDuration = SignedDuration::from_mins(20);
/// Event lines drawn on a chart.
const EVENTS_MAX: usize = 8;

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    frame: Frame,
    id: String,
    title: String,
    severity: String,
    status: String,
    class: &'static str,
    sentence: String,
    facts: Vec<(&'static str, String)>,
    timeline: Vec<RowView>,
    suspects: Vec<SuspectView>,
    alerts: Vec<AlertRow>,
    charts: Vec<String>,
    traces: Result<TracesView, &'static str>,
    similar: Vec<SimilarView>,
    postmortem: Option<(String, String)>,
    hold: Option<String>,
    roles: Vec<(&'static str, String)>,
    cause: Option<String>,
    part_of: Option<String>,
    steps: Vec<StepForm>,
    kinds: Vec<&'static str>,
    dismissed: usize,
}

struct RowView {
    id: u64,
    is_suggested: bool,
    is_dismissed: bool,
    /// What it said before somebody edited it.
    first: Option<String>,
    time: String,
    iso: String,
    kind: String,
    class: &'static str,
    source: &'static str,
    text: String,
    link: Option<String>,
}

/// A past incident that looked alike.
struct SimilarView {
    id: String,
    title: String,
    severity: String,
    day: String,
    alike: String,
    shared: String,
    mitigation: Vec<String>,
    cause: Option<String>,
    actions: Vec<PastActionView>,
}

struct PastActionView {
    name: String,
    path: String,
    action: String,
    status: String,
    class: &'static str,
}

/// An alert of the incident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AlertRow {
    name: String,
    /// The page of its rule, where the rule is still known.
    path: Option<String>,
    why: String,
}

struct SuspectView {
    service: String,
    score: String,
    change: Option<String>,
    reasons: Vec<ReasonView>,
}

struct ReasonView {
    text: String,
    /// Where its figures can be asked for again.
    link: Option<String>,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response<Body>, PageError> {
    let hint = "The list of incidents has every id.";
    let id: IncidentId = id.parse().map_err(|error| PageError::not_found(format!("{error}."), hint))?;
    let incident = app.state.incident(&Tenant::default(), id).await?;
    let incident = incident.ok_or_else(|| PageError::not_found(format!("There is no {id}."), hint))?;
    let entries = app.state.timeline_entries(&Tenant::default(), id).await?;
    let told = |entry: &TimelineEntry| entry.row.state != TimelineState::Dismissed.as_str();
    let timeline: Vec<TimelineRow> = entries.iter().filter(|e| told(e)).map(|e| e.row.clone()).collect();
    let range = range_of(&incident, &timeline, app.clock.now());
    let charts = charts(&app, &incident, &timeline, &range).await?;
    let postmortem = postmortem_of(&app, id).await?;
    let similar = similar_incidents(&app.state, &app.config.workspace.value, &incident).await;
    let similar = similar.map_err(|error| PageError::internal(&error))?;
    let traces = traces(&app, &incident, &range).await;
    Ok(html(&IncidentPage {
        frame: Frame::new(format!("{id}"), "incidents"),
        id: id.to_string(),
        severity: incident.severity.to_string(),
        status: incident.status.to_string(),
        class: if incident.status.is_live() { "bad" } else { "ok" },
        sentence: sentence(&incident),
        facts: facts(&incident),
        timeline: entries.iter().map(|entry| row_view(entry, &range)).collect(),
        dismissed: entries.iter().filter(|entry| !told(entry)).count(),
        hold: hold(&app, id).await?,
        roles: incident.response.roles.iter().map(|(role, who)| (role.words(), who.clone())).collect(),
        cause: incident.response.cause.clone(),
        part_of: incident.response.duplicate_of.map(|id| id.to_string()),
        steps: steps(&incident),
        kinds: vec!["note", "milestone", "change", "alert"],
        suspects: incident.suspects.iter().map(|one| suspect(one, &range)).collect(),
        alerts: alerts(&app, &incident).await?,
        charts,
        traces,
        similar: similar.into_iter().map(similar_view).collect(),
        postmortem,
        title: incident.title,
    }))
}

fn range_of(incident: &Incident, timeline: &[TimelineRow], now: Timestamp) -> Range {
    let first = timeline.iter().map(|row| row.at).min().unwrap_or(incident.opened_at);
    let last = timeline.iter().map(|row| row.at).max().unwrap_or(incident.opened_at);
    let from = first.checked_sub(CONTEXT).unwrap_or(first);
    let to = last.checked_add(CONTEXT).unwrap_or(last).min(now).max(last);
    Range { from, to, tz: TimeZone::UTC, choice: None }
}

fn sentence(incident: &Incident) -> String {
    let suspect = match incident.suspects.first() {
        Some(suspect) => match &suspect.change {
            Some(change) => format!("Most suspect: {} ({change}).", suspect.service),
            None => format!("Most suspect: {}.", suspect.service),
        },
        None => "No suspect stands out yet.".to_owned(),
    };
    let length = incident.times.impact_start.zip(incident.times.mitigated).map(|(start, end)| {
        format!("Customers were hurt for {}. ", people_duration(end.duration_since(start).as_secs_f64()))
    });
    format!("{}{suspect}", length.unwrap_or_default())
}

fn facts(incident: &Incident) -> Vec<(&'static str, String)> {
    let times = &incident.times;
    let milestones = [
        ("Trigger", times.trigger),
        ("Impact began", times.impact_start),
        ("Detected", times.detected),
        ("Acknowledged", times.acknowledged),
        ("Cause identified", times.cause_identified),
        ("Mitigated", times.mitigated),
        ("Resolved", times.resolved),
    ];
    let mut facts: Vec<(&'static str, String)> = milestones
        .into_iter()
        .map(|(name, at)| {
            (name, at.map_or("unknown".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()))
        })
        .collect();
    if let Some((start, detected)) = times.impact_start.zip(times.detected) {
        facts.push(("Time to detect", people_duration(detected.duration_since(start).as_secs_f64())));
    }
    facts
}

fn row_view(entry: &TimelineEntry, range: &Range) -> RowView {
    let row = &entry.row;
    RowView {
        id: entry.id,
        is_suggested: row.state == TimelineState::Suggested.as_str(),
        is_dismissed: row.state == TimelineState::Dismissed.as_str(),
        first: entry.is_edited().then(|| first_words(entry, range)),
        time: row.at.to_zoned(range.tz.clone()).strftime("%H:%M:%S").to_string(),
        iso: row.at.to_string(),
        kind: row.kind.as_str().replace('_', " "),
        class: match row.kind {
            TimelineKind::Alert | TimelineKind::Trigger | TimelineKind::Onset | TimelineKind::ChangePoint => {
                "warn"
            }
            TimelineKind::Milestone => "ok",
            _ => "unknown",
        },
        source: row.source.as_str(),
        text: row.text.clone(),
        link: row.sql.as_deref().map(|sql| sql_link(sql, range)),
    }
}

/// `first 14:32:10: errors rise`: what the row said before it was edited.
fn first_words(entry: &TimelineEntry, range: &Range) -> String {
    let at = entry.original_at.unwrap_or(entry.row.at).to_zoned(range.tz.clone());
    let text = entry.original_text.as_ref().unwrap_or(&entry.row.text);
    format!("first {}: {text}", at.strftime("%H:%M:%S"))
}

/// What the incident keeps from being deleted, in a sentence.
async fn hold(app: &App, id: IncidentId) -> Result<Option<String>, PageError> {
    let request = SqlRequest::new("SELECT held_from, held_to, rows FROM holds WHERE id = $id");
    let rows = app.query.sql(request.param("id", id.to_string())).await?.rows();
    let rows = rows.map_err(|error| PageError::internal(&error))?;
    let Some([from, to, count]) = rows.first().map(Vec::as_slice) else { return Ok(None) };
    let shown = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let from = from.as_time().map(shown).unwrap_or_default();
    let to = to.as_time().map_or("two hours after its end".to_owned(), shown);
    Ok(Some(format!(
        "Telemetry from {from} to {to} is held: retention deletes none of it ({count} rows are sealed)."
    )))
}

fn suspect(suspect: &Suspect, range: &Range) -> SuspectView {
    let reason = |reason: &Reason| ReasonView {
        text: reason.text.clone(),
        link: reason.sql.as_deref().map(|sql| sql_link(sql, range)),
    };
    SuspectView {
        service: suspect.service.clone(),
        score: format!("{:.1}", suspect.score),
        change: suspect.change.clone(),
        reasons: suspect.reasons.iter().map(reason).collect(),
    }
}

fn similar_view(similar: Similar) -> SimilarView {
    let action = |action: &PastAction| PastActionView {
        name: format!("{} {}", action.postmortem, action.id),
        path: format!("/postmortems/{}#{}", action.postmortem, action.id),
        action: action.action.clone(),
        status: action.status.replace('_', " "),
        class: if action.is_finished() { "ok" } else { "warn" },
    };
    SimilarView {
        id: similar.incident.to_string(),
        severity: similar.severity.to_string(),
        day: similar.opened_at.strftime("%Y-%m-%d").to_string(),
        alike: Unit::Percent.format(similar.similarity),
        shared: similar.shared.join(", "),
        actions: similar.actions.iter().map(action).collect(),
        title: similar.title,
        mitigation: similar.mitigation,
        cause: similar.cause,
    }
}

/// Error share and p95 of the services the incident is about and of its suspects, with the timeline's milestones
/// as event lines.
async fn charts(
    app: &App,
    incident: &Incident,
    timeline: &[TimelineRow],
    range: &Range,
) -> Result<Vec<String>, PageError> {
    let mut services: Vec<&str> = incident.services.iter().map(String::as_str).collect();
    services.extend(incident.suspects.iter().take(3).map(|suspect| suspect.service.as_str()));
    services.sort_unstable();
    services.dedup();
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> = services.iter().map(|name| format!("'{}'", name.replace('\'', "''"))).collect();
    let sql = format!(
        "SELECT service_name, date_trunc('minute', timestamp) AS at, \
         CAST(count(*) FILTER (WHERE status_code = 'error') AS DOUBLE) / count(*) AS error_share, \
         approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95_nano \
         FROM spans WHERE kind IN ('server', 'consumer') AND service_name IN ({}) \
         AND timestamp >= $from AND timestamp < $to GROUP BY 1, 2 ORDER BY 1, 2",
        list.join(", ")
    );
    let rows = rows(app, &sql, range).await?;
    let events = events(incident, timeline);
    let specs = [
        ("errors", "Share of requests that failed", Unit::Percent, 2),
        ("p95", "Latency, p95", Unit::Nanoseconds, 3),
    ];
    Ok(specs
        .into_iter()
        .map(|(id, title, unit, column)| {
            let mut lines: BTreeMap<String, Vec<(Timestamp, Option<f64>)>> = BTreeMap::new();
            for row in &rows {
                if let (Some(name), Some(at)) = (row[0].as_str(), row[1].as_time()) {
                    lines.entry(name.to_owned()).or_default().push((at, row[column].as_f64()));
                }
            }
            let mut chart = LineChart::new(id, title, unit, range.from, range.to);
            chart.series = lines.into_iter().map(|(name, points)| Series { name, points }).collect();
            chart.events = events.clone();
            chart.timezone = range.tz.clone();
            chart.links = vec![("as SQL".to_owned(), sql_link(&sql, range))];
            line_chart(&chart)
        })
        .collect())
}

fn events(incident: &Incident, timeline: &[TimelineRow]) -> Vec<EventLine> {
    let times = &incident.times;
    let mut events: Vec<EventLine> = [
        ("change", "trigger", times.trigger),
        ("onset", "impact began", times.impact_start),
        ("alert", "detected", times.detected),
        ("mitigated", "mitigated", times.mitigated),
    ]
    .into_iter()
    .filter_map(|(kind, label, at)| at.map(|at| EventLine { at, kind: kind.into(), label: label.into() }))
    .collect();
    let changes = timeline.iter().filter(|row| row.kind == TimelineKind::Change).map(|row| EventLine {
        at: row.at,
        kind: "change".into(),
        label: row.service.clone().unwrap_or_else(|| "change".into()),
    });
    events.extend(changes);
    events.truncate(EVENTS_MAX);
    events
}

/// The alerts of an incident by name, each once, with why it belongs here.
async fn alerts(app: &App, incident: &Incident) -> Result<Vec<AlertRow>, PageError> {
    let filter = TransitionFilter::default();
    let transitions = app.state.transitions(&Tenant::default(), &filter).await?;
    let seen: BTreeMap<&str, &Transition> =
        transitions.iter().map(|seen| (seen.episode.as_str(), seen)).collect();
    let named = incident.alerts.iter().map(|(episode, why)| {
        let seen = seen.get(episode.as_str());
        AlertRow {
            name: seen.map_or_else(|| episode.clone(), |seen| seen.alert.clone()),
            path: seen.map(|seen| rule_path(&seen.rule)),
            why: why.clone(),
        }
    });
    Ok(named.collect::<BTreeSet<_>>().into_iter().collect())
}

async fn postmortem_of(app: &App, id: IncidentId) -> Result<Option<(String, String)>, PageError> {
    let listed = listed(app.config.workspace.value.clone()).await?;
    let fronts = listed.into_iter().map(|row| row.document.front);
    Ok(fronts.into_iter().find(|front| front.incidents.contains(&id)).map(|front| (front.id, front.title)))
}
