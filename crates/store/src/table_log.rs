//! One table's Delta log: the only list of its blocks, and the place that says which log records they hold (BLK-1).

use std::collections::HashMap;
use std::path::Path as FsPath;
use std::sync::Arc;

use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, StructType, Transaction};
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTableBuilder, DeltaTableError};
use hindsight_model::{NodeId, Table, Tenant, timestamp_from_micros};
use jiff::Timestamp;
use object_store::path::Path;
use url::Url;

use crate::block_stats::{BlockStats, micros_of};
use crate::block_writer::PARTITION_COLUMNS;
use crate::durable_fs::DurableFs;
use crate::stats::chain;
use crate::{BlockFile, Error, Result};

mod replace;

pub(crate) use replace::{Change, Gone};

/// A checkpoint is written every so many commits, so that opening reads few files.
const CHECKPOINT_INTERVAL: u64 = 64;

/// The Delta log of one table, open for committing. There is one for each table, owned by the sealer.
pub(crate) struct TableLog {
    table: Table,
    url: Url,
    log_store: LogStoreRef,
    /// `None` until the table exists.
    state: Option<DeltaTableState>,
    /// `<node id>/<table>`: whose log positions the transaction versions are.
    app_id: String,
    /// What [`TableLog::covered`] said for this state; `None` when it has to be read.
    covered: Option<u64>,
}

impl std::fmt::Debug for TableLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableLog").field("table", &self.table).field("url", &self.url.as_str()).finish()
    }
}

impl TableLog {
    /// Opens the log of `table` under `tables_dir` (an absolute path); the table need not exist.
    pub(crate) async fn open(table: Table, tables_dir: &FsPath, node: NodeId) -> Result<Self> {
        let failed = |source| Error::Delta { operation: "open", table, source: Box::new(source) };
        let dir = tables_dir.join(table.name());
        let url = Url::from_directory_path(&dir)
            .map_err(|()| failed(DeltaTableError::InvalidTableLocation(dir.display().to_string())))?;
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(failed)?;
        let mut delta = builder
            .with_storage_backend(Arc::new(DurableFs::whole()), url.clone())
            .build()
            .map_err(failed)?;
        let state = if delta.verify_deltatable_existence().await.map_err(failed)? {
            delta.load().await.map_err(failed)?;
            Some(delta.snapshot().map_err(failed)?.clone())
        } else {
            None
        };
        let app_id = format!("{node}/{}", table.name());
        Ok(Self { table, url, log_store: delta.log_store(), state, app_id, covered: None })
    }

    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// The last log position that this node's commits cover; 0 before the first.
    pub(crate) async fn covered(&self) -> Result<u64> {
        let Some(state) = &self.state else { return Ok(0) };
        let version = state
            .transaction_version(self.log_store.as_ref(), &self.app_id)
            .await
            .map_err(Error::delta("read the last transaction of", self.table))?;
        Ok(version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0))
    }

    /// Every active block, in commit order.
    pub(crate) fn blocks(&self) -> Result<Vec<BlockFile>> {
        let Some(state) = &self.state else { return Ok(Vec::new()) };
        let mut blocks = Vec::new();
        for file in state.log_data().iter() {
            let path = file.path().into_owned();
            let described = describe(
                self.table,
                &path,
                u64::try_from(file.size()).unwrap_or(0),
                &file.partition_values_map(),
                file.stats().as_deref(),
            );
            blocks.push(described.map_err(|reason| Error::Foreign { table: self.table, path, reason })?);
        }
        blocks.sort_by(|a, b| (a.wal_position, &a.path).cmp(&(b.wal_position, &b.path)));
        Ok(blocks)
    }

    /// Adds `blocks` in one commit that says: everything up to log position `position` is in this table. Returns the
    /// blocks that stand in the log for it.
    ///
    /// When it fails the commit may still have landed; the log itself is asked, so a retry never adds rows twice. If
    /// the log turns out to have an earlier attempt's blocks, those are returned, and `blocks` are orphans.
    pub(crate) async fn commit(
        &mut self,
        blocks: Vec<BlockFile>,
        position: u64,
        now: Timestamp,
    ) -> Result<Vec<BlockFile>> {
        let covered = match self.covered {
            Some(covered) => covered,
            None => self.covered().await?,
        };
        if covered >= position {
            return self.landed(position);
        }
        let state = match self.state.take() {
            Some(state) => state,
            None => self.create().await?,
        };
        let result = self.try_commit(&state, &blocks, position, now).await;
        match result {
            Ok(state) => {
                self.committed(state).await;
                self.covered = Some(position);
                Ok(blocks)
            }
            Err(error) => {
                self.state = Some(state);
                self.reload().await?;
                if self.covered().await? >= position {
                    tracing::warn!(table = self.table.name(), error = %error, "a commit landed that reported an error");
                    return self.landed(position);
                }
                Err(Error::delta("commit to", self.table)(error))
            }
        }
    }

    /// The blocks that an earlier attempt committed for log position `position`. Nothing has merged them: only
    /// blocks that queries see are merged.
    fn landed(&self, position: u64) -> Result<Vec<BlockFile>> {
        let mut blocks = self.blocks()?;
        blocks.retain(|block| block.wal_position == position);
        Ok(blocks)
    }

    async fn committed(&mut self, state: DeltaTableState) {
        let version = state.version();
        self.state = Some(state);
        if self.checkpoint_when_due(version).await == 0 {
            return;
        }
        // The state lists commits that are gone now.
        if let Err(error) = self.reload().await {
            tracing::warn!(
                table = self.table.name(),
                error = chain(&error),
                "could not read the Delta log again"
            );
        }
    }

    async fn try_commit(
        &self,
        state: &DeltaTableState,
        blocks: &[BlockFile],
        position: u64,
        now: Timestamp,
    ) -> Result<DeltaTableState, DeltaTableError> {
        let version = i64::try_from(position).unwrap_or(i64::MAX);
        let now = now.as_millisecond();
        let transaction = Transaction::new_with_last_update(&self.app_id, version, Some(now));
        let properties = CommitProperties::default()
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transaction(transaction);
        let actions = blocks.iter().map(|block| Action::Add(add_action(block, now, true))).collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(PARTITION_COLUMNS.map(str::to_owned).to_vec()),
            predicate: None,
        };
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state), Arc::clone(&self.log_store), operation)
            .await?;
        Ok(commit.snapshot())
    }

    async fn create(&self) -> Result<DeltaTableState> {
        let failed =
            |source| Error::Delta { operation: "create", table: self.table, source: Box::new(source) };
        let schema: StructType = self
            .table
            .schema()
            .as_ref()
            .try_into_kernel()
            .map_err(|error: arrow::error::ArrowError| failed(error.into()))?;
        let table = CreateBuilder::new()
            .with_log_store(Arc::clone(&self.log_store))
            .with_table_name(self.table.name())
            .with_columns(schema.fields().cloned())
            .with_partition_columns(PARTITION_COLUMNS)
            .with_configuration(replace::properties(self.table))
            .with_save_mode(SaveMode::Ignore)
            .await
            .map_err(failed)?;
        Ok(table.snapshot().map_err(failed)?.clone())
    }

    async fn reload(&mut self) -> Result<()> {
        let state = DeltaTableState::try_new(self.log_store.as_ref(), None)
            .await
            .map_err(Error::delta("read", self.table))?;
        self.state = Some(state);
        self.covered = None;
        Ok(())
    }

    /// A checkpoint only makes opening faster, so its failure is told and otherwise ignored. Commits that it sums up
    /// go once they are older than the table's `logRetentionDuration`; returns how many went.
    async fn checkpoint_when_due(&self, version: u64) -> usize {
        if !version.is_multiple_of(CHECKPOINT_INTERVAL) {
            return 0;
        }
        let mut table = match DeltaTableBuilder::from_url(self.url.clone())
            .map(|builder| builder.with_storage_backend(Arc::new(DurableFs::whole()), self.url.clone()))
            .and_then(DeltaTableBuilder::build)
        {
            Ok(table) => table,
            Err(error) => {
                warn_checkpoint(self.table, &error);
                return 0;
            }
        };
        let written = match table.load_version(version).await {
            Ok(()) => deltalake::checkpoints::create_checkpoint(&table, None).await,
            Err(error) => Err(error),
        };
        let cleaned = match written {
            Ok(()) => deltalake::checkpoints::cleanup_metadata(&table, None).await,
            Err(error) => Err(error),
        };
        cleaned.unwrap_or_else(|error| {
            warn_checkpoint(self.table, &error);
            0
        })
    }
}

fn warn_checkpoint(table: Table, error: &DeltaTableError) {
    tracing::warn!(table = table.name(), error = %error, "could not write a checkpoint of the Delta log");
}

fn partition_values(block: &BlockFile) -> HashMap<String, Option<String>> {
    HashMap::from([
        ("tenant".to_owned(), Some(block.tenant.to_string())),
        ("date".to_owned(), Some(block.date.to_string())),
    ])
}

fn add_action(block: &BlockFile, now_millis: i64, data_change: bool) -> Add {
    let stats = BlockStats { rows: block.rows, columns: block.columns.clone() };
    Add {
        path: block.path_in_table().to_owned(),
        partition_values: partition_values(block),
        size: i64::try_from(block.size_bytes).unwrap_or(i64::MAX),
        modification_time: now_millis,
        data_change,
        stats: Some(stats.to_json()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

/// The catalogue's entry for a file that the Delta log lists; the error completes "… lists the file, but …".
fn describe(
    table: Table,
    path: &str,
    size_bytes: u64,
    partition: &HashMap<String, Option<String>>,
    stats: Option<&str>,
) -> Result<BlockFile, String> {
    let value = |column: &str| {
        partition.get(column).and_then(Option::as_deref).ok_or_else(|| format!("its {column} is missing"))
    };
    let tenant: Tenant = value("tenant")?.parse().map_err(|error| format!("its tenant is wrong: {error}"))?;
    let date = value("date")?.parse().map_err(|error| format!("its date is wrong: {error}"))?;
    let stats = BlockStats::from_json(stats.ok_or("it has no statistics")?, &table.schema())?;
    let times = stats.columns.get("timestamp");
    let whole = Path::parse(format!("{}/{path}", table.name())).map_err(|error| error.to_string())?;
    Ok(BlockFile {
        table,
        path: whole,
        size_bytes,
        rows: stats.rows,
        tenant,
        date,
        min_timestamp: times.and_then(|stats| micros_of(&stats.min)).and_then(timestamp_from_micros),
        max_timestamp: times.and_then(|stats| micros_of(&stats.max)).and_then(timestamp_from_micros),
        wal_position: position_in_name(path).unwrap_or(0),
        columns: stats.columns,
    })
}

/// Our file names begin with the log position; see `block_writer`.
fn position_in_name(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?;
    name.split_once('-')?.0.parse().ok()
}
