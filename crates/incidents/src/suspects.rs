//! Ranked hypotheses (POSTMORTEM §3): which service to look at first, and why.
//!
//! Errors and latency travel up, from callee to caller; load travels down, from caller to callee. So a service is
//! less suspect when the services it calls explain what it shows, and more suspect when it began to send its
//! callees more than before. A change shortly before the onset weighs most of all.

mod anomaly;
mod candidate;

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{Incident, Suspect};
use jiff::Timestamp;

use crate::changes::Change;
use crate::gather::queries::{self, Sample};
use crate::onset::entry_services;
use crate::series::{minutes_between, observed, plus_minutes, share, total};
use crate::statistics::{mean, median};
use crate::{Blame, Onset, ServiceGraph, Telemetry, blame, format};

pub(crate) use anomaly::Windows;
use anomaly::{ANOMALOUS, Anomaly, Symptom};
use candidate::Candidate;

/// Most suspects returned.
pub(crate) const SUSPECTS_MAX: usize = 10;
/// How long before the onset a change may have come to be its trigger, in minutes.
pub(crate) const CHANGE_LEAD_MINUTES: i64 = 60;
/// How long after the onset a change may be seen and still be its trigger, in minutes.
pub(crate) const CHANGE_LAG_MINUTES: i64 = 5;
/// A service with less traffic than this share of the violated one's cannot have hurt it much.
const TRAFFIC_SHARE_MIN: f64 = 0.01;
/// Fan-out that grew by this factor counts as the caller's doing.
const FAN_OUT_MIN: f64 = 1.8;
/// Lead time at which a change's weight has fallen to a third, in minutes.
const LEAD_SCALE_MINUTES: f64 = 30.0;
/// z of the two-proportion test that counts as full certainty.
const Z_FULL: f64 = 10.0;
/// Hops assumed of a service without any edge.
const UNKNOWN_HOPS: usize = 3;
/// Longest list of reasons.
const REASONS_MAX: usize = 6;

/// What the ranking found.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// Best first.
    pub(crate) suspects: Vec<Suspect>,
    /// Services whose errors or latency rose, largest first.
    pub(crate) affected: Vec<String>,
    /// The change that best goes with the onset.
    pub(crate) trigger: Option<Change>,
}

/// Ranks at most `limit` services: with single observations all of which anything was seen, else those reachable
/// from the violated entry.
pub(crate) fn rank(
    telemetry: &Telemetry,
    incident: &Incident,
    onset: Option<&Onset>,
    mitigated: Option<Timestamp>,
    changes: &[Change],
    limit: usize,
) -> Ranking {
    let windows = Windows::around(telemetry, incident, onset, mitigated);
    let graph = telemetry.graph();
    let anomalies = anomaly::of_all(telemetry, &windows);
    let entries = violated_entries(telemetry, incident, onset);
    let scope = Scope::new(telemetry, &graph, &entries, &windows);
    let fan_outs = fan_outs(telemetry, &windows);
    let near = changes_near(changes, windows.onset);

    let blames = telemetry.observations.as_ref().map(blame);
    let services = match &blames {
        Some(blames) => scope.blamed(telemetry, &graph, blames),
        None => scope.services(telemetry, &graph),
    };
    let mut candidates: Vec<Candidate<'_>> = services
        .into_iter()
        .map(|(service, hops)| {
            let mut candidate =
                Candidate::new(service, hops, anomalies.get(service).cloned().unwrap_or_default());
            candidate.blame = blames.as_ref().and_then(|blames| blames.get(service));
            candidate.own_share = own_share(service, &candidate.anomaly, &graph, &anomalies, &fan_outs);
            candidate.fan_out = fan_outs
                .iter()
                .filter(|f| f.caller == service)
                .max_by(|a, b| a.factor().total_cmp(&b.factor()));
            candidate.change = best_change(&near, service, windows.onset);
            candidate
        })
        .filter(Candidate::is_worth_naming)
        .collect();
    candidates.sort_by(|a, b| b.score().total_cmp(&a.score()).then_with(|| a.service.cmp(b.service)));
    candidates.truncate(limit);
    let trigger = candidates.iter().find_map(|candidate| candidate.trigger(windows.onset)).cloned();
    Ranking {
        suspects: candidates.iter().map(|candidate| candidate.suspect(windows.onset)).collect(),
        affected: affected(&anomalies, telemetry, onset),
        trigger,
    }
}

/// Where customers were hurt: the onset's service, else those the alerts name, else the entries.
fn violated_entries(telemetry: &Telemetry, incident: &Incident, onset: Option<&Onset>) -> Vec<String> {
    let mut entries: Vec<String> = onset.iter().map(|o| o.service.clone()).collect();
    entries.extend(incident.services.iter().cloned());
    if entries.is_empty() {
        entries = entry_services(telemetry);
    }
    entries
}

/// Which services may be suspected.
struct Scope {
    hops: BTreeMap<String, usize>,
    has_graph: bool,
    traffic_min: f64,
}

impl Scope {
    fn new(telemetry: &Telemetry, graph: &ServiceGraph, entries: &[String], windows: &Windows) -> Self {
        let traffic = |name: &String| {
            telemetry.services.get(name).map_or(0.0, |s| mean(&observed(&s.calls, windows.baseline.clone())))
        };
        let busiest = entries.iter().map(traffic).fold(0.0, f64::max);
        Self {
            hops: graph.reachable(entries.iter().map(String::as_str)),
            has_graph: !telemetry.edges.is_empty(),
            traffic_min: busiest * TRAFFIC_SHARE_MIN,
        }
    }

    /// Names with their hops from the entry. Peers without telemetry of their own, and clients that receive
    /// nothing, are no suspects; a service the graph does not know is kept, at a distance.
    fn services<'t>(&self, telemetry: &'t Telemetry, graph: &ServiceGraph) -> Vec<(&'t str, usize)> {
        let mut names: BTreeSet<&str> = telemetry.services.keys().map(String::as_str).collect();
        names.extend(telemetry.gauges.iter().map(|g| g.service.as_str()));
        names.extend(telemetry.versions.iter().map(|v| v.service.as_str()));
        names
            .into_iter()
            .filter(|name| !graph.is_unresolved(name))
            .filter_map(|name| {
                let in_graph = graph.callers(name).chain(graph.callees(name)).next().is_some();
                let hops = match self.hops.get(name) {
                    Some(hops) => *hops,
                    None if self.has_graph && in_graph => return None,
                    None => UNKNOWN_HOPS,
                };
                self.is_busy(telemetry, name, hops).then_some((name, hops))
            })
            .collect()
    }

    /// Every service of which anything was seen, however little traffic it has: single observations speak for
    /// themselves. Peers without telemetry and pure clients are no suspects here either.
    fn blamed<'t>(
        &self,
        telemetry: &'t Telemetry,
        graph: &ServiceGraph,
        blames: &'t BTreeMap<String, Blame>,
    ) -> Vec<(&'t str, usize)> {
        let mut found = self.services(telemetry, graph);
        let known: BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
        let receives =
            |name: &str| telemetry.services.get(name).is_some_and(|s| s.calls.iter().any(Option::is_some));
        let is_client =
            |name: &str| telemetry.edges.iter().any(|edge| edge.caller == name) && !receives(name);
        let more = blames
            .iter()
            .filter(|(name, blame)| blame.score > 0.0 && !known.contains(name.as_str()))
            .filter(|(name, _)| !graph.is_unresolved(name) && !is_client(name))
            .map(|(name, _)| (name.as_str(), self.hops.get(name).copied().unwrap_or(UNKNOWN_HOPS)));
        found.extend(more);
        found
    }

    fn is_busy(&self, telemetry: &Telemetry, name: &str, hops: usize) -> bool {
        match telemetry.services.get(name) {
            Some(service) if service.calls.iter().any(Option::is_some) => {
                hops == 0 || mean(&observed(&service.calls, 0..telemetry.minutes())) >= self.traffic_min
            }
            // No spans: a service that only sends metrics or logs cannot be judged by traffic, while one that
            // only makes calls is a client.
            _ => !telemetry.edges.iter().any(|edge| edge.caller == name && !edge.callee.is_empty()),
        }
    }
}

/// How much more one service calls another per request of its own.
#[derive(Clone, Debug)]
pub(crate) struct FanOut {
    pub(crate) caller: String,
    pub(crate) callee: String,
    /// Never 0.
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// The calls minute by minute.
    pub(crate) sql: String,
}

impl FanOut {
    pub(crate) fn factor(&self) -> f64 {
        self.after / self.before
    }
}

/// Calls per request that grew clearly between baseline and incident, by the median minute of each.
fn fan_outs(telemetry: &Telemetry, windows: &Windows) -> Vec<FanOut> {
    /// Fewest calls in the baseline that make a ratio.
    const CALLS_MIN: f64 = 20.0;
    telemetry
        .edges
        .iter()
        .filter_map(|edge| {
            let per_request = share(&edge.calls, &telemetry.services.get(&edge.caller)?.calls);
            let usual = |range: &std::ops::Range<usize>| median(&observed(&per_request, range.clone()));
            let before = usual(&windows.baseline)?;
            // A rollout may raise the load minutes before the errors: the more of lead-up and incident counts.
            let after =
                [&windows.lead_up, &windows.incident].into_iter().filter_map(usual).reduce(f64::max)?;
            let is_known = total(&edge.calls, windows.baseline.clone()) >= CALLS_MIN && before > 0.0;
            (is_known && after >= before * FAN_OUT_MIN).then(|| FanOut {
                caller: edge.caller.clone(),
                callee: edge.callee.clone(),
                before,
                after,
                sql: queries::edges(telemetry.from, telemetry.to, Some(&edge.caller), Sample::All),
            })
        })
        .collect()
}

/// The share (0.1 to 1) of a service's symptoms that the services it calls do not explain.
fn own_share(
    service: &str,
    anomaly: &Anomaly,
    graph: &ServiceGraph,
    anomalies: &BTreeMap<String, Anomaly>,
    fan_outs: &[FanOut],
) -> f64 {
    /// Nobody is cleared wholly: the callee's figures may only look alike.
    const OWN_SHARE_MIN: f64 = 0.1;
    let mut explained: f64 = 0.0;
    for callee in graph.callees(service).filter(|callee| *callee != service) {
        // A callee drowned by this very caller explains nothing.
        if fan_outs.iter().any(|f| f.caller == service && f.callee == callee) {
            continue;
        }
        if let Some(below) = anomalies.get(callee) {
            explained = explained.max(anomaly.explained_by(below));
        }
    }
    (1.0 - explained).max(OWN_SHARE_MIN)
}

/// Changes in the window around the onset that may have triggered it.
fn changes_near(changes: &[Change], onset: Timestamp) -> Vec<&Change> {
    let window = plus_minutes(onset, -CHANGE_LEAD_MINUTES)..=plus_minutes(onset, CHANGE_LAG_MINUTES);
    changes.iter().filter(|change| window.contains(&change.at)).collect()
}

/// The change of this service that goes best with the onset, with its weight (0 to 1).
fn best_change<'a>(near: &[&'a Change], service: &str, onset: Timestamp) -> Option<(&'a Change, f64)> {
    near.iter()
        .filter(|change| change.service == service)
        .map(|change| (*change, change_weight(change, onset)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Nearer in time weighs more; so does a new version that fails more often than the old one.
#[expect(clippy::cast_precision_loss, reason = "minutes within an hour")]
fn change_weight(change: &Change, onset: Timestamp) -> f64 {
    let lead = minutes_between(change.at, onset) as f64;
    let timing = (-lead.abs() / LEAD_SCALE_MINUTES).exp() * if lead < 0.0 { 0.5 } else { 1.0 };
    let difference = (change.z / Z_FULL).clamp(0.0, 1.0);
    timing * (0.4 + 0.6 * difference)
}

/// Services whose errors or latency rose: the onset's own first, then by how far.
fn affected(
    anomalies: &BTreeMap<String, Anomaly>,
    telemetry: &Telemetry,
    onset: Option<&Onset>,
) -> Vec<String> {
    let mut found: Vec<(&String, f64)> = anomalies
        .iter()
        .filter(|(name, _)| telemetry.services.contains_key(*name))
        .map(|(name, anomaly)| (name, anomaly.of(Symptom::Errors).max(anomaly.of(Symptom::Latency))))
        .filter(|(_, score)| *score >= ANOMALOUS)
        .collect();
    let is_first = |name: &str| onset.is_some_and(|o| o.service == name);
    found.sort_by(|a, b| {
        is_first(b.0).cmp(&is_first(a.0)).then(b.1.total_cmp(&a.1)).then_with(|| a.0.cmp(b.0))
    });
    found.into_iter().map(|(name, _)| name.clone()).collect()
}

/// `3.2 calls` or `0.4 calls`.
fn calls(ratio: f64) -> String {
    format!("{} calls", format::number(ratio))
}

#[cfg(test)]
mod tests;
