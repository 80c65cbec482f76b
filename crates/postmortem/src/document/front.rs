use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use hindsight_model::{IncidentId, IncidentSeverity};
use jiff::Timestamp;
use regex::Regex;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::dates::parse_instant;
use super::front_edit::{goes_on, is_key_line};

static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r",? ?(?:\(|\b)?at line \d+,? column \d+\)?").expect("the pattern is constant")
});

/// The value of `schema:` that this version reads and writes.
pub const SCHEMA: &str = "hindsight/postmortem/v1";

/// The front matter (POSTMORTEM §4). Unknown keys are refused, but for those that start with `x-`: they belong to other
/// tools and are kept as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// `PM-2026-014`.
    pub id: String,
    /// The incidents it is about.
    pub incidents: Vec<IncidentId>,
    /// One line: who was hurt, and for how long.
    pub title: String,
    /// How far the document has come.
    pub status: Status,
    /// How bad it was.
    pub severity: IncidentSeverity,
    /// Who may read it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Whose telemetry it is about; absent means the default tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Who writes it, of the team that owns the fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Person>,
    /// Who reviews it, of another team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<Person>,
    /// IANA name of the zone that the document's times are in.
    pub timezone: String,
    /// The milestones.
    #[serde(default)]
    pub times: Times,
    /// Who noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// Services hurt, the customer-facing one first.
    #[serde(default)]
    pub services: Vec<String>,
    /// What was lost, in numbers.
    #[serde(default)]
    pub impact: Vec<Impact>,
    /// Error budgets spent.
    #[serde(default)]
    pub slo: Vec<SloImpact>,
    /// What customers were told, or `n/a: reason`.
    #[serde(default)]
    pub comms: Communications,
    /// Names of recurring patterns, from the controlled list.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// Acronyms and what they stand for.
    #[serde(default)]
    pub glossary: BTreeMap<String, String>,
    /// Whether it was a breach of security.
    #[serde(default, skip_serializing_if = "is_false")]
    pub security: bool,
    /// Whether everything was down or a part, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
    /// Teams that the incident was escalated to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Earlier post-mortems that this incident repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<String>,
    /// Why there is no whole post-mortem, for an incident that needs none (P3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// When the document came to each status.
    #[serde(default, skip_serializing_if = "Stages::is_empty")]
    pub stages: Stages,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How far a document has come; later ones compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being written.
    Draft,
    /// Being read by the reviewer.
    InReview,
    /// The reviewer agreed.
    Approved,
    /// Everybody may read it.
    Published,
    /// Its actions are done.
    Closed,
}

impl Status {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Draft, Self::InReview, Self::Approved, Self::Published, Self::Closed];

    /// The snake-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::InReview => "in_review",
            Self::Approved => "approved",
            Self::Published => "published",
            Self::Closed => "closed",
        }
    }
}

/// How much was down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    /// Nobody could use the product.
    Full,
    /// Some could, or could use some of it.
    Partial,
}

impl Outage {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}

/// When a document came to each status; the last time, if it came there more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// First written.
    #[serde(default, deserialize_with = "instant")]
    pub draft: Option<Timestamp>,
    /// Given to the reviewer.
    #[serde(default, deserialize_with = "instant")]
    pub in_review: Option<Timestamp>,
    /// The reviewer agreed.
    #[serde(default, deserialize_with = "instant")]
    pub approved: Option<Timestamp>,
    /// Everybody may read it.
    #[serde(default, deserialize_with = "instant")]
    pub published: Option<Timestamp>,
    /// Its actions were done.
    #[serde(default, deserialize_with = "instant")]
    pub closed: Option<Timestamp>,
}

impl Stages {
    /// The stages by name, in their order.
    pub fn named(&self) -> [(&'static str, Option<Timestamp>); 5] {
        [
            ("draft", self.draft),
            ("in_review", self.in_review),
            ("approved", self.approved),
            ("published", self.published),
            ("closed", self.closed),
        ]
    }

    /// The time of one status.
    pub fn at(&mut self, status: Status) -> &mut Option<Timestamp> {
        match status {
            Status::Draft => &mut self.draft,
            Status::InReview => &mut self.in_review,
            Status::Approved => &mut self.approved,
            Status::Published => &mut self.published,
            Status::Closed => &mut self.closed,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may read a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody in the organisation.
    #[default]
    Internal,
    /// Those with the role.
    Restricted,
    /// Everybody.
    Public,
}

impl Visibility {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Restricted => "restricted",
            Self::Public => "public",
        }
    }
}

/// A person and their team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Handle of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Name of the team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// The milestones; each unknown until it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// What set it off.
    #[serde(default, deserialize_with = "instant")]
    pub trigger: Option<Timestamp>,
    /// When customers began to be hurt.
    #[serde(default, deserialize_with = "instant")]
    pub impact_start: Option<Timestamp>,
    /// First alert.
    #[serde(default, deserialize_with = "instant")]
    pub detected: Option<Timestamp>,
    /// Somebody took it.
    #[serde(default, deserialize_with = "instant")]
    pub acknowledged: Option<Timestamp>,
    /// Somebody knew why.
    #[serde(default, deserialize_with = "instant")]
    pub cause_identified: Option<Timestamp>,
    /// Customers were no longer hurt.
    #[serde(default, deserialize_with = "instant")]
    pub mitigated: Option<Timestamp>,
    /// It was over.
    #[serde(default, deserialize_with = "instant")]
    pub resolved: Option<Timestamp>,
}

impl Times {
    /// The milestones by name, in their order.
    pub fn named(&self) -> [(&'static str, Option<Timestamp>); 7] {
        [
            ("trigger", self.trigger),
            ("impact_start", self.impact_start),
            ("detected", self.detected),
            ("acknowledged", self.acknowledged),
            ("cause_identified", self.cause_identified),
            ("mitigated", self.mitigated),
            ("resolved", self.resolved),
        ]
    }
}

/// Who noticed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detection {
    /// An alert.
    Alert,
    /// A customer.
    Customer,
    /// Somebody inside.
    Internal,
    /// Chance.
    Accident,
}

impl Detection {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Customer => "customer",
            Self::Internal => "internal",
            Self::Accident => "accident",
        }
    }
}

/// One number of the impact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impact {
    /// What was lost (`failed checkouts`).
    pub what: String,
    /// How much.
    pub value: f64,
    /// In what unit.
    #[serde(default)]
    pub unit: String,
    /// Which evidence shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Whether it is an estimate.
    #[serde(default)]
    pub estimate: bool,
    /// How it was estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Budget that the incident spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloImpact {
    /// The SLO.
    pub name: String,
    /// Share of the budget, 0.61 for 61 %.
    pub budget_spent: f64,
    /// Which evidence shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// Customer communication: what was said, or why nothing was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Communications {
    /// What was said, in order.
    Sent(Vec<Communication>),
    /// `n/a: reason`.
    NotNeeded(String),
}

impl Default for Communications {
    fn default() -> Self {
        Self::Sent(Vec::new())
    }
}

/// One message to customers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Communication {
    /// When; absent when not written down.
    #[serde(default, deserialize_with = "instant")]
    pub at: Option<Timestamp>,
    /// Where (`status-page`).
    pub channel: String,
    /// Its reference there.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl<'de> Deserialize<'de> for Communications {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrReason;
        impl<'de> Visitor<'de> for ListOrReason {
            type Value = Communications;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of {at, channel, ref}, or the text `n/a: reason`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Communications, E> {
                Ok(Communications::NotNeeded(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Communications, A::Error> {
                let mut sent = Vec::new();
                while let Some(item) = items.next_element()? {
                    sent.push(item);
                }
                Ok(Communications::Sent(sent))
            }
            fn visit_map<A: MapAccess<'de>>(self, _map: A) -> Result<Communications, A::Error> {
                Err(de::Error::custom("comms is a list; put `- ` before its entries"))
            }
        }
        deserializer.deserialize_any(ListOrReason)
    }
}

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse_instant(&text).map(Some).ok_or_else(|| {
        de::Error::custom(format!("`{text}` is not a time; write it like 2026-05-04T14:32:00-07:00"))
    })
}

/// Reads the YAML between the fences; the line counts from its first line.
pub(super) fn parse(yaml: &str) -> Result<FrontMatter, (usize, String)> {
    let front: FrontMatter = serde_saphyr::from_str(&without_extensions(yaml)).map_err(|error| {
        let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1));
        let text = error.without_snippet().to_string();
        let text = text.lines().next().unwrap_or("not readable");
        // The place is told as the file's, not as that within the front matter.
        (line, format!("front matter: {}", PLACE.replace_all(text, "")))
    })?;
    if front.schema != SCHEMA {
        return Err((
            1,
            format!("schema `{}` is not one this version reads; it reads `{SCHEMA}`", front.schema),
        ));
    }
    Ok(front)
}

/// The same lines with those of `x-…` keys left blank.
fn without_extensions(yaml: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(yaml.len());
    for line in yaml.split_inclusive('\n') {
        let beside = line.trim().is_empty() || line.starts_with('#');
        if is_key_line(line) {
            inside = line.starts_with("x-");
        } else if !goes_on(line) && !beside {
            inside = false;
        }
        out.push_str(if !inside {
            line
        } else if line.ends_with('\n') {
            "\n"
        } else {
            ""
        });
    }
    out
}
