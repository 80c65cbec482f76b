use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

impl TimelineKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Trigger,
        Self::Change,
        Self::Onset,
        Self::ChangePoint,
        Self::Alert,
        Self::Slo,
        Self::Log,
        Self::Notification,
        Self::Milestone,
        Self::Note,
    ];
}

impl FromStr for TimelineKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("`{text}` is not a kind of timeline row; there are {}", words.join(", "))
        })
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

/// What people think of a row that the machine suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimelineState {
    /// Nobody has looked at it yet.
    Suggested,
    /// It belongs to the story.
    Accepted,
    /// It does not; gathering again does not bring it back.
    Dismissed,
}

impl TimelineState {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suggested => "suggested",
            Self::Accepted => "accepted",
            Self::Dismissed => "dismissed",
        }
    }
}

/// A row as stored: its number, and what people did with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Its number, never given twice.
    pub id: u64,
    /// What it says.
    #[serde(flatten)]
    pub row: TimelineRow,
    /// Role of the person who says so.
    pub role: Option<String>,
    /// Who wrote it down, or edited it last.
    pub author: Option<String>,
    /// The time it had before somebody edited it.
    pub original_at: Option<Timestamp>,
    /// The text it had before somebody edited it.
    pub original_text: Option<String>,
}

impl TimelineEntry {
    /// Whether a person changed what the row says.
    pub fn is_edited(&self) -> bool {
        self.original_at.is_some() || self.original_text.is_some()
    }
}

/// A row that is to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTimelineRow {
    /// What it says.
    pub row: TimelineRow,
    /// Role of the person who says so; none for the system's rows.
    pub role: Option<String>,
    /// Who wrote it down; none for the system's rows.
    pub author: Option<String>,
}

/// What a person changes in a row; what is `None` stays.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEdit {
    /// The row.
    pub id: u64,
    /// Who edits it.
    pub author: String,
    /// Its new state.
    pub state: Option<TimelineState>,
    /// Its new time; the first one is kept beside it.
    pub at: Option<Timestamp>,
    /// Its new text; the first one is kept beside it.
    pub text: Option<String>,
}

/// Changes of one timeline that are stored together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimelineChange {
    /// Rows that were suggested and are no longer found.
    pub removed: Vec<u64>,
    /// Rows that the machine found again, as they read now; their state stays.
    pub refreshed: Vec<(u64, TimelineRow)>,
    /// What people changed.
    pub edited: Vec<TimelineEdit>,
    /// New rows.
    pub added: Vec<NewTimelineRow>,
}

impl TimelineChange {
    /// A change that adds one row.
    pub fn adding(row: NewTimelineRow) -> Self {
        Self { added: vec![row], ..Self::default() }
    }
}
