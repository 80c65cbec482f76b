//! One file against its entry in the table's log.

use std::fs::File;
use std::io::{self, Read, Seek};

use hindsight_model::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Finding, Listed};
use crate::block_name::{BLOCK_FORMAT, format_of};
use crate::block_stats::BlockStats;
use crate::block_writer::file_schema;

mod rows;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8 * 1024;
/// Bytes read at a time for the checksum.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What one file's check gave.
#[derive(Debug, Default)]
pub(super) struct BlockCheck {
    pub(super) findings: Vec<Finding>,
    /// Rows by the log's statistics.
    pub(super) rows_listed: u64,
    /// Rows decoded and compared.
    pub(super) rows_read: u64,
}

const FROM_BACKUP: &str = "restore the file from a backup";

impl BlockCheck {
    pub(super) fn unreadable(place: &str, what: &str) -> Self {
        let findings = vec![Finding::problem("block_unreadable", place, what, FROM_BACKUP)];
        Self { findings, ..Self::default() }
    }
}

/// Checks the file that `listed` names and that lies at `place`.
pub(super) fn check(file: io::Result<File>, listed: &Listed, place: &str, quick: bool) -> BlockCheck {
    let mut check = BlockCheck::default();
    let found = try_check(file, listed, quick, &mut check);
    if let Err((kind, what)) = found {
        let advice = match kind {
            "block_entry" => "restore the table's log from a backup",
            _ => FROM_BACKUP,
        };
        check.findings.push(Finding::problem(kind, place, what, advice));
    }
    for finding in &mut check.findings {
        place.clone_into(&mut finding.place);
    }
    check
}

/// A fault that ends the check of this file: its kind and what is wrong.
type Fault = (&'static str, String);

fn try_check(
    file: io::Result<File>,
    listed: &Listed,
    quick: bool,
    check: &mut BlockCheck,
) -> Result<(), Fault> {
    let stats = entry(listed)?;
    check.rows_listed = stats.rows;
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ("block_missing", "the table lists it and it is not there".to_owned()),
        _ => ("block_unreadable", format!("it cannot be opened: {error}")),
    })?;
    let unreadable = |error: io::Error| ("block_unreadable", format!("it cannot be read: {error}"));
    let size = file.metadata().map_err(unreadable)?.len();
    if size != listed.size_bytes {
        return Err((
            "block_size",
            format!("it has {size} bytes, the table's log says {}", listed.size_bytes),
        ));
    }
    if !quick && let Some(expected) = listed.checksum {
        let found = checksum(&file).map_err(unreadable)?;
        if found != expected {
            return Err((
                "block_checksum",
                format!("its bytes have checksum {found:08x}, the table says {expected:08x}"),
            ));
        }
    }
    check_content(file, listed, &stats, quick, check)
}

/// What the log's entry says about the file, as far as it agrees with itself.
fn entry(listed: &Listed) -> Result<BlockStats, Fault> {
    let stats = listed.stats.as_deref().ok_or(("block_entry", "its entry has no statistics".to_owned()))?;
    let stats = BlockStats::from_json(stats, &listed.table.schema()).map_err(|what| ("block_entry", what))?;
    let value = |column: &str| listed.partition.get(column).and_then(Option::as_deref).unwrap_or("");
    let folder = format!("tenant={}/date={}/", value("tenant"), value("date"));
    if !listed.path.starts_with(&folder) {
        return Err(("block_entry", format!("its entry says it belongs in {folder}")));
    }
    Ok(stats)
}

fn checksum(mut file: &File) -> io::Result<u32> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut sum = 0;
    file.rewind()?;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(sum);
        }
        sum = crc32c::crc32c_append(sum, &buffer[..read]);
    }
}

fn check_content(
    file: File,
    listed: &Listed,
    stats: &BlockStats,
    quick: bool,
    check: &mut BlockCheck,
) -> Result<(), Fault> {
    let broken = |error: parquet::errors::ParquetError| {
        ("block_unreadable", format!("it is not whole Parquet: {error}"))
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken)?;
    let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
    if rows != stats.rows {
        return Err(("block_rows", format!("it has {rows} rows, the table's log says {}", stats.rows)));
    }
    match format_of(reader.metadata().file_metadata().key_value_metadata()) {
        Ok(BLOCK_FORMAT) => {}
        Ok(other) => {
            let what = format!("it has format {other}, this program reads format {BLOCK_FORMAT}");
            return Err(("block_version", what));
        }
        Err(what) => return Err(("block_version", format!("its format is {what}"))),
    }
    check_columns(listed.table, reader.schema())?;
    if quick {
        return Ok(());
    }
    let mut judge = rows::Judge::new(listed, stats).map_err(|what| ("block_entry", what))?;
    for batch in reader.with_batch_size(BATCH_ROWS).build().map_err(broken)? {
        let batch =
            batch.map_err(|error| ("block_unreadable", format!("its rows do not decode: {error}")))?;
        judge.look(&batch).map_err(|what| ("block_unreadable", what))?;
        check.rows_read += batch.num_rows() as u64;
    }
    check.findings.extend(judge.end());
    if check.rows_read != stats.rows {
        let what = format!("{} rows decode, the table's log says {}", check.rows_read, stats.rows);
        return Err(("block_rows", what));
    }
    Ok(())
}

/// Every column that a query may ask for and that has no null to stand in for it must be there.
fn check_columns(table: Table, found: &arrow::datatypes::Schema) -> Result<(), Fault> {
    for field in file_schema(table).fields() {
        if !field.is_nullable() && found.index_of(field.name()).is_err() {
            return Err(("block_columns", format!("it lacks the column {}", field.name())));
        }
    }
    Ok(())
}
