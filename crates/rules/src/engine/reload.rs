//! A workspace is in force as a whole: an edit that has an error anywhere changes nothing, and says so.

use jiff::Timestamp;
use serde::Serialize;

use super::{Engine, schedule};
use crate::error::Result;
use crate::files::{Level, Problem, built_in, fingerprint, load};

/// Which state of the workspace's files is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Twelve hex digits of a hash over all rule and SLO files; empty for rules that did not come from a workspace.
    pub id: String,
    /// When it was loaded; `None` when that was at the start.
    pub loaded_at: Option<Timestamp>,
}

/// A state of the files that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its id, as in [`Version::id`].
    pub version: String,
    /// When it was first seen.
    pub at: Timestamp,
    /// What is wrong with it, at least one error.
    pub problems: Vec<Problem>,
}

impl Engine {
    /// Reads the files again if any of them changed. A workspace without errors is in force from now on, whole; one
    /// with an error changes nothing, see [`Engine::refused`]. Returns whether the files had changed. Rules that are
    /// gone end their episodes with the next run.
    ///
    /// # Errors
    /// [`Error::Workspace`](crate::Error::Workspace) when the rule folders cannot be listed; what was loaded stays in
    /// force.
    pub fn reload_if_changed(&mut self, now: Timestamp) -> Result<bool> {
        let fingerprint = fingerprint(&self.workspace)?;
        if fingerprint == self.fingerprint {
            return Ok(false);
        }
        let id = fingerprint.version();
        let mut loaded = load(&self.workspace)?;
        self.fingerprint = fingerprint;
        let errors = loaded.problems.iter().filter(|problem| problem.level == Level::Error).count();
        if errors > 0 {
            tracing::error!(version = id, errors, running = self.version.id, "refused the rule files");
            self.refused = Some(Refused { version: id, at: now, problems: loaded.problems });
            return Ok(true);
        }
        tracing::info!(
            version = id,
            groups = loaded.rules.groups.len(),
            slos = loaded.rules.slos.len(),
            problems = loaded.problems.len(),
            "loaded the rule files"
        );
        if self.options.dead_notifications.is_some() {
            loaded.rules.groups.extend(built_in::groups());
        }
        self.version = Version { id, loaded_at: Some(now) };
        self.refused = None;
        self.loaded = loaded;
        self.asking().forget();
        self.units = schedule::units(&self.loaded.rules, self.options.alignment);
        Ok(true)
    }

    /// The version of the files that is in force.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The version that was last seen and not taken over, if the files have not been mended since.
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }
}
