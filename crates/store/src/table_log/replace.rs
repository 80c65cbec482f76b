//! Commits that take files out: a merge, which changes no row, and retention, which does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Metadata, MetadataExt, Remove, StructField, StructType};
use deltalake::protocol::DeltaOperation;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTableError, TableProperty};
use futures::TryStreamExt;
use hindsight_model::Table;
use jiff::Timestamp;

use super::{TableLog, add_action, partition_values};
use crate::block_writer::stats_columns;
use crate::{BlockFile, Error, Result};

/// How long the log keeps commits that a checkpoint sums up, and the names of removed files. A day of seals is 1440
/// commits a table; nobody reads an old version of telemetry, and the files themselves go sooner.
const LOG_KEPT: &str = "interval 1 days";

/// Why files leave a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Their rows are in the added file, all of them and no others.
    Merge,
    /// Their rows are too old to be kept.
    Expire,
}

/// A file that the log says was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) at: Option<Timestamp>,
    pub(crate) change: Change,
}

/// The table properties that this program relies on.
pub(super) fn properties(table: Table) -> HashMap<String, Option<String>> {
    let of = |property: TableProperty, value: &str| (property.as_ref().to_owned(), Some(value.to_owned()));
    HashMap::from([
        // Retention takes rows out, which the protocol forbids in an append-only table.
        of(TableProperty::AppendOnly, "false"),
        of(TableProperty::DataSkippingStatsColumns, &stats_columns(table).join(",")),
        of(TableProperty::LogRetentionDuration, LOG_KEPT),
        of(TableProperty::DeletedFileRetentionDuration, LOG_KEPT),
    ])
}

impl TableLog {
    /// Takes `removed` out and puts `added` in, in one commit that leaves the covered log position alone (BLK-1).
    ///
    /// When it fails the commit may still have landed; the log itself is asked.
    ///
    /// # Errors
    /// [`Error::OutOfStep`] when a file to remove is not in the table: the catalogue must be read again.
    pub(crate) async fn replace(
        &mut self,
        removed: &[Arc<BlockFile>],
        added: &[BlockFile],
        change: Change,
        now: Timestamp,
    ) -> Result<()> {
        let active = self.active();
        if let Some(missing) = removed.iter().find(|block| !active.contains(block.path_in_table())) {
            return Err(self.out_of_step(missing));
        }
        self.upgrade().await?;
        let Some(state) = self.state.take() else { return Ok(()) };
        let millis = now.as_millisecond();
        let removes = removed.iter().map(|block| Action::Remove(remove_action(block, change, millis)));
        let adds = added.iter().map(|block| Action::Add(add_action(block, millis, false)));
        let result = self.try_change(&state, removes.chain(adds).collect(), change.operation()).await;
        self.state = Some(state);
        match result {
            Ok(state) => {
                self.committed(state).await;
                Ok(())
            }
            Err(error) => {
                self.reload().await?;
                let active = self.active();
                let still = removed.iter().any(|block| active.contains(block.path_in_table()));
                if still || !added.iter().all(|block| active.contains(block.path_in_table())) {
                    return Err(Error::delta("commit to", self.table)(error));
                }
                tracing::warn!(table = self.table.name(), error = %error, "a commit landed that reported an error");
                Ok(())
            }
        }
    }

    /// Reads the log again and returns every active block, in any order.
    pub(crate) async fn reread(&mut self) -> Result<Vec<BlockFile>> {
        self.reload().await?;
        self.blocks()
    }

    /// The files that the log remembers as removed, by path within the table.
    pub(crate) async fn removed(&self) -> Result<HashMap<String, Gone>> {
        let Some(state) = &self.state else { return Ok(HashMap::new()) };
        let found = state.all_tombstones(self.log_store.as_ref()).map_ok(|tombstone| {
            let change = if tombstone.data_change() { Change::Expire } else { Change::Merge };
            let at = tombstone.deletion_timestamp().and_then(|at| Timestamp::from_millisecond(at).ok());
            (tombstone.path().into_owned(), Gone { at, change })
        });
        found.try_collect().await.map_err(Error::delta("read the removed files of", self.table))
    }

    /// Brings columns and properties of a table that an older program made up to date, in a commit of its own: the
    /// protocol judges a commit by the metadata before it.
    pub(super) async fn upgrade(&mut self) -> Result<()> {
        let failed = |error| Error::delta("change the metadata of", self.table)(error);
        let Some(state) = &self.state else { return Ok(()) };
        let Some((metadata, operation)) = self.newer_metadata(state).map_err(failed)? else { return Ok(()) };
        match self.try_change(state, vec![Action::Metadata(metadata)], operation).await {
            Ok(state) => {
                self.committed(state).await;
                Ok(())
            }
            Err(error) => {
                self.reload().await?;
                Err(Error::delta("change the metadata of", self.table)(error))
            }
        }
    }

    /// What the table's metadata ought to be and how that is called; `None` when it is. Columns are added only: those that
    /// we do not know are a newer program's.
    fn newer_metadata(
        &self,
        state: &DeltaTableState,
    ) -> Result<Option<(Metadata, DeltaOperation)>, DeltaTableError> {
        let mut metadata = state.metadata().clone();
        let mut changed = HashMap::new();
        for (key, value) in properties(self.table) {
            if let Some(value) = value.filter(|value| metadata.configuration().get(&key) != Some(value)) {
                metadata = metadata.add_config_key(key.clone(), value.clone())?;
                changed.insert(key, value);
            }
        }
        let found = state.schema();
        let lacking: Vec<StructField> =
            self.columns()?.fields().filter(|field| found.field(field.name()).is_none()).cloned().collect();
        if !lacking.is_empty() {
            let all = found.fields().chain(&lacking).cloned();
            metadata = metadata.with_schema(&StructType::try_new(all)?)?;
            return Ok(Some((metadata, DeltaOperation::AddColumn { fields: lacking })));
        }
        let operation = DeltaOperation::SetTableProperties { properties: changed.clone() };
        Ok((!changed.is_empty()).then_some((metadata, operation)))
    }

    async fn try_change(
        &self,
        state: &DeltaTableState,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<DeltaTableState, DeltaTableError> {
        let properties =
            CommitProperties::default().with_create_checkpoint(false).with_cleanup_expired_logs(Some(false));
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state), Arc::clone(&self.log_store), operation)
            .await?;
        Ok(commit.snapshot())
    }

    fn active(&self) -> HashSet<String> {
        let Some(state) = &self.state else { return HashSet::new() };
        state.log_data().iter().map(|file| file.path().into_owned()).collect()
    }

    fn out_of_step(&self, block: &BlockFile) -> Error {
        Error::OutOfStep { table: self.table, path: block.path_in_table().to_owned() }
    }
}

impl Change {
    fn operation(self) -> DeltaOperation {
        match self {
            Self::Merge => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            Self::Expire => DeltaOperation::Delete { predicate: Some("older than the retention".to_owned()) },
        }
    }
}

fn remove_action(block: &BlockFile, change: Change, now_millis: i64) -> Remove {
    Remove {
        path: block.path_in_table().to_owned(),
        data_change: change == Change::Expire,
        deletion_timestamp: Some(now_millis),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_values(block)),
        size: i64::try_from(block.size_bytes).ok(),
        ..Remove::default()
    }
}
