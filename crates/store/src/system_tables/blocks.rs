use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hindsight_model::{SqlError, SystemTable, Tenant};
use jiff::civil::Date;

use super::{time_field, times};
use crate::{BlockFile, Store};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("table_name", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("date", DataType::Date32, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("size_bytes", DataType::Int64, false),
        time_field("min_timestamp", true),
        time_field("max_timestamp", true),
        Field::new("wal_position", DataType::Int64, false),
        Field::new("level", DataType::Int64, false),
        Field::new("held", DataType::Boolean, false),
    ]))
});

/// `blocks`: the tenant's sealed files, one row each. `level` says how often its rows were merged, `held` whether a
/// hold keeps it.
#[derive(Debug)]
pub struct BlocksTable {
    store: Store,
}

impl BlocksTable {
    /// The blocks of `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait::async_trait]
impl SystemTable for BlocksTable {
    fn name(&self) -> &'static str {
        "blocks"
    }

    fn doc(&self) -> &'static str {
        "one row for each sealed file"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("table_name", "the table whose rows it holds"),
            ("path", "where it lies, below the table's folder"),
            ("date", "UTC date of its rows"),
            ("rows", "its rows, their number"),
            ("size_bytes", "its size in bytes"),
            ("min_timestamp", "earliest timestamp of its rows"),
            ("max_timestamp", "latest timestamp of its rows"),
            ("wal_position", "last position of the log that it covers"),
            ("level", "how often its rows were merged"),
            ("held", "whether a hold keeps it"),
        ]
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        let blocks: Vec<Arc<BlockFile>> = {
            let state = self.store.live().read();
            state.catalogue.all().filter(|block| block.tenant == *tenant).cloned().collect()
        };
        let text = |of: fn(&BlockFile) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(blocks.iter().map(|block| of(block))))
        };
        let number = |of: fn(&BlockFile) -> u64| -> ArrayRef {
            let values = blocks.iter().map(|block| i64::try_from(of(block)).unwrap_or(i64::MAX));
            Arc::new(Int64Array::from_iter_values(values))
        };
        let dates = Date32Array::from_iter_values(blocks.iter().map(|block| days(block.date)));
        let holds = self.store.inner().holds.list();
        let held: BooleanArray =
            blocks.iter().map(|block| Some(holds.iter().any(|hold| hold.covers(block)))).collect();
        let columns = vec![
            text(|block| block.table.name()),
            text(|block| block.path.as_ref()),
            Arc::new(dates),
            number(|block| block.rows),
            number(|block| block.size_bytes),
            times(blocks.iter().map(|block| block.min_timestamp)),
            times(blocks.iter().map(|block| block.max_timestamp)),
            number(|block| block.wal_position),
            number(|block| u64::from(block.level())),
            Arc::new(held),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: error.to_string() })
    }
}

fn days(date: Date) -> i32 {
    let since_epoch = date.duration_since(Date::constant(1970, 1, 1)).as_secs() / 86_400;
    i32::try_from(since_epoch).expect("jiff's dates lie within 4 million days of 1970")
}
