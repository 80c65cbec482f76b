use hindsight_model::IncidentId;
use jiff::Timestamp;

/// What went wrong with the state database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or brought to the present schema.
    #[error("open state database {path}; check that its folder exists and may be written to")]
    Open {
        /// The file.
        path: String,
        /// What SQLite said.
        #[source]
        source: Cause,
    },
    /// A newer program wrote the file.
    #[error(
        "state database {path} has schema version {found}, this program knows versions up to {known}; \
         run the newer program, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// SQLite refused a statement, or the disk did.
    #[error("{doing} in the state database")]
    Database {
        /// The step that failed.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: Cause,
    },
    /// A stored value cannot be what this program wrote.
    #[error(
        "{table}.{column} holds `{found}`, which this program did not write; restore state.db from a backup"
    )]
    Damaged {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The value, shortened.
        found: String,
    },
    /// Times are stored as 64-bit nanoseconds.
    #[error("the time {at} of {what} is outside the years 1678 to 2261 that can be stored")]
    Time {
        /// What has that time.
        what: &'static str,
        /// The time.
        at: Timestamp,
    },
    /// A tick older than the group's last one would turn states back.
    #[error("group `{group}` was evaluated at {last} already; a tick at {tick} would turn its states back")]
    StaleTick {
        /// The rule group.
        group: String,
        /// The tick refused.
        tick: Timestamp,
        /// The last tick committed.
        last: Timestamp,
    },
    /// NaN or infinity where a number is needed.
    #[error("{what} is not a finite number")]
    NotFinite {
        /// What was to be stored.
        what: String,
    },
    /// A text, or a list, beyond its limit (LIM-1).
    #[error("{what} has {got} bytes; at most {limit} are stored")]
    TooLong {
        /// What was to be stored.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// The size in bytes.
        got: usize,
    },
    /// No incident has this id, or it is another tenant's.
    #[error("there is no incident {0}")]
    NoIncident(IncidentId),
    /// One more than is kept (LIM-1).
    #[error("there are {limit} {what} already; remove some first")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// The incident's timeline has no row of this number.
    #[error("the timeline has no row {0}; the list of its rows names them")]
    NoTimelineRow(u64),
    /// The audit log was changed by something other than this program (SEC-2).
    #[error("audit log row {seq} {why}; the rows before it are intact")]
    AuditBroken {
        /// The first row that does not hold.
        seq: i64,
        /// What does not hold.
        why: &'static str,
    },
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The library's own error, kept out of our signatures.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Names the step that a database error interrupted.
pub(crate) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Database { doing, source: source.into() }
}
