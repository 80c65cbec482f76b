//! Several sorted blocks of one table, tenant and date become one, a row group after the other, each column by itself:
//! what is held in memory is a page of each column of each input, and one column of the output's row group.
//!
//! Reading order: `order` (from which input each row comes), `group` (one row group), `input` (one input's columns),
//! `uniform` (columns that need no reading), `held` (how much memory that is).

mod group;
mod held;
mod input;
mod order;
mod uniform;

use std::fs::File;
use std::io::Write;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use hindsight_model::timestamp_from_micros;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use self::group::Group;
use self::held::Budget;
use self::input::Input;
use self::order::Order;
use crate::block_sink::BlockUpload;
use crate::block_stats::micros_of;
use crate::{BlockFile, Error, Result};

/// Where a merge reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct MergeFiles {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// A directory of this disk for copies of inputs that storage does not have as files.
    pub(crate) spool: PathBuf,
    pub(crate) handle: Handle,
    /// See [`crate::MaintenanceOptions::merge_memory_bytes`].
    pub(crate) memory_bytes: u64,
}

/// A merge that was written and that no commit names yet.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) block: BlockFile,
    /// So many of the inputs are in it, the first ones: the others did not fit the memory.
    pub(crate) inputs: usize,
    /// What it held at most, as reckoned beforehand.
    pub(crate) memory_bytes: u64,
}

/// Called between batches with the bytes of input used up since the last call; an error ends the merge.
pub(crate) type Pace<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// Merges `inputs`, which are of one table, tenant and date, or the first of them that fit the memory, into one durable
/// file that no commit names yet. On an error nothing is left behind, or a file that the search for orphans finds.
/// Takes long and blocks; not for an I/O thread.
pub(crate) fn merge(inputs: &[Arc<BlockFile>], files: &MergeFiles, pace: &mut Pace<'_>) -> Result<Merged> {
    let budget = Budget::of(files.memory_bytes);
    let (mut sources, mut held) = (Vec::with_capacity(inputs.len()), 0);
    for block in inputs {
        let source = open(block, files)?;
        held += source.held_bytes();
        if !budget.admits(sources.len(), held) {
            break;
        }
        sources.push(source);
    }
    let inputs = &inputs[..sources.len()];
    let mut output = describe_output(inputs)?;
    let mut sink = BlockUpload::create(&files.store, output.table, output.path.clone(), &files.handle)?;
    let shape = budget.shape(output.table, &sources);
    if let Err(error) = copy(&output, inputs, &sources, shape.group_rows, &mut sink, pace) {
        sink.abort();
        return Err(error);
    }
    let written = sink.finish()?;
    if written.rows != output.rows {
        let reason = format!("{} rows were read where its inputs list {}", written.rows, output.rows);
        return Err(foreign(&output, reason));
    }
    output.size_bytes = written.bytes;
    output.checksum = Some(written.checksum);
    let times = written.columns.get("timestamp");
    output.min_timestamp = times.and_then(|times| micros_of(&times.min)).and_then(timestamp_from_micros);
    output.max_timestamp = times.and_then(|times| micros_of(&times.max)).and_then(timestamp_from_micros);
    output.columns = written.columns;
    Ok(Merged { block: output, inputs: inputs.len(), memory_bytes: shape.memory_bytes })
}

/// Writes all rows of `sources` to `sink`, a row group of `group_rows` after the other.
fn copy(
    output: &BlockFile,
    inputs: &[Arc<BlockFile>],
    sources: &[Input],
    group_rows: usize,
    sink: &mut BlockUpload,
    pace: &mut Pace<'_>,
) -> Result<()> {
    let bytes: u64 = inputs.iter().map(|block| block.size_bytes).sum();
    let mut order = Order::of(output.table, sources)?;
    loop {
        let runs = order.next_runs(group_rows)?;
        if runs.is_empty() {
            return Ok(());
        }
        let rows: usize = runs.iter().map(|run| run.rows).sum();
        let bytes = share(bytes, rows as u64, output.rows);
        let mut pace = |bytes| pace(bytes);
        let group = Group::new(output.table, sources, runs, bytes, &mut pace);
        if let Err(error) = sink.write(&group) {
            return Err(group.reason().unwrap_or(error));
        }
    }
}

fn share(bytes: u64, rows: u64, of: u64) -> u64 {
    let part = u128::from(bytes) * u128::from(rows) / u128::from(of.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// The output as far as the inputs tell; its size and its ranges come when it is written.
fn describe_output(inputs: &[Arc<BlockFile>]) -> Result<BlockFile> {
    let Some(first) = inputs.first() else { return Err(Error::Stopped { worker: "merge without inputs" }) };
    debug_assert!(inputs.iter().all(|block| {
        (block.table, &block.tenant, block.date) == (first.table, &first.tenant, first.date)
    }));
    let wal_position = inputs.iter().map(|block| block.wal_position).max().unwrap_or(0);
    let level = 1 + inputs.iter().map(|block| block.level()).max().unwrap_or(0);
    let name = format!("{wal_position:020}-c{level}-{}.parquet", uuid::Uuid::new_v4().simple());
    Ok(BlockFile {
        path: Path::from_iter([
            first.table.name(),
            &format!("tenant={}", first.tenant),
            &format!("date={}", first.date),
            &name,
        ]),
        size_bytes: 0,
        rows: inputs.iter().map(|block| block.rows).sum(),
        wal_position,
        all_promoted: inputs.iter().all(|block| block.all_promoted),
        ..BlockFile::clone(first)
    })
}

fn open(block: &BlockFile, files: &MergeFiles) -> Result<Input> {
    Input::open(block, local_file(block, &files.store, &files.spool, &files.handle)?)
}

/// A block as a file of this disk: itself where it lies there, else a copy in `folder` that has no name. Blocks.
pub(crate) fn local_file(
    block: &BlockFile,
    store: &Arc<dyn ObjectStore>,
    folder: &FsPath,
    handle: &Handle,
) -> Result<File> {
    let failed = |source| Error::Storage {
        operation: "read the block",
        path: block.path.to_string(),
        source: Box::new(source),
    };
    match handle.block_on(store.get(&block.path)).map_err(failed)?.payload {
        GetResultPayload::File(file, _) => Ok(file),
        GetResultPayload::Stream(mut parts) => {
            let mut copy = spool_file(folder)?;
            while let Some(part) = handle.block_on(parts.try_next()).map_err(failed)? {
                copy.write_all(&part).map_err(Error::io("write a copy of a block in", folder))?;
            }
            Ok(copy)
        }
    }
}

/// A file without a name: it takes disk instead of memory, and is gone when the merge ends, however it ends.
pub(crate) fn spool_file(dir: &FsPath) -> Result<File> {
    let path = dir.join(format!("merge-{}.tmp", uuid::Uuid::new_v4().simple()));
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(Error::io("create", &path))?;
    std::fs::remove_file(&path).map_err(Error::io("remove the name of", &path))?;
    Ok(file)
}

fn foreign(block: &BlockFile, reason: String) -> Error {
    Error::Foreign { table: block.table, path: block.path_in_table().to_owned(), reason }
}

#[cfg(test)]
mod tests;
