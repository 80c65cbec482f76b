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
    /// What a person asked for cannot be done as the incident stands.
    #[error("{id} {what}; {hint}")]
    Refused {
        /// The incident.
        id: IncidentId,
        /// How it stands.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The timeline has no such row.
    #[error("the timeline of {id} has no row {row}")]
    UnknownRow {
        /// The incident.
        id: IncidentId,
        /// The row asked for.
        row: u64,
    },
    /// A file to be imported cannot be read.
    #[error("line {line}: {what}")]
    Import {
        /// Where, from 1.
        line: usize,
        /// What is wrong, and how it should be.
        what: String,
    },
    /// Nothing to add, or too much at once.
    #[error("one call adds 1 to {max} rows")]
    Rows {
        /// Most rows.
        max: usize,
    },
    /// A time that a person gave lies in the future.
    #[error("{0} lies in the future; give the time at which it happened")]
    Future(jiff::Timestamp),
    /// A note or a title with nothing in it, or longer than the limit.
    #[error("{what} must have 1 to {max} characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// Longest text allowed.
        max: usize,
    },
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
