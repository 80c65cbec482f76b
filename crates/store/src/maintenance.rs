//! The upkeep of blocks, round by round: retention, merges, and files that nobody needs any more.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hindsight_model::Table;
use jiff::Timestamp;

use crate::compact::{Activities, Partition, compact, due_merges};
use crate::retention::{RetentionRule, is_expired, kept};
use crate::stats::{Counters, chain};
use crate::store::Inner;
use crate::table_log::Change;
use crate::vacuum::{GoneBlocks, Strays, delete_gone, search_strays};
use crate::{BlockFile, Error, Hold, HoldId, Result, Store};

/// How often storage is searched for files that no commit names.
const STRAY_SEARCH_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How blocks are looked after.
#[derive(Clone, Debug)]
pub struct MaintenanceOptions {
    /// How often the store looks after its blocks by itself; `None` leaves it to [`Store::maintain`]. Default 5 s.
    pub interval: Option<Duration>,
    /// Blocks are merged up to this size; a block of at least half of it is not rewritten. A date that would have
    /// too many such blocks gets larger ones, up to four times this. Default 256 MiB.
    pub target_bytes: u64,
    /// While rows still come, so many small files of about one size wait for each other, unless fewer fill a file.
    /// More make every row rewritten less often, and queries open more files. From 2 to 64. Default 32.
    pub fan_in: usize,
    /// Memory that one merge may take, about: half for pages of its inputs, a third for one column of the output. So
    /// many of the files that are due are merged at a time as fit, two at least. Default 128 MiB.
    pub merge_memory_bytes: u64,
    /// A date without a seal for this long is finished off with few blocks. Default 10 minutes.
    pub quiet_after: Duration,
    /// How long a file that is in no table any more is kept for readers of other programs. Default 15 minutes.
    pub removal_grace: Duration,
    /// Input bytes that merges in the background read in a second at most; `None`: as the load allows. Default none.
    pub bytes_per_second_max: Option<u64>,
    /// Where another retention than [`crate::StoreOptions::retention`] holds.
    pub retention_rules: Vec<RetentionRule>,
    #[cfg(test)]
    pub(crate) stop: StopUpkeep,
}

impl Default for MaintenanceOptions {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(5)),
            target_bytes: 256 * 1024 * 1024,
            fan_in: 32,
            merge_memory_bytes: 128 * 1024 * 1024,
            quiet_after: Duration::from_secs(10 * 60),
            removal_grace: Duration::from_secs(15 * 60),
            bytes_per_second_max: None,
            retention_rules: Vec::new(),
            #[cfg(test)]
            stop: StopUpkeep::default(),
        }
    }
}

/// What a round of upkeep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Merges done.
    pub merges: u64,
    /// Files that went into them.
    pub files_merged: u64,
    /// Bytes of those files.
    pub bytes_read: u64,
    /// Bytes of the files they made.
    pub bytes_written: u64,
    /// Rows that retention took out.
    pub rows_expired: u64,
    /// Files that retention took out.
    pub files_expired: u64,
    /// Files deleted after they had left their table.
    pub files_removed: u64,
    /// Files deleted that were in no table.
    pub orphans_removed: u64,
}

/// What upkeep remembers from round to round; one round at a time holds it.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    pub(crate) activities: Activities,
    /// Partitions whose merge failed, and when to try again.
    pub(crate) retry_at: HashMap<Partition, Timestamp>,
    /// Tables whose catalogue may not be what their log says, after a commit whose outcome is unknown.
    pub(crate) out_of_step: BTreeSet<Table>,
    pub(crate) gone: GoneBlocks,
    pub(crate) strays: Strays,
    pub(crate) throttled: bool,
    last_search: Option<Instant>,
}

/// A moment just before something happens, where a test may end upkeep as a crash would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The merged file is written, its commit is not.
    CommitMerge,
    /// The commit landed, queries do not see it yet.
    ShowMerge,
    /// Retention has chosen, its commit is not written.
    CommitExpiry,
    /// The commit landed, queries do not see it yet.
    ShowExpiry,
    /// Files are to be deleted.
    Delete,
}

/// Where a test wants upkeep to end.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct StopUpkeep(pub(crate) Arc<std::sync::Mutex<Option<Step>>>);

/// The store, unless it is gone or closing.
pub(crate) fn alive(store: &Weak<Inner>) -> Result<Arc<Inner>> {
    let inner = store.upgrade().filter(|inner| !inner.is_closing());
    inner.ok_or(Error::Stopped { worker: "upkeep of blocks" })
}

impl Upkeep {
    /// Takes note of a failed commit or merge.
    pub(crate) fn failed(&mut self, inner: &Inner, table: Table, error: &Error) {
        Counters::add(&inner.counters.upkeep.failures, 1);
        inner.counters.failed(chain(error));
        if matches!(error, Error::Delta { .. } | Error::OutOfStep { .. }) {
            self.out_of_step.insert(table);
        }
    }

    fn search_is_due(&self) -> bool {
        self.last_search.is_none_or(|last| last.elapsed() >= STRAY_SEARCH_INTERVAL)
    }
}

/// How much of a round to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Everything that is due.
    Whole,
    /// One merge at most, gently, and the search for strays only now and then.
    Background,
}

/// One round. Returns what it did and whether more merges are due.
async fn round(
    store: &Weak<Inner>,
    upkeep: &mut Upkeep,
    now: Timestamp,
    extent: Extent,
) -> Result<(MaintenanceReport, bool)> {
    let mut report = MaintenanceReport::default();
    upkeep.throttled = extent == Extent::Background;
    for table in upkeep.out_of_step.clone() {
        let inner = alive(store)?;
        if let Err(error) = catch_up(&inner, upkeep, table, now).await {
            upkeep.failed(&inner, table, &error);
            tracing::warn!(table = table.name(), error = chain(&error), "could not read the catalogue again");
        }
    }
    expire(&*alive(store)?, upkeep, now, &mut report).await?;
    let mut due = due_merges(&*alive(store)?, upkeep, now);
    while !due.is_empty() {
        set_lag(&*alive(store)?, &due);
        compact(store, upkeep, due.swap_remove(0), now, &mut report).await?;
        due = due_merges(&*alive(store)?, upkeep, now);
        if extent == Extent::Background {
            break;
        }
    }
    let inner = alive(store)?;
    set_lag(&inner, &due);
    delete_gone(&inner, upkeep, now, &mut report).await?;
    if extent == Extent::Whole || upkeep.search_is_due() {
        search_strays(&inner, upkeep, now, &mut report).await?;
        upkeep.last_search = Some(Instant::now());
    }
    let waiting = upkeep.gone.len() as u64;
    inner.counters.upkeep.files_waiting.store(waiting, std::sync::atomic::Ordering::Relaxed);
    Ok((report, !due.is_empty()))
}

/// The lag: files above what there would be if all merges that are due were done.
fn set_lag(inner: &Inner, due: &[Vec<Arc<BlockFile>>]) {
    let files: usize = due.iter().map(|inputs| inputs.len() - 1).sum();
    inner.counters.upkeep.lag_files.store(files as u64, std::sync::atomic::Ordering::Relaxed);
}

/// Takes out blocks whose rows are all older than their retention and that no hold covers.
async fn expire(
    inner: &Inner,
    upkeep: &mut Upkeep,
    now: Timestamp,
    report: &mut MaintenanceReport,
) -> Result<()> {
    for table in Table::ALL {
        let expired = expired(inner, table, now);
        if expired.is_empty() || upkeep.out_of_step.contains(&table) {
            continue;
        }
        if let Err(error) = expire_table(inner, upkeep, table, now, report).await {
            if error.is_test_stop() {
                return Err(error);
            }
            upkeep.failed(inner, table, &error);
            tracing::warn!(
                table = table.name(),
                error = chain(&error),
                "could not drop old blocks; they stay"
            );
        }
    }
    Ok(())
}

fn expired(inner: &Inner, table: Table, now: Timestamp) -> Vec<Arc<BlockFile>> {
    let options = &inner.options;
    let rules = &options.maintenance.retention_rules;
    let holds = inner.holds.list();
    let state = inner.live.read();
    let old = state.catalogue.table(table).filter(|block| {
        is_expired(block, kept(rules, options.retention, table, &block.tenant), now)
            && !holds.iter().any(|hold| hold.covers(block))
    });
    old.cloned().collect()
}

async fn expire_table(
    inner: &Inner,
    upkeep: &mut Upkeep,
    table: Table,
    now: Timestamp,
    report: &mut MaintenanceReport,
) -> Result<()> {
    // From here to the commit no hold can begin: one that was acknowledged is honoured (BLK-3).
    let _closed = inner.holds.closed().await;
    let blocks = expired(inner, table, now);
    inner.stop_upkeep(Step::CommitExpiry)?;
    let mut sealer = inner.sealer.lock().await;
    sealer.logs[table.index()].replace(&blocks, &[], Change::Expire, now).await?;
    inner.stop_upkeep(Step::ShowExpiry)?;
    inner.live.replace(table, &blocks, &[]);
    drop(sealer);
    let rows: u64 = blocks.iter().map(|block| block.rows).sum();
    report.rows_expired += rows;
    report.files_expired += blocks.len() as u64;
    Counters::add(&inner.counters.upkeep.rows_expired, rows);
    tracing::info!(table = table.name(), files = blocks.len(), rows, "dropped blocks past their retention");
    upkeep.gone.add(&blocks, now, Change::Expire);
    Ok(())
}

/// Makes a table's catalogue what its log says, after a commit whose outcome was unknown.
async fn catch_up(inner: &Inner, upkeep: &mut Upkeep, table: Table, now: Timestamp) -> Result<()> {
    let mut sealer = inner.sealer.lock().await;
    if !inner.live.frozen_rows(table).is_empty() {
        // A seal failed half-way too. Its next attempt finds out what landed; until then nobody can tell.
        return Ok(());
    }
    let log = &mut sealer.logs[table.index()];
    let listed = log.reread().await?;
    let removed = log.removed().await?;
    let shown: Vec<Arc<BlockFile>> = inner.live.read().catalogue.table(table).cloned().collect();
    let listed_paths: HashSet<_> = listed.iter().map(|block| block.path.clone()).collect();
    let shown_paths: HashSet<_> = shown.iter().map(|block| block.path.clone()).collect();
    let left: Vec<_> = shown.into_iter().filter(|block| !listed_paths.contains(&block.path)).collect();
    let came: Vec<_> =
        listed.into_iter().filter(|block| !shown_paths.contains(&block.path)).map(Arc::new).collect();
    inner.live.replace(table, &left, &came);
    for block in &left {
        let gone = removed.get(block.path_in_table());
        upkeep.gone.add(std::slice::from_ref(block), now, gone.map_or(Change::Expire, |gone| gone.change));
    }
    upkeep.out_of_step.remove(&table);
    tracing::info!(table = table.name(), left = left.len(), came = came.len(), "read the catalogue again");
    Ok(())
}

impl Store {
    /// One whole round of upkeep as of `now`, without pauses: drops blocks past their retention, merges until no
    /// merge is due, deletes files that nobody needs any more. The store does the same by itself in small steps, see
    /// [`MaintenanceOptions::interval`].
    ///
    /// # Errors
    /// When storage or a Delta log cannot be read, or the store is closing. A merge that fails is logged and counted
    /// in [`crate::StoreStats::upkeep_failures_total`], and tried again later.
    pub async fn maintain(&self, now: Timestamp) -> Result<MaintenanceReport> {
        let store = Arc::downgrade(self.inner());
        let mut upkeep = self.inner().upkeep.lock().await;
        round(&store, &mut upkeep, now, Extent::Whole).await.map(|(report, _)| report)
    }

    /// Keeps rows from being deleted until the hold is released (BLK-3); when it returns the hold is durable. Whole
    /// blocks are kept. Merges go on, since they keep every row; what retention took out before stays out.
    ///
    /// # Errors
    /// [`Error::Holds`] when there are too many, [`Error::Io`] when the file cannot be written, [`Error::Stopped`]
    /// after [`Store::shutdown`].
    pub async fn hold(&self, hold: Hold) -> Result<()> {
        alive(&Arc::downgrade(self.inner()))?.holds.put(hold).await
    }

    /// Ends a hold; `false` when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, [`Error::Stopped`] after [`Store::shutdown`]; the hold stays
    /// then.
    pub async fn release_hold(&self, id: &HoldId) -> Result<bool> {
        alive(&Arc::downgrade(self.inner()))?.holds.remove(id).await
    }

    /// Every hold, by name.
    pub fn holds(&self) -> Vec<Hold> {
        Vec::clone(&self.inner().holds.list())
    }
}

impl Inner {
    #[cfg(not(test))]
    pub(crate) fn stop_upkeep(&self, _: Step) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn stop_upkeep(&self, step: Step) -> Result<()> {
        let stop = self.options.maintenance.stop.0.lock().unwrap();
        if *stop == Some(step) { Err(Error::TestStop) } else { Ok(()) }
    }
}

/// The upkeep task: a small round every so often, at once again while merges are due. Ends when the store is gone or
/// closing.
pub(crate) async fn upkeep_when_due(store: Weak<Inner>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        loop {
            let Ok(inner) = alive(&store) else { return };
            let (upkeep, now) = (Arc::clone(&inner.upkeep), inner.clock.steady());
            drop(inner);
            let mut upkeep = upkeep.lock_owned().await;
            match round(&store, &mut upkeep, now, Extent::Background).await {
                Ok((_, true)) => {}
                Ok((_, false)) => break,
                Err(Error::Stopped { .. }) => return,
                Err(error) => {
                    let Ok(inner) = alive(&store) else { return };
                    Counters::add(&inner.counters.upkeep.failures, 1);
                    inner.counters.failed(chain(&error));
                    tracing::error!(error = chain(&error), "the upkeep of blocks failed; it is tried again");
                    break;
                }
            }
        }
    }
}
