use std::collections::BTreeMap;

use hindsight_model::{Table, Tenant};
use jiff::Timestamp;
use jiff::civil::Date;
use object_store::path::Path;

/// A sealed, immutable Parquet file (BLK-2) and what the catalogue knows of it, so that planning a query reads
/// nothing from storage.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockFile {
    /// The table it belongs to.
    pub table: Table,
    /// Where it is within [`crate::Store::object_store`], for example
    /// `spans/tenant=default/date=2026-05-04/00000000000000000042-….parquet`.
    pub path: Path,
    /// Size of the file.
    pub size_bytes: u64,
    /// Rows in the file.
    pub rows: u64,
    /// Partition column `tenant`; not stored in the file.
    pub tenant: Tenant,
    /// Partition column `date`, the UTC date of every row's `timestamp`; not stored in the file.
    pub date: Date,
    /// Earliest `timestamp`, exact to the microsecond; `None` when the writer gave no statistics.
    pub min_timestamp: Option<Timestamp>,
    /// Latest `timestamp`.
    pub max_timestamp: Option<Timestamp>,
    /// Statistics by column name: at least the columns of the table's sort key, unless another program wrote the
    /// file.
    pub columns: BTreeMap<String, ColumnStats>,
    /// The last log position whose rows may be in the file; 0 when another program wrote it.
    pub wal_position: u64,
    /// CRC-32C of the file's bytes, as the table's log has it; `None` where the name has it instead, or nothing does.
    pub checksum: Option<u32>,
    /// Whether every promoted attribute is in its column, as [`hindsight_model::Rows::all_promoted`] says; `false` also
    /// when the table's log does not tell.
    pub all_promoted: bool,
}

impl BlockFile {
    /// The path within the table's own directory, as the Delta log writes it.
    pub fn path_in_table(&self) -> &str {
        let path = self.path.as_ref();
        path.strip_prefix(self.table.name()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
    }

    /// How often the rows of this file were merged: 0 for a seal's, one more than the highest of its inputs for a
    /// merged file. It is in the file's name.
    pub fn level(&self) -> u32 {
        let mut parts = self.path.filename().unwrap_or_default().split('-').skip(1);
        parts.next().and_then(|part| part.strip_prefix('c')).and_then(|level| level.parse().ok()).unwrap_or(0)
    }
}

/// The range of one column of one block.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ColumnStats {
    /// A value not above any value of the column; `None` when unknown or when all are null.
    pub min: Option<StatValue>,
    /// A value not below any value of the column; `None` when unknown or when all are null.
    pub max: Option<StatValue>,
    /// How many rows have null here; `None` when unknown.
    pub null_count: Option<u64>,
}

/// A bound of a column.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum StatValue {
    /// A whole number, for the integer columns.
    Int(i64),
    /// Text, compared by its bytes.
    Text(String),
    /// Microseconds since the epoch, for `TIMESTAMP` columns.
    Micros(i64),
}
