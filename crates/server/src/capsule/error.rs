use std::path::PathBuf;

use hindsight_model::IncidentId;

/// Why a capsule could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    /// There is no such incident.
    #[error("there is no {0}; `hindsight incident list` shows them")]
    NoIncident(IncidentId),
    /// Its story is told by another one.
    #[error("{id} is part of {into}; export {into}, whose window covers both")]
    PartOf {
        /// The incident asked for.
        id: IncidentId,
        /// The one that it was merged into.
        into: String,
    },
    /// Nobody said that a restricted document may leave.
    #[error(
        "{0} is restricted, and a capsule can be read by everyone who gets hold of it; say --include-restricted \
         (`restricted=include`) to take it along, or --without-report (`report=none`) to leave all post-mortems out"
    )]
    Restricted(String),
    /// A post-mortem whose id is no name of a file.
    #[error("the post-mortem `{id}` cannot be in a capsule: {reason}; give it an id such as PM-2026-014")]
    Id {
        /// Its id.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A block has not the bytes that it had a moment ago.
    #[error(
        "{path} changed while the capsule was written: {reason}; `hindsight verify` looks at the whole directory"
    )]
    Changed {
        /// The file in the capsule.
        path: String,
        /// How that shows.
        reason: String,
    },
    /// The file, or what is in it.
    #[error(transparent)]
    Format(#[from] hindsight_capsule::Error),
    /// The store.
    #[error("take telemetry out of the store, or put it in")]
    Store(#[from] hindsight_store::Error),
    /// The state.
    #[error("read or write incidents")]
    State(#[from] hindsight_state::Error),
    /// The workspace.
    #[error("read the post-mortems of the incident")]
    Postmortems(#[from] hindsight_postmortem::Error),
    /// The disk.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A thread ended before its work did.
    #[error("the work on the capsule was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

impl CapsuleError {
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }
}
