use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which action item: the document it stands in and its id there, `PM-2026-014/A1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActionKey {
    /// `PM-2026-014`.
    pub postmortem: String,
    /// `A1`.
    pub item: String,
}

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.postmortem, self.item)
    }
}

impl FromStr for ActionKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((postmortem, item)) if !postmortem.is_empty() && !item.is_empty() => {
                Ok(Self { postmortem: postmortem.to_owned(), item: item.to_owned() })
            }
            _ => Err(format!("`{text}` does not name an action item; write PM-2026-014/A1")),
        }
    }
}

/// What a person said about an action item beside its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStatement {
    /// The status that was said.
    pub status: String,
    /// The status that the document had then; a document that says something else now was edited later.
    pub document_status: String,
    /// Why, for one that will not be done.
    pub reason: Option<String>,
    /// Who agreed that it will not be done.
    pub approver: Option<String>,
    /// Who said it.
    pub author: String,
    /// When.
    pub at: Timestamp,
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// The evidence is there.
    Passed,
    /// It is not.
    Failed,
    /// Nobody can tell: the question failed, or what it asks about is no longer kept.
    Unknown,
}

impl CheckOutcome {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// The last verification of an action item, and what came of those before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCheck {
    /// The condition as the document had it.
    pub verify: String,
    /// What was found.
    pub outcome: CheckOutcome,
    /// One sentence that says what was seen.
    pub evidence: String,
    /// When it was last looked at.
    pub checked_at: Timestamp,
    /// Since when the outcome is this one.
    pub since: Timestamp,
    /// Since when the item counts as verified; `None` when it does not.
    pub verified_at: Option<Timestamp>,
    /// When it last stopped counting as verified.
    pub reopened_at: Option<Timestamp>,
}

/// All that is known of an action item beside its document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// The last thing a person said.
    pub statement: Option<ActionStatement>,
    /// The last verification.
    pub check: Option<ActionCheck>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_shown() {
        let key: ActionKey = "PM-2026-014/A1".parse().unwrap();
        assert_eq!((key.postmortem.as_str(), key.item.as_str()), ("PM-2026-014", "A1"));
        assert_eq!(key.to_string(), "PM-2026-014/A1");
        for bad in ["PM-2026-014", "/A1", "PM-2026-014/", ""] {
            assert!(bad.parse::<ActionKey>().is_err(), "{bad}");
        }
    }
}
