//! From head to blocks: freeze, sort, write, commit, show, and let go of the log.

use std::sync::Arc;

use hindsight_model::Table;
use object_store::ObjectStoreExt;
use tokio::sync::oneshot;

use crate::block_writer::{EncodedBlock, encode};
use crate::stats::Counters;
use crate::store::Inner;
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
        let mut blocks = Vec::new();
        for (tenant, batches) in rows {
            let work = tokio::task::spawn_blocking(move || encode(table, &tenant, &batches, position));
            for encoded in work.await.map_err(|_| Error::Stopped { worker: "block writer" })?? {
                blocks.push(self.put(encoded).await?);
            }
        }
        self.stop_here(SealStep::Commit, Some(table))?;
        let blocks = log.commit(blocks, position, self.clock.now()).await?;
        self.stop_here(SealStep::Show, Some(table))?;
        report.blocks += blocks.len();
        report.rows += blocks.iter().map(|block| block.rows).sum::<u64>();
        report.bytes += blocks.iter().map(|block| block.size_bytes).sum::<u64>();
        tracing::info!(
            table = table.name(),
            blocks = blocks.len(),
            wal.position = position,
            "sealed {table}"
        );
        self.live.commit(table, blocks.into_iter().map(Arc::new).collect());
        Ok(())
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
