//! Rows of one table and tenant become sorted Parquet files, one a date (BLK-2).

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Date32Type, SchemaRef};
use bytes::Bytes;
use hindsight_model::{Rows, Table, Tenant, timestamp_from_micros};
use jiff::civil::Date;
use object_store::path::Path;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;

use crate::block_stats::{column_stats, micros_of};
use crate::{BlockFile, Error, Result, StatValue};

/// Columns that the path holds and the file does not.
pub(crate) const PARTITION_COLUMNS: [&str; 2] = ["tenant", "date"];
/// Rows of a row group at most: enough to compress well, few enough to skip.
const ROW_GROUP_ROWS_MAX: usize = 128 * 1024;
/// Above this level zstd costs much more time than it saves bytes.
const ZSTD_LEVEL: i32 = 3;

/// A file ready to be put.
#[derive(Debug)]
pub(crate) struct EncodedBlock {
    pub(crate) block: BlockFile,
    pub(crate) bytes: Bytes,
}

/// Sorts and encodes. Takes long; not for an I/O thread.
pub(crate) fn encode(
    table: Table,
    tenant: &Tenant,
    batches: &[Rows],
    wal_position: u64,
) -> Result<Vec<EncodedBlock>> {
    let rows =
        Rows::concat(batches).and_then(|rows| rows.to_batch(tenant, None)).map_err(Error::arrow(table))?;
    let rows = sorted(table, &rows)?;
    let mut encoded = Vec::new();
    for (date, rows) in by_date(table, &rows)? {
        encoded.push(encode_one(table, tenant, date, &rows, wal_position)?);
    }
    Ok(encoded)
}

fn sorted(table: Table, rows: &RecordBatch) -> Result<RecordBatch> {
    let key: Vec<SortColumn> = std::iter::once("date")
        .chain(table.sort_key().iter().copied())
        .map(|name| Ok(SortColumn { values: column(table, rows, name)?, options: None }))
        .collect::<Result<_>>()?;
    let order = lexsort_to_indices(&key, None).map_err(Error::arrow(table))?;
    take_record_batch(rows, &order).map_err(Error::arrow(table))
}

/// Splits rows that are sorted by date first.
fn by_date(table: Table, rows: &RecordBatch) -> Result<Vec<(Date, RecordBatch)>> {
    let dates = column(table, rows, "date")?;
    let dates: &Date32Array = dates.as_primitive::<Date32Type>();
    let mut parts = Vec::new();
    let mut start = 0;
    for run in dates.values().chunk_by(|a, b| a == b) {
        parts.push((date_of_days(run[0]), rows.slice(start, run.len())));
        start += run.len();
    }
    Ok(parts)
}

fn date_of_days(days: i32) -> Date {
    let span = jiff::Span::new().try_days(days).unwrap_or_default();
    Date::constant(1970, 1, 1).saturating_add(span)
}

fn encode_one(
    table: Table,
    tenant: &Tenant,
    date: Date,
    rows: &RecordBatch,
    wal_position: u64,
) -> Result<EncodedBlock> {
    let mut columns = BTreeMap::new();
    for name in stats_columns(table) {
        columns.insert(name.to_owned(), column_stats(&column(table, rows, name)?));
    }
    let time_bound = |bound: fn(&crate::ColumnStats) -> &Option<StatValue>| {
        columns.get("timestamp").map(bound).and_then(micros_of).and_then(timestamp_from_micros)
    };
    let (min_timestamp, max_timestamp) = (time_bound(|stats| &stats.min), time_bound(|stats| &stats.max));
    let file = without_partition_columns(table, rows)?;
    let bytes = write_parquet(table, &file)?;
    let name = format!("{wal_position:020}-{}.parquet", uuid::Uuid::new_v4().simple());
    let block = BlockFile {
        table,
        path: Path::from_iter([table.name(), &format!("tenant={tenant}"), &format!("date={date}"), &name]),
        size_bytes: bytes.len() as u64,
        rows: rows.num_rows() as u64,
        tenant: tenant.clone(),
        date,
        min_timestamp,
        max_timestamp,
        columns,
        wal_position,
    };
    Ok(EncodedBlock { block, bytes })
}

/// The columns that a block's statistics cover: the sort key and what queries narrow by.
pub(crate) fn stats_columns(table: Table) -> Vec<&'static str> {
    let narrow: &[&str] = match table {
        Table::Spans => &["timestamp", "name", "kind", "status_code", "duration_nano"],
        Table::Logs => &["timestamp", "severity_number"],
        _ => &["timestamp"],
    };
    let mut columns = table.sort_key().to_vec();
    columns.extend(narrow.iter().filter(|name| !table.sort_key().contains(name)));
    columns
}

/// The schema of a table's files: all columns but the partition columns.
pub(crate) fn file_schema(table: Table) -> SchemaRef {
    let schema = table.schema();
    let kept: Vec<_> = schema
        .fields()
        .iter()
        .filter(|field| !PARTITION_COLUMNS.contains(&field.name().as_str()))
        .cloned()
        .collect();
    SchemaRef::new(arrow::datatypes::Schema::new(kept))
}

fn without_partition_columns(table: Table, rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = file_schema(table);
    let columns =
        schema.fields().iter().map(|field| column(table, rows, field.name())).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(schema, columns).map_err(Error::arrow(table))
}

fn write_parquet(table: Table, rows: &RecordBatch) -> Result<Bytes> {
    let failed = |source| Error::Parquet { table, source: Box::new(source) };
    let properties = properties(table).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).map_err(failed)?;
    writer.write(rows).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(bytes.into())
}

pub(crate) fn properties(table: Table) -> parquet::errors::Result<WriterProperties> {
    Ok(WriterProperties::builder()
        .set_created_by(concat!("hindsight ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_sorting_columns(Some(sorting_columns(table)?))
        .build())
}

/// The sort key as Parquet names it: numbers of leaf columns.
fn sorting_columns(table: Table) -> parquet::errors::Result<Vec<SortingColumn>> {
    let leaves = ArrowSchemaConverter::new().convert(&file_schema(table))?;
    let leaf = |name: &str| leaves.columns().iter().position(|leaf| leaf.path().string() == name);
    let key = table.sort_key().iter().filter_map(|name| leaf(name));
    Ok(key
        .filter_map(|index| i32::try_from(index).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect())
}

fn column(table: Table, rows: &RecordBatch, name: &str) -> Result<ArrayRef> {
    rows.column_by_name(name).cloned().ok_or_else(|| {
        Error::arrow(table)(arrow::error::ArrowError::SchemaError(format!("no column `{name}`")))
    })
}
