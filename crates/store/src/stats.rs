use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// The store's figures at one moment; counters start at 0 with the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreStats {
    /// Series that count against their tenant's limit, of all tenants.
    pub active_series: u64,
    /// Rows in the head, also those being sealed.
    pub head_rows: u64,
    /// Memory of those rows.
    pub head_bytes: u64,
    /// Bytes of all log segments.
    pub wal_bytes: u64,
    /// Blocks in the catalogue, over all tables and tenants.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub block_bytes: u64,
    /// Rows of those blocks.
    pub block_rows: u64,
    /// Blocks whose ids are known in memory; see [`crate::IdFilters`].
    pub id_filter_blocks: u64,
    /// Memory of those filters.
    pub id_filter_bytes: u64,
    /// Requests acknowledged, repeats included.
    pub requests_acked_total: u64,
    /// Spans, points and log records stored.
    pub items_accepted_total: u64,
    /// Spans, points and log records refused by partial success.
    pub items_rejected_total: u64,
    /// Requests recognised as exact repeats and not stored again.
    pub duplicates_dropped_total: u64,
    /// Requests answered [`crate::IngestError::Busy`].
    pub busy_total: u64,
    /// Requests answered [`crate::IngestError::RateLimited`].
    pub rate_limited_total: u64,
    /// Bytes of requests being decoded or waiting for the log.
    pub in_flight_bytes: u64,
    /// Rows of `rejected_telemetry` that could not be kept for after a restart: the disk failed or was too slow.
    pub rejections_unwritten_total: u64,
    /// Requests answered [`crate::IngestError::Unavailable`].
    pub unavailable_total: u64,
    /// Seals that wrote at least one block.
    pub seals_total: u64,
    /// Seals that failed and will be tried again.
    pub seal_failures_total: u64,
    /// Merges of blocks done.
    pub compactions_total: u64,
    /// Bytes of the blocks that went into merges.
    pub compaction_bytes_read_total: u64,
    /// Bytes of the blocks that merges made.
    pub compaction_bytes_written_total: u64,
    /// Memory that a merge took at most, as reckoned from its inputs' footers; see
    /// [`crate::MaintenanceOptions::merge_memory_bytes`].
    pub compaction_memory_bytes_max: u64,
    /// Files above what there would be if every merge that is due were done; as of the last round of upkeep.
    pub compaction_lag_files: u64,
    /// Rounds, merges and retentions that failed and will be tried again.
    pub upkeep_failures_total: u64,
    /// Rows that retention took out.
    pub retention_rows_total: u64,
    /// Files deleted after merges and retention had taken them out of their table.
    pub files_removed_total: u64,
    /// Files deleted that were in no table: what failed seals, failed merges and earlier processes left.
    pub orphans_removed_total: u64,
    /// Files out of their table that wait for queries, holds or the grace before they are deleted.
    pub files_waiting: u64,
    /// Holds in force.
    pub holds: u64,
    /// When the last seal ended, by the store's clock.
    pub last_seal: Option<Timestamp>,
    /// What went wrong last, in one line; cleared by nothing but a restart.
    pub last_error: Option<String>,
    /// Whether the log is being replayed. A store that can be asked has replayed, so the field is for the server
    /// that answers while [`crate::Store::open`] runs.
    pub replaying: bool,
    /// Whether WAL-2 has shut the log: nothing is accepted until restart.
    pub poisoned: bool,
}

/// What a seal did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Blocks written.
    pub blocks: usize,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The last log position that every table now covers.
    pub wal_position: u64,
}

/// The counters behind [`StoreStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) acked: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) seal_failures: AtomicU64,
    pub(crate) wal_bytes: AtomicU64,
    pub(crate) upkeep: UpkeepCounters,
    last: Mutex<Last>,
}

/// What the upkeep of blocks counts.
#[derive(Debug, Default)]
pub(crate) struct UpkeepCounters {
    pub(crate) merges: AtomicU64,
    pub(crate) merge_bytes_read: AtomicU64,
    pub(crate) merge_bytes_written: AtomicU64,
    pub(crate) merge_memory_bytes: AtomicU64,
    pub(crate) lag_files: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) rows_expired: AtomicU64,
    pub(crate) files_removed: AtomicU64,
    pub(crate) orphans_removed: AtomicU64,
    pub(crate) files_waiting: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Last {
    seal: Option<Timestamp>,
    error: Option<String>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn sealed(&self, at: Timestamp) {
        self.lock().seal = Some(at);
    }

    pub(crate) fn failed(&self, error: String) {
        self.lock().error = Some(error);
    }

    pub(crate) fn read(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = self.lock().clone();
        StoreStats {
            wal_bytes: get(&self.wal_bytes),
            requests_acked_total: get(&self.acked),
            items_accepted_total: get(&self.accepted),
            items_rejected_total: get(&self.rejected),
            duplicates_dropped_total: get(&self.duplicates),
            busy_total: get(&self.busy),
            rate_limited_total: get(&self.rate_limited),
            unavailable_total: get(&self.unavailable),
            seals_total: get(&self.seals),
            seal_failures_total: get(&self.seal_failures),
            compactions_total: get(&self.upkeep.merges),
            compaction_bytes_read_total: get(&self.upkeep.merge_bytes_read),
            compaction_bytes_written_total: get(&self.upkeep.merge_bytes_written),
            compaction_memory_bytes_max: get(&self.upkeep.merge_memory_bytes),
            compaction_lag_files: get(&self.upkeep.lag_files),
            upkeep_failures_total: get(&self.upkeep.failures),
            retention_rows_total: get(&self.upkeep.rows_expired),
            files_removed_total: get(&self.upkeep.files_removed),
            orphans_removed_total: get(&self.upkeep.orphans_removed),
            files_waiting: get(&self.upkeep.files_waiting),
            last_seal: last.seal,
            last_error: last.error,
            ..StoreStats::default()
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An error and all its causes in one line, for the log and for [`StoreStats::last_error`].
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
