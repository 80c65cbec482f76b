mod table;

use serde::Serialize;
use table::RULES;

use super::Level;
use crate::document::Status;

/// A rule as listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `T3`.
    pub id: &'static str,
    /// How bad a finding is, at most.
    pub level: Level,
    /// What part of the document it is about.
    pub area: Area,
    /// First status at which it applies.
    pub from: Status,
    /// What it asks for.
    pub asks: &'static str,
    /// Why.
    pub why: &'static str,
    /// What to do about a finding.
    pub hint: &'static str,
}

/// The part of a document that a rule is about, as POSTMORTEM §6 groups them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Title and summary.
    Title,
    /// Timeline.
    Timeline,
    /// Charts.
    Charts,
    /// Glossary and diagram.
    Glossary,
    /// Impact.
    Impact,
    /// Five whys.
    Whys,
    /// Response and analysis.
    Response,
    /// Lessons.
    Lessons,
    /// Action items.
    Actions,
    /// Process.
    Process,
    /// Patterns.
    Patterns,
    /// The lint itself.
    Lint,
}

impl Area {
    /// Whether it is asked of a document that says why it is not a whole one (P3).
    pub(super) fn applies_to_skipped(self) -> bool {
        matches!(self, Self::Title | Self::Impact | Self::Process | Self::Lint)
    }
}

/// Every rule this version checks, in the order of POSTMORTEM §6.
pub fn rules() -> &'static [Rule] {
    RULES
}

pub(super) fn level(id: &str) -> Level {
    rule(id).level
}

pub(super) fn hint(id: &str) -> &'static str {
    rule(id).hint
}

pub(super) fn rule(id: &str) -> &'static Rule {
    RULES
        .iter()
        .find(|rule| rule.id == id)
        .expect("checks report only ids of the table, which a test compares")
}
