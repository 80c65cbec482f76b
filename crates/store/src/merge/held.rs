//! How much memory a merge may take: how many inputs it has at a time, and how large the output's row groups are.
//!
//! All is reckoned from the footers before the first row is read. The means of a file stand for its rows, so a file
//! whose long texts lie all together may take more for a moment.

use hindsight_model::Table;
use parquet::file::metadata::ParquetMetaData;

use super::input::Input;
use crate::block_writer::file_schema;
use crate::encode::ROW_GROUP_ROWS_MAX;

/// Pages of rows as this program writes them, and as others do by default.
const PAGE_ROWS: u64 = 20 * 1024;
/// Text pages end about here.
const PAGE_BYTES: u64 = 1 << 20;
/// A page of text has at least so many rows, however long they are.
const PAGE_ROWS_MIN: u64 = 512;
/// A row group of the output has at least so many rows, if there are as many.
const GROUP_ROWS_MIN: usize = 8 * 1024;
/// So many inputs are read together, however large their pages are.
const INPUTS_MIN: usize = 2;

/// Bytes that one column at `place` of an open file holds: a page, unpacked, of its largest row group.
pub(super) fn page_bytes(metadata: &ParquetMetaData, place: usize) -> u64 {
    let leaves = metadata.file_metadata().schema_descr();
    let own = (0..leaves.num_columns()).filter(|leaf| leaves.get_column_root_idx(*leaf) == place);
    own.map(|leaf| {
        let chunks = metadata.row_groups().iter().map(|group| {
            let chunk = group.column(leaf);
            let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
            let bytes = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
            let is_flat = chunk.column_descr().max_rep_level() == 0;
            let page_rows = if is_flat { PAGE_BYTES * rows / bytes.max(1) } else { PAGE_ROWS };
            bytes.min(bytes * page_rows.clamp(PAGE_ROWS_MIN, PAGE_ROWS) / rows)
        });
        chunks.max().unwrap_or(0)
    })
    .sum()
}

/// Bytes that the column at `place` takes, unpacked, in the whole file.
pub(super) fn column_bytes(metadata: &ParquetMetaData, place: usize) -> u64 {
    let leaves = metadata.file_metadata().schema_descr();
    let own = (0..leaves.num_columns()).filter(|leaf| leaves.get_column_root_idx(*leaf) == place);
    own.flat_map(|leaf| metadata.row_groups().iter().map(move |group| group.column(leaf)))
        .map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0))
        .sum()
}

/// The memory of one merge, and what it is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Pages of the inputs.
    inputs: u64,
    /// A column of the output's row group.
    column: u64,
}

/// What was found to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) group_rows: usize,
    pub(super) memory_bytes: u64,
}

impl Budget {
    /// Half for pages, a third for the column; the rest is for the pages being written and the part being sent.
    pub(super) fn of(memory_bytes: u64) -> Self {
        Self { inputs: memory_bytes / 2, column: memory_bytes / 3 }
    }

    /// Whether one more input may be read beside `admitted` others when all together hold `held` bytes. Two always
    /// may: a merge of fewer is none.
    pub(super) fn admits(&self, admitted: usize, held: u64) -> bool {
        admitted < INPUTS_MIN || held <= self.inputs
    }

    pub(super) fn shape(&self, table: Table, inputs: &[Input]) -> Shape {
        let rows: u64 = inputs.iter().map(|input| input.rows).sum();
        let column = |index| inputs.iter().map(|input| input.column_bytes(index)).sum();
        let widest = (0..file_schema(table).fields().len()).map(column).max().unwrap_or(0);
        let group_rows = group_rows(rows, widest, self.column);
        let held: u64 = inputs.iter().map(Input::held_bytes).sum();
        let group = u128::from(widest) * group_rows as u128 / u128::from(rows.max(1));
        let group = u64::try_from(group).unwrap_or(u64::MAX).min(widest);
        Shape { group_rows, memory_bytes: held.saturating_add(group) }
    }
}

/// Rows of an output row group whose widest column, of `column_bytes` in all `rows`, stays within `bytes_max`.
fn group_rows(rows: u64, column_bytes: u64, bytes_max: u64) -> usize {
    let fitting = u128::from(rows) * u128::from(bytes_max) / u128::from(column_bytes.max(1));
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(GROUP_ROWS_MIN, ROW_GROUP_ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_columns_get_smaller_row_groups() {
        let of = |bytes_a_row: u64| group_rows(1_000_000, 1_000_000 * bytes_a_row, 40 << 20);
        assert_eq!(of(0), ROW_GROUP_ROWS_MAX);
        assert_eq!(of(200), ROW_GROUP_ROWS_MAX);
        assert_eq!(of(1_000), (40 << 20) / 1_000);
        assert_eq!(of(1_000_000), GROUP_ROWS_MIN);
    }

    #[test]
    fn inputs_are_admitted_while_their_pages_fit_and_two_always() {
        let budget = Budget::of(100);
        assert!(budget.admits(0, 1_000) && budget.admits(1, 2_000));
        assert!(budget.admits(2, 50) && !budget.admits(2, 51));
    }
}
