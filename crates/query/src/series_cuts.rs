//! Where a block is cut into shares when no series may be in two of them.
//!
//! Rows of a series lie side by side in a block of ours, so a share may begin wherever another series does. The ids
//! around each even cut are read to find the next such place; all else of the block is left to whoever gets the share.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::{Result, exec_err};
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
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let ids = Ids { readers, file, footer: ArrowReaderMetadata::try_new(Arc::clone(footer), options)? };
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

/// The ids of a block's rows.
struct Ids<'a> {
    readers: &'a BlockReaders,
    file: &'a PartitionedFile,
    footer: ArrowReaderMetadata,
}

impl Ids<'_> {
    /// The first place from `at` on, which is not the first, where another series begins than the one before it.
    async fn next_series(&self, ranges: &[Range<u64>], at: u64, rows: u64) -> Result<u64> {
        let (mut from, mut look) = (at - 1, LOOK_ROWS);
        let mut before = None;
        while from < rows {
            let to = rows.min(from + look);
            let ids = self.read(&within(ranges, from..to)).await?;
            if ids.len() as u64 != to - from {
                let path = &self.file.object_meta.location;
                return exec_err!(
                    "{path} gave {} ids of series for {} rows; run `hindsight verify`",
                    ids.len(),
                    to - from
                );
            }
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

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<i64>> {
        let reader = self.readers.open(self.file)?;
        let columns = self.footer.parquet_schema();
        let reader = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.footer.clone())
            .with_projection(ProjectionMask::columns(columns, [SERIES]))
            .with_row_selection(selection(ranges))
            .build()?;
        let batches: Vec<_> = reader.try_collect().await?;
        let mut ids = Vec::new();
        for batch in &batches {
            let Some(column) =
                batch.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>())
            else {
                return exec_err!(
                    "{} has no {SERIES}; run `hindsight verify`",
                    self.file.object_meta.location
                );
            };
            ids.extend_from_slice(column.values());
        }
        Ok(ids)
    }
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
