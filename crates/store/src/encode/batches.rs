//! Whole batches as row groups: how tests write rows of their own.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat;

use super::page::value_type;
use super::{BlockSink, Failure, RowGroup, Source};

/// Writes rows that sort after all earlier ones in row groups of `row_group_rows`. Columns as in
/// [`crate::block_writer::file_schema`], those of text also as dictionaries with 32-bit keys.
pub(crate) fn write_sorted<W: Write + Send>(
    sink: &mut BlockSink<W>,
    batches: &[RecordBatch],
    row_group_rows: usize,
) -> Result<(), Failure> {
    let (mut pending, mut pending_rows) = (Vec::new(), 0);
    for batch in batches {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let taken = rest.num_rows().min(row_group_rows - pending_rows);
            pending.push(rest.slice(0, taken));
            pending_rows += taken;
            rest = rest.slice(taken, rest.num_rows() - taken);
            if pending_rows == row_group_rows {
                sink.write(&Batches::of(std::mem::take(&mut pending)))?;
                pending_rows = 0;
            }
        }
    }
    if pending.is_empty() { Ok(()) } else { sink.write(&Batches::of(pending)) }
}

/// Whole batches as a row group.
struct Batches {
    batches: Vec<RecordBatch>,
    /// Where each begins, and where the last ends.
    starts: Vec<usize>,
}

impl Batches {
    fn of(batches: Vec<RecordBatch>) -> Self {
        let mut starts = vec![0];
        for batch in &batches {
            starts.push(starts[starts.len() - 1] + batch.num_rows());
        }
        Self { batches, starts }
    }

    fn slice(&self, index: usize, rows: std::ops::Range<usize>) -> Result<ArrayRef, Failure> {
        let mut parts = Vec::new();
        for (batch, start) in self.batches.iter().zip(&self.starts) {
            let (from, to) = (rows.start.max(*start), rows.end.min(start + batch.num_rows()));
            if from < to {
                parts.push(batch.column(index).slice(from - start, to - from));
            }
        }
        if let [only] = parts.as_slice() {
            return Ok(ArrayRef::clone(only));
        }
        let same = parts.windows(2).all(|pair| pair[0].data_type() == pair[1].data_type());
        if !same {
            for part in &mut parts {
                *part = arrow::compute::cast(part, &value_type(part.data_type()))?;
            }
        }
        let borrowed: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&borrowed)?)
    }
}

impl RowGroup for Batches {
    fn rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn column(&self, index: usize) -> Result<Source<'_>, Failure> {
        let columns = || self.batches.iter().map(|batch| batch.column(index));
        let empty_list = |array: &ArrayRef| {
            let lists = array.as_list_opt::<i32>();
            lists.is_some_and(|lists| lists.offsets().first() == lists.offsets().last())
        };
        if columns().all(empty_list) || columns().all(|array| array.logical_null_count() == array.len()) {
            return Ok(Source::Default);
        }
        Ok(Source::Rows(Box::new(move |rows| self.slice(index, rows))))
    }
}
