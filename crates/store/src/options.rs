use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::Promotion;
use hindsight_otlp::Limits;
use hindsight_wal::{Files, StdFiles};

use crate::{MaintenanceOptions, RateLimit, SERIES_MAX, TablesLocation};

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// The request survives `kill -9` and power loss (WAL-1): one sync for every group of waiting requests.
    #[default]
    Fsync,
    /// The request survives `kill -9`; power loss may take the last seconds.
    Flush,
}

/// How a store is kept. [`StoreOptions::new`] gives the defaults of DESIGN §9.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The directory that holds `wal/`, `tables/`, `node.id` and `LOCK`; made if it is not there.
    pub data_dir: PathBuf,
    /// Where the tables are. Default [`TablesLocation::Local`].
    pub tables: TablesLocation,
    /// Attributes that get columns, beside those of every table and those that were promoted in a table before. Default
    /// none.
    pub promote: Vec<Promotion>,
    /// The head is sealed when it holds this many bytes of memory. Default 64 MiB.
    pub seal_bytes: usize,
    /// The head is sealed when its oldest row has been in it this long. Default 60 s.
    pub seal_age: Duration,
    /// How long after a seal that failed the store tries again by itself. Default 5 s.
    pub seal_retry: Duration,
    /// Above this many bytes of head memory, requests are answered [`crate::IngestError::Busy`]. Default 256 MiB.
    pub head_bytes_max: usize,
    /// Bytes of requests that may be decoded or waiting for the log at once; above it requests are answered
    /// [`crate::IngestError::Busy`]. One larger request is let in alone. Default 256 MiB.
    pub in_flight_bytes_max: usize,
    /// How fast each tenant may send. Default: without limit.
    pub rate: RateLimit,
    /// Series that one tenant may have active at once, see [`crate::ActiveSeries`]. Default 200,000.
    pub series_max: usize,
    /// What an acknowledgement promises. Default [`Durability::Fsync`].
    pub durability: Durability,
    /// Telemetry with an event time older than this is rejected on arrival, and dropped from the tables when it gets
    /// this old, unless a rule in [`MaintenanceOptions::retention_rules`] says otherwise. Default 30 days.
    pub retention: Duration,
    /// Limits of one request.
    pub limits: Limits,
    /// How long an exact repeat of a request is recognised (OTLP.md rule 13). Default 10 minutes.
    pub dedup_window: Duration,
    /// Memory for the filters of trace and span ids. When it is full the blocks with the oldest rows have none, and
    /// a look-up by id opens each of them that its time range leaves. Default 64 MiB.
    pub id_filter_bytes_max: usize,
    /// Size of a log segment. Default 64 MiB.
    pub wal_segment_bytes: u64,
    /// How blocks are merged, kept and deleted.
    pub maintenance: MaintenanceOptions,
    /// The file system under the log; a test puts a faulty one here.
    pub wal_files: Arc<dyn Files>,
    #[cfg(test)]
    pub(crate) seal_stop: crate::seal::StopAt,
}

impl StoreOptions {
    /// The defaults, for the store in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            tables: TablesLocation::default(),
            promote: Vec::new(),
            seal_bytes: 64 * 1024 * 1024,
            seal_age: Duration::from_secs(60),
            seal_retry: Duration::from_secs(5),
            head_bytes_max: 256 * 1024 * 1024,
            in_flight_bytes_max: 256 * 1024 * 1024,
            rate: RateLimit::default(),
            series_max: SERIES_MAX,
            durability: Durability::default(),
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            limits: Limits::default(),
            dedup_window: Duration::from_secs(10 * 60),
            id_filter_bytes_max: 64 * 1024 * 1024,
            wal_segment_bytes: 64 * 1024 * 1024,
            maintenance: MaintenanceOptions::default(),
            wal_files: Arc::new(StdFiles),
            #[cfg(test)]
            seal_stop: crate::seal::StopAt::default(),
        }
    }
}
