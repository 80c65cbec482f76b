//! The task that keeps indexes as they should be: one is built at a time, gently, for blocks that will stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use hindsight_store::{BlockFile, Store};
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use tokio::runtime::Handle;

use crate::block_file::BlockReader;
use crate::build::Builder;
use crate::manifest::Manifest;
use crate::part_writer::Layout;
use crate::plan::{Candidate, Plan, plan};
use crate::search_index::{SearchIndex, remove};
use crate::{Error, Result, SearchOptions, indexed_columns};

/// How often the list of blocks is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Blocks of fewer rows are read about as fast as an index.
const ROWS_MIN: u64 = 1_000;
/// How long a merged block must have been there: some are merged again at once.
const MERGED_RIPENS: Duration = Duration::from_secs(3);
/// How long a block that was never merged must have been there. Where many rows come it is merged before that, and
/// its rows are indexed once; where few come, indexing them twice costs little.
const SEALED_RIPENS: Duration = Duration::from_secs(60);
/// Rows that are read at once.
const BATCH_ROWS: usize = 8192;
/// While requests are in flight, building rests this many times as long as it worked: a fifth of one core.
const BUSY_REST_FACTOR: u32 = 4;
/// The longest rest after one batch.
const BUSY_REST_MAX: Duration = Duration::from_millis(200);

impl SearchIndex {
    /// Builds and removes indexes until `stop` comes, then ends within a moment.
    pub async fn keep(&self, store: Store, options: SearchOptions, stop: impl Future<Output = ()>) {
        let stopping = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            index: self.clone(),
            store,
            options,
            stopping: Arc::clone(&stopping),
            since: BTreeMap::new(),
            given_up: BTreeSet::new(),
        };
        let mut stop = std::pin::pin!(stop);
        let mut work = std::pin::pin!(keeper.run());
        tokio::select! {
            () = &mut stop => stopping.store(true, Ordering::Relaxed),
            () = &mut work => return,
        }
        work.await;
    }
}

struct Keeper {
    index: SearchIndex,
    store: Store,
    options: SearchOptions,
    stopping: Arc<AtomicBool>,
    /// When each block was first seen.
    since: BTreeMap<String, Instant>,
    /// Blocks whose index failed, or had no room.
    given_up: BTreeSet<String>,
}

impl Keeper {
    async fn run(mut self) {
        while !self.is_stopping() {
            if !self.step().await {
                self.pause().await;
            }
        }
    }

    /// One look at the blocks, and the most urgent work. Whether there may be more.
    async fn step(&mut self) -> bool {
        let blocks: Vec<_> = self.options.tables.iter().flat_map(|table| self.store.blocks(*table)).collect();
        let candidates = self.candidates(&blocks);
        let Plan { remove, crowded_out, build } =
            plan(&candidates, &self.index.indexed(), &self.given_up, self.options.bytes_max);
        self.remove(remove).await;
        self.given_up.extend(crowded_out);
        let found = build.and_then(|path| blocks.into_iter().find(|block| block.path.as_ref() == path));
        let Some(block) = found else { return false };
        let path = block.path.to_string();
        if let Err(error) = self.build(block).await {
            if !self.is_stopping() {
                tracing::warn!(
                    block = path,
                    error = error.chain(),
                    "could not index a block; it is read whole"
                );
            }
            self.given_up.insert(path);
        }
        true
    }

    fn candidates(&mut self, blocks: &[Arc<BlockFile>]) -> Vec<Candidate> {
        let before = std::mem::take(&mut self.since);
        let now = Instant::now();
        let mut candidates = Vec::with_capacity(blocks.len());
        for block in blocks {
            let path = block.path.to_string();
            let since = before.get(&path).copied().unwrap_or(now);
            let ripens = if block.level() > 0 { MERGED_RIPENS } else { SEALED_RIPENS };
            let is_ripe = block.rows >= ROWS_MIN && now.duration_since(since) >= ripens;
            self.since.insert(path.clone(), since);
            candidates.push(Candidate { path, rows: block.rows, latest: block.max_timestamp, is_ripe });
        }
        self.given_up.retain(|path| self.since.contains_key(path));
        candidates
    }

    async fn remove(&self, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let index = self.index.clone();
        let removed = on_thread(move || {
            paths.iter().for_each(|path| index.remove(path));
            Ok(())
        });
        if let Err(error) = removed.await {
            tracing::warn!(error = error.chain(), "could not remove the indexes of blocks that are gone");
        }
    }

    async fn build(&self, block: Arc<BlockFile>) -> Result<()> {
        let path = block.path.to_string();
        let began = Instant::now();
        let work = Work {
            index: self.index.clone(),
            store: self.store.clone(),
            stopping: Arc::clone(&self.stopping),
            runtime: Handle::current(),
            block,
        };
        let (rows, bytes) = on_thread(move || work.run()).await?;
        tracing::info!(block = path, rows, bytes, took = ?began.elapsed(), "indexed the texts of a block");
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    async fn pause(&self) {
        let until = Instant::now() + CHECK_INTERVAL;
        while !self.is_stopping() && Instant::now() < until {
            tokio::time::sleep(CHECK_INTERVAL / 20).await;
        }
    }
}

/// A thread of its own, which may wait for files: the system's allocator keeps what a thread of a pool gave back.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (reply, done) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("search-builder".to_owned()).spawn(move || {
        // Nobody may listen any more.
        let _ = reply.send(work());
    });
    thread.map_err(Error::io("start a thread to build", Path::new("an index")))?;
    // Without an answer it panicked, which the panic's own message says.
    done.await.unwrap_or(Err(Error::Stopped))
}

/// One block to index.
struct Work {
    index: SearchIndex,
    store: Store,
    stopping: Arc<AtomicBool>,
    runtime: Handle,
    block: Arc<BlockFile>,
}

impl Work {
    /// Builds the index and takes it in; its rows and bytes.
    fn run(&self) -> Result<(u32, u64)> {
        let path = self.block.path.as_ref();
        let place = self.index.workplace(path).ok_or_else(|| Error::Block {
            path: path.to_owned(),
            source: "its name cannot be a directory's".into(),
        })?;
        remove(&place);
        let built = self.build(&place).and_then(|manifest| {
            self.index.adopt(&place, &manifest)?;
            Ok((manifest.rows, manifest.bytes()))
        });
        if built.is_err() {
            remove(&place);
        }
        built
    }

    fn build(&self, place: &Path) -> Result<Manifest> {
        let failed = |source: parquet::errors::ParquetError| Error::Block {
            path: self.block.path.to_string(),
            source: Box::new(source),
        };
        let file = BlockReader { store: self.store.object_store(), block: Arc::clone(&self.block) };
        let reader = self.runtime.block_on(ParquetRecordBatchStreamBuilder::new(file)).map_err(failed)?;
        let wanted = indexed_columns(self.block.table);
        let there = |column: &&&str| reader.schema().field_with_name(column).is_ok();
        let columns: Vec<String> = wanted.iter().filter(there).map(|column| (*column).to_owned()).collect();
        let names = columns.iter().map(String::as_str);
        let mask = ProjectionMask::columns(reader.parquet_schema(), names);
        let mut batches = reader.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(failed)?;
        let mut builder = Builder::create(place, self.block.path.as_ref(), columns, Layout::default())?;
        let mut since = Instant::now();
        while let Some(batch) = self.runtime.block_on(batches.next()) {
            builder.add(&batch.map_err(failed)?)?;
            self.rest(since)?;
            since = Instant::now();
        }
        builder.finish()
    }

    /// Gives requests the machine, and ends the work when the program ends.
    fn rest(&self, since: Instant) -> Result<()> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        if self.store.is_busy() {
            std::thread::sleep((since.elapsed() * BUSY_REST_FACTOR).min(BUSY_REST_MAX));
        }
        Ok(())
    }
}
