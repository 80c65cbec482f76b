//! The same rows in blocks, in the head, or in both.

use std::collections::BTreeMap;
use std::path::Path as DiskPath;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use hindsight_model::{Rows, Table, Tenant, timestamp_from_micros};
use hindsight_store::{BlockFile, BlockList, ColumnStats, StatValue};
use jiff::tz::TimeZone;
use object_store::local::LocalFileSystem;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use tempfile::TempDir;

use super::fixture::{batch, rows};
use crate::{MemorySource, QueryEngine, QueryOptions, Snapshot};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    Head,
    Blocks,
    Half,
}

impl Layout {
    pub(super) const ALL: [Self; 3] = [Self::Head, Self::Blocks, Self::Half];

    fn is_sealed(self, row: usize) -> bool {
        match self {
            Self::Head => false,
            Self::Blocks => true,
            Self::Half => row.is_multiple_of(2),
        }
    }
}

/// An engine over the fixture, and the folder that must live as long.
pub(super) struct Laid {
    pub(super) engine: QueryEngine,
    dir: TempDir,
}

impl Laid {
    /// Where the blocks are.
    pub(super) fn dir(&self) -> &DiskPath {
        self.dir.path()
    }
}

pub(super) fn lay(layout: Layout, options: QueryOptions) -> Laid {
    let dir = tempfile::tempdir().unwrap();
    let mut source = MemorySource::over(Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap()));
    for name in ["default", "other"] {
        let tenant: Tenant = name.parse().unwrap();
        let mut snapshot = Snapshot::default();
        for table in Table::ALL {
            let all = rows(name, table);
            let (sealed, fresh): (Vec<_>, Vec<_>) =
                all.into_iter().enumerate().partition(|(row, _)| layout.is_sealed(*row));
            let place = &mut snapshot.tables[table.index()];
            place.blocks = seal(dir.path(), table, &tenant, sealed.into_iter().map(|(_, row)| row));
            place.head = fresh
                .into_iter()
                .map(|(_, row)| Rows::from_batch(table, &batch(table, &[row])).unwrap())
                .collect();
        }
        source = source.with(tenant, snapshot);
    }
    let engine = QueryEngine::new(Arc::new(source), Vec::new(), options).unwrap();
    Laid { engine, dir }
}

/// Writes one Parquet file for each day.
fn seal(dir: &DiskPath, table: Table, tenant: &Tenant, rows: impl Iterator<Item = Value>) -> BlockList {
    let mut days: BTreeMap<i64, Vec<RecordBatch>> = BTreeMap::new();
    for row in rows {
        let day = row["timestamp"].as_i64().unwrap() / 86_400_000_000;
        days.entry(day).or_default().push(batch(table, &[row]));
    }
    let whole = days.into_values().map(|batches| concat_batches(&table.schema(), &batches).unwrap());
    whole.map(|batch| Arc::new(write_block(dir, table, tenant, &batch))).collect()
}

pub(super) fn write_block(dir: &DiskPath, table: Table, tenant: &Tenant, batch: &RecordBatch) -> BlockFile {
    write_block_with(dir, table, tenant, batch, None)
}

/// A file as another program would write it.
pub(super) fn write_block_with(
    dir: &DiskPath,
    table: Table,
    tenant: &Tenant,
    batch: &RecordBatch,
    properties: Option<WriterProperties>,
) -> BlockFile {
    let in_file: Vec<usize> = (0..batch.num_columns())
        .filter(|column| !["tenant", "date"].contains(&batch.schema().field(*column).name().as_str()))
        .collect();
    let in_file = batch.project(&in_file).unwrap();
    let times = batch["timestamp"].as_primitive::<TimestampMicrosecondType>();
    let at = |micros: Option<i64>| timestamp_from_micros(micros.unwrap()).unwrap();
    let (min, max) = (at(arrow::compute::min(times)), at(arrow::compute::max(times)));
    let path = format!("{table}/tenant={tenant}/{}-{}.parquet", min.as_microsecond(), max.as_microsecond());
    let file = dir.join(&path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), in_file.schema(), properties).unwrap();
    writer.write(&in_file).unwrap();
    writer.close().unwrap();
    BlockFile {
        table,
        path: path.as_str().into(),
        size_bytes: std::fs::metadata(&file).unwrap().len(),
        rows: batch.num_rows() as u64,
        tenant: tenant.clone(),
        date: min.to_zoned(TimeZone::UTC).date(),
        min_timestamp: Some(min),
        max_timestamp: Some(max),
        columns: column_stats(&in_file),
        wal_position: 0,
        checksum: None,
        all_promoted: false,
    }
}

fn column_stats(batch: &RecordBatch) -> BTreeMap<String, ColumnStats> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .map(|(field, column)| {
            let (min, max) = match field.data_type() {
                arrow::datatypes::DataType::Utf8 => {
                    let column = column.as_string::<i32>();
                    let text = |bound: Option<&str>| bound.map(|text| StatValue::Text(text.to_owned()));
                    (text(arrow::compute::min_string(column)), text(arrow::compute::max_string(column)))
                }
                arrow::datatypes::DataType::Int64 => {
                    let column = column.as_primitive::<Int64Type>();
                    (
                        arrow::compute::min(column).map(StatValue::Int),
                        arrow::compute::max(column).map(StatValue::Int),
                    )
                }
                _ => (None, None),
            };
            (field.name().clone(), ColumnStats { min, max, null_count: Some(column.null_count() as u64) })
        })
        .collect()
}
