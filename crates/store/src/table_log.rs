//! One table's Delta log: the only list of its blocks, and the place that says which log records they hold (BLK-1).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, LogicalFileView, MetadataValue, StructType, Transaction};
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError};
use hindsight_model::{NodeId, Promotion, Table, Tenant, timestamp_from_micros};
use jiff::Timestamp;
use object_store::path::Path;

use crate::block_name::{all_promoted_in_tags, checksum_in_name, checksum_in_tags, position_in_name, tags};
use crate::block_stats::{BlockStats, micros_of};
use crate::block_writer::PARTITION_COLUMNS;
use crate::stats::chain;
use crate::tables_storage::TablesStorage;
use crate::{BlockFile, Error, Result};

mod replace;

pub(crate) use replace::{Change, Gone};

/// A checkpoint is written every so many commits, so that opening reads few files.
const CHECKPOINT_INTERVAL: u64 = 64;
/// A commit that meets other writers is tried so many times on what they left.
const CONFLICT_RETRIES_MAX: u32 = 5;

/// The Delta log of one table, open for committing. There is one for each table, owned by the sealer.
pub(crate) struct TableLog {
    table: Table,
    log_store: LogStoreRef,
    /// `None` until the table exists.
    state: Option<DeltaTableState>,
    /// The blocks of each attempt to commit [`Self::attempted_position`]: an attempt that failed may have landed.
    attempts: Vec<Vec<BlockFile>>,
    attempted_position: u64,
    /// `<node id>/<table>`: whose log positions the transaction versions are.
    app_id: String,
}

impl std::fmt::Debug for TableLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableLog")
            .field("table", &self.table)
            .field("url", &self.log_store.root_url().as_str())
            .finish()
    }
}

/// In a column's metadata: the attribute that an operator has promoted to it, as a [`Promotion`] is written.
const PROMOTED_KEY: &str = "hindsight.promoted";

impl TableLog {
    /// Opens the log of `table`; the table need not exist.
    pub(crate) async fn open(table: Table, tables: &TablesStorage, node: NodeId) -> Result<Self> {
        let log_store = tables.log_store(table)?;
        let app_id = format!("{node}/{}", table.name());
        let mut log =
            Self { table, log_store, state: None, attempts: Vec::new(), attempted_position: 0, app_id };
        log.reload().await?;
        Ok(log)
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

    /// Every active block, in any order.
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
            let block = described.map_err(|reason| Error::Foreign {
                table: self.table,
                path: path.clone(),
                reason,
            })?;
            let tags = tags_of(&file).unwrap_or_default();
            blocks.push(BlockFile {
                checksum: checksum_in_tags(&tags).filter(|_| checksum_in_name(&path).is_none()),
                all_promoted: all_promoted_in_tags(self.table, &tags),
                ..block
            });
        }
        Ok(blocks)
    }

    /// Adds `blocks` in one commit that says: everything up to log position `position` is in this table.
    /// Answers with the blocks that are in the table now: these, or the ones of an earlier attempt that landed
    /// although it had reported an error.
    pub(crate) async fn commit(
        &mut self,
        blocks: Vec<BlockFile>,
        position: u64,
        now: Timestamp,
    ) -> Result<Vec<BlockFile>> {
        if self.attempted_position != position {
            self.attempts.clear();
            self.attempted_position = position;
        }
        self.attempts.push(blocks.clone());
        for retries_left in (0..CONFLICT_RETRIES_MAX).rev() {
            self.upgrade().await?;
            let state = match self.state.take() {
                Some(state) => state,
                None => self.create().await?,
            };
            let error = match self.try_commit(&state, &blocks, position, now).await {
                Ok(state) => {
                    self.committed(state).await;
                    return Ok(blocks);
                }
                Err(error) => error,
            };
            self.state = Some(state);
            if let Some(blocks) = self.settle(position).await? {
                tracing::warn!(table = self.table.name(), error = %error, "a commit landed that reported an error");
                return Ok(blocks);
            }
            if retries_left == 0 || !is_conflict(&error) {
                return Err(Error::delta("commit to", self.table)(error));
            }
            // Another writer changed the table meanwhile; `settle` has read what it is now.
        }
        Err(Error::Doubt { table: self.table, position })
    }

    /// Asks the log what became of the attempts to commit `position` (BLK-1): the blocks of the one that landed;
    /// nothing when none did, or there was no attempt. To be called before the rows are written once more.
    pub(crate) async fn settle(&mut self, position: u64) -> Result<Option<Vec<BlockFile>>> {
        if self.attempts.is_empty() || self.attempted_position != position {
            return Ok(None);
        }
        self.reload().await?;
        if self.covered().await? < position {
            // An attempt may still be on its way. It claims a version that the next one must claim too, so one of
            // them is refused; if that is the next one, it meets this node's transaction and ends here again.
            return Ok(None);
        }
        let listed: HashSet<String> = self.blocks()?.iter().map(|block| block.path.to_string()).collect();
        let is_listed =
            |blocks: &&Vec<BlockFile>| blocks.iter().all(|block| listed.contains(block.path.as_ref()));
        // Nobody but this process commits for this node, so it was one of these attempts.
        let landed = self.attempts.iter().find(is_listed).cloned();
        landed.map(Some).ok_or(Error::Doubt { table: self.table, position })
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

    async fn create(&self) -> Result<DeltaTableState> {
        let failed =
            |source| Error::Delta { operation: "create", table: self.table, source: Box::new(source) };
        let schema = self.columns().map_err(failed)?;
        let created = CreateBuilder::new()
            .with_log_store(Arc::clone(&self.log_store))
            .with_table_name(self.table.name())
            .with_columns(schema.fields().cloned())
            .with_partition_columns(PARTITION_COLUMNS)
            .with_configuration(replace::properties(self.table))
            .with_save_mode(SaveMode::Ignore)
            .await;
        let error = match created.and_then(|table| Ok(table.snapshot()?.clone())) {
            Ok(state) => return Ok(state),
            Err(error) => error,
        };
        // Another node may have made it meanwhile, or our own answer was lost: then it is there.
        self.read_state().await?.ok_or_else(|| failed(error))
    }

    /// The table's columns, as Delta writes them: those of the operator say which attribute they hold.
    fn columns(&self) -> Result<StructType, DeltaTableError> {
        let promotions = self.table.promotions();
        let field = |field: &FieldRef| {
            let promotion = promotions.iter().find(|promotion| promotion.column() == *field.name())?;
            let attribute = HashMap::from([(PROMOTED_KEY.to_owned(), promotion.to_string())]);
            Some(Field::clone(field).with_metadata(attribute))
        };
        let schema = self.table.schema();
        let fields = schema.fields().iter().map(|plain| field(plain).map_or(Arc::clone(plain), Arc::new));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        (&schema).try_into_kernel().map_err(|error: arrow::error::ArrowError| error.into())
    }

    /// What an operator has promoted in this table, by whatever configuration.
    ///
    /// # Errors
    /// [`Error::Promotion`] when the table says something that no program of ours has written.
    pub(crate) fn promotions(&self) -> Result<Vec<Promotion>> {
        let Some(state) = &self.state else { return Ok(Vec::new()) };
        let schema = state.schema();
        let texts = schema.fields().filter_map(|field| match field.metadata().get(PROMOTED_KEY)? {
            MetadataValue::String(text) => Some(text.as_str()),
            _ => None,
        });
        texts.map(|text| Promotion::parse(self.table, text).map_err(Error::from)).collect()
    }

    async fn reload(&mut self) -> Result<()> {
        if let Some(state) = self.read_state().await? {
            self.state = Some(state);
        }
        Ok(())
    }

    /// The newest state of the table; `None` when there is no table.
    async fn read_state(&self) -> Result<Option<DeltaTableState>> {
        let failed = |source| Error::Delta { operation: "read", table: self.table, source: Box::new(source) };
        let exists = self.log_store.is_delta_table_location().await.map_err(failed)?;
        if !exists {
            return Ok(None);
        }
        DeltaTableState::try_new(self.log_store.as_ref(), None).await.map(Some).map_err(failed)
    }

    /// A checkpoint only makes opening faster, so its failure is told and otherwise ignored. Commits that it sums up
    /// go once they are older than the table's `logRetentionDuration`; returns how many went.
    async fn checkpoint_when_due(&self, version: u64) -> usize {
        if !version.is_multiple_of(CHECKPOINT_INTERVAL) {
            return 0;
        }
        let mut table = DeltaTable::new(Arc::clone(&self.log_store));
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

/// Whether another writer's commit came between, so that the same commit may succeed on the newer state.
fn is_conflict(error: &DeltaTableError) -> bool {
    matches!(error, DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) })
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
        tags: tags(block.table, block.checksum, block.all_promoted),
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

#[expect(deprecated, reason = "nothing else leads to the tags")]
fn tags_of(file: &LogicalFileView) -> Option<HashMap<String, Option<String>>> {
    file.add_action().tags
}

/// The checksum in a file's entry, for files whose name has none.
pub(crate) fn checksum_in_entry(file: &LogicalFileView) -> Option<u32> {
    match checksum_in_name(&file.path()) {
        Some(_) => None,
        None => checksum_in_tags(&tags_of(file)?),
    }
}

/// The catalogue's entry for a file that the Delta log lists; the error completes "… lists the file, but …".
pub(crate) fn describe(
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
        checksum: None,
        all_promoted: false,
        columns: stats.columns,
    })
}
