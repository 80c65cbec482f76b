//! What a group of alerts at one receiver remembers between its notifications: who was told what.

use std::collections::BTreeMap;

use hindsight_model::Labels;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Kind};

/// One alert firing or resolved, on its way into a group: what an outbox event carries as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// Which route took it.
    pub route: String,
    /// The labels that make its group.
    pub group_labels: Labels,
    /// The stretch from the first alarm to its end; no two of them are alike.
    pub episode: String,
    /// The alert.
    pub alert: Alert,
}

/// The memory of a group; empty groups are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The route that made it.
    pub route: String,
    /// The labels that make it.
    pub labels: Labels,
    /// Its alerts by episode: those that fire, and those whose end is still to be told.
    pub members: BTreeMap<String, Member>,
    /// How often it has spoken.
    pub told_count: u64,
    /// When it last spoke.
    pub told_at: Option<Timestamp>,
}

/// One episode of an alert in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The alert; with `ends_at` once it has ended.
    pub alert: Alert,
    /// Whether its receiver was told that it fires.
    pub told: bool,
}

impl Member {
    pub(crate) fn kind(&self) -> Kind {
        if self.alert.ends_at.is_some() { Kind::Resolved } else { Kind::Firing }
    }

    /// Whether there is something to say that was not said: it fires, or it has ended.
    pub(crate) fn is_news(&self) -> bool {
        !self.told || self.alert.ends_at.is_some()
    }
}
