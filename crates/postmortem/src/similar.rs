//! Past incidents that looked alike, what was done then, and whether it was finished.

mod past;

use std::collections::BTreeMap;

use hindsight_model::{Incident, IncidentId, IncidentSeverity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::{ActionStatus, Document};

pub use past::similar_incidents;

/// Most past incidents named.
pub const SIMILAR_MAX: usize = 3;
/// Likeness below which two incidents have nothing to tell each other.
const FLOOR: f64 = 0.3;
/// Suspects of an incident that count.
const SUSPECTS_MAX: usize = 3;
/// Log templates of an incident that count.
const TEMPLATES_MAX: usize = 6;

/// What an incident was like, as a vector: each feature with its weight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    weights: BTreeMap<Feature, f64>,
}

/// One thing that two incidents may have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// A service that was hurt or under suspicion.
    Service(String),
    /// A log line without its data that spoke for a suspect.
    Template(String),
    /// A pattern that its post-mortem is tagged with.
    Pattern(String),
    /// What kind of change went with it: `deployment`, `feature flag`.
    Change(String),
}

impl Feature {
    /// How much it says. Most incidents come with a change of some kind, so that its kind says little.
    fn weight(&self) -> f64 {
        match self {
            Self::Service(_) | Self::Template(_) | Self::Pattern(_) => 1.0,
            Self::Change(_) => 0.5,
        }
    }

    /// As people read it.
    pub fn words(&self) -> String {
        match self {
            Self::Service(name) => name.clone(),
            Self::Template(text) => format!("log line “{text}”"),
            Self::Pattern(tag) => format!("pattern {tag}"),
            Self::Change(kind) => format!("a {kind}"),
        }
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        Self { weights: features.into_iter().map(weighted).collect() }
    }
}

fn weighted(feature: Feature) -> (Feature, f64) {
    let weight = feature.weight();
    (feature, weight)
}

/// What an incident was like: its services and suspects, their log lines and change, the patterns of its post-mortems.
pub fn features<'a>(incident: &Incident, postmortems: impl IntoIterator<Item = &'a Document>) -> Features {
    let suspects = || incident.suspects.iter().take(SUSPECTS_MAX);
    let services = incident.services.iter().chain(suspects().map(|suspect| &suspect.service));
    let templates = suspects().flat_map(|suspect| &suspect.templates).take(TEMPLATES_MAX);
    let patterns = postmortems.into_iter().flat_map(|document| document.front.patterns.clone());
    let change = incident.suspects.first().and_then(|suspect| suspect.change.as_deref());
    let change = change.map(|change| {
        let kind = if change.starts_with("flag ") { "feature flag" } else { "deployment" };
        Feature::Change(kind.to_owned())
    });
    (services.cloned().map(Feature::Service))
        .chain(templates.cloned().map(Feature::Template))
        .chain(patterns.map(Feature::Pattern))
        .chain(change)
        .collect()
}

/// The cosine of the angle between two incidents: 1 for the same features, 0 for nothing in common or nothing known.
/// Symmetric.
pub fn similarity(a: &Features, b: &Features) -> f64 {
    let length = |of: &Features| of.weights.values().map(|weight| weight * weight).sum::<f64>();
    let common: f64 =
        a.weights.iter().filter_map(|(feature, mine)| Some(mine * b.weights.get(feature)?)).sum();
    let lengths = (length(a) * length(b)).sqrt();
    if lengths > 0.0 { (common / lengths).clamp(0.0, 1.0) } else { 0.0 }
}

/// What two incidents have in common, what says most first.
fn shared(a: &Features, b: &Features) -> Vec<Feature> {
    let mut shared: Vec<&Feature> =
        a.weights.keys().filter(|feature| b.weights.contains_key(feature)).collect();
    // Of equal weight, log lines tell more than names of services.
    let tells = |feature: &Feature| matches!(feature, Feature::Template(_) | Feature::Pattern(_));
    shared.sort_by(|a, b| b.weight().total_cmp(&a.weight()).then(tells(b).cmp(&tells(a))).then(a.cmp(b)));
    shared.into_iter().cloned().collect()
}

/// A past incident that looked alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Similar {
    /// Which one.
    pub incident: IncidentId,
    /// Its title.
    pub title: String,
    /// How bad it was.
    pub severity: IncidentSeverity,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Cosine of its features and those of the incident that was asked about, 0 to 1.
    pub similarity: f64,
    /// What both have in common, what says most first.
    pub shared: Vec<String>,
    /// What ended it, in the words of its timeline; empty where nobody said.
    pub mitigation: Vec<String>,
    /// Its cause, in a person's words.
    pub cause: Option<String>,
    /// Its post-mortems.
    pub postmortems: Vec<String>,
    /// What was to be done about it afterwards.
    pub actions: Vec<PastAction>,
}

impl Similar {
    /// The action items that were never finished.
    pub fn unfinished(&self) -> impl Iterator<Item = &PastAction> {
        self.actions.iter().filter(|action| !action.is_finished())
    }
}

/// An action item of a past incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAction {
    /// `PM-2026-014`.
    pub postmortem: String,
    /// `A1`.
    pub id: String,
    /// What was to be done; empty where the document is restricted.
    pub action: String,
    /// Where it stands, evidence included: `done`, `verified`, `in_progress`, ….
    pub status: String,
}

impl PastAction {
    /// Whether nothing is left to do: done, verified, or given up with a reason.
    pub fn is_finished(&self) -> bool {
        let finished = [ActionStatus::Done, ActionStatus::Verified, ActionStatus::WontDo];
        finished.iter().any(|status| status.as_str() == self.status)
    }
}

/// Of the past incidents the likest, with what both have in common: at most [`SIMILAR_MAX`] above a floor, of equal ones
/// the latest.
pub fn likest<'a>(
    current: &Features,
    past: impl IntoIterator<Item = (&'a Incident, &'a Features)>,
) -> Vec<(&'a Incident, f64, Vec<Feature>)> {
    let mut found: Vec<(&Incident, f64, &Features)> = past
        .into_iter()
        .map(|(incident, features)| (incident, similarity(current, features), features))
        .filter(|(_, likeness, _)| *likeness >= FLOOR)
        .collect();
    found.sort_by(|a, b| {
        b.1.total_cmp(&a.1).then(b.0.opened_at.cmp(&a.0.opened_at)).then(b.0.id.cmp(&a.0.id))
    });
    found.truncate(SIMILAR_MAX);
    found
        .into_iter()
        .map(|(incident, likeness, features)| (incident, likeness, shared(current, features)))
        .collect()
}

#[cfg(test)]
mod tests;
