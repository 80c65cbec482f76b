//! Rows of one table and tenant become sorted Parquet files, one a date (BLK-2).

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use hindsight_model::{Rows, Table, Tenant, timestamp_from_micros};
use jiff::civil::Date;
use object_store::path::Path;

use crate::block_name::block_file_name;
use crate::block_stats::micros_of;
use crate::encode::{Finished, ROW_GROUP_ROWS_MAX, blocks};
use crate::{BlockFile, Error, Result, StatValue};

/// Columns that the path holds and the file does not.
pub(crate) const PARTITION_COLUMNS: [&str; 2] = ["tenant", "date"];
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
    rows: &[Rows],
    wal_position: u64,
) -> Result<Vec<EncodedBlock>> {
    let files = blocks(table, rows, ROW_GROUP_ROWS_MAX).map_err(|failure| Error::encode(table, failure))?;
    let all_promoted = rows.iter().all(Rows::all_promoted);
    let block = |(days, file)| {
        let mut encoded = finished_block(table, tenant, date_of_days(days), file, wal_position);
        encoded.block.all_promoted = all_promoted;
        encoded
    };
    Ok(files.into_iter().map(block).collect())
}

/// The files that a seal of `rows` would write, one a date, without naming or storing them: for benchmarks and tools.
///
/// # Errors
/// When the rows are not such as the table's schema promises.
pub fn encode_rows(table: Table, rows: &[Rows]) -> Result<Vec<Bytes>> {
    let files = blocks(table, rows, ROW_GROUP_ROWS_MAX).map_err(|failure| Error::encode(table, failure))?;
    Ok(files.into_iter().map(|(_, file)| file.file.into()).collect())
}

fn date_of_days(days: i32) -> Date {
    let span = jiff::Span::new().try_days(days).unwrap_or_default();
    Date::constant(1970, 1, 1).saturating_add(span)
}

/// Names a finished file and says what is in it.
pub(crate) fn finished_block(
    table: Table,
    tenant: &Tenant,
    date: Date,
    file: Finished<Vec<u8>>,
    wal_position: u64,
) -> EncodedBlock {
    let Finished { file: bytes, rows, columns } = file;
    let time_bound = |bound: fn(&crate::ColumnStats) -> &Option<StatValue>| {
        columns.get("timestamp").map(bound).and_then(micros_of).and_then(timestamp_from_micros)
    };
    let (min_timestamp, max_timestamp) = (time_bound(|stats| &stats.min), time_bound(|stats| &stats.max));
    let name = block_file_name(wal_position, &bytes);
    let block = BlockFile {
        table,
        path: Path::from_iter([table.name(), &format!("tenant={tenant}"), &format!("date={date}"), &name]),
        size_bytes: bytes.len() as u64,
        rows,
        tenant: tenant.clone(),
        date,
        min_timestamp,
        max_timestamp,
        columns,
        wal_position,
        checksum: None,
        all_promoted: false,
    };
    EncodedBlock { block, bytes: bytes.into() }
}

/// The columns that a block's statistics cover: the sort key and what queries narrow by.
pub(crate) fn stats_columns(table: Table) -> Vec<&'static str> {
    let narrow: &[&str] = match table {
        Table::Spans => &[
            "timestamp",
            "duration_nano",
            "name",
            "kind",
            "status_code",
            "http_request_method",
            "http_route",
            "http_response_status_code",
            "rpc_service",
            "db_system_name",
            "messaging_destination_name",
            "error_type",
        ],
        Table::Logs => &["timestamp", "severity_number", "event_name", "exception_type"],
        _ => &["timestamp"],
    };
    let mut columns = table.sort_key().to_vec();
    columns.extend(narrow.iter().filter(|name| !table.sort_key().contains(name)));
    columns.extend(["service_namespace", "deployment_environment_name"]);
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
