use std::time::Duration;

use hindsight_model::{AlertState, OutboxEntry, Transition};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::payload::{Kind, payload};
use crate::receiver::Receiver;

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

/// The notifications that these transitions cause: one per transition that people are told of, and receiver.
///
/// Told: the step into firing from inactive or pending, and the step from firing or recovering to inactive. A
/// return from recovering to firing is the same episode and no new page. An entry whose transition is older than
/// `notify_max_age` at `now` has [`OutboxEntry::unsent`] set and is only recorded.
///
/// The dedup key is `tenant/episode/firing` or `…/resolved`: the same for every attempt, every receiver and after
/// every crash (RUL-2).
pub fn plan(
    transitions: &[Transition],
    receivers: &[Receiver],
    now: Timestamp,
    settings: &PlanSettings,
) -> Vec<OutboxEntry> {
    let mut entries = Vec::new();
    for transition in transitions {
        let Some(kind) = told(transition.from, transition.to) else { continue };
        for receiver in receivers {
            entries.push(OutboxEntry {
                receiver: receiver.name().to_owned(),
                dedup_key: dedup_key(transition, kind),
                payload: payload(transition, kind, receiver.name(), &settings.external_url),
                created_at: transition.at,
                unsent: too_old(transition.at, now, settings.notify_max_age),
            });
        }
    }
    entries
}

fn told(from: AlertState, to: AlertState) -> Option<Kind> {
    use AlertState::{Firing, Inactive, Pending, Recovering};
    match (from, to) {
        (Inactive | Pending, Firing) => Some(Kind::Firing),
        (Firing | Recovering, Inactive) => Some(Kind::Resolved),
        _ => None,
    }
}

fn dedup_key(transition: &Transition, kind: Kind) -> String {
    let subject = format!("{}/{}", transition.tenant, transition.episode);
    let subject = if subject.len() > SUBJECT_BYTES_MAX || !subject.chars().all(|c| c.is_ascii_graphic()) {
        // It travels in a header, which holds neither every character nor any length.
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
