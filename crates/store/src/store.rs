//! The store as its users hold it: opening, the public operations, and the orderly end.

use std::path::Path as FsPath;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hindsight_model::{Clock, Promotion, SystemTable, Table, Tenant};
use hindsight_otlp::Interner;
use hindsight_wal::{Options, Position, Wal};
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::admission::{Rates, SeriesLimits, Steady, in_flight_units};
use crate::arrivals::Arrivals;
use crate::data_format::accept_format;
use crate::dedup::Dedup;
use crate::durable_fs::{create_dir_durably, remove_unfinished};
use crate::holds::HoldBook;
use crate::id_filters::{IdFilters, keep_filled};
use crate::live::Live;
use crate::lock::{DataDirLock, node_id};
use crate::maintenance::{Upkeep, upkeep_when_due};
use crate::rejections::Rejections;
use crate::replay::{Covered, replay};
use crate::seal::Sealer;
use crate::stats::{Counters, chain};
use crate::system_tables::{BlocksTable, HoldsTable, RejectedTelemetryTable};
use crate::table_log::TableLog;
use crate::tables_storage::TablesStorage;
use crate::worker::Worker;
use crate::writer::{Command, QUEUE_REQUESTS_MAX, Writer};
use crate::{
    BlockFile, Error, Ingest, IngestError, Ingested, Refusal, RejectedItem, Result, SealReport, Snapshot,
    StoreOptions, StoreStats, TablesLocation,
};

/// How often the age of the head is looked at.
const SEAL_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A node's telemetry: cheap to clone, all clones are one store.
///
/// The last clone to go stops the writer after it has synced the log; what was not sealed is replayed at the next
/// open. [`Store::shutdown`] is the orderly end, which seals first.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) options: StoreOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) live: Arc<Live>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) rejections: Rejections,
    pub(crate) rates: Rates,
    pub(crate) sealer: tokio::sync::Mutex<Sealer>,
    pub(crate) holds: HoldBook,
    /// One round of upkeep at a time; not part of the store's life, so that a round does not prolong it.
    pub(crate) upkeep: Arc<tokio::sync::Mutex<Upkeep>>,
    pub(crate) object_store: Arc<dyn ObjectStore>,
    pub(crate) id_filters: Arc<IdFilters>,
    /// Bytes in flight, in units of 1 KiB.
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) decoders: Semaphore,
    pub(crate) interner: Arc<Interner>,
    pub(crate) series: SeriesLimits,
    pub(crate) arrivals: Arc<Arrivals>,
    /// Encodes what is sealed.
    pub(crate) sealing: Worker,
    /// Merges blocks. Like the state of upkeep not part of the store's life.
    pub(crate) merging: Arc<Worker>,
    /// When the last seal ended, if it failed.
    pub(crate) seal_failed: Mutex<Option<Instant>>,
    wake: Arc<Notify>,
    closing: AtomicBool,
    poisoned: Arc<AtomicBool>,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<DataDirLock>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data_dir", &self.options.data_dir).finish_non_exhaustive()
    }
}

fn worker(name: &'static str, data_dir: &FsPath) -> Result<Worker> {
    Worker::start(name).map_err(Error::io("start a thread for blocks of", data_dir))
}

impl Store {
    /// Opens the store in `options.data_dir`, making it if it is not there: takes `LOCK`, reads the tables' Delta
    /// logs into the catalogue, and replays what the write-ahead log holds beyond them.
    ///
    /// It starts a thread for the log, a task that seals by size and age, one that looks after the blocks, and one that
    /// reads the id filters of blocks that have none; they end with the store.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has the directory; otherwise whatever the disk, the log or a table
    /// has to say.
    pub async fn open(options: StoreOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let data_dir = std::path::absolute(&options.data_dir)
            .map_err(Error::io("find the directory", &options.data_dir))?;
        create_dir_durably(&data_dir).map_err(Error::io("create the directory", &data_dir))?;
        let lock = DataDirLock::take(&data_dir)?;
        accept_format(&data_dir)?;
        let holds = HoldBook::open(&data_dir)?;
        let tables = TablesStorage::open(&options.tables, &data_dir)?;
        if options.tables == TablesLocation::Local {
            let dir = data_dir.join("tables");
            remove_unfinished(&dir).map_err(Error::io("clean up the directory", &dir))?;
        }
        let live = Arc::new(Live::default());
        let sealer = open_tables(&tables, node_id(&data_dir)?, &options.promote, &live).await?;
        let covered = sealer.covered().await?;
        let counters = Arc::new(Counters::default());
        let interner = Arc::new(Interner::new());
        let (wal, dedup, inserted) =
            recover(&options, &data_dir, &covered, &live, &interner, clock.as_ref()).await?;
        counters.wal_bytes.store(wal.size_bytes(), Ordering::Relaxed);
        let wake = Arc::new(Notify::new());
        let poisoned = Arc::new(AtomicBool::new(false));
        let arrivals = Arc::new(Arrivals::default());
        let writer = Writer {
            arrivals: Arc::clone(&arrivals),
            wal,
            dedup,
            live: Arc::clone(&live),
            counters: Arc::clone(&counters),
            clock: Arc::new(Steady(Arc::clone(&clock))),
            durability: options.durability,
            poisoned: Arc::clone(&poisoned),
            inserted,
            wake: Arc::clone(&wake),
            seal_bytes: options.seal_bytes as u64,
        };
        let (commands, receiver) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(Error::io("start the writer thread of", &data_dir))?;
        let id_filters = Arc::new(IdFilters::new(options.id_filter_bytes_max));
        let rejections = Rejections::open(&data_dir);
        let series = SeriesLimits::new(options.series_max);
        let inner = Arc::new(Inner {
            clock,
            live,
            counters,
            rejections,
            rates: Rates::new(options.rate),
            sealer: tokio::sync::Mutex::new(sealer),
            holds,
            upkeep: Arc::default(),
            object_store: tables.object_store(),
            id_filters,
            in_flight: Arc::new(Semaphore::new(in_flight_units(&options) as usize)),
            options,
            decoders: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            interner,
            series,
            arrivals,
            sealing: worker("store-sealer", &data_dir)?,
            merging: Arc::new(worker("store-merger", &data_dir)?),
            seal_failed: Mutex::default(),
            wake: Arc::clone(&wake),
            closing: AtomicBool::new(false),
            poisoned,
            commands: Mutex::new(Some(commands)),
            writer: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(lock)),
        });
        tokio::spawn(seal_when_due(Arc::downgrade(&inner), wake));
        if let Some(interval) = inner.options.maintenance.interval {
            tokio::spawn(upkeep_when_due(Arc::downgrade(&inner), interval));
        }
        tokio::spawn(keep_filled(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Takes one request. When it returns `Ok` the rows are durable (WAL-1) and in every later snapshot (QRY-1).
    /// If the caller goes away meanwhile the request may still be stored; its repeat is then recognised.
    ///
    /// # Errors
    /// By who must act: [`IngestError::Invalid`] the sender, [`IngestError::Busy`] time,
    /// [`IngestError::Unavailable`] the operator.
    pub async fn ingest(&self, request: Ingest) -> Result<Ingested, IngestError> {
        self.inner.ingest(request).await
    }

    /// One tenant's rows of all tables at this instant (QRY-1, QRY-3). Cheap: columns are shared, nothing is read.
    pub fn snapshot(&self, tenant: &Tenant) -> Snapshot {
        self.inner.live.snapshot(tenant)
    }

    /// Every tenant's blocks of one table, in no particular order. As long as somebody has a block its file stays.
    pub fn blocks(&self, table: Table) -> Vec<Arc<BlockFile>> {
        self.inner.live.read().catalogue.table(table).cloned().collect()
    }

    /// Whether requests are in flight: work that can wait should then leave them the machine.
    pub fn is_busy(&self) -> bool {
        self.inner.in_flight_bytes() > 0
    }

    /// Where blocks are read from; paths in [`crate::BlockFile`] are within it.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.object_store)
    }

    /// Which ids each block may hold; filled in the background after an open.
    pub fn id_filters(&self) -> Arc<IdFilters> {
        Arc::clone(&self.inner.id_filters)
    }

    /// The Delta table's root within [`Store::object_store`].
    pub fn table_root(&self, table: Table) -> Path {
        Path::from(table.name())
    }

    /// Turns everything in the head now into blocks, with one Delta commit a table, and removes log segments that
    /// hold nothing else. Does nothing when the head is empty.
    ///
    /// # Errors
    /// Rows that could not be sealed stay visible and durable in the log, and the next seal takes them first.
    pub async fn seal(&self) -> Result<SealReport> {
        self.inner.seal().await
    }

    /// The orderly end: refuses new requests, waits for those in flight, seals, syncs the log, stops the writer and
    /// releases `LOCK`. A second call finds nothing to do. Snapshots still work afterwards.
    ///
    /// # Errors
    /// When the seal fails; the store is closed all the same and the next open replays the log.
    pub async fn shutdown(&self) -> Result<()> {
        self.inner.shutdown().await
    }

    /// The store's figures now.
    pub fn stats(&self) -> StoreStats {
        let mut stats = self.inner.counters.read();
        (stats.id_filter_blocks, stats.id_filter_bytes) = self.inner.id_filters.size();
        let state = self.inner.live.read();
        (stats.head_rows, stats.head_bytes) = state.head_size();
        for block in state.catalogue.all() {
            stats.blocks += 1;
            stats.block_bytes += block.size_bytes;
            stats.block_rows += block.rows;
        }
        stats.active_series = self.inner.series.active();
        stats.in_flight_bytes = self.inner.in_flight_bytes();
        stats.rejections_unwritten_total = self.inner.rejections.unwritten();
        stats.poisoned = self.inner.is_poisoned();
        stats.holds = self.inner.holds.list().len() as u64;
        stats
    }

    /// The most recent refused items and requests of all tenants, oldest first, also those from before a restart;
    /// bounded in number and per minute. Items beyond are counted in [`StoreStats::items_rejected_total`].
    pub fn rejections(&self) -> Vec<Arc<RejectedItem>> {
        self.inner.rejections.recent()
    }

    /// Notes that a whole request was refused: one row of `rejected_telemetry` for each minute, tenant, signal and
    /// reason, with how many there were.
    pub fn note_refusal(&self, refusal: Refusal<'_>) {
        self.inner.rejections.refused(&refusal, self.inner.clock.now());
    }

    /// The newest event time that this tenant has sent, also before a restart.
    pub fn watermark(&self, tenant: &Tenant) -> Option<Timestamp> {
        self.inner.live.read().watermark(tenant)
    }

    /// `rejected_telemetry`, `blocks` and `holds`, for the query engine.
    pub fn system_tables(&self) -> Vec<Arc<dyn SystemTable>> {
        vec![
            Arc::new(RejectedTelemetryTable::new(self.clone())),
            Arc::new(BlocksTable::new(self.clone())),
            Arc::new(HoldsTable::new(self.clone())),
        ]
    }

    /// The clock that the store was opened with.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.clock)
    }

    pub(crate) fn live(&self) -> &Live {
        &self.inner.live
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Inner {
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(crate) fn wake_sealer(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn commands(&self) -> Option<mpsc::Sender<Command>> {
        lock(&self.commands).clone()
    }

    async fn shutdown(&self) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        // All permits together mean that no request is in flight; new ones are refused before they ask for any.
        let drained = self.in_flight.acquire_many(in_flight_units(&self.options)).await;
        let sealed = if self.commands().is_some() { self.seal().await.map(drop) } else { Ok(()) };
        lock(&self.commands).take();
        let writer = lock(&self.writer).take();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer thread ended with a panic");
            }
        }
        // A round of upkeep that is under way stops at its next step, and nothing is written after the lock goes.
        drop(self.upkeep.lock().await);
        self.rejections.close();
        lock(&self.lock).take();
        drop(drained);
        sealed
    }

    fn seal_is_due(&self) -> bool {
        if self.sealer.try_lock().is_err() {
            return false; // a seal is running already
        }
        if lock(&self.seal_failed).is_some_and(|at| at.elapsed() < self.options.seal_retry) {
            return false;
        }
        let state = self.live.read();
        let aged = state.head.since.is_some_and(|since| since.elapsed() >= self.options.seal_age);
        let large = state.head.bytes() >= (self.options.seal_bytes as u64).max(1);
        // With no seal running, a frozen head is what a failed seal left behind.
        aged || large || state.frozen.is_some()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.commands).take();
        if let Some(writer) = lock(&self.writer).take()
            && writer.join().is_err()
        {
            tracing::error!("the writer thread ended with a panic");
        }
    }
}

impl Sealer {
    async fn covered(&self) -> Result<Covered> {
        let mut covered = Covered::default();
        for log in &self.logs {
            covered[log.table().index()] = log.covered().await?;
        }
        Ok(covered)
    }
}

/// Reads all Delta logs at once, since each may be far away. They tell which columns the tables have beside those of every
/// table of ours; only then can anything be said of their files.
async fn open_tables(
    tables: &TablesStorage,
    node: hindsight_model::NodeId,
    promote: &[Promotion],
    live: &Live,
) -> Result<Sealer> {
    let opened = Table::ALL.map(|table| TableLog::open(table, tables, node));
    let opened = futures::future::try_join_all(opened).await?;
    let mut promotions = Vec::new();
    for log in &opened {
        promotions.extend(log.promotions()?);
    }
    promotions.extend_from_slice(promote);
    hindsight_model::promote(&promotions)?;
    let mut logs = Vec::with_capacity(Table::ALL.len());
    for log in opened {
        let blocks = log.blocks()?;
        let mut state = live.write();
        for block in &blocks {
            state.raise_watermark(&block.tenant, block.max_timestamp);
        }
        state.catalogue.replace(log.table(), &[], blocks.into_iter().map(Arc::new).collect());
        drop(state);
        logs.push(log);
    }
    let logs = logs.try_into().expect("one log was pushed for each table");
    Ok(Sealer { logs })
}

/// Opens the write-ahead log and replays it off the I/O threads.
async fn recover(
    options: &StoreOptions,
    data_dir: &FsPath,
    covered: &Covered,
    live: &Arc<Live>,
    interner: &Arc<Interner>,
    clock: &dyn Clock,
) -> Result<(Wal, Dedup, u64)> {
    let last_covered = covered.iter().copied().max().unwrap_or(0);
    let wal_options =
        Options { segment_bytes: options.wal_segment_bytes, first_position: Position(last_covered + 1) };
    let (files, wal_dir) = (Arc::clone(&options.wal_files), data_dir.join("wal"));
    let (live, interner, covered) = (Arc::clone(live), Arc::clone(interner), *covered);
    let mut dedup = Dedup::new(options.dedup_window);
    let now = clock.steady();
    let work = tokio::task::spawn_blocking(move || {
        let (wal, recovered) = Wal::open_with(files, wal_dir, wal_options).map_err(Error::wal("open"))?;
        let replayed = replay(recovered, &covered, &live, &mut dedup, &interner)?;
        dedup.expire(now); // from here on its time is the steady one
        tracing::info!(requests = replayed.requests, rows = replayed.rows, "replayed the write-ahead log");
        Ok((wal, dedup, replayed.last.max(last_covered)))
    });
    work.await.map_err(|_| Error::Stopped { worker: "replay" })?
}

/// The sealing task: by size when the writer wakes it, by age when it looks. Ends when the store is gone or closing.
async fn seal_when_due(store: Weak<Inner>, wake: Arc<Notify>) {
    loop {
        let _ = tokio::time::timeout(SEAL_CHECK_INTERVAL, wake.notified()).await;
        let Some(inner) = store.upgrade().filter(|inner| !inner.is_closing()) else { return };
        inner.rejections.end_minute_before(inner.clock.now());
        if !inner.seal_is_due() {
            continue;
        }
        if let Err(error) = inner.seal().await {
            tracing::error!(
                error = chain(&error),
                "could not seal the head; the rows stay in the log and visible"
            );
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
