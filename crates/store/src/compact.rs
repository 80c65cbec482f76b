//! Merging in the store: which blocks, then the merge, its commit, and the moment that queries see it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hindsight_model::{Table, Tenant};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;

use crate::live::Live;
use crate::maintenance::{Step, Upkeep, alive};
use crate::merge::{MergeFiles, merge};
use crate::plan::{Activity, Aim, FileSize, plan};
use crate::stats::{Counters, chain};
use crate::store::Inner;
use crate::table_log::Change;
use crate::throttle::Throttle;
use crate::{BlockFile, MaintenanceReport, Result};

/// How long blocks that could not be merged are left alone, by the store's clock.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Blocks that may be merged with each other.
pub(crate) type Partition = (Table, Tenant, Date);

/// When each partition last got rows from a seal, as far as this process saw.
#[derive(Debug, Default)]
pub(crate) struct Activities {
    seen: HashMap<Partition, Seen>,
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    position: u64,
    since: Option<Timestamp>,
}

impl Activities {
    /// Takes note of what is there now: the last log position of each partition.
    fn observe(&mut self, now: Timestamp, partitions: impl Iterator<Item = (Partition, u64)>) {
        let first = !std::mem::replace(&mut self.begun, true);
        let before = std::mem::take(&mut self.seen);
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        for (partition, position) in partitions {
            let seen = match before.get(&partition) {
                Some(seen) if seen.position == position => *seen,
                // A date that was over before the start: nothing says that rows still come.
                _ if first && partition.2 < today => Seen { position, since: None },
                _ => Seen { position, since: Some(now) },
            };
            self.seen.insert(partition, seen);
        }
    }

    fn of(&self, partition: &Partition, now: Timestamp, quiet_after: Duration) -> Activity {
        let Some(seen) = self.seen.get(partition) else { return Activity::Busy };
        let quiet = match seen.since {
            None => true,
            Some(since) => {
                SignedDuration::try_from(quiet_after).is_ok_and(|after| now.duration_since(since) >= after)
            }
        };
        if quiet { Activity::Quiet } else { Activity::Busy }
    }
}

/// Every merge that is due, the one that saves most files first.
pub(crate) fn due_merges(inner: &Inner, upkeep: &mut Upkeep, now: Timestamp) -> Vec<Vec<Arc<BlockFile>>> {
    let mut partitions: BTreeMap<Partition, Vec<Arc<BlockFile>>> = BTreeMap::new();
    for block in inner.live.read().catalogue.all() {
        let partition = (block.table, block.tenant.clone(), block.date);
        partitions.entry(partition).or_default().push(Arc::clone(block));
    }
    let last = |blocks: &[Arc<BlockFile>]| blocks.iter().map(|block| block.wal_position).max().unwrap_or(0);
    let seen = partitions.iter().map(|(partition, blocks)| (partition.clone(), last(blocks)));
    upkeep.activities.observe(now, seen);
    upkeep.retry_at.retain(|_, at| *at > now);
    let options = &inner.options.maintenance;
    let aim = Aim { target_bytes: options.target_bytes, fan_in: options.fan_in };
    let mut due = Vec::new();
    for (partition, mut blocks) in partitions {
        if upkeep.retry_at.contains_key(&partition) || upkeep.out_of_step.contains(&partition.0) {
            continue;
        }
        let activity = upkeep.activities.of(&partition, now, options.quiet_after);
        blocks.sort_by(|a, b| (a.wal_position, &a.path).cmp(&(b.wal_position, &b.path)));
        let sizes: Vec<FileSize> =
            blocks.iter().map(|block| FileSize { rows: block.rows, bytes: block.size_bytes }).collect();
        if let Some(chosen) = plan(&sizes, activity, aim) {
            due.push(chosen.into_iter().map(|at| Arc::clone(&blocks[at])).collect::<Vec<_>>());
        }
    }
    due.sort_by_key(|inputs| std::cmp::Reverse(inputs.len()));
    due
}

/// One merge from reading to showing, of as many of `inputs` as fit the memory of a merge. A failure is told, counted and tried again later; the only error is that the
/// store is going.
pub(crate) async fn compact(
    store: &Weak<Inner>,
    upkeep: &mut Upkeep,
    inputs: Vec<Arc<BlockFile>>,
    now: Timestamp,
    report: &mut MaintenanceReport,
) -> Result<()> {
    let Some(first) = inputs.first() else { return Ok(()) };
    let partition = (first.table, first.tenant.clone(), first.date);
    match try_compact(store, upkeep, &inputs, now).await {
        Ok((output, inputs)) => {
            let read: u64 = inputs.iter().map(|block| block.size_bytes).sum();
            report.merges += 1;
            report.files_merged += inputs.len() as u64;
            report.bytes_read += read;
            report.bytes_written += output.size_bytes;
            let counters = &alive(store)?.counters.upkeep;
            Counters::add(&counters.merges, 1);
            Counters::add(&counters.merge_bytes_read, read);
            Counters::add(&counters.merge_bytes_written, output.size_bytes);
            tracing::info!(
                table = output.table.name(),
                date = %output.date,
                files = inputs.len(),
                rows = output.rows,
                size_bytes = output.size_bytes,
                "merged {} blocks of {} into one",
                inputs.len(),
                output.table
            );
            Ok(())
        }
        Err(error) => {
            // A store that is going is not a failure of the merge.
            let inner = alive(store)?;
            if error.is_test_stop() {
                return Err(error);
            }
            upkeep.failed(&inner, first.table, &error);
            tracing::warn!(
                table = first.table.name(),
                error = chain(&error),
                "could not merge blocks; they stay as they are"
            );
            upkeep.retry_at.insert(partition, now.saturating_add(RETRY_AFTER).unwrap_or(Timestamp::MAX));
            Ok(())
        }
    }
}

async fn try_compact(
    store: &Weak<Inner>,
    upkeep: &mut Upkeep,
    inputs: &[Arc<BlockFile>],
    now: Timestamp,
) -> Result<(Arc<BlockFile>, Vec<Arc<BlockFile>>)> {
    let merged = {
        // The thread holds nothing of the store, so that the store can end meanwhile.
        let inner = alive(store)?;
        let files = MergeFiles {
            store: Arc::clone(&inner.object_store),
            spool: inner.options.data_dir.clone(),
            handle: Handle::current(),
            memory_bytes: inner.options.maintenance.merge_memory_bytes,
        };
        let worker = Arc::clone(&inner.merging);
        drop(inner);
        let (weak, inputs, throttled) = (Weak::clone(store), inputs.to_vec(), upkeep.throttled);
        let work = move || {
            let mut throttle = Throttle::new(weak, throttled);
            merge(&inputs, &files, &mut |bytes| throttle.pause(bytes))
        };
        worker.run(work).await??
    };
    let inner = alive(store)?;
    let (output, inputs) = (merged.block, &inputs[..merged.inputs]);
    let table = output.table;
    inner.counters.upkeep.merge_memory_bytes.fetch_max(merged.memory_bytes, Ordering::Relaxed);
    inner.stop_upkeep(Step::CommitMerge)?;
    let mut sealer = inner.sealer.lock().await;
    let log = &mut sealer.logs[table.index()];
    log.replace(inputs, std::slice::from_ref(&output), Change::Merge, now).await?;
    inner.stop_upkeep(Step::ShowMerge)?;
    let output = Arc::new(output);
    inner.live.replace(table, inputs, &[Arc::clone(&output)]);
    drop(sealer);
    upkeep.gone.add(inputs, now, Change::Merge);
    Ok((output, inputs.to_vec()))
}

impl Live {
    /// The moment a table's files change places, for every query at once (QRY-1).
    pub(crate) fn replace(&self, table: Table, removed: &[Arc<BlockFile>], added: &[Arc<BlockFile>]) {
        self.write().catalogue.replace(table, removed, added.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_quiet_when_no_seal_came_for_a_while_or_when_it_was_over_at_the_start() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let of = |date: &str| (Table::Logs, Tenant::default(), date.parse::<Date>().unwrap());
        let (old, today) = (of("2026-05-02"), of("2026-05-04"));
        let after = Duration::from_secs(600);
        let mut activities = Activities::default();
        let start = at("2026-05-04T12:00:00Z");
        activities.observe(start, [(old.clone(), 5), (today.clone(), 9)].into_iter());
        assert_eq!(activities.of(&old, start, after), Activity::Quiet);
        assert_eq!(activities.of(&today, start, after), Activity::Busy);
        // Late rows for the old date, none for today.
        let later = at("2026-05-04T12:10:00Z");
        activities.observe(later, [(old.clone(), 10), (today.clone(), 9)].into_iter());
        assert_eq!(activities.of(&old, later, after), Activity::Busy);
        assert_eq!(activities.of(&today, later, after), Activity::Quiet);
        let even_later = at("2026-05-04T12:20:00Z");
        activities.observe(even_later, [(old.clone(), 10)].into_iter());
        assert_eq!(activities.of(&old, even_later, after), Activity::Quiet);
        assert_eq!(activities.of(&today, even_later, after), Activity::Busy, "forgotten with its blocks");
    }
}
