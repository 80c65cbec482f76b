//! Rows of several sources in one order, taken in runs from whichever comes next.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::common::{Result, internal_datafusion_err};

use crate::series_cuts::SeriesColumns;
use crate::series_sort::{By, Run, gathered};
use crate::series_window::bytes;

/// Rows of some sources, each in the order of series and time, on their way to be in that order all together.
pub(super) struct InTurn {
    /// Of what is given away.
    schema: SchemaRef,
    by: By,
    /// How many rows are given away at once.
    batch_size: usize,
    sources: Vec<Source>,
    /// The batches that runs are of.
    held: Vec<RecordBatch>,
    bytes: usize,
    /// What comes next.
    runs: Vec<Run>,
    rows: usize,
}

enum Source {
    Wanted,
    Has(Rows),
    Ended,
}

/// A batch, from the row on that has not been taken.
struct Rows {
    series: SeriesColumns,
    time: TimestampMicrosecondArray,
    /// Its place among those that are held.
    batch: usize,
    at: usize,
}

impl Rows {
    /// How the next row is ordered to that of another source.
    fn order(&self, other: &Self) -> Ordering {
        let series = self.series.to_row(self.at, &other.series, other.at);
        series.then_with(|| self.time.value(self.at).cmp(&other.time.value(other.at)))
    }

    /// Where the rows end that come before the next one of another source, or at the same time.
    fn end_before(&self, next: &Self) -> usize {
        let ids = self.series.ids();
        let mut at = self.at;
        while at < ids.len() {
            let end = at + ids[at..].iter().take_while(|id| **id == ids[at]).count();
            match self.series.to_row(at, &next.series, next.at) {
                Ordering::Less => at = end,
                Ordering::Equal => {
                    let until = next.time.value(next.at);
                    let times = &self.time.values()[at..end];
                    return at + times.partition_point(|time| *time <= until);
                }
                Ordering::Greater => break,
            }
        }
        at
    }
}

impl InTurn {
    /// Of some sources, each of whose batches has the columns that `by` speaks of and begins with those of `schema`.
    pub(super) fn new(schema: SchemaRef, by: By, sources: usize, batch_size: usize) -> Self {
        let sources = (0..sources).map(|_| Source::Wanted).collect();
        Self { schema, by, batch_size, sources, held: Vec::new(), bytes: 0, runs: Vec::new(), rows: 0 }
    }

    /// The first source without whose next rows it cannot go on.
    pub(super) fn wants(&self) -> Option<usize> {
        self.sources.iter().position(|source| matches!(source, Source::Wanted))
    }

    /// What the batches take that are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// The next rows of a source that is wanted.
    pub(super) fn push(&mut self, source: usize, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let By { names, series, time } = self.by;
        let names = names.as_ref().map_or(&[][..], |names| names.as_slice());
        let series = SeriesColumns::of(&batch, names, series);
        let time = batch.column(time).as_primitive_opt::<TimestampMicrosecondType>().cloned();
        let (series, time) = series
            .zip(time)
            .ok_or_else(|| internal_datafusion_err!("rows to merge have no series or no time"))?;
        self.bytes += bytes(&batch);
        self.sources[source] = Source::Has(Rows { series, time, batch: self.held.len(), at: 0 });
        self.held.push(batch);
        Ok(())
    }

    /// A source that is wanted has no more rows.
    pub(super) fn end(&mut self, source: usize) {
        self.sources[source] = Source::Ended;
    }

    /// The next rows, when there are enough or there will be no more.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>> {
        while self.rows < self.batch_size {
            if self.wants().is_some() {
                return Ok(None);
            }
            let Some(first) = self.first(None) else { break };
            let second = self.first(Some(first));
            let Source::Has(rows) = &self.sources[first] else { break };
            let end = match second.map(|second| &self.sources[second]) {
                Some(Source::Has(next)) => rows.end_before(next),
                _ => rows.time.len(),
            };
            // A row that is not before itself would be taken for ever.
            let end = end.max(rows.at + 1);
            self.pass(first, end);
        }
        if self.rows == 0 { Ok(None) } else { self.give().map(Some) }
    }

    /// The source whose row comes first of all but one.
    fn first(&self, but: Option<usize>) -> Option<usize> {
        let mut first: Option<(usize, &Rows)> = None;
        for (place, source) in self.sources.iter().enumerate().filter(|(place, _)| Some(*place) != but) {
            if let Source::Has(rows) = source
                && first.is_none_or(|(_, before)| rows.order(before) == Ordering::Less)
            {
                first = Some((place, rows));
            }
        }
        first.map(|(place, _)| place)
    }

    /// Takes rows of a source up to a place.
    fn pass(&mut self, source: usize, end: usize) {
        let Source::Has(rows) = &mut self.sources[source] else { return };
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let run = Run { batch: number(rows.batch), start: number(rows.at), rows: number(end - rows.at) };
        match self.runs.last_mut() {
            Some(last) if last.batch == run.batch && last.start + last.rows == run.start => {
                last.rows += run.rows;
            }
            _ => self.runs.push(run),
        }
        self.rows += end - rows.at;
        rows.at = end;
        if end == rows.time.len() {
            self.sources[source] = Source::Wanted;
        }
    }

    /// The rows that were taken as a batch.
    fn give(&mut self) -> Result<RecordBatch> {
        let runs = std::mem::take(&mut self.runs);
        self.rows = 0;
        let given = match runs.as_slice() {
            [run] => {
                let columns: Vec<usize> = (0..self.schema.fields().len()).collect();
                let part = self.held[run.batch as usize].slice(run.start as usize, run.rows as usize);
                RecordBatch::try_new(Arc::clone(&self.schema), part.project(&columns)?.columns().to_vec())?
            }
            runs => gathered(&self.schema, &self.held, runs)?,
        };
        // Those that have rows left stay.
        let mut left = Vec::new();
        for source in &mut self.sources {
            if let Source::Has(rows) = source {
                left.push(self.held[rows.batch].clone());
                rows.batch = left.len() - 1;
            }
        }
        self.bytes = left.iter().map(bytes).sum();
        self.held = left;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    /// Names, series, time, and which row it is.
    type Row = ([Option<&'static str>; 2], i64, i64, i64);

    fn batch(rows: &[Row]) -> RecordBatch {
        let name = |place: usize| rows.iter().map(|row| row.0[place]).collect::<StringViewArray>();
        let number = |part: fn(&Row) -> i64| rows.iter().map(|row| Some(part(row))).collect::<Int64Array>();
        let time: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.2)).collect();
        let columns: [(&str, ArrayRef); 5] = [
            ("id", Arc::new(number(|row| row.1))),
            ("time", Arc::new(time)),
            ("row", Arc::new(number(|row| row.3))),
            ("metric", Arc::new(name(0))),
            ("service", Arc::new(name(1))),
        ];
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap()
    }

    /// What each source has, in batches.
    fn sources() -> impl Strategy<Value = Vec<Vec<Vec<Row>>>> {
        let names = [[None, Some("b")], [Some("a"), None], [Some("a"), Some("a")], [Some("b"), Some("a")]];
        // No series has two names.
        let row = (0..6_usize, 0..8_i64).prop_map(move |(series, time)| {
            (names[series % names.len()], [3, -5, 0, 7, -1, 1][series], time, 0)
        });
        let source = (prop::collection::vec(row, 0..60), 1..20_usize).prop_map(|(mut rows, size)| {
            rows.sort_unstable();
            rows.chunks(size).map(<[Row]>::to_vec).collect::<Vec<_>>()
        });
        prop::collection::vec(source, 1..5).prop_map(|mut sources| {
            let rows = sources.iter_mut().flatten().flatten();
            rows.zip(0..).for_each(|(row, number)| row.3 = number);
            sources
        })
    }

    proptest! {
        #[test]
        fn rows_of_all_sources_come_in_order(sources in sources(), batch_size in 1..50_usize) {
            let mut expected: Vec<Row> = sources.iter().flatten().flatten().copied().collect();
            expected.sort_by_key(|row| (row.0, row.1, row.2));
            let mut sources: Vec<VecDeque<Vec<Row>>> = sources.into_iter().map(VecDeque::from).collect();
            let whole = batch(&expected[..0]);
            let schema = Arc::new(whole.schema().project(&[0, 1, 2]).unwrap());
            let by = By { names: Some([3, 4]), series: 0, time: 1 };
            let mut merge = InTurn::new(schema, by, sources.len(), batch_size);
            let mut found = Vec::new();
            loop {
                while let Some(wanted) = merge.wants() {
                    match sources[wanted].pop_front() {
                        Some(rows) => merge.push(wanted, batch(&rows)).unwrap(),
                        None => merge.end(wanted),
                    }
                }
                match merge.take().unwrap() {
                    Some(rows) => {
                        prop_assert!(rows.num_rows() > 0);
                        let rows = rows.column(2).as_primitive::<Int64Type>().values().to_vec();
                        found.extend(rows.into_iter().map(|row| *expected.iter().find(|known| known.3 == row).unwrap()));
                    }
                    None if merge.wants().is_none() => break,
                    None => {}
                }
            }
            prop_assert_eq!(merge.held_bytes(), 0);
            let key = |row: &Row| (row.0, row.1, row.2);
            prop_assert_eq!(found.iter().map(key).collect::<Vec<_>>(), expected.iter().map(key).collect::<Vec<_>>());
            found.sort_by_key(|row| row.3);
            expected.sort_by_key(|row| row.3);
            prop_assert_eq!(found, expected);
        }
    }
}
