use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hindsight_model::Table;

use crate::RateUnit;

/// What a store operation returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store could not be opened or sealed. The operator must act, or wait and retry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the data directory.
    #[error(
        "the data directory {} is in use by process {owner}; stop that process or give another --data-dir",
        data_dir.display()
    )]
    Locked {
        /// The directory.
        data_dir: PathBuf,
        /// The process id that the other one wrote, or `unknown`.
        owner: String,
    },
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// `node.id` does not hold a UUID.
    #[error("{} does not hold a node id; restore it, since the tables name it", path.display())]
    NodeId {
        /// The file.
        path: PathBuf,
        /// Why it is not one.
        #[source]
        source: hindsight_model::IdError,
    },
    /// A newer program laid the directory out.
    #[error(
        "the data directory {} has format {found}; this program reads format {known}; run the newer program",
        data_dir.display()
    )]
    Format {
        /// The directory.
        data_dir: PathBuf,
        /// The format in its `FORMAT`.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// `FORMAT` does not say a format.
    #[error("{} does not say which format the data directory has; restore it from a backup", path.display())]
    FormatUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// A restore into the directory did not end.
    #[error(
        "a restore into {} has not finished; remove the directory and run `hindsight restore` again",
        data_dir.display()
    )]
    Restoring {
        /// The directory.
        data_dir: PathBuf,
    },
    /// The write-ahead log could not be opened or written.
    #[error("could not {operation} the write-ahead log")]
    Wal {
        /// What was attempted.
        operation: &'static str,
        /// The log's own error, which names file and offset.
        #[source]
        source: hindsight_wal::Error,
    },
    /// A record of the log passed its checksum but is not what this program writes.
    #[error("record {position} of the write-ahead log cannot be read back: {reason}")]
    Record {
        /// The record.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Decoding a request that was accepted before failed; nothing is skipped silently.
    #[error("record {position} of the write-ahead log was accepted once but does not decode any more")]
    Replay {
        /// The record.
        position: u64,
        /// Why.
        #[source]
        source: hindsight_otlp::DecodeError,
    },
    /// The Delta log of a table could not be read or written.
    #[error("could not {operation} the table {table}")]
    Delta {
        /// What was attempted.
        operation: &'static str,
        /// The table.
        table: Table,
        /// The Delta library's error.
        #[source]
        source: Box<deltalake::DeltaTableError>,
    },
    /// A file that the Delta log lists is not one this store can describe.
    #[error("the table {table} lists the file {path}, but {reason}")]
    Foreign {
        /// The table.
        table: Table,
        /// The file, as the log writes it.
        path: String,
        /// What is missing.
        reason: String,
    },
    /// An attribute cannot have the column that the configuration or a table asks for.
    #[error("promote: {0}")]
    Promotion(#[from] hindsight_model::PromotionError),
    /// The catalogue lists a file that the Delta log does not: it is read again before the next attempt.
    #[error("the log of the table {table} does not list {path} any more")]
    OutOfStep {
        /// The table.
        table: Table,
        /// The file, as the log would write it.
        path: String,
    },
    /// The holds could not be read, or there are too many.
    #[error("the holds in {}: {reason}", path.display())]
    Holds {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Rows could not be sorted or encoded.
    #[error("could not write rows of {table} as Parquet")]
    Parquet {
        /// The table.
        table: Table,
        /// The Parquet library's error.
        #[source]
        source: Box<parquet::errors::ParquetError>,
    },
    /// A commit that reported an error landed, but with none of the files that it was given.
    #[error(
        "the table {table} says that it holds the log up to position {position}, but lists none of the files that \
         were written for it; restart the program, which then reads the table anew"
    )]
    Doubt {
        /// The table.
        table: Table,
        /// The position.
        position: u64,
    },
    /// The place for the tables is none.
    #[error("the tables cannot be at `{url}`: {problem}")]
    TablesUrl {
        /// What was given.
        url: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Storage refused.
    #[error("could not {operation} {path}")]
    Storage {
        /// What was attempted.
        operation: &'static str,
        /// On which object.
        path: String,
        /// Storage's own error.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A worker ended before its work did: a bug here, or the program is going down.
    #[error("the store's {worker} stopped")]
    Stopped {
        /// Which one.
        worker: &'static str,
    },
    /// A test asked the seal, or the upkeep of blocks, to stop here.
    #[cfg(test)]
    #[error("stopped by the test")]
    TestStop,
}

impl Error {
    /// Whether a test asked for it: such an error ends a round as a crash would.
    #[cfg(test)]
    pub(crate) fn is_test_stop(&self) -> bool {
        matches!(self, Self::TestStop)
    }

    #[cfg(not(test))]
    pub(crate) fn is_test_stop(&self) -> bool {
        false
    }

    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    pub(crate) fn wal(operation: &'static str) -> impl FnOnce(hindsight_wal::Error) -> Self {
        move |source| Self::Wal { operation, source }
    }

    pub(crate) fn delta(
        operation: &'static str,
        table: Table,
    ) -> impl FnOnce(deltalake::DeltaTableError) -> Self {
        move |source| Self::Delta { operation, table, source: Box::new(source) }
    }

    pub(crate) fn encode(table: Table, failure: crate::encode::Failure) -> Self {
        use crate::encode::Failure;
        let source = match failure {
            Failure::Parquet(error) => error,
            Failure::Arrow(error) => error.into(),
            Failure::Shape(_) => parquet::errors::ParquetError::External(Box::new(failure)),
        };
        Self::Parquet { table, source: Box::new(source) }
    }

    pub(crate) fn arrow(table: Table) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Parquet { table, source: Box::new(source.into()) }
    }
}

/// Why a request was not taken, sorted by who must act.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The sender: these bytes will never be accepted. HTTP 400, gRPC `INVALID_ARGUMENT`.
    #[error("the request was not understood")]
    Invalid(#[source] hindsight_otlp::DecodeError),
    /// Time: the same request succeeds later. HTTP 503 or 429, gRPC `UNAVAILABLE` with RetryInfo.
    #[error("the store is busy; retry in {} s", retry_after.as_secs())]
    Busy {
        /// How long the sender should wait.
        retry_after: Duration,
    },
    /// Time and the tenant: it sends faster than it may. HTTP 429, gRPC `RESOURCE_EXHAUSTED` with RetryInfo.
    #[error(
        "the tenant sends more {} a second than it may; send less, or retry in {} s",
        unit.as_str(), retry_after.as_secs()
    )]
    RateLimited {
        /// Which rate.
        unit: RateUnit,
        /// How long the sender should wait.
        retry_after: Duration,
    },
    /// The operator: the log cannot be written (full disk, failed sync, shutdown). The sender may retry. HTTP 503,
    /// gRPC `UNAVAILABLE`.
    #[error("the store cannot take requests now: {reason}")]
    Unavailable {
        /// A sentence for the sender; the cause is in the server's own log.
        reason: String,
    },
}
