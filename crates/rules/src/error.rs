/// Why a run of the rules could not go on. A rule that fails to evaluate is not an error here: it is an
/// [`Outcome::Error`](hindsight_model::Outcome::Error) of that rule alone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal (states, outbox, slices) could not be read or written. Nothing of the tick took effect.
    #[error(
        "{operation} in the journal of group `{group}`; nothing of this tick took effect, it is tried again"
    )]
    Journal {
        /// What was being done.
        operation: &'static str,
        /// The rule group or `slo/<name>`.
        group: String,
        /// What the journal said.
        #[source]
        source: JournalError,
    },
    /// The workspace's rule folders could not be listed.
    #[error("list `{folder}`; check that the workspace exists and can be read")]
    Workspace {
        /// The folder.
        folder: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The telemetry of a rule test cannot be had.
    #[error("prepare the telemetry of test `{test}`")]
    Fixture {
        /// The test's name.
        test: String,
        /// Why not.
        #[source]
        source: crate::cases::FeedError,
    },
    /// The machine state of an instance could not be written as JSON.
    #[error("write the machine state of rule `{rule}` as JSON")]
    Machine {
        /// The rule's id.
        rule: String,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
}

/// What a [`Journal`](crate::Journal) implementation reports: any error of its own.
pub type JournalError = Box<dyn std::error::Error + Send + Sync>;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
