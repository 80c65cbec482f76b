//! Where blocks are cut into shares when no series may be in two of them.
//!
//! Rows of a series lie side by side in a block of ours, so a share may begin wherever another series does. The ids
//! around each even cut are read to find the next such place; all else of the block is left to whoever gets the share.
//! Several blocks are cut at the same series: the largest says which, and the others are searched for them.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use futures::TryStreamExt as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::file::metadata::ParquetMetaData;

use crate::block_reader::BlockReaders;

/// The column that tells series apart.
pub(crate) const SERIES: &str = "series_id";
/// How many ids are read first to find where a series ends; four times as many each time it was not among them.
const LOOK_ROWS: u64 = 2048;

/// How many rows are read at a time around a place that is looked for. The blocks of tests are all small.
const SEARCH_ROWS: u64 = if cfg!(test) { 3 } else { 1024 };

/// How blocks are read so that no series is in two shares.
#[derive(Clone, Debug)]
pub(crate) struct BySeries {
    /// The order that their rows lie in.
    pub(crate) order: &'static [&'static str],
    /// The block that says where all are cut, when there are several.
    pub(crate) lead: Option<Arc<PartitionedFile>>,
}

/// What an order of rows begins with, up to the id of the series; nothing when that is not in it.
pub(crate) fn series_key(order: &'static [&'static str]) -> &'static [&'static str] {
    let id = order.iter().position(|name| *name == SERIES);
    &order[..id.map_or(0, |id| id + 1)]
}

/// A series' place in the order of blocks: what its metric and service are called, and its id. Nothing comes before
/// any name, as in blocks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesKey {
    names: Vec<Option<String>>,
    id: i64,
}

/// What tells the series of some rows apart.
#[derive(Debug)]
pub(crate) struct SeriesColumns {
    names: Vec<StringViewArray>,
    ids: ScalarBuffer<i64>,
}

impl SeriesColumns {
    /// `None` when the columns are not what those of series are.
    pub(crate) fn of(rows: &RecordBatch, names: &[usize], id: usize) -> Option<Self> {
        let ids = rows.columns().get(id)?.as_primitive_opt::<Int64Type>()?;
        let name = |place: &usize| Some(rows.columns().get(*place)?.as_string_view_opt()?.clone());
        let names = names.iter().map(name).collect::<Option<Vec<_>>>()?;
        Some(Self { names, ids: ids.values().clone() })
    }

    pub(crate) fn ids(&self) -> &[i64] {
        &self.ids
    }

    fn name(&self, place: usize, row: usize) -> Option<&str> {
        let names = &self.names[place];
        names.is_valid(row).then(|| names.value(row))
    }

    fn key(&self, row: usize) -> SeriesKey {
        let names = (0..self.names.len()).map(|place| self.name(place, row).map(str::to_owned));
        SeriesKey { names: names.collect(), id: self.ids[row] }
    }

    /// How the series of a row is ordered to another.
    pub(crate) fn to_key(&self, row: usize, key: &SeriesKey) -> Ordering {
        let others = key.names.iter().map(Option::as_deref);
        let names = (0..self.names.len()).map(|place| self.name(place, row));
        names.cmp(others).then_with(|| self.ids[row].cmp(&key.id))
    }

    /// How the series of a row is ordered to that of a row of others.
    pub(crate) fn to_row(&self, row: usize, others: &Self, other: usize) -> Ordering {
        let theirs = (0..others.names.len()).map(|place| others.name(place, other));
        let names = (0..self.names.len()).map(|place| self.name(place, row));
        names.cmp(theirs).then_with(|| self.ids[row].cmp(&others.ids[other]))
    }
}

/// Whether a block's own words are that its rows lie in the order of `key`.
pub(crate) fn is_in_order(footer: &ParquetMetaData, key: &[&str]) -> bool {
    let columns = footer.file_metadata().schema_descr();
    footer.row_groups().iter().all(|group| {
        let sorted = group.sorting_columns().map(Vec::as_slice).unwrap_or_default();
        let names = sorted.iter().map(|sorted| {
            let place =
                usize::try_from(sorted.column_idx).ok().filter(|place| *place < columns.num_columns());
            place.filter(|_| !sorted.descending).map(|place| columns.column(place).path().string())
        });
        names.eq(key.iter().map(|name| Some((*name).to_owned())))
    })
}

/// Deals the rows of `ranges`, from a block's first row and rising, out in `count` parts, in order and about even,
/// each with all rows of its series.
///
/// # Errors
/// When the block cannot be read, or has no series.
pub(crate) async fn parts(
    readers: &BlockReaders,
    file: &PartitionedFile,
    footer: &Arc<ParquetMetaData>,
    ranges: &[Range<u64>],
    count: usize,
) -> Result<Vec<Vec<Range<u64>>>> {
    let rows: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let ids = Ids::of(readers, file, footer)?;
    let mut parts = Vec::with_capacity(count);
    let mut from = 0;
    for part in 1..=count as u64 {
        let even = rows * part / count as u64;
        let to = if even <= from || even >= rows {
            even.max(from)
        } else {
            ids.next_series(ranges, even, rows).await?
        };
        parts.push(within(ranges, from..to));
        from = to;
    }
    Ok(parts)
}

/// The series in whose order rows are dealt out in `count` parts: the first of each part but the first, in order. Fewer
/// where there are no rows.
///
/// # Errors
/// As [`parts`].
pub(crate) async fn cuts(
    readers: &BlockReaders,
    file: &PartitionedFile,
    footer: &Arc<ParquetMetaData>,
    ranges: &[Range<u64>],
    key: &[&str],
    count: usize,
) -> Result<Vec<SeriesKey>> {
    let rows: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let ids = Ids::of(readers, file, footer)?;
    let mut cuts = Vec::new();
    for part in 1..count as u64 {
        let even = rows * part / count as u64;
        for found in ids.series(ranges, even..rows.min(even + 1), key).await? {
            cuts.push(found.key(0));
        }
    }
    Ok(cuts)
}

/// Deals the rows of `ranges`, from a block's first row and rising, out in `count` parts, each beginning with the
/// series of a cut or the next after it.
///
/// # Errors
/// As [`parts`].
pub(crate) async fn parts_at(
    readers: &BlockReaders,
    file: &PartitionedFile,
    footer: &Arc<ParquetMetaData>,
    ranges: &[Range<u64>],
    key: &[&str],
    cuts: &[SeriesKey],
    count: usize,
) -> Result<Vec<Vec<Range<u64>>>> {
    let rows: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let ids = Ids::of(readers, file, footer)?;
    let mut parts = Vec::with_capacity(count);
    let mut from = 0;
    for part in 1..=count {
        let to = match cuts.get(part - 1).filter(|_| part < count) {
            Some(cut) => {
                let about = rows * part as u64 / count as u64;
                ids.first_from(ranges, from..rows, about, key, cut).await?
            }
            None => rows,
        };
        parts.push(within(ranges, from..to));
        from = to;
    }
    Ok(parts)
}

/// The ids of a block's rows.
struct Ids<'a> {
    readers: &'a BlockReaders,
    file: &'a PartitionedFile,
    footer: ArrowReaderMetadata,
}

impl<'a> Ids<'a> {
    fn of(
        readers: &'a BlockReaders,
        file: &'a PartitionedFile,
        footer: &Arc<ParquetMetaData>,
    ) -> Result<Self> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        Ok(Self { readers, file, footer: ArrowReaderMetadata::try_new(Arc::clone(footer), options)? })
    }

    /// The first place from `at` on, which is not the first, where another series begins than the one before it.
    async fn next_series(&self, ranges: &[Range<u64>], at: u64, rows: u64) -> Result<u64> {
        let (mut from, mut look) = (at - 1, LOOK_ROWS);
        let mut before = None;
        while from < rows {
            let to = rows.min(from + look);
            let found = self.series(ranges, from..to, &[SERIES]).await?;
            let ids = found.iter().flat_map(|found| found.ids().iter().copied());
            for (place, id) in (from..).zip(ids) {
                if before.is_some_and(|before| before != id) {
                    return Ok(place);
                }
                before = Some(id);
            }
            (from, look) = (to, look * 4);
        }
        Ok(rows)
    }

    /// The first place among `wanted` whose series is not before `cut`; the end of `wanted` when there is none. It is
    /// looked for `about` somewhere first.
    async fn first_from(
        &self,
        ranges: &[Range<u64>],
        wanted: Range<u64>,
        about: u64,
        key: &[&str],
        cut: &SeriesKey,
    ) -> Result<u64> {
        let (mut low, mut high) = (wanted.start, wanted.end);
        let mut middle = about.clamp(low, high);
        while low < high {
            let from = middle.saturating_sub(SEARCH_ROWS / 2).clamp(low, high - 1);
            let to = high.min(from + SEARCH_ROWS);
            let mut before = 0;
            for found in self.series(ranges, from..to, key).await? {
                let rows = 0..found.ids().len();
                let here = rows.clone().take_while(|row| found.to_key(*row, cut) == Ordering::Less).count();
                before += here as u64;
                if here < rows.len() {
                    break;
                }
            }
            if before > 0 && from + before < to {
                return Ok(from + before);
            }
            if before == 0 {
                high = from;
            } else {
                low = to;
            }
            middle = low + (high - low) / 2;
        }
        Ok(low)
    }

    /// The columns of `key` of the rows at some places, in pieces, none of them empty.
    async fn series(
        &self,
        ranges: &[Range<u64>],
        places: Range<u64>,
        key: &[&str],
    ) -> Result<Vec<SeriesColumns>> {
        let reader = self.readers.open(self.file)?;
        let columns = self.footer.parquet_schema();
        let reader = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.footer.clone())
            .with_projection(ProjectionMask::columns(columns, key.iter().copied()))
            .with_row_selection(selection(&within(ranges, places.clone())))
            .build()?;
        let batches: Vec<RecordBatch> = reader.try_collect().await?;
        let path = &self.file.object_meta.location;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows as u64 != places.end - places.start {
            return exec_err!(
                "{path} gave {rows} ids of series for {} rows; run `hindsight verify`",
                places.end - places.start
            );
        }
        let found = batches.iter().filter(|batch| batch.num_rows() > 0);
        let found: Option<Vec<_>> = found.map(|batch| series_columns(batch, key)).collect();
        found.ok_or_else(|| exec_datafusion_err!("{path} has no {key:?}; run `hindsight verify`"))
    }
}

/// The columns of a key, of which the id of a series is the last.
fn series_columns(rows: &RecordBatch, key: &[&str]) -> Option<SeriesColumns> {
    let (id, names) = key.split_last()?;
    let ids = rows.column_by_name(id)?.as_primitive_opt::<Int64Type>()?.values().clone();
    let names = names.iter().map(|name| {
        let name = cast(rows.column_by_name(name)?, &DataType::Utf8View).ok()?;
        name.as_string_view_opt().cloned()
    });
    Some(SeriesColumns { names: names.collect::<Option<_>>()?, ids })
}

/// The rows of `ranges` from one place among them to another.
fn within(ranges: &[Range<u64>], wanted: Range<u64>) -> Vec<Range<u64>> {
    let mut before = 0;
    let cut = ranges.iter().filter_map(|range| {
        let row = |place: u64| range.start + place.clamp(before, before + range.end - range.start) - before;
        let cut = row(wanted.start)..row(wanted.end);
        before += range.end - range.start;
        (cut.start < cut.end).then_some(cut)
    });
    cut.collect()
}

/// The rows of some ranges, which rise.
fn selection(ranges: &[Range<u64>]) -> RowSelection {
    let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let mut at = 0;
    let selectors = ranges.iter().flat_map(|range| {
        let skipped = range.start - at;
        at = range.end;
        [RowSelector::skip(count(skipped)), RowSelector::select(count(range.end - range.start))]
    });
    RowSelection::from(selectors.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_found_among_ranges() {
        let ranges = [2..5, 5..6, 10..12];
        let found = |wanted| within(&ranges, wanted);
        assert_eq!(found(0..6), ranges);
        assert_eq!(found(2..5), [4..5, 5..6, 10..11]);
        assert_eq!(found(0..4), [2..5, 5..6]);
        assert_eq!(found(3..9), [5..6, 10..12]);
        assert_eq!(found(3..3), []);
    }

    proptest! {
        #[test]
        fn pieces_of_ranges_are_all_of_them(
            steps in prop::collection::vec((0..5_u64, 1..9_u64), 0..6), cut in 0..60_u64,
        ) {
            let mut at = 0;
            let ranges = steps.iter().map(|(gap, rows)| {
                let range = at + gap..at + gap + rows;
                at = range.end;
                range
            });
            let ranges: Vec<Range<u64>> = ranges.collect();
            let rows = |ranges: &[Range<u64>]| ranges.iter().cloned().flatten().collect::<Vec<_>>();
            let all = rows(&ranges);
            let cut = cut.min(all.len() as u64);
            let [before, after] = [0..cut, cut..all.len() as u64].map(|wanted| rows(&within(&ranges, wanted)));
            prop_assert_eq!(before.len() as u64, cut);
            prop_assert_eq!([before, after].concat(), all);
        }
    }
}
