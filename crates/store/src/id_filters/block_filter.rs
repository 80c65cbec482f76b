//! The ids of one block: for each row group a split-block Bloom filter, Parquet's own.

use arrow::array::AsArray;
use hindsight_model::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::bloom_filter::Sbbf;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

use super::id_columns;
use crate::encode::IdFilter;

/// A filter that a file brings is folded to half its size while it stays below this rate of false answers.
const FALSE_RATE_MAX: f64 = 0.015;
/// Sbbf's unit.
const BLOOM_BLOCK_BYTES: usize = 32;

/// What one block's id columns may hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockFilter {
    columns: Vec<ColumnFilter>,
}

/// One column's filters, one for each row group.
#[derive(Clone, Debug)]
struct ColumnFilter {
    column: &'static str,
    row_groups: Vec<Sbbf>,
}

impl BlockFilter {
    /// The filter of the block that is `file`. Takes Parquet's own filters where the file has them and reads the
    /// column where not. Takes long; not for an I/O thread.
    pub(crate) fn of_file<R>(table: Table, file: &R) -> Result<Self>
    where
        R: ChunkReader + Clone + 'static,
    {
        let metadata = ArrowReaderMetadata::load(file, Default::default())?;
        let mut filter = Self::default();
        for row_group in 0..metadata.metadata().num_row_groups() {
            filter.add_row_group(table, &metadata, row_group, file)?;
        }
        Ok(filter)
    }

    /// Adds one row group; of `file` only the ranges of [`ranges`] are read.
    pub(super) fn add_row_group<R>(
        &mut self,
        table: Table,
        metadata: &ArrowReaderMetadata,
        row_group: usize,
        file: &R,
    ) -> Result<()>
    where
        R: ChunkReader + Clone + 'static,
    {
        for &column in id_columns(table) {
            let Some(chunk) = chunk(metadata, row_group, column) else { continue };
            let part = match stored(chunk, file)? {
                Some(part) => part,
                None => computed(metadata, row_group, column, file)?,
            };
            match self.columns.iter_mut().find(|known| known.column == column) {
                Some(known) => known.row_groups.push(part),
                None => self.columns.push(ColumnFilter { column, row_groups: vec![part] }),
            }
        }
        Ok(())
    }

    /// False when no row has `value` in `column`.
    pub(crate) fn may_contain(&self, column: &str, value: &str) -> bool {
        let known = self.columns.iter().find(|known| known.column == column);
        known.is_none_or(|known| known.row_groups.iter().any(|part| part.check(value)))
    }

    /// Memory of the filters.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.columns.iter().flat_map(|column| &column.row_groups);
        parts.map(|part| part.num_blocks() * BLOOM_BLOCK_BYTES + size_of::<Sbbf>()).sum()
    }
}

/// The parts of the file that one row group's filters need.
pub(super) fn ranges(
    table: Table,
    metadata: &ArrowReaderMetadata,
    row_group: usize,
) -> Result<Vec<std::ops::Range<u64>>> {
    let chunks = id_columns(table).iter().filter_map(|column| chunk(metadata, row_group, column));
    chunks
        .map(|chunk| {
            let (start, length) = match stored_at(chunk) {
                Some(place) => place,
                None => chunk.byte_range(),
            };
            let end = start.checked_add(length);
            end.map(|end| start..end).ok_or_else(|| damaged("a range that no file has"))
        })
        .collect()
}

fn chunk<'a>(
    metadata: &'a ArrowReaderMetadata,
    row_group: usize,
    column: &str,
) -> Option<&'a ColumnChunkMetaData> {
    let chunks = metadata.metadata().row_group(row_group).columns();
    chunks.iter().find(|chunk| chunk.column_path().string() == column)
}

/// Start and length of the filter that the file itself brings.
fn stored_at(chunk: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
    Some((start, u64::try_from(chunk.bloom_filter_length()?).ok()?))
}

fn stored<R: ChunkReader>(chunk: &ColumnChunkMetaData, file: &R) -> Result<Option<Sbbf>> {
    if stored_at(chunk).is_none() {
        return Ok(None);
    }
    let Some(mut filter) = Sbbf::read_from_column_chunk(chunk, file)? else { return Ok(None) };
    // Others are as large as their ids need, and cannot be folded.
    if filter.num_blocks().is_power_of_two() {
        filter.fold_to_target_fpp(FALSE_RATE_MAX);
    }
    Ok(Some(filter))
}

fn computed<R>(metadata: &ArrowReaderMetadata, row_group: usize, column: &str, file: &R) -> Result<Sbbf>
where
    R: ChunkReader + Clone + 'static,
{
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
    let only = ProjectionMask::columns(builder.parquet_schema(), [column]);
    let batches = builder.with_row_groups(vec![row_group]).with_projection(only).build()?;
    let mut ids = IdFilter::default();
    for batch in batches {
        let values = batch?;
        let values = values.column(0).as_string_opt::<i32>();
        ids.push(values.ok_or_else(|| damaged("an id column that is not text"))?.clone());
    }
    Ok(ids.finish())
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("the file has {what}"))
}
