use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server could not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
    /// A port is taken or not ours to take.
    #[error(
        "listen on {address} for {surface}; free the port or choose another with {flag} ADDR:PORT (port 0 takes any free one)"
    )]
    Listen {
        /// What listens there.
        surface: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
    /// The store could not be opened or closed.
    #[error("{step} the telemetry store in {data_dir}")]
    Store {
        /// `open` or `close`.
        step: &'static str,
        /// The data directory.
        data_dir: PathBuf,
        /// Why.
        #[source]
        source: Box<hindsight_store::Error>,
    },
    /// `state.db` could not be opened.
    #[error("open {path}")]
    State {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<hindsight_state::Error>,
    },
    /// The query engine could not be made.
    #[error("start the query engine")]
    Query(#[source] Box<hindsight_query::Error>),
    /// Rules could not be evaluated.
    #[error("evaluate rules")]
    Rules(#[source] Box<hindsight_rules::Error>),
    /// Incidents could not be updated.
    #[error("update incidents")]
    Incidents(#[source] Box<hindsight_incidents::Error>),
    /// The workspace's post-mortems, or the incidents they are about, could not be read.
    #[error("read post-mortems and their incidents; telemetry is held as before")]
    Postmortems(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An incident's telemetry could not be held or released.
    #[error("hold the telemetry of {incident}")]
    Hold {
        /// The incident.
        incident: hindsight_model::IncidentId,
        /// Why.
        #[source]
        source: Box<hindsight_store::Error>,
    },
    /// Notifications could not be handed on.
    #[error("deliver notifications")]
    Notify(#[source] Box<hindsight_notify::Error>),
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
