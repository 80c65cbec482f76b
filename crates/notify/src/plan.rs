use std::time::Duration;

use hindsight_model::{OutboxEntry, Transition};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::alert::{Alert, Kind, full_labels};
use crate::flush::later;
use crate::group::Event;
use crate::routing::Routing;

/// Longest subject within a dedup key as it is; a longer one is hashed.
const SUBJECT_BYTES_MAX: usize = 200;

/// What planning needs to know beside the transitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// A transition older than this when it is evaluated is recorded, not sent (`notify_max_age`).
    pub notify_max_age: Duration,
    /// Where the pages are, for the links in the payload.
    pub external_url: String,
}

impl Default for PlanSettings {
    /// One hour, and the pages on this machine's default port.
    fn default() -> Self {
        Self { notify_max_age: Duration::from_secs(3_600), external_url: "http://localhost:4320".to_owned() }
    }
}

/// The events that these transitions cause: one for each transition that people are told of, and route that takes it.
/// They wait in the outbox for their group's turn.
///
/// Told: the step into firing from inactive or pending, and the step from firing or recovering to inactive. A
/// return from recovering to firing is the same episode and no new page. An entry whose transition is older than
/// `notify_max_age` at `now` has [`OutboxEntry::unsent`] set and is only recorded.
///
/// The dedup key is `tenant/episode/firing` or `…/resolved`: planned again after a crash, an event is the same (RUL-2).
pub fn plan(
    transitions: &[Transition],
    routing: &Routing,
    now: Timestamp,
    settings: &PlanSettings,
) -> Vec<OutboxEntry> {
    let mut entries = Vec::new();
    for transition in transitions {
        let Some(kind) = told(transition) else { continue };
        let alert = Alert::of(transition, kind, &settings.external_url);
        for route in routing.takers(&full_labels(&transition.alert, &transition.labels)) {
            let group_labels = route.group_labels(&alert);
            let group_key = route.group_key(&group_labels);
            let event = Event {
                kind,
                route: route.id.clone(),
                group_labels,
                episode: transition.episode.clone(),
                alert: alert.clone(),
            };
            entries.push(OutboxEntry {
                receiver: route.receiver.clone(),
                group_key,
                dedup_key: dedup_key(transition, kind),
                payload: serde_json::to_string(&event).expect("text with string keys always serialises"),
                created_at: transition.at,
                flush_at: later(transition.at, route.timings.group_wait),
                unsent: too_old(transition.at, now, settings.notify_max_age),
            });
        }
    }
    entries
}

fn told(transition: &Transition) -> Option<Kind> {
    match transition.told()? {
        hindsight_model::Told::Firing => Some(Kind::Firing),
        hindsight_model::Told::Resolved => Some(Kind::Resolved),
    }
}

fn dedup_key(transition: &Transition, kind: Kind) -> String {
    let subject = format!("{}/{}", transition.tenant, transition.episode);
    let subject = if subject.len() > SUBJECT_BYTES_MAX || !subject.chars().all(|c| c.is_ascii_graphic()) {
        format!("{}/{}", transition.tenant, hex::encode(Sha256::digest(&transition.episode)))
    } else {
        subject
    };
    format!("{subject}/{}", kind.as_str())
}

fn too_old(at: Timestamp, now: Timestamp, max_age: Duration) -> Option<String> {
    let age = Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO);
    (age > max_age).then(|| {
        format!(
            "evaluated {} s after its time, more than notify_max_age of {} s",
            age.as_secs(),
            max_age.as_secs()
        )
    })
}

#[cfg(test)]
mod tests;
