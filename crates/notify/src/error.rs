/// What went wrong with receivers or the outbox worker. A receiver that does not answer is no error here: it is
/// retried, see [`crate::Worker`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration of a receiver makes no sense.
    #[error("receiver `{receiver}` in hindsight.toml: {problem}")]
    Receiver {
        /// Its name.
        receiver: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// The routes make no sense.
    #[error("{place} in hindsight.toml: {problem}")]
    Routing {
        /// The table, counted from 1, and its key.
        place: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// A secret cannot be read.
    #[error("read the {what} of receiver `{receiver}` from {place}")]
    Secret {
        /// The receiver's name.
        receiver: String,
        /// What it is: URL, routing key or password.
        what: &'static str,
        /// The file or the environment variable.
        place: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client cannot be made.
    #[error("prepare the webhook client; https receivers need root certificates (package ca-certificates)")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The outbox cannot be read or written.
    #[error("work on the outbox")]
    State(#[from] hindsight_state::Error),
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
