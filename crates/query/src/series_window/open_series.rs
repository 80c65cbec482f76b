//! Batches of rows, series after series, each held until the last of its series has ended.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat, concat_batches};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::Result;

use super::calls::Calls;

/// Batches whose last series has not ended yet, and those that are ready.
pub(super) struct OpenSeries {
    /// Of batches that are ready.
    schema: SchemaRef,
    /// The place of the series.
    series: usize,
    calls: Arc<Calls>,
    /// The first has where the open series began; the others are all of it.
    open: VecDeque<Held>,
    /// The first row of the open series, in the first batch.
    begin: usize,
    bytes: usize,
    ready: VecDeque<RecordBatch>,
}

struct Held {
    batch: RecordBatch,
    /// What each function says of its rows so far.
    said: Vec<Vec<ArrayRef>>,
}

impl OpenSeries {
    pub(super) fn new(schema: SchemaRef, series: usize, calls: Arc<Calls>) -> Self {
        let (open, ready) = (VecDeque::new(), VecDeque::new());
        Self { schema, series, calls, open, begin: 0, bytes: 0, ready }
    }

    /// Adds the next rows.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut begins = begins(batch.column(self.series));
        let goes_on = self.open.back().is_some_and(|last| {
            let last = last.batch.column(self.series);
            same(last, last.len() - 1, batch.column(self.series))
        });
        if !goes_on {
            self.end()?;
        }
        let Some(last) = begins.pop().filter(|last| *last > 0 || !goes_on) else {
            // All of it is the open series.
            self.hold(batch, Vec::new());
            return Ok(());
        };
        let mut said = Vec::new();
        let mut from = 0;
        if goes_on {
            let end = begins.get(1).copied().unwrap_or(last);
            said = self.close(Some(batch.slice(0, end)))?;
            from = end;
        }
        if from < last {
            let begins: Vec<usize> =
                begins.iter().filter(|begin| **begin >= from).map(|begin| begin - from).collect();
            let more = self.calls.over(&batch.slice(from, last - from), &begins)?;
            said.resize_with(more.len(), Vec::new);
            said.iter_mut().zip(more).for_each(|(said, more)| said.push(more));
        }
        self.begin = last;
        self.hold(batch, said);
        Ok(())
    }

    /// The open series has ended.
    pub(super) fn end(&mut self) -> Result<()> {
        self.close(None).map(|_| ())
    }

    /// The next batch with what the functions say of its rows.
    pub(super) fn take_ready(&mut self) -> Option<RecordBatch> {
        self.ready.pop_front()
    }

    /// What the rows take that are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// The rows of the open series, of which nothing has been said.
    pub(super) fn give_up(&mut self) -> Result<Vec<RecordBatch>> {
        let mut open = std::mem::take(&mut self.open);
        let begin = std::mem::take(&mut self.begin);
        self.bytes = 0;
        if let Some(first) = open.front_mut() {
            let whole = first.batch.slice(begin, first.batch.num_rows() - begin);
            let before = std::mem::replace(&mut first.batch, whole);
            if begin > 0 {
                let said = std::mem::take(&mut first.said);
                self.finish(&Held { batch: before.slice(0, begin), said })?;
            }
        }
        Ok(open.into_iter().map(|held| held.batch).collect())
    }

    fn hold(&mut self, batch: RecordBatch, said: Vec<Vec<ArrayRef>>) {
        self.bytes += bytes(&batch);
        self.open.push_back(Held { batch, said });
    }

    /// Says what there is to say of the open series, to which `rest` belongs as well; gives what is said of the rest.
    fn close(&mut self, rest: Option<RecordBatch>) -> Result<Vec<Vec<ArrayRef>>> {
        let begin = std::mem::take(&mut self.begin);
        let mut open = std::mem::take(&mut self.open);
        self.bytes = 0;
        let Some(first) = open.front() else { return Ok(Vec::new()) };
        let mut rows = vec![first.batch.slice(begin, first.batch.num_rows() - begin)];
        rows.extend(open.iter().skip(1).map(|held| held.batch.clone()));
        rows.extend(rest);
        let whole = match rows.as_slice() {
            [one] => one.clone(),
            rows => concat_batches(&rows[0].schema(), rows)?,
        };
        let said = self.calls.over(&whole, &[0])?;
        let mut at = 0;
        let mut next = |rows: usize| {
            let part = said.iter().map(|said| said.slice(at, rows)).collect::<Vec<_>>();
            at += rows;
            part
        };
        for (held, rows) in open.iter_mut().zip(&rows) {
            let part = next(rows.num_rows());
            held.said.resize_with(part.len(), Vec::new);
            held.said.iter_mut().zip(part).for_each(|(said, part)| said.push(part));
        }
        let of_rest = rows.get(open.len()).map(|rest| next(rest.num_rows())).unwrap_or_default();
        open.iter().try_for_each(|held| self.finish(held))?;
        Ok(of_rest.into_iter().map(|said| vec![said]).collect())
    }

    fn finish(&mut self, held: &Held) -> Result<()> {
        let mut columns = held.batch.columns().to_vec();
        for said in &held.said {
            columns.push(match said.as_slice() {
                [one] => Arc::clone(one),
                parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
            });
        }
        self.ready.push_back(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }
}

/// What the batch's own rows take, of buffers that it may share.
pub(crate) fn bytes(batch: &RecordBatch) -> usize {
    let of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    batch.columns().iter().map(of).sum()
}

/// Where series begin; the first row is always one.
fn begins(series: &ArrayRef) -> Vec<usize> {
    let rows = 1..series.len();
    let others: Vec<usize> = match series.data_type() {
        DataType::Int64 if series.null_count() == 0 => {
            let ids: &[i64] = series.as_primitive::<Int64Type>().values();
            rows.filter(|row| ids[*row] != ids[row - 1]).collect()
        }
        _ => rows.filter(|row| !alike(series, *row - 1, series, *row)).collect(),
    };
    std::iter::once(0).chain(others).collect()
}

/// Whether a row of one column and the first of another are of one series.
fn same(before: &ArrayRef, row: usize, after: &ArrayRef) -> bool {
    alike(before, row, after, 0)
}

/// Whether two rows are of one series; null is one of its own.
fn alike(a: &ArrayRef, row: usize, b: &ArrayRef, other: usize) -> bool {
    match (a.is_valid(row), b.is_valid(other)) {
        (true, true) => match (a.as_primitive_opt::<Int64Type>(), b.as_primitive_opt::<Int64Type>()) {
            (Some(a), Some(b)) => a.value(row) == b.value(other),
            _ => match (a.as_string_view_opt(), b.as_string_view_opt()) {
                (Some(a), Some(b)) => a.value(row) == b.value(other),
                _ => false,
            },
        },
        (a, b) => a == b,
    }
}
