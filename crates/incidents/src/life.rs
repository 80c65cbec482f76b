//! The life of incidents as a pure function of alert transitions: open, join, reopen, resolve (POSTMORTEM §1).

use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{
    AlertState, Incident, IncidentId, IncidentResponse, IncidentSeverity, IncidentStatus, IncidentTimes,
    Labels, Transition,
};
use jiff::Timestamp;

use crate::ServiceGraph;
use crate::step::again;

/// Alerts this close in the service graph may share an incident.
pub(crate) const JOIN_DISTANCE_MAX: usize = 2;
/// And only when they fire this soon after the incident was opened.
pub(crate) const JOIN_WITHIN: Duration = Duration::from_secs(600);
/// A burn-rate tier looks back: one whose breach began this soon after an incident's end still tells of it.
pub(crate) const TIER_LOOKS_BACK: Duration = Duration::from_secs(600);
/// How the reason of every burn-rate tier in [`Incident::alerts`] begins, and no other.
const TIER_REASON: &str = "burn rate: ";
/// Longest title in characters.
pub(crate) const TITLE_CHARS_MAX: usize = 160;
/// Most alerts recorded in one incident; more change nothing but its end.
pub(crate) const ALERTS_MAX: usize = 1_000;

/// What [`apply`] needs to know beside the transitions.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    /// Every incident of the tenant that is live or may reopen.
    pub incidents: &'a [Incident],
    /// Who calls whom; may be empty, then alerts join by key only.
    pub graph: &'a ServiceGraph,
    /// Id of the first incident to open; further ones count up.
    pub next_id: u64,
}

/// The incidents that these transitions open or change, in order of id.
///
/// An alert that fires opens an incident when it has an `incident:` block, unless a live one has the same key, a
/// resolved one with the same key may still reopen, or a live one is near in the service graph. An alert without
/// the block only joins. When the last alert of an incident is resolved, so is the incident. Transitions that were
/// applied before change nothing.
///
/// Burn-rate tiers of SLOs look back over long windows and fire on after customers are well. They are evidence: a
/// tier holds an incident open only while no other kind of alert belongs to it, and reopens one only by a breach
/// that began after its end. Tiers without the block, tickets, are no part of any incident.
pub fn apply(life: Life<'_>, transitions: &[Transition], now: Timestamp) -> Vec<Incident> {
    let mut book = Book {
        incidents: life.incidents.iter().map(|incident| (incident.id, incident.clone())).collect(),
        graph: life.graph,
        next_id: life.next_id,
    };
    for transition in transitions {
        // A clock that ran ahead must not date an incident into the future.
        let at = transition.at.min(now);
        match transition.to {
            AlertState::Firing => book.fired(transition, at),
            AlertState::Inactive => book.resolved(transition, at),
            AlertState::Pending | AlertState::Recovering => {}
        }
    }
    let before: BTreeMap<IncidentId, &Incident> = life.incidents.iter().map(|i| (i.id, i)).collect();
    book.incidents.into_values().filter(|i| before.get(&i.id).is_none_or(|old| *old != i)).collect()
}

struct Book<'a> {
    incidents: BTreeMap<IncidentId, Incident>,
    graph: &'a ServiceGraph,
    next_id: u64,
}

impl Book<'_> {
    fn fired(&mut self, alert: &Transition, at: Timestamp) {
        if is_tier(alert) && alert.incident.is_none() {
            return;
        }
        // A merged incident keeps its alerts as history; they belong to the one that it is part of.
        let mut alive = self.incidents.values_mut().filter(|i| i.status != IncidentStatus::Merged);
        if let Some(incident) = alive.find(|i| i.alerts.contains_key(&alert.episode)) {
            // Recovering → Firing is the same episode; one of a closed incident stays history.
            if incident.status.is_live() {
                hold(incident, alert);
            }
            return;
        }
        let key = key_of(alert);
        if is_tier(alert)
            && let Some(incident) =
                self.incidents.values_mut().rev().find(|i| is_told_by(i, alert, key.as_ref()))
        {
            record(incident, alert, format!("same {} as it looked back", words(&incident.key)));
            return;
        }
        if let Some((id, reason)) = self.home_of(alert, key.as_ref(), at) {
            if let Some(incident) = self.incidents.get_mut(&id) {
                join(incident, alert, reason, at);
            }
        } else if let (Some(spec), Some(key)) = (&alert.incident, key) {
            let id = IncidentId(self.next_id);
            self.next_id += 1;
            let mut incident = Incident {
                id,
                tenant: alert.tenant.clone(),
                title: title_of(alert),
                severity: spec.severity,
                status: IncidentStatus::Open,
                key,
                reopen_within_s: spec.reopen_within.as_secs(),
                services: Vec::new(),
                alerts: BTreeMap::new(),
                firing: Vec::new(),
                opened_at: at,
                times: IncidentTimes { detected: Some(at), ..IncidentTimes::default() },
                suspects: Vec::new(),
                response: IncidentResponse::default(),
            };
            join(&mut incident, alert, format!("{} opened the incident", alert.alert), at);
            self.incidents.insert(id, incident);
        }
    }

    /// The incident this alert belongs to, and why: by key, then by reopening, then by distance.
    fn home_of(
        &self,
        alert: &Transition,
        key: Option<&Labels>,
        at: Timestamp,
    ) -> Option<(IncidentId, String)> {
        let mine = || self.incidents.values().rev().filter(|i| i.tenant == alert.tenant);
        if let Some(incident) = mine().find(|i| i.status.is_live() && same_key(i, alert, key)) {
            return Some((incident.id, format!("same {}", words(&incident.key))));
        }
        let merged = mine().filter(|i| i.status == IncidentStatus::Merged && same_key(i, alert, key));
        for part in merged {
            let into = part.response.duplicate_of.and_then(|id| self.incidents.get(&id));
            if let Some(into) = into.filter(|into| into.status.is_live()) {
                let reason = format!("same {} as {}, which is part of it", words(&part.key), part.id);
                return Some((into.id, reason));
            }
        }
        if let Some(incident) = mine().find(|i| may_reopen(i, key, at)) {
            return Some((incident.id, format!("same {} again after it was resolved", words(&incident.key))));
        }
        mine().filter(|i| i.status.is_live() && is_recent(i, at)).find_map(|incident| {
            let (from, to, hops) = self.nearest(incident, alert)?;
            let reason = if hops == 0 {
                format!("same service {to} within {} min", JOIN_WITHIN.as_secs() / 60)
            } else {
                format!(
                    "{to} is {hops} {} from {from} in the service graph, within {} min",
                    if hops == 1 { "call" } else { "calls" },
                    JOIN_WITHIN.as_secs() / 60
                )
            };
            Some((incident.id, reason))
        })
    }

    fn nearest<'i>(
        &self,
        incident: &'i Incident,
        alert: &'i Transition,
    ) -> Option<(&'i str, &'i str, usize)> {
        let to = service_of(&alert.labels)?;
        incident
            .services
            .iter()
            .filter_map(|from| Some((from.as_str(), to, self.graph.distance(from, to, JOIN_DISTANCE_MAX)?)))
            .min_by_key(|(_, _, hops)| *hops)
    }

    fn resolved(&mut self, alert: &Transition, at: Timestamp) {
        for incident in self.incidents.values_mut() {
            let before = incident.firing.len();
            incident.firing.retain(|episode| *episode != alert.episode);
            let was_last = before > 0 && incident.firing.is_empty();
            if was_last && incident.status.is_live() {
                incident.status = IncidentStatus::Resolved;
                incident.times.mitigated = incident.times.mitigated.or(Some(at));
                incident.times.resolved = Some(at);
            }
        }
    }
}

fn join(incident: &mut Incident, alert: &Transition, reason: String, at: Timestamp) {
    if incident.status == IncidentStatus::Resolved {
        again(incident);
    }
    if let Some(spec) = &alert.incident {
        incident.severity = worst(incident.severity, spec.severity);
    }
    if let Some(service) = service_of(&alert.labels)
        && !incident.services.iter().any(|known| known == service)
    {
        incident.services.push(service.to_owned());
    }
    incident.times.detected = Some(incident.times.detected.map_or(at, |known| known.min(at)));
    record(incident, alert, reason);
    hold(incident, alert);
}

/// Notes that the alert belongs to the incident, and why.
fn record(incident: &mut Incident, alert: &Transition, reason: String) {
    let reason = match (is_tier(alert), reason.starts_with(TIER_REASON)) {
        (true, _) => format!("{TIER_REASON}{reason}"),
        // Names come from telemetry and may read as anything.
        (false, true) => format!("alert {reason}"),
        (false, false) => reason,
    };
    if incident.alerts.len() < ALERTS_MAX {
        incident.alerts.insert(alert.episode.clone(), reason);
    }
}

/// Keeps the incident open while this alert fires. A tier does so only where no other alert belongs; the first
/// other alert takes over from the tiers.
fn hold(incident: &mut Incident, alert: &Transition) {
    let tier = |episode: &String| incident.alerts.get(episode).is_some_and(|r| r.starts_with(TIER_REASON));
    if is_tier(alert) {
        if incident.alerts.keys().any(|episode| !tier(episode)) {
            return;
        }
    } else {
        let others: Vec<String> = incident.firing.iter().filter(|episode| !tier(episode)).cloned().collect();
        incident.firing = others;
    }
    if !incident.firing.contains(&alert.episode) {
        incident.firing.push(alert.episode.clone());
    }
}

/// Whether the alert is a burn-rate tier of an SLO.
pub(crate) fn is_tier(alert: &Transition) -> bool {
    alert.rule.starts_with("slo/")
}

/// Whether this tier tells of a resolved incident: the same key, and a breach that did not begin clearly after it.
fn is_told_by(incident: &Incident, tier: &Transition, key: Option<&Labels>) -> bool {
    let Some(resolved) = incident.times.resolved else { return false };
    let began = tier.active_at.unwrap_or(tier.at);
    incident.tenant == tier.tenant
        && incident.status == IncidentStatus::Resolved
        && key.is_some_and(|key| incident.key == *key)
        && began >= incident.opened_at.saturating_sub(TIER_LOOKS_BACK).unwrap_or(incident.opened_at)
        && seconds_since(resolved, began).is_none_or(|seconds| seconds <= TIER_LOOKS_BACK.as_secs())
}

/// SEV1 is worst and sorts first.
pub(crate) fn worst(a: IncidentSeverity, b: IncidentSeverity) -> IncidentSeverity {
    a.min(b)
}

/// The key labels and values of an alert that may open incidents.
fn key_of(alert: &Transition) -> Option<Labels> {
    let spec = alert.incident.as_ref()?;
    let value = |name: &String| (name.clone(), alert.labels.get(name).cloned().unwrap_or_default());
    Some(spec.key.iter().map(value).collect())
}

/// Whether the alert has the incident's key values: by its own key, or, without an `incident:` block, by its labels.
fn same_key(incident: &Incident, alert: &Transition, key: Option<&Labels>) -> bool {
    match key {
        Some(key) => incident.key == *key,
        None => {
            !incident.key.is_empty()
                && incident.key.iter().all(|(name, value)| alert.labels.get(name) == Some(value))
        }
    }
}

fn may_reopen(incident: &Incident, key: Option<&Labels>, at: Timestamp) -> bool {
    incident.status == IncidentStatus::Resolved
        && key.is_some_and(|key| incident.key == *key)
        && incident.times.resolved.is_some_and(|resolved| {
            seconds_since(resolved, at).is_some_and(|seconds| seconds <= incident.reopen_within_s)
        })
}

fn is_recent(incident: &Incident, at: Timestamp) -> bool {
    // An older incident, a reopened one too, is joined by key only.
    seconds_since(incident.opened_at, at).is_some_and(|seconds| seconds <= JOIN_WITHIN.as_secs())
}

/// Whole seconds from `then` to `at`; `None` when `then` is later.
fn seconds_since(then: Timestamp, at: Timestamp) -> Option<u64> {
    u64::try_from(at.duration_since(then).as_secs()).ok()
}

/// The service that an alert is about, by the label names in use.
pub(crate) fn service_of(labels: &Labels) -> Option<&str> {
    ["service_name", "service.name", "service"]
        .iter()
        .find_map(|name| labels.get(*name))
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// `checkout: more than 5 % of requests fail`: who is affected first, then the alert's summary or name.
fn title_of(alert: &Transition) -> String {
    let summary = alert.annotations.get("summary").or_else(|| alert.annotations.get("title"));
    let what = summary.map_or(alert.alert.as_str(), String::as_str).trim();
    let who = service_of(&alert.labels);
    let title = match who {
        Some(who) if what.starts_with(who) => {
            let rest = what[who.len()..].trim_start_matches([':', ' ']);
            format!("{who}: {rest}")
        }
        Some(who) => format!("{who}: {what}"),
        None => what.to_owned(),
    };
    // One line, bounded: summaries are rendered from telemetry and may hold anything.
    let line: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() > TITLE_CHARS_MAX {
        let cut: String = line.chars().take(TITLE_CHARS_MAX - 1).collect();
        format!("{}…", cut.trim_end())
    } else {
        line
    }
}

/// `service_name=checkout, region=eu`; `key` when an incident has none.
fn words(key: &Labels) -> String {
    if key.is_empty() {
        return "key".to_owned();
    }
    key.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
