use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::document::Document;
use crate::evidence::Evidence;

/// What rules need to know that is not in the document. What is left empty is not checked.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The present instant (P1).
    pub now: Option<Timestamp>,
    /// Alerts and deployments as telemetry has them (TL9).
    pub observed: Vec<Observed>,
    /// Evidence run again, by its id: the fresh answer, or why there is none (I3).
    pub reruns: BTreeMap<String, Result<Evidence, String>>,
    /// Names of our services besides the document's own (L2).
    pub own_services: Vec<String>,
    /// The other post-mortems of the workspace (X1, X2).
    pub others: Vec<Arc<Document>>,
    /// Team of each person (P5).
    pub teams: BTreeMap<String, String>,
    /// The text of `lessons.md` beside the document, if there is one (P6).
    pub lessons_file: Option<String>,
}

/// Something that telemetry saw at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: ObservedKind,
    /// The alert's name, or the version.
    pub name: String,
    /// The alert's new state; empty for a change.
    pub state: String,
}

/// What telemetry saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedKind {
    /// An alert came to a state.
    Alert,
    /// A version was first seen.
    Change,
}
