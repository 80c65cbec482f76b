use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IncidentId, Tenant};

/// How bad it is for customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IncidentSeverity {
    /// Customer-facing outage.
    #[serde(rename = "SEV1")]
    Sev1,
    /// Major degradation.
    #[serde(rename = "SEV2")]
    Sev2,
    /// Minor.
    #[serde(rename = "SEV3")]
    Sev3,
    /// None.
    #[serde(rename = "SEV4")]
    Sev4,
}

impl IncidentSeverity {
    /// `SEV1` … `SEV4`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sev1 => "SEV1",
            Self::Sev2 => "SEV2",
            Self::Sev3 => "SEV3",
            Self::Sev4 => "SEV4",
        }
    }
}

impl fmt::Display for IncidentSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an incident stands (POSTMORTEM §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentStatus {
    /// Nobody has taken it yet.
    Open,
    /// Somebody has.
    Acknowledged,
    /// Customers are no longer hurt; the cause may remain.
    Mitigated,
    /// It is over.
    Resolved,
    /// Its post-mortem is closed.
    Closed,
    /// It came back.
    Reopened,
    /// It turned out to be another incident's.
    Merged,
}

impl IncidentStatus {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Merged => "merged",
        }
    }

    /// Whether alerts may still join it.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Open | Self::Acknowledged | Self::Mitigated | Self::Reopened)
    }
}

impl fmt::Display for IncidentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IncidentStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::Open,
            Self::Acknowledged,
            Self::Mitigated,
            Self::Resolved,
            Self::Closed,
            Self::Reopened,
            Self::Merged,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| format!("`{text}` is not an incident status"))
    }
}

/// The instants that response times are measured between; each unknown until it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentTimes {
    /// What set it off (a deployment, a flag, a burst).
    pub trigger: Option<Timestamp>,
    /// Change point of the violated indicator: when customers began to be hurt.
    pub impact_start: Option<Timestamp>,
    /// First alert that fired.
    pub detected: Option<Timestamp>,
    /// Somebody took it.
    pub acknowledged: Option<Timestamp>,
    /// Somebody knew why.
    pub cause_identified: Option<Timestamp>,
    /// Customers were no longer hurt.
    pub mitigated: Option<Timestamp>,
    /// It was over.
    pub resolved: Option<Timestamp>,
}

/// An incident as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// `INC-7`.
    pub id: IncidentId,
    /// Whose it is.
    pub tenant: Tenant,
    /// One line that names who is affected.
    pub title: String,
    /// How bad.
    pub severity: IncidentSeverity,
    /// Where it stands.
    pub status: IncidentStatus,
    /// What alerts join by: the rule's key labels and their values.
    pub key: BTreeMap<String, String>,
    /// Seconds within which the same key reopens it after resolution.
    pub reopen_within_s: u64,
    /// The services named by its alerts.
    pub services: Vec<String>,
    /// Episodes of the alerts in it, each with why it joined.
    pub alerts: BTreeMap<String, String>,
    /// Episodes of those alerts that are still firing.
    pub firing: Vec<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Its milestones.
    pub times: IncidentTimes,
    /// Ranked hypotheses, best first.
    pub suspects: Vec<Suspect>,
}

/// A ranked hypothesis, never "the cause".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The service.
    pub service: String,
    /// Higher is more suspect; comparable within one incident only.
    pub score: f64,
    /// What speaks for it, one sentence each, strongest first.
    pub reasons: Vec<String>,
    /// The change that goes with it, if one was seen ("service.version 4.1.9 → 4.2.0").
    pub change: Option<String>,
    /// When that change was first seen.
    pub changed_at: Option<Timestamp>,
}

/// What kind of thing a timeline row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimelineKind {
    /// The candidate for what set it off.
    Trigger,
    /// A new `service.version`, a flag, a deployment.
    Change,
    /// Change point of the violated indicator.
    Onset,
    /// Change point of a service's error rate, latency or traffic.
    ChangePoint,
    /// An alert changed state.
    Alert,
    /// An SLO's budget passed a threshold.
    Slo,
    /// A log template that is new or surging.
    Log,
    /// A notification was sent.
    Notification,
    /// A milestone of the response: acknowledged, mitigated, resolved.
    Milestone,
    /// Somebody wrote a note.
    Note,
}

impl TimelineKind {
    /// The snake-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Change => "change",
            Self::Onset => "onset",
            Self::ChangePoint => "change_point",
            Self::Alert => "alert",
            Self::Slo => "slo",
            Self::Log => "log",
            Self::Notification => "notification",
            Self::Milestone => "milestone",
            Self::Note => "note",
        }
    }
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimelineSource {
    /// The program, from telemetry.
    System,
    /// A person.
    Human,
}

impl TimelineSource {
    /// `system` or `human`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Human => "human",
        }
    }
}

/// One row of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineRow {
    /// When it happened, not when it was noticed.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: TimelineKind,
    /// Who says so.
    pub source: TimelineSource,
    /// The service it is about.
    pub service: Option<String>,
    /// One sentence.
    pub text: String,
    /// The SQL that shows it, ready to run; none for a human's row.
    pub sql: Option<String>,
    /// `suggested`, `accepted` or `dismissed`.
    pub state: String,
}
