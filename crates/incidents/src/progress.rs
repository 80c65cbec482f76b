//! What a runner looks at, for those who wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use hindsight_model::IncidentId;

/// How far the analysis of an incident has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looking {
    /// Whose telemetry is read.
    pub incident: IncidentId,
    /// What is being done, in a few words.
    pub step: &'static str,
}

/// Asked without waiting for the work itself.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<Looking>>>);

impl Progress {
    /// What is being done, if anything.
    pub fn now(&self) -> Option<Looking> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with an incident; its end is when the answer is dropped, also by a caller that went away.
    pub(crate) fn of(&self, incident: IncidentId) -> Steps<'_> {
        Steps { progress: self, incident }
    }
}

/// The steps of one analysis.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    progress: &'a Progress,
    incident: IncidentId,
}

impl Steps<'_> {
    pub(crate) fn next(&self, step: &'static str) {
        let looking = Looking { incident: self.incident, step };
        *self.progress.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(looking);
    }
}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        *self.progress.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
