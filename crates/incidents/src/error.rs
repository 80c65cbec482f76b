use arrow::error::ArrowError;
use hindsight_model::{IncidentId, SqlError};

/// Why an incident could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A query over the telemetry failed.
    #[error("ask the telemetry for {what}")]
    Sql {
        /// What was asked for.
        what: &'static str,
        /// The engine's answer.
        #[source]
        source: SqlError,
    },
    /// An answer could not be read.
    #[error("read the answer about {what}")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// Arrow's reason.
        #[source]
        source: ArrowError,
    },
    /// The state could not be read or written.
    #[error("{doing}")]
    State {
        /// The step that failed.
        doing: &'static str,
        /// The state's reason.
        #[source]
        source: hindsight_state::Error,
    },
    /// There is no such incident.
    #[error("there is no incident {0}; `hindsight incident list` names them")]
    UnknownIncident(IncidentId),
    /// A note or a title with nothing in it, or longer than the limit.
    #[error("{what} must have 1 to {max} characters")]
    Text {
        /// `title` or `note`.
        what: &'static str,
        /// Longest text allowed.
        max: usize,
    },
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
