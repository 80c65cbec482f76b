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

impl FromStr for IncidentSeverity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Sev1, Self::Sev2, Self::Sev3, Self::Sev4];
        all.into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("`{text}` is not a severity; there are SEV1 to SEV4"))
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

/// The name of one of [`IncidentTimes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// What set it off.
    Trigger,
    /// Customers began to be hurt.
    ImpactStart,
    /// It was noticed.
    Detected,
    /// Somebody took it.
    Acknowledged,
    /// Somebody knew why.
    CauseIdentified,
    /// Customers were no longer hurt.
    Mitigated,
    /// It was over.
    Resolved,
}

impl Milestone {
    /// In the order in which they should come.
    pub const ALL: [Self; 7] = [
        Self::Trigger,
        Self::ImpactStart,
        Self::Detected,
        Self::Acknowledged,
        Self::CauseIdentified,
        Self::Mitigated,
        Self::Resolved,
    ];

    /// The snake-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::ImpactStart => "impact_start",
            Self::Detected => "detected",
            Self::Acknowledged => "acknowledged",
            Self::CauseIdentified => "cause_identified",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
        }
    }
}

impl FromStr for Milestone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|milestone| milestone.as_str() == text).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|milestone| milestone.as_str()).collect();
            format!("`{text}` is not a milestone; there are {}", words.join(", "))
        })
    }
}

impl IncidentTimes {
    /// The time of a milestone, as far as known.
    pub fn get(&self, milestone: Milestone) -> Option<Timestamp> {
        match milestone {
            Milestone::Trigger => self.trigger,
            Milestone::ImpactStart => self.impact_start,
            Milestone::Detected => self.detected,
            Milestone::Acknowledged => self.acknowledged,
            Milestone::CauseIdentified => self.cause_identified,
            Milestone::Mitigated => self.mitigated,
            Milestone::Resolved => self.resolved,
        }
    }

    /// Sets the time of a milestone, or forgets it.
    pub fn put(&mut self, milestone: Milestone, at: Option<Timestamp>) {
        match milestone {
            Milestone::Trigger => self.trigger = at,
            Milestone::ImpactStart => self.impact_start = at,
            Milestone::Detected => self.detected = at,
            Milestone::Acknowledged => self.acknowledged = at,
            Milestone::CauseIdentified => self.cause_identified = at,
            Milestone::Mitigated => self.mitigated = at,
            Milestone::Resolved => self.resolved = at,
        }
    }

    /// These times where they are known, the `other`'s elsewhere.
    pub fn or(self, other: Self) -> Self {
        let mut merged = other;
        for milestone in Milestone::ALL {
            merged.put(milestone, self.get(milestone).or(other.get(milestone)));
        }
        merged
    }
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
    /// What people said and did about it.
    #[serde(default)]
    pub response: IncidentResponse,
}

/// What people said and did about an incident; it outweighs what telemetry says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentResponse {
    /// Who has which role.
    pub roles: BTreeMap<IncidentRole, String>,
    /// The times that a person set.
    pub stated: IncidentTimes,
    /// What the cause was, in a person's words.
    pub cause: Option<String>,
    /// The incident that this one is part of.
    pub duplicate_of: Option<IncidentId>,
    /// How it was closed.
    pub closed: Option<Closing>,
}

/// The end of the work on an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// When.
    pub at: Timestamp,
    /// Why no post-mortem was written; `None` when one was and is closed.
    pub without_postmortem: Option<String>,
}

/// What somebody does during the response: roles, not names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentRole {
    /// Leads the response and decides.
    IncidentCommander,
    /// Tells customers and the company.
    Communications,
    /// Writes down what happens.
    Scribe,
}

impl IncidentRole {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::IncidentCommander, Self::Communications, Self::Scribe];

    /// The snake-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IncidentCommander => "incident_commander",
            Self::Communications => "communications",
            Self::Scribe => "scribe",
        }
    }

    /// As people write it: `incident commander`.
    pub fn words(self) -> &'static str {
        match self {
            Self::IncidentCommander => "incident commander",
            other => other.as_str(),
        }
    }
}

impl FromStr for IncidentRole {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text || role.words() == text);
        found.ok_or_else(|| {
            format!("`{text}` is not a role; there are incident_commander, communications and scribe")
        })
    }
}

/// A ranked hypothesis, never "the cause".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The service.
    pub service: String,
    /// Higher is more suspect; comparable within one incident only.
    pub score: f64,
    /// What speaks for it, strongest first.
    pub reasons: Vec<Reason>,
    /// The change that goes with it, if one was seen ("service.version 4.1.9 → 4.2.0").
    pub change: Option<String>,
    /// When that change was first seen.
    pub changed_at: Option<Timestamp>,
    /// Templates of the log lines that speak for it (`no connection to <*>`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<String>,
}

/// One thing that speaks for a suspect. Written as an object; the plain sentence of older records is read too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenReason")]
pub struct Reason {
    /// A sentence without its full stop.
    pub text: String,
    /// The SQL that shows its figures; `None` where no single query does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenReason {
    Sentence(String),
    Shown {
        text: String,
        #[serde(default)]
        sql: Option<String>,
    },
}

impl From<WrittenReason> for Reason {
    fn from(written: WrittenReason) -> Self {
        match written {
            WrittenReason::Sentence(text) => Self { text, sql: None },
            WrittenReason::Shown { text, sql } => Self { text, sql },
        }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), sql: None }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
