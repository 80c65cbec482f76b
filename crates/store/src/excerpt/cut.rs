//! Some rows of a block as a block of their own.

use std::io::Write;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use hindsight_model::Table;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;

use crate::block_name::format_mark;
use crate::encode::ROW_GROUP_ROWS_MAX;
use crate::{Error, Result};

/// Rows looked at together.
const READ_ROWS: usize = 8 * 1024;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) rows: u64,
    /// The first and the last `timestamp`, in microseconds.
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Writes the rows of `source` whose `timestamp` is in `window` (microseconds, both ends included) to `sink`, in their
/// order. `None` when there is none; what is in the sink is no file then. Takes long and blocks.
pub(super) fn cut<R: ChunkReader + 'static>(
    table: Table,
    source: R,
    window: (i64, i64),
    sink: impl Write + Send,
) -> Result<Option<Cut>> {
    let failed = |source: ParquetError| Error::Parquet { table, source: Box::new(source) };
    let builder = ParquetRecordBatchReaderBuilder::try_new(source).map_err(failed)?;
    let schema = SchemaRef::clone(builder.schema());
    let groups = builder.metadata().row_groups().iter().enumerate();
    let groups = groups.filter(|(_, group)| may_hold(group, window)).map(|(place, _)| place).collect();
    let reader = builder.with_row_groups(groups).with_batch_size(READ_ROWS).build().map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_created_by(concat!("hindsight ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![format_mark()]))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .build();
    let mut writer = ArrowWriter::try_new(sink, schema, Some(properties)).map_err(failed)?;
    let mut written = Cut { rows: 0, first: i64::MAX, last: i64::MIN };
    for batch in reader {
        let batch = batch.map_err(Error::arrow(table))?;
        let wanted = wanted(table, &batch, window, &mut written)?;
        if wanted.true_count() > 0 {
            let kept = filter_record_batch(&batch, &wanted).map_err(Error::arrow(table))?;
            written.rows += kept.num_rows() as u64;
            writer.write(&kept).map_err(failed)?;
        }
    }
    if written.rows == 0 {
        return Ok(None);
    }
    writer.close().map_err(failed)?;
    Ok(Some(written))
}

fn wanted(
    table: Table,
    batch: &RecordBatch,
    (from, to): (i64, i64),
    written: &mut Cut,
) -> Result<BooleanArray> {
    let times = batch.column_by_name("timestamp");
    let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times.filter(|times| times.null_count() == 0) else {
        let source = ParquetError::General("a block has rows without `timestamp`".to_owned());
        return Err(Error::Parquet { table, source: Box::new(source) });
    };
    let is_wanted = |at: &i64| {
        let is_within = (from..=to).contains(at);
        if is_within {
            written.first = written.first.min(*at);
            written.last = written.last.max(*at);
        }
        is_within
    };
    Ok(times.values().iter().map(is_wanted).map(Some).collect())
}

/// Whether a row of the group may lie in the window, as far as its bounds tell.
fn may_hold(group: &RowGroupMetaData, (from, to): (i64, i64)) -> bool {
    let times = group.columns().iter().find(|chunk| chunk.column_path().string() == "timestamp");
    let Some(Statistics::Int64(bounds)) = times.and_then(|chunk| chunk.statistics()) else { return true };
    bounds.min_opt().is_none_or(|min| *min <= to) && bounds.max_opt().is_none_or(|max| *max >= from)
}
