//! Several sorted blocks of one table, tenant and date become one, batch by batch: memory grows with the number of
//! inputs, not with their size.

use std::fs::File;
use std::io::Write;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use futures::TryStreamExt;
use hindsight_model::{Table, timestamp_from_micros};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use tokio::runtime::Handle;

use crate::block_sink::BlockUpload;
use crate::block_stats::micros_of;
use crate::block_writer::file_schema;
use crate::{BlockFile, Error, Result};

/// Rows read from one input at a time.
const INPUT_ROWS: usize = 2 * 1024;
/// Rows handed to the sink at a time.
const OUTPUT_ROWS: usize = 8 * 1024;
/// From this mean length of runs on, copying runs is cheaper than picking rows.
const LONG_RUN_ROWS: usize = 32;

/// Where a merge reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct MergeFiles {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// A directory of this disk for copies of inputs that storage does not have as files.
    pub(crate) spool: PathBuf,
    pub(crate) handle: Handle,
}

/// Called between batches with the bytes of input used up since the last call; an error ends the merge.
pub(crate) type Pace<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// Merges `inputs`, which are of one table, tenant and date, into one durable file that no commit names yet. On an
/// error nothing is left behind, or a file that the search for orphans finds. Takes long and blocks; not for an I/O
/// thread.
pub(crate) fn merge(inputs: &[Arc<BlockFile>], files: &MergeFiles, pace: &mut Pace<'_>) -> Result<BlockFile> {
    let mut output = describe_output(inputs)?;
    let sources = inputs.iter().map(|block| open(block, files)).collect::<Result<Vec<_>>>()?;
    let mut merging = Merging::new(output.table, sources)?;
    let mut sink = BlockUpload::create(&files.store, output.table, output.path.clone(), &files.handle)?;
    let bytes_in: u64 = inputs.iter().map(|block| block.size_bytes).sum();
    let mut copy = || -> Result<()> {
        while let Some(batch) = merging.next_batch()? {
            sink.push_sorted(&batch)?;
            pace(share(bytes_in, batch.num_rows() as u64, output.rows))?;
        }
        Ok(())
    };
    if let Err(error) = copy() {
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
    Ok(output)
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
        ..BlockFile::clone(first)
    })
}

fn open(block: &BlockFile, files: &MergeFiles) -> Result<Source> {
    let failed = |source| Error::Storage {
        operation: "read the block",
        path: block.path.to_string(),
        source: Box::new(source),
    };
    let file = match files.handle.block_on(files.store.get(&block.path)).map_err(failed)?.payload {
        GetResultPayload::File(file, _) => file,
        GetResultPayload::Stream(mut parts) => {
            let mut copy = spool_file(&files.spool)?;
            while let Some(part) = files.handle.block_on(parts.try_next()).map_err(failed)? {
                copy.write_all(&part).map_err(Error::io("write a copy of a block in", &files.spool))?;
            }
            copy
        }
    };
    Ok(Source { path: block.path.clone(), reader: reader(block, file)? })
}

/// A file without a name: it takes disk instead of memory, and is gone when the merge ends, however it ends.
pub(crate) fn spool_file(dir: &FsPath) -> Result<File> {
    let path = dir.join(format!("merge-{}.tmp", uuid::Uuid::new_v4().simple()));
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(Error::io("create", &path))?;
    std::fs::remove_file(&path).map_err(Error::io("remove the name of", &path))?;
    Ok(file)
}

fn reader(block: &BlockFile, bytes: File) -> Result<ParquetRecordBatchReader> {
    let parquet = |source| Error::Parquet { table: block.table, source: Box::new(source) };
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(parquet)?;
    let rows = builder.metadata().file_metadata().num_rows();
    if u64::try_from(rows) != Ok(block.rows) {
        return Err(foreign(block, format!("it has {rows} rows where the log says {}", block.rows)));
    }
    builder.with_batch_size(INPUT_ROWS).build().map_err(parquet)
}

fn foreign(block: &BlockFile, reason: String) -> Error {
    Error::Foreign { table: block.table, path: block.path_in_table().to_owned(), reason }
}

struct Source {
    path: Path,
    reader: ParquetRecordBatchReader,
}

/// The merge under way: the inputs' current batches and where each stands.
struct Merging {
    table: Table,
    schema: SchemaRef,
    keys: RowConverter,
    cursors: Vec<Cursor>,
    /// Batches that rows of the next output come from; the cursors' current ones among them.
    batches: Vec<RecordBatch>,
    /// Rows chosen for the next output, in order.
    runs: Vec<Picked>,
    picked_rows: usize,
}

/// One input, standing at a row of its current batch.
struct Cursor {
    source: Source,
    batch: usize,
    keys: Rows,
    at: usize,
}

#[derive(Clone, Copy)]
struct Picked {
    batch: usize,
    start: usize,
    rows: usize,
}

impl Merging {
    fn new(table: Table, sources: Vec<Source>) -> Result<Self> {
        let schema = file_schema(table);
        let fields = table
            .sort_key()
            .iter()
            .map(|name| Ok(SortField::new(schema.field_with_name(name)?.data_type().clone())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::arrow(table))?;
        let keys = RowConverter::new(fields).map_err(Error::arrow(table))?;
        let mut merging = Self {
            table,
            schema,
            keys,
            cursors: Vec::with_capacity(sources.len()),
            batches: Vec::new(),
            runs: Vec::new(),
            picked_rows: 0,
        };
        for source in sources {
            if let Some(cursor) = merging.load(source)? {
                merging.cursors.push(cursor);
            }
        }
        Ok(merging)
    }

    /// The next rows in the order of the sort key; equal keys in the order of the inputs.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.picked_rows < OUTPUT_ROWS && !self.cursors.is_empty() {
            self.pick_run()?;
        }
        if self.runs.is_empty() {
            return Ok(None);
        }
        let batch = self.copy_picked().map_err(Error::arrow(self.table))?;
        self.runs.clear();
        self.picked_rows = 0;
        self.forget_used_batches();
        Ok(Some(batch))
    }

    /// Takes rows of the smallest cursor for as long as no other comes first.
    fn pick_run(&mut self) -> Result<()> {
        let (first, second) = self.two_smallest();
        let limit = second.map(|at| (at, self.cursors[at].keys.row(self.cursors[at].at)));
        let cursor = &self.cursors[first];
        let most = (OUTPUT_ROWS - self.picked_rows).min(cursor.keys.num_rows() - cursor.at);
        let still_first = |row: usize| match limit {
            Some((other, key)) if other < first => cursor.keys.row(row) < key,
            Some((_, key)) => cursor.keys.row(row) <= key,
            None => true,
        };
        // The first row is known to come first.
        let rows = 1 + (cursor.at + 1..cursor.at + most).take_while(|&row| still_first(row)).count();
        self.runs.push(Picked { batch: cursor.batch, start: cursor.at, rows });
        self.picked_rows += rows;
        let cursor = &mut self.cursors[first];
        cursor.at += rows;
        if cursor.at == cursor.keys.num_rows() {
            let spent = self.cursors.remove(first);
            if let Some(next) = self.load(spent.source)? {
                self.cursors.insert(first, next);
            }
        }
        Ok(())
    }

    /// The cursor whose row comes first, and the one that comes after it. There are few cursors and runs are long,
    /// so looking at all of them is as fast as a heap.
    fn two_smallest(&self) -> (usize, Option<usize>) {
        let key = |at: usize| self.cursors[at].keys.row(self.cursors[at].at);
        let (mut first, mut second) = (0, None);
        for at in 1..self.cursors.len() {
            if key(at) < key(first) {
                (first, second) = (at, Some(first));
            } else if second.is_none_or(|other| key(at) < key(other)) {
                second = Some(at);
            }
        }
        (first, second)
    }

    /// Moves a source to its next batch that has rows; `None` at its end.
    fn load(&mut self, mut source: Source) -> Result<Option<Cursor>> {
        loop {
            let Some(batch) = source.reader.next() else { return Ok(None) };
            let batch = batch.map_err(Error::arrow(self.table))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = self.conform(&source, &batch)?;
            let columns = self.table.sort_key().iter().filter_map(|name| batch.column_by_name(name).cloned());
            let keys = self.keys.convert_columns(&columns.collect::<Vec<ArrayRef>>());
            let keys = keys.map_err(Error::arrow(self.table))?;
            if (1..keys.num_rows()).any(|row| keys.row(row) < keys.row(row - 1)) {
                return Err(self.unlike(&source, "it is not sorted by the table's key".to_owned()));
            }
            self.batches.push(batch);
            return Ok(Some(Cursor { source, batch: self.batches.len() - 1, keys, at: 0 }));
        }
    }

    /// The batch with the table's columns: those that an older file lacks are null, and none is dropped.
    fn conform(&self, source: &Source, batch: &RecordBatch) -> Result<RecordBatch> {
        let have = batch.schema();
        if let Some(extra) = have.fields().iter().find(|field| self.schema.index_of(field.name()).is_err()) {
            return Err(self.unlike(source, format!("it has a column `{}` of its own", extra.name())));
        }
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())
            .map_err(|error| self.unlike(source, format!("its columns are not the table's: {error}")))
    }

    fn unlike(&self, source: &Source, reason: String) -> Error {
        Error::Foreign { table: self.table, path: source.path.to_string(), reason }
    }

    fn copy_picked(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        if self.picked_rows >= self.runs.len() * LONG_RUN_ROWS {
            let runs: Vec<RecordBatch> =
                self.runs.iter().map(|run| self.batches[run.batch].slice(run.start, run.rows)).collect();
            return concat_batches(&self.schema, &runs);
        }
        let picks: Vec<(usize, usize)> = self
            .runs
            .iter()
            .flat_map(|run| (run.start..run.start + run.rows).map(|row| (run.batch, row)))
            .collect();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleave_record_batch(&batches, &picks)
    }

    fn forget_used_batches(&mut self) {
        let mut kept = Vec::with_capacity(self.cursors.len());
        for cursor in &mut self.cursors {
            kept.push(self.batches[cursor.batch].clone());
            cursor.batch = kept.len() - 1;
        }
        self.batches = kept;
    }
}

#[cfg(test)]
mod tests;
