//! Columns whose every row has the same value, found from a file's footer alone.

use arrow::datatypes::{DataType, Field};
use hindsight_model::Cell;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

/// The value of every row of the column at `place`, if the footer proves it; null also for a list that is empty on
/// every row.
pub(super) fn uniform_value(metadata: &ParquetMetaData, place: usize, field: &Field) -> Option<Cell> {
    let leaves = metadata.file_metadata().schema_descr();
    let leaf = (0..leaves.num_columns()).find(|leaf| leaves.get_column_root_idx(*leaf) == place)?;
    let mut found = None;
    for group in metadata.row_groups() {
        let value = match field.data_type() {
            DataType::List(_) => empty_lists(group.column(leaf))?,
            _ => uniform_chunk(group.column(leaf), field.is_nullable())?,
        };
        if found.replace(value.clone()).is_some_and(|earlier| earlier != value) {
            return None;
        }
    }
    found
}

/// A place without an element is null, and an element that must be there never is.
fn empty_lists(chunk: &ColumnChunkMetaData) -> Option<Cell> {
    let column = chunk.column_descr();
    let all_null = nulls(chunk)? == chunk.num_values();
    (all_null && column.max_def_level() == 1 && column.max_rep_level() == 1).then_some(Cell::Null)
}

fn uniform_chunk(chunk: &ColumnChunkMetaData, nullable: bool) -> Option<Cell> {
    let nulls = nulls(chunk)?;
    if nulls == chunk.num_values() {
        return nullable.then_some(Cell::Null);
    }
    let statistics = chunk.statistics().filter(|found| nulls == 0 && !found.is_min_max_deprecated())?;
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    match statistics {
        Statistics::Boolean(bounds) => {
            same(bounds.min_opt()?, bounds.max_opt()?).map(|flag| Cell::Bool(*flag))
        }
        Statistics::Int32(bounds) => {
            same(bounds.min_opt()?, bounds.max_opt()?).map(|number| Cell::Int(i64::from(*number)))
        }
        Statistics::Int64(bounds) => {
            same(bounds.min_opt()?, bounds.max_opt()?).map(|number| Cell::Int(*number))
        }
        Statistics::ByteArray(bounds) => {
            let text = same(bounds.min_opt()?.data(), bounds.max_opt()?.data())?;
            std::str::from_utf8(text).ok().map(|text| Cell::Text(text.into()))
        }
        // Bounds of doubles say nothing of NaN.
        _ => None,
    }
}

fn same<'a, T: PartialEq + ?Sized>(least: &'a T, greatest: &T) -> Option<&'a T> {
    (least == greatest).then_some(least)
}

fn nulls(chunk: &ColumnChunkMetaData) -> Option<i64> {
    chunk.statistics()?.null_count_opt()?.try_into().ok()
}
