use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IncidentSeverity, Tenant};

/// Label names and values, sorted by name: the identity of an alert instance.
pub type Labels = BTreeMap<String, String>;

/// Where an alert instance stands (ALERTING §1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The condition does not hold.
    #[default]
    Inactive,
    /// It holds, but not yet for as long as `for` asks.
    Pending,
    /// It held long enough: people are told.
    Firing,
    /// It no longer holds, but `keep_firing_for` has not passed.
    Recovering,
}

impl AlertState {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one evaluation learned about one instance. The four absences are kept apart, and none is "resolved"
/// (RUL-3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The instance was returned with this value.
    Value(f64),
    /// Other instances were returned, this one was not.
    Missing,
    /// Nothing at all was returned.
    NoData,
    /// The query failed; the text says how.
    Error(String),
    /// The data for the window is not complete yet, or its coverage is below the floor.
    Unobserved,
}

impl Outcome {
    /// `value`, `missing`, `no_data`, `error` or `unobserved`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::Missing => "missing",
            Self::NoData => "no_data",
            Self::Error(_) => "error",
            Self::Unobserved => "unobserved",
        }
    }
}

/// How an alert opens or joins an incident: a rule's `incident:` block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentSpec {
    /// Severity of an incident this alert opens.
    pub severity: IncidentSeverity,
    /// Labels whose values must be equal for alerts to share an incident.
    pub key: Vec<String>,
    /// A resolved incident with the same key reopens within this time.
    pub reopen_within: Duration,
}

/// One change of an alert instance's state, as stored and as told to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Logical time of the evaluation.
    pub at: Timestamp,
    /// Whose rule it is.
    pub tenant: Tenant,
    /// `group/alert` for a rule, `slo/name/tier` for a burn-rate tier.
    pub rule: String,
    /// The alert's name.
    pub alert: String,
    /// All labels of the instance, the rule's own included (without `alertname`).
    pub labels: Labels,
    /// Annotations, rendered.
    pub annotations: Labels,
    /// State before.
    pub from: AlertState,
    /// State after.
    pub to: AlertState,
    /// Why: `breach`, `recovered`, `missing_series`, `no_data`, `updated`, `rule_deleted`.
    pub reason: String,
    /// The value that decided, if there was one.
    pub value: Option<f64>,
    /// When this episode's breach began.
    pub active_at: Option<Timestamp>,
    /// Stable over one episode from pending to resolved; the dedup key of notifications (RUL-2).
    pub episode: String,
    /// The rule's `incident:` block.
    pub incident: Option<IncidentSpec>,
}

/// What a transition tells people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// An episode fires.
    Firing,
    /// It is over.
    Resolved,
}

impl Transition {
    /// What people are told of it: the step into firing from inactive or pending, and the step from firing or
    /// recovering to inactive. A return from recovering to firing is the same episode and no new page.
    pub fn told(&self) -> Option<Told> {
        use AlertState::{Firing, Inactive, Pending, Recovering};
        match (self.from, self.to) {
            (Inactive | Pending, Firing) => Some(Told::Firing),
            (Firing | Recovering, Inactive) => Some(Told::Resolved),
            _ => None,
        }
    }
}

/// The present state of one alert instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertInstance {
    /// Whose rule it is.
    pub tenant: Tenant,
    /// As in [`Transition::rule`].
    pub rule: String,
    /// The alert's name.
    pub alert: String,
    /// All labels of the instance.
    pub labels: Labels,
    /// Annotations as last rendered.
    pub annotations: Labels,
    /// Where it stands.
    pub state: AlertState,
    /// Since when it stands there.
    pub since: Timestamp,
    /// When the present episode's breach began.
    pub active_at: Option<Timestamp>,
    /// Last value seen.
    pub value: Option<f64>,
    /// The present episode, empty when inactive.
    pub episode: String,
    /// What the state machine needs to go on, as JSON that only `rules` reads.
    pub machine: String,
}

/// One evaluation of one instance (or of the rule as a whole, with no labels): a row of `rule_evaluations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Logical time of the tick.
    pub at: Timestamp,
    /// Whose rule it is.
    pub tenant: Tenant,
    /// As in [`Transition::rule`].
    pub rule: String,
    /// Labels of the instance; empty for the rule as a whole.
    pub labels: Labels,
    /// What was learned.
    pub outcome: Outcome,
    /// State after.
    pub state: AlertState,
    /// How far the data reached.
    pub watermark: Option<Timestamp>,
    /// How long the query took.
    pub duration: Duration,
}
