use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IdError, Tenant};

/// One condition on a label, in Alertmanager's form. What it matches is decided where it is compiled, in `notify`:
/// a label that is missing counts as the empty string, and a regular expression has to match the whole value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The value, or the regular expression, to compare with.
    pub value: String,
    /// Whether `value` is a regular expression.
    #[serde(default)]
    pub is_regex: bool,
    /// `false` turns the condition round.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// As people write it: `service_name=~"check.*"`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        write!(f, "{}{operator}{:?}", self.name, self.value)
    }
}

/// `SIL-7`: a number that counts up within a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SilenceId(pub u64);

impl FromStr for SilenceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix("SIL-")
            .and_then(|number| number.parse().ok())
            .map(Self)
            .ok_or_else(|| IdError::Silence(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for SilenceId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<SilenceId> for String {
    fn from(id: SilenceId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIL-{}", self.0)
    }
}

/// What a person asks for when they silence alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// Whose alerts.
    pub tenant: Tenant,
    /// All of them must match an alert for it to be silent; never empty.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when; after `starts_at`.
    pub ends_at: Timestamp,
    /// Who asks.
    pub author: String,
    /// Why.
    pub comment: String,
}

/// A silence: while it lasts, alerts that it matches are told to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// What was asked for; `ends_at` is moved here when somebody ends it early.
    pub asked: NewSilence,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who ended it early, and when.
    pub expired: Option<(String, Timestamp)>,
}

/// Where a silence stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// It begins later.
    Pending,
    /// Alerts it matches are silent.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// Where it stands at `now`: its beginning belongs to it, its end does not.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now >= self.asked.ends_at {
            SilenceState::Expired
        } else if now >= self.asked.starts_at {
            SilenceState::Active
        } else {
            SilenceState::Pending
        }
    }
}
