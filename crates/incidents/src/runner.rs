//! Carries the decisions out: reads transitions, asks SQL, saves incidents with their timelines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hindsight_model::{
    AlertState, Incident, IncidentId, IncidentResponse, IncidentSeverity, IncidentStatus, IncidentTimes,
    SqlSource, Tenant, TimelineChange, TimelineEntry, Transition,
};
use hindsight_state::{AuditEntry, Consumed, PAGE_MAX, State, TransitionFilter};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::gather::{
    About, gather, gather_attributes, gather_close_ups, gather_graph, gather_observations, gather_sources,
};
use crate::life::TITLE_CHARS_MAX;
use crate::onset::calm_minute;
use crate::progress::{Progress, Steps};
use crate::series::plus_minutes;
use crate::{Analysis, Error, Indicator, Life, Result, ServiceGraph, Telemetry, analyse, apply, regathered};

/// A live incident is analysed again when this much logical time has passed.
pub(crate) const REANALYSE_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// After its end an incident is followed this long, so that the calm after it is seen.
pub(crate) const FOLLOW_AFTER_END: SignedDuration = SignedDuration::from_mins(15);
/// How much before detection is gathered: an hour in which it may have begun, half an hour of normal before.
const GATHER_BEFORE_MINUTES: i64 = 90;
/// How many suspects' budgets are looked at beside those of the services that are hurt.
const SUSPECTED: usize = 3;
/// How much of the service graph is read to join alerts by distance.
const GRAPH_MINUTES: i64 = 30;
/// How long after the end of the telemetry its alerts may still change state.
const TRANSITIONS_AFTER_MINUTES: i64 = 60;
/// Pages of transitions read in one tick; the rest waits for the next.
const PAGES_MAX: usize = 10;

/// Follows one tenant's incidents.
pub struct Runner {
    pub(crate) state: State,
    sql: Arc<dyn SqlSource>,
    tenant: Tenant,
    /// Logical time of each incident's last analysis. Its lock also keeps two changes of an incident apart.
    pub(crate) analysed: Mutex<BTreeMap<IncidentId, Timestamp>>,
    progress: Progress,
}

/// An incident that a person declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// One line that names who is affected.
    pub title: String,
    /// How bad.
    pub severity: IncidentSeverity,
    /// The services that are hurt, as far as known.
    pub services: Vec<String>,
    /// When it was noticed.
    pub at: Timestamp,
    /// Who declares it.
    pub author: String,
}

impl Runner {
    /// A runner over this state and telemetry; it begins where the last one of this tenant stopped.
    pub fn new(state: State, sql: Arc<dyn SqlSource>, tenant: Tenant) -> Self {
        Self { state, sql, tenant, analysed: Mutex::default(), progress: Progress::default() }
    }

    /// What it looks at, to be asked while it works.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Applies the transitions since the last tick, and analyses the incidents that are due: those that changed, and
    /// live or just ended ones every [`REANALYSE_EVERY`]. Returns their ids.
    ///
    /// What changed is saved with the cursor in one transaction, at once; what the telemetry says of it takes seconds
    /// and is saved after, incident by incident. When the telemetry cannot be read, the next tick tries again.
    ///
    /// # Errors
    /// [`Error::State`]; what was not saved then is done by the next tick.
    pub async fn on_tick(&self, now: Timestamp) -> Result<Vec<IncidentId>> {
        let mut analysed = self.analysed.lock().await;
        let reader = format!("incidents/{}", self.tenant);
        let seen = self.state.cursor(&reader).await.map_err(state("read the incidents' cursor"))?;
        let (seq, news) = self.news(seen).await?;
        let stored = self.stored().await?;
        let changed = self.apply(&stored, &news, now).await?;
        if seq != seen {
            let saves: Vec<_> =
                changed.iter().map(|incident| (incident.clone(), TimelineChange::default())).collect();
            let consumed = Consumed { reader: &reader, seq };
            self.state.save_incidents(&saves, Some(consumed)).await.map_err(state("save the incidents"))?;
        }

        let changed_ids: BTreeSet<IncidentId> = changed.iter().map(|i| i.id).collect();
        // Until they are: a failure must not leave them as they are for five minutes.
        analysed.retain(|id, _| !changed_ids.contains(id));
        let touched = |i: &Incident| news.iter().any(|t| i.alerts.contains_key(&t.episode));
        let due = stored
            .into_iter()
            .filter(|i| !changed_ids.contains(&i.id))
            .filter(|i| is_due(i, analysed.get(&i.id).copied(), now) || (i.status.is_live() && touched(i)));
        let work: Vec<Incident> = changed.into_iter().chain(due).collect();
        let mut done = Vec::with_capacity(work.len());
        for incident in work {
            let id = incident.id;
            let (save, was_analysed) = self.followed(incident, now).await?;
            self.state.save_incidents(&[save], None).await.map_err(state("save an analysis"))?;
            if was_analysed {
                analysed.insert(id, now);
            }
            done.push(id);
        }
        Ok(done)
    }

    /// What the telemetry says about one incident now, who is affected included.
    ///
    /// # Errors
    /// [`Error::UnknownIncident`], [`Error::State`], or [`Error::Sql`] and [`Error::Answer`] when the telemetry
    /// cannot be read.
    pub async fn analysis(&self, id: IncidentId, now: Timestamp) -> Result<(Analysis, Telemetry)> {
        let incident = self.incident(id).await?;
        let steps = self.progress.of(id);
        let (transitions, mut telemetry) = self.material(&incident, &steps, now).await?;
        let first = self.look_closer(&incident, &transitions, &mut telemetry, &steps, now).await?;
        let Some(onset) = first.onset else { return Ok((first, telemetry)) };
        let until = first.impact.to.unwrap_or(telemetry.to);
        let sql = self.sql.as_ref();
        steps.next("reading who was affected");
        gather_attributes(sql, &self.tenant, &mut telemetry, &onset.service, onset.at, until).await?;
        Ok((analyse(&incident, &transitions, &telemetry, now), telemetry))
    }

    /// Opens an incident that a person declared. Alerts may join it by distance; only a person ends it.
    ///
    /// # Errors
    /// [`Error::Text`] for an empty or overlong title, [`Error::State`] when it cannot be saved.
    pub async fn declare(&self, declaration: Declaration) -> Result<Incident> {
        let title = checked("title", &declaration.title, TITLE_CHARS_MAX)?;
        let id = self.state.next_incident_id().await.map_err(state("take an incident id"))?;
        let incident = Incident {
            id,
            tenant: self.tenant.clone(),
            title,
            severity: declaration.severity,
            status: IncidentStatus::Open,
            key: BTreeMap::new(),
            reopen_within_s: 0,
            services: declaration.services,
            alerts: BTreeMap::new(),
            firing: Vec::new(),
            opened_at: declaration.at,
            times: IncidentTimes { detected: Some(declaration.at), ..IncidentTimes::default() },
            suspects: Vec::new(),
            response: IncidentResponse::default(),
        };
        let detail =
            json!({"title": incident.title, "severity": incident.severity, "services": incident.services});
        let by = self.entry(&declaration.author, "incident.declare", id, &detail);
        let saves = [(incident, TimelineChange::default())];
        self.state.change_incidents(&saves, &by, declaration.at).await.map_err(state("save the incident"))?;
        let [(incident, _)] = saves;
        Ok(incident)
    }

    /// Transitions of this tenant after `seen`, and the number of the last one read, of any tenant.
    async fn news(&self, seen: i64) -> Result<(i64, Vec<Transition>)> {
        let mut seq = seen;
        let mut news = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.state.transitions_after(seq).await.map_err(state("read new transitions"))?;
            seq = page.last().map_or(seq, |(last, _)| *last);
            let is_last = page.len() < usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
            news.extend(page.into_iter().map(|(_, t)| t).filter(|t| t.tenant == self.tenant));
            if is_last {
                break;
            }
        }
        Ok((seq, news))
    }

    pub(crate) async fn entries(&self, id: IncidentId) -> Result<Vec<TimelineEntry>> {
        self.state.timeline_entries(&self.tenant, id).await.map_err(state("read the timeline"))
    }

    /// What the audit log says of a person's change.
    pub(crate) fn entry(&self, author: &str, action: &str, id: IncidentId, detail: &Value) -> AuditEntry {
        AuditEntry {
            tenant: self.tenant.clone(),
            actor: author.to_owned(),
            action: action.to_owned(),
            subject: id.to_string(),
            detail: detail.to_string(),
        }
    }

    pub(crate) async fn stored(&self) -> Result<Vec<Incident>> {
        self.state.incidents(&self.tenant).await.map_err(state("read the incidents"))
    }

    pub(crate) async fn incident(&self, id: IncidentId) -> Result<Incident> {
        let found = self.state.incident(&self.tenant, id).await.map_err(state("read the incident"))?;
        found.ok_or(Error::UnknownIncident(id))
    }

    async fn apply(&self, stored: &[Incident], news: &[Transition], now: Timestamp) -> Result<Vec<Incident>> {
        let fired: Vec<&Transition> = news.iter().filter(|t| t.to == AlertState::Firing).collect();
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let may_join = fired.len() > 1 || stored.iter().any(|incident| incident.status.is_live());
        let graph = match fired.first() {
            Some(first) if may_join => self.graph(first.at).await,
            _ => ServiceGraph::default(),
        };
        // Ids come from the state's counter; what `apply` numbers above the known ones is renumbered below.
        let free = stored.iter().map(|i| i.id.0).max().unwrap_or(0) + 1;
        let mut changed = apply(Life { incidents: stored, graph: &graph, next_id: free }, news, now);
        for incident in changed.iter_mut().filter(|i| i.id.0 >= free) {
            incident.id = self.state.next_incident_id().await.map_err(state("take an incident id"))?;
        }
        Ok(changed)
    }

    /// The graph around `at`; without one alerts still join by key, so a failure is no reason to stop.
    async fn graph(&self, at: Timestamp) -> ServiceGraph {
        let from = plus_minutes(at, -GRAPH_MINUTES);
        match gather_graph(self.sql.as_ref(), &self.tenant, from, plus_minutes(at, 1)).await {
            Ok(graph) => graph,
            Err(error) => {
                warn("alerts join incidents by key only: the service graph could not be read", &error);
                ServiceGraph::default()
            }
        }
    }

    /// The incident with its analysis and timeline, and whether it could be analysed.
    pub(crate) async fn followed(
        &self,
        mut incident: Incident,
        now: Timestamp,
    ) -> Result<((Incident, TimelineChange), bool)> {
        let steps = self.progress.of(incident.id);
        match self.material(&incident, &steps, now).await {
            Ok((transitions, mut telemetry)) => {
                let closer = self.look_closer(&incident, &transitions, &mut telemetry, &steps, now).await;
                let analysis = closer.unwrap_or_else(|error| {
                    warn("suspects, onset and end are known by minutes only", &error);
                    analyse(&incident, &transitions, &telemetry, now)
                });
                incident.times = incident.response.stated.or(analysis.times);
                incident.suspects = analysis.suspects;
                let stored = self.entries(incident.id).await?;
                let change = regathered(&stored, &analysis.timeline);
                Ok(((incident, change), true))
            }
            Err(error @ (Error::Sql { .. } | Error::Answer { .. })) => {
                warn("incident saved without analysis: the telemetry could not be read", &error);
                Ok(((incident, TimelineChange::default()), false))
            }
            Err(error) => Err(error),
        }
    }

    /// The analysis with what single observations around the onset say of each service, and with onset and end to ten
    /// seconds: what is asked for once their minutes are known.
    async fn look_closer(
        &self,
        incident: &Incident,
        transitions: &[Transition],
        telemetry: &mut Telemetry,
        steps: &Steps<'_>,
        now: Timestamp,
    ) -> Result<Analysis> {
        let rough = analyse(incident, transitions, telemetry, now);
        let sql = self.sql.as_ref();
        let at = rough.onset.as_ref().map(|onset| onset.at).or(incident.times.detected);
        steps.next("reading spans, logs and metrics around the onset");
        let seen =
            gather_observations(sql, &self.tenant, at.unwrap_or(incident.opened_at), telemetry.to).await?;
        telemetry.observations = Some(seen);
        steps.next("reading announced changes, budgets and notifications");
        let mut services: BTreeSet<String> = incident.services.iter().cloned().collect();
        services.extend(rough.impact.services.iter().cloned());
        services.extend(rough.suspects.iter().take(SUSPECTED).map(|suspect| suspect.service.clone()));
        let about = About {
            incident,
            onset: rough.onset.as_ref(),
            services: &services,
            began: at.unwrap_or(incident.opened_at),
            // Not whole minutes, as series need them: what was said a moment ago is there.
            to: followed_until(incident, now),
        };
        let (told, failed) = gather_sources(sql, &self.tenant, about).await;
        telemetry.told = told;
        for error in failed {
            warn("the timeline lacks a source until the next round", &error);
        }
        if let Some(onset) = rough.onset.as_ref().filter(|o| o.indicator == Indicator::ErrorShare) {
            steps.next("reading onset and end to ten seconds");
            let minutes: Vec<Timestamp> =
                [Some(onset.minute), calm_minute(telemetry, onset)].into_iter().flatten().collect();
            gather_close_ups(sql, &self.tenant, telemetry, &onset.service, &minutes).await?;
        }
        Ok(analyse(incident, transitions, telemetry, now))
    }

    /// The transitions and the telemetry around an incident.
    async fn material(
        &self,
        incident: &Incident,
        steps: &Steps<'_>,
        now: Timestamp,
    ) -> Result<(Vec<Transition>, Telemetry)> {
        steps.next("reading the minutes of all services");
        let detected = incident.times.detected.unwrap_or(incident.opened_at);
        let from = plus_minutes(detected, -GATHER_BEFORE_MINUTES);
        let to = followed_until(incident, now);
        let filter = TransitionFilter {
            since: Some(from),
            // Alerts end after customers are well, by the windows that they look back over.
            until: Some(plus_minutes(to, TRANSITIONS_AFTER_MINUTES).min(plus_minutes(now, 1))),
            ..TransitionFilter::default()
        };
        let transitions =
            self.state.transitions(&self.tenant, &filter).await.map_err(state("read transitions"))?;
        Ok((transitions, gather(self.sql.as_ref(), &self.tenant, from, to).await?))
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// Until when an incident's telemetry is read.
fn followed_until(incident: &Incident, now: Timestamp) -> Timestamp {
    let end = incident.times.resolved.and_then(|at| at.checked_add(FOLLOW_AFTER_END).ok());
    end.map_or(now, |end| end.min(now))
}

/// Live incidents, and those that ended a moment ago, every [`REANALYSE_EVERY`].
fn is_due(incident: &Incident, last: Option<Timestamp>, now: Timestamp) -> bool {
    let is_followed = incident.status.is_live()
        || (incident.status == IncidentStatus::Resolved
            && incident.times.resolved.is_some_and(|at| now.duration_since(at) <= FOLLOW_AFTER_END));
    is_followed && last.is_none_or(|last| now.duration_since(last) >= REANALYSE_EVERY)
}

pub(crate) fn state(doing: &'static str) -> impl FnOnce(hindsight_state::Error) -> Error {
    move |source| Error::State { doing, source }
}

fn warn(what: &str, error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, cause, "{what}");
}

/// A text without white space around it, neither empty nor longer than `max` characters.
pub(crate) fn checked(what: &'static str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max {
        return Err(Error::Text { what, max });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
