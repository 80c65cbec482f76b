use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Backtest;

/// How long before the first known sign of an incident an episode may fire and still speak of it.
const EARLY_MAX: SignedDuration = SignedDuration::from_mins(30);

/// An incident that really was.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownIncident {
    /// `INC-7`.
    pub id: String,
    /// What it was about.
    pub title: String,
    /// The services it hurt.
    pub services: Vec<String>,
    /// The earliest known time of it: trigger, impact or opening.
    pub began_at: Timestamp,
    /// When it was really detected.
    pub detected_at: Option<Timestamp>,
    /// When it was over; `None` while it lasts.
    pub ended_at: Option<Timestamp>,
}

/// What the rules would have made of an incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// `INC-7`.
    pub incident: String,
    /// What it was about.
    pub title: String,
    /// When the first alert would have fired; `None`: it would have been missed.
    pub fired_at: Option<Timestamp>,
    /// Seconds before the real detection, below zero when later; `None` when it was not detected or nobody knows
    /// when it was.
    pub earlier_seconds: Option<f64>,
}

/// Rules measured against what really happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Share of the firing episodes that spoke of an incident; `None` when nothing fired.
    pub precision: Option<f64>,
    /// Share of the incidents that were detected; `None` when there were none.
    pub recall: Option<f64>,
    /// Each incident, by the time it began.
    pub detections: Vec<Detection>,
}

/// Compares a backtest with the incidents of its range.
///
/// An incident counts when one of its services is one that the rules look at; an episode speaks of it when it names
/// such a service (or none at all) and fires between half an hour before the incident's first sign and its end.
pub fn against(result: &Backtest, incidents: &[KnownIncident]) -> Verdict {
    let watched: BTreeSet<&str> = result.services.iter().map(String::as_str).collect();
    let concerned: Vec<&KnownIncident> = incidents
        .iter()
        .filter(|incident| {
            watched.is_empty() || incident.services.iter().any(|service| watched.contains(service.as_str()))
        })
        .collect();
    let mut spoke = vec![false; result.episodes.len()];
    let mut detections = Vec::new();
    for incident in &concerned {
        let from = incident.began_at.checked_sub(EARLY_MAX).unwrap_or(Timestamp::MIN);
        let to = incident.ended_at.unwrap_or(Timestamp::MAX);
        let mut fired_at: Option<Timestamp> = None;
        for (episode, spoke) in result.episodes.iter().zip(&mut spoke) {
            let service = episode.labels.get("service_name");
            let names_it = service.is_none_or(|service| incident.services.contains(service));
            if names_it && episode.fired_at >= from && episode.fired_at <= to {
                *spoke = true;
                fired_at = Some(fired_at.map_or(episode.fired_at, |first| first.min(episode.fired_at)));
            }
        }
        let earlier = fired_at.zip(incident.detected_at).map(|(fired, real)| real.duration_since(fired));
        detections.push(Detection {
            incident: incident.id.clone(),
            title: incident.title.clone(),
            fired_at,
            earlier_seconds: earlier.map(|earlier| earlier.as_secs_f64()),
        });
    }
    let detected = detections.iter().filter(|detection| detection.fired_at.is_some()).count();
    let right = spoke.iter().filter(|spoke| **spoke).count();
    Verdict { precision: share(right, spoke.len()), recall: share(detected, detections.len()), detections }
}

#[expect(clippy::cast_precision_loss, reason = "counts of episodes and incidents")]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
