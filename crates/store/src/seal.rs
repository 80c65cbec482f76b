//! From head to blocks: freeze, sort, write, commit, show, and let go of the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hindsight_model::{Rows, Table, Tenant};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::oneshot;

use crate::block_writer::{EncodedBlock, encode};
use crate::id_filters::BlockFilter;
use crate::stats::Counters;
use crate::store::{Inner, lock};
use crate::table_log::TableLog;
use crate::writer::Command;
use crate::{BlockFile, Error, Result, SealReport};

/// The committing side of the store: one seal at a time holds it.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) logs: [TableLog; Table::ALL.len()],
}

impl Inner {
    /// Seals everything that is in the head when it is called; see [`crate::Store::seal`].
    pub(crate) async fn seal(&self) -> Result<SealReport> {
        let mut sealer = self.sealer.lock().await;
        let mut report = SealReport::default();
        let sealed = self.seal_all(&mut sealer, &mut report).await;
        *lock(&self.seal_failed) = sealed.is_err().then(Instant::now);
        match sealed {
            Ok(()) => {
                if report.blocks > 0 {
                    Counters::add(&self.counters.seals, 1);
                    self.counters.sealed(self.clock.now());
                }
                Ok(report)
            }
            Err(error) => {
                Counters::add(&self.counters.seal_failures, 1);
                self.counters.failed(crate::stats::chain(&error));
                Err(error)
            }
        }
    }

    async fn seal_all(&self, sealer: &mut Sealer, report: &mut SealReport) -> Result<()> {
        // What an earlier seal could not finish goes first, at its own position.
        if self.live.frozen_position().is_some() {
            self.seal_frozen(sealer, report).await?;
        }
        self.ask(|reply| Command::Freeze { reply }).await?;
        self.seal_frozen(sealer, report).await
    }

    async fn seal_frozen(&self, sealer: &mut Sealer, report: &mut SealReport) -> Result<()> {
        let Some(position) = self.live.frozen_position() else { return Ok(()) };
        for log in &mut sealer.logs {
            self.seal_table(log, position, report).await?;
        }
        self.live.thaw();
        report.wal_position = position;
        self.stop_here(SealStep::Release, None)?;
        self.ask(|reply| Command::Release { covered: position, reply }).await
    }

    async fn seal_table(&self, log: &mut TableLog, position: u64, report: &mut SealReport) -> Result<()> {
        let table = log.table();
        let rows = self.live.frozen_rows(table);
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(blocks) = log.settle(position).await? {
            self.show(table, blocks, HashMap::new(), report);
            return Ok(());
        }
        let (mut blocks, mut filters) = (Vec::new(), HashMap::new());
        for (tenant, batches) in rows {
            let work = move || encode_with_filters(table, &tenant, &batches, position);
            for (encoded, filter) in self.sealing.run(work).await?? {
                filters.insert(encoded.block.path.clone(), filter);
                blocks.push(self.put(encoded).await?);
            }
        }
        self.stop_here(SealStep::Commit, Some(table))?;
        let blocks = log.commit(blocks, position, self.clock.now()).await?;
        self.stop_here(SealStep::Show, Some(table))?;
        tracing::info!(
            table = table.name(),
            blocks = blocks.len(),
            wal.position = position,
            "sealed {table}"
        );
        self.show(table, blocks, filters, report);
        Ok(())
    }

    /// Committed blocks take the place of the frozen rows.
    fn show(
        &self,
        table: Table,
        blocks: Vec<BlockFile>,
        mut filters: HashMap<Path, BlockFilter>,
        report: &mut SealReport,
    ) {
        report.blocks += blocks.len();
        report.rows += blocks.iter().map(|block| block.rows).sum::<u64>();
        report.bytes += blocks.iter().map(|block| block.size_bytes).sum::<u64>();
        let blocks: Vec<_> = blocks.into_iter().map(Arc::new).collect();
        self.live.commit(table, blocks.clone());
        for block in blocks {
            if let Some(filter) = filters.remove(&block.path) {
                self.id_filters.insert(&block, filter);
            }
        }
    }

    async fn put(&self, encoded: EncodedBlock) -> Result<BlockFile> {
        let EncodedBlock { block, bytes } = encoded;
        let put = self.object_store.put(&block.path, bytes.into()).await;
        put.map_err(|source| Error::Storage {
            operation: "write the block",
            path: block.path.to_string(),
            source: Box::new(source),
        })?;
        Ok(block)
    }

    /// Sends the writer a command and waits for its answer.
    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        let gone = || Error::Stopped { worker: "log writer" };
        let (reply, answer) = oneshot::channel();
        self.commands().ok_or_else(gone)?.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    #[cfg(not(test))]
    fn stop_here(&self, _: SealStep, _: Option<Table>) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn stop_here(&self, step: SealStep, table: Option<Table>) -> Result<()> {
        let stop = self.options.seal_stop.0.lock().unwrap();
        if *stop == Some((step, table)) { Err(Error::TestStop) } else { Ok(()) }
    }
}

/// The blocks with the filters of their ids, while the bytes are at hand.
fn encode_with_filters(
    table: Table,
    tenant: &Tenant,
    batches: &[Rows],
    position: u64,
) -> Result<Vec<(EncodedBlock, BlockFilter)>> {
    let filtered = encode(table, tenant, batches, position)?.into_iter().map(|encoded| {
        let filter = BlockFilter::of_file(table, &encoded.bytes)
            .map_err(|source| Error::Parquet { table, source: Box::new(source) })?;
        Ok((encoded, filter))
    });
    filtered.collect()
}

/// A moment just before something happens, where a test may end a seal as a crash would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealStep {
    /// Files are written, the table's commit is not.
    Commit,
    /// The commit landed, queries do not see it yet.
    Show,
    /// Every table is committed, the log still holds the records.
    Release,
}

/// A moment of a seal, at one table or at the first that comes to it.
#[cfg(test)]
pub(crate) type Stop = (SealStep, Option<Table>);

/// Where a test wants the next seal to end.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct StopAt(pub(crate) Arc<std::sync::Mutex<Option<Stop>>>);
