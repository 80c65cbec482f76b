/// Why an engine could not be made. What goes wrong with a single query is a
/// [`SqlError`](hindsight_model::SqlError).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's worker threads did not start.
    #[error("start {threads} query threads; free some threads or lower the number of query threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The SQL engine refused its own set-up.
    #[error("set up the SQL engine: {message}")]
    Setup {
        /// What it said.
        message: String,
    },
    /// The folder for what does not fit the memory could not be made or emptied.
    #[error("empty the folder {} for temporary files of queries; make it writable, or switch spilling off", dir.display())]
    Spill {
        /// The folder.
        dir: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Two tables have one name.
    #[error("two tables are named `{name}`; rename the system table")]
    DuplicateTable {
        /// The name.
        name: String,
    },
    /// An answer could not be written in the wanted format.
    #[error("write an answer as {format}")]
    Output {
        /// The format's name.
        format: &'static str,
        /// What the writer said.
        #[source]
        source: arrow::error::ArrowError,
    },
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
