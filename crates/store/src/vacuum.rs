//! Files that are not in a table any more, and files that never were: deleted when nobody can want them (BLK-3).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use hindsight_model::{Table, Tenant};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::maintenance::{Step, Upkeep};
use crate::stats::{Counters, chain};
use crate::store::Inner;
use crate::table_log::{Change, Gone};
use crate::{BlockFile, Error, Hold, MaintenanceReport, Result};

/// Files without a commit that are remembered at most (LIM-1); further ones are found by a later search.
const STRAYS_MAX: usize = 100_000;

/// Blocks that this process took out of the catalogue and whose files are still there.
#[derive(Debug, Default)]
pub(crate) struct GoneBlocks {
    blocks: Vec<GoneBlock>,
}

#[derive(Debug)]
struct GoneBlock {
    /// Snapshots hold the same one: as long as a query may read the file, this is not the only reference.
    block: Arc<BlockFile>,
    at: Timestamp,
    change: Change,
}

impl GoneBlocks {
    pub(crate) fn add(&mut self, blocks: &[Arc<BlockFile>], at: Timestamp, change: Change) {
        self.blocks.extend(blocks.iter().map(|block| GoneBlock { block: Arc::clone(block), at, change }));
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Those that nothing needs any more, taken out.
    fn take_due(&mut self, now: Timestamp, grace: Duration, holds: &[Hold]) -> Vec<GoneBlock> {
        let (due, kept) = std::mem::take(&mut self.blocks).into_iter().partition(|gone: &GoneBlock| {
            // A merged file's rows live on in its successor, so no hold needs it.
            let held = gone.change == Change::Expire && holds.iter().any(|hold| hold.covers(&gone.block));
            is_over(gone.at, grace, now) && Arc::strong_count(&gone.block) == 1 && !held
        });
        self.blocks = kept;
        due
    }
}

fn is_over(since: Timestamp, grace: Duration, now: Timestamp) -> bool {
    SignedDuration::try_from(grace).is_ok_and(|grace| now.duration_since(since) >= grace)
}

/// Files in a table's directory that no active commit names and no query of this process ever saw: what failed seals
/// and merges left, and what an earlier process took out. With when they were first found, or removed.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    files: BTreeMap<Path, Gone>,
}

/// Deletes what left the catalogue long enough ago.
pub(crate) async fn delete_gone(
    inner: &Inner,
    upkeep: &mut Upkeep,
    now: Timestamp,
    report: &mut MaintenanceReport,
) -> Result<()> {
    let _closed = inner.holds.closed().await;
    let grace = inner.options.maintenance.removal_grace;
    let due = upkeep.gone.take_due(now, grace, &inner.holds.list());
    if due.is_empty() {
        return Ok(());
    }
    let mut failure = inner.stop_upkeep(Step::Delete).err();
    for gone in due {
        let deleted = match failure {
            None => delete(inner.object_store.as_ref(), &gone.block.path).await,
            Some(_) => Ok(false),
        };
        match deleted {
            Ok(true) => {
                report.files_removed += 1;
                Counters::add(&inner.counters.upkeep.files_removed, 1);
            }
            Ok(false) => upkeep.gone.blocks.push(gone),
            Err(error) => {
                failure = Some(error);
                upkeep.gone.blocks.push(gone);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Whether the file is gone now: a file that was not there counts.
async fn delete(store: &dyn ObjectStore, path: &Path) -> Result<bool> {
    match store.delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(true),
        Err(source) => Err(Error::Storage {
            operation: "delete the block",
            path: path.to_string(),
            source: Box::new(source),
        }),
    }
}

/// Looks for strays and deletes those that have been strays for the grace.
pub(crate) async fn search_strays(
    inner: &Inner,
    upkeep: &mut Upkeep,
    now: Timestamp,
    report: &mut MaintenanceReport,
) -> Result<()> {
    let mut found = BTreeMap::new();
    for table in Table::ALL {
        let candidates = unlisted(inner, upkeep, table).await?;
        if !candidates.is_empty() {
            check_strays(inner, upkeep, (table, candidates), now, &mut found, report).await?;
        }
    }
    upkeep.strays.files = found;
    Ok(())
}

/// Block files in storage that the catalogue does not know.
async fn unlisted(inner: &Inner, upkeep: &Upkeep, table: Table) -> Result<Vec<Stray>> {
    let root = Path::from(table.name());
    let failed = |source| Error::Storage {
        operation: "list the blocks in",
        path: root.to_string(),
        source: Box::new(source),
    };
    let listed: Vec<Path> = inner
        .object_store
        .list(Some(&root))
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .map_err(failed)?;
    let state = inner.live.read();
    let mut known: HashSet<&Path> = state.catalogue.table(table).map(|block| &block.path).collect();
    known.extend(upkeep.gone.blocks.iter().map(|gone| &gone.block.path));
    let unknown = listed.into_iter().filter(|path| !known.contains(path));
    Ok(unknown.filter_map(Stray::from_path).take(STRAYS_MAX).collect())
}

/// Judges candidates with no seal under way: a file that a seal was writing while we listed is in the log by now, or
/// its seal failed and the next attempt writes another.
async fn check_strays(
    inner: &Inner,
    upkeep: &mut Upkeep,
    (table, candidates): (Table, Vec<Stray>),
    now: Timestamp,
    found: &mut BTreeMap<Path, Gone>,
    report: &mut MaintenanceReport,
) -> Result<()> {
    let _closed = inner.holds.closed().await;
    let mut sealer = inner.sealer.lock().await;
    let log = &mut sealer.logs[table.index()];
    let active: HashSet<Path> = log.reread().await?.into_iter().map(|block| block.path).collect();
    let removed = log.removed().await?;
    let holds = inner.holds.list();
    for stray in candidates.into_iter().filter(|stray| !active.contains(&stray.path)) {
        let known = upkeep.strays.files.get(&stray.path).copied();
        let gone = removed.get(stray.in_table(table)).copied();
        // One that the log does not remember may have been anything, also rows that are held.
        let gone = known.or(gone).unwrap_or(Gone { at: None, change: Change::Expire });
        let at = gone.at.unwrap_or(now);
        let held = gone.change == Change::Expire
            && holds.iter().any(|hold| hold.covers_date(table, &stray.tenant, stray.date));
        if held || !is_over(at, inner.options.maintenance.removal_grace, now) {
            found.insert(stray.path, Gone { at: Some(at), ..gone });
            continue;
        }
        match delete(inner.object_store.as_ref(), &stray.path).await {
            Ok(_) => {
                report.orphans_removed += 1;
                Counters::add(&inner.counters.upkeep.orphans_removed, 1);
                tracing::info!(path = %stray.path, "deleted a file that is in no table");
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not delete a file that is in no table");
                found.insert(stray.path, Gone { at: Some(at), ..gone });
            }
        }
    }
    Ok(())
}

/// A file at a block's place: `<table>/tenant=<tenant>/date=<date>/<name>.parquet`. Anything else is not ours.
#[derive(Debug)]
struct Stray {
    path: Path,
    tenant: Tenant,
    date: Date,
}

impl Stray {
    fn from_path(path: Path) -> Option<Self> {
        let parts: Vec<String> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let [_, tenant, date, name] = &parts[..] else { return None };
        let tenant = tenant.strip_prefix("tenant=")?.parse().ok()?;
        let date = date.strip_prefix("date=")?.parse().ok()?;
        name.ends_with(".parquet").then_some(Self { path, tenant, date })
    }

    fn in_table(&self, table: Table) -> &str {
        let path = self.path.as_ref();
        path.strip_prefix(table.name()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
    }
}
