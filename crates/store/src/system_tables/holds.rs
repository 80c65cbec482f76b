use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hindsight_model::{SqlError, SystemTable, Tenant};
use jiff::Timestamp;

use super::{time_field, times};
use crate::{BlockFile, Hold, Store};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("tables", DataType::Utf8, false),
        time_field("held_from", false),
        time_field("held_to", true),
        Field::new("blocks", DataType::Int64, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("size_bytes", DataType::Int64, false),
    ]))
});

/// `holds`: what must not be deleted for this tenant, and how much that is at present.
#[derive(Debug)]
pub struct HoldsTable {
    store: Store,
}

impl HoldsTable {
    /// The holds of `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait::async_trait]
impl SystemTable for HoldsTable {
    fn name(&self) -> &'static str {
        "holds"
    }

    fn doc(&self) -> &'static str {
        "one row for each hold: telemetry that retention does not delete until the hold is released"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("id", "whose it is: an incident's id, as INC-7"),
            ("tables", "the tables it is about, with commas between"),
            ("held_from", "the first instant kept"),
            ("held_to", "the last instant kept; null while there is no end"),
            ("blocks", "the sealed files that it keeps, their number"),
            ("rows", "the rows of those files, their number"),
            ("size_bytes", "the size of those files in bytes"),
        ]
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        let holds: Vec<Hold> =
            self.store.inner().holds.list().iter().filter(|hold| hold.tenant == *tenant).cloned().collect();
        let blocks: Vec<Arc<BlockFile>> = {
            let state = self.store.live().read();
            state.catalogue.all().filter(|block| block.tenant == *tenant).cloned().collect()
        };
        let kept = |of: fn(&BlockFile) -> u64| -> ArrayRef {
            let sums = holds.iter().map(|hold| {
                let sum: u64 = blocks.iter().filter(|block| hold.covers(block)).map(|block| of(block)).sum();
                i64::try_from(sum).unwrap_or(i64::MAX)
            });
            Arc::new(Int64Array::from_iter_values(sums))
        };
        let text = |of: &dyn Fn(&Hold) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(holds.iter().map(of)))
        };
        let names = |hold: &Hold| {
            let names: Vec<&str> = hold.tables.iter().map(|table| table.name()).collect();
            names.join(",")
        };
        let columns = vec![
            text(&|hold| hold.id.to_string()),
            text(&names),
            times(holds.iter().map(|hold| Some(hold.from))),
            times(holds.iter().map(|hold| Some(hold.to).filter(|to| *to < Timestamp::MAX))),
            kept(|_| 1),
            kept(|block| block.rows),
            kept(|block| block.size_bytes),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: error.to_string() })
    }
}
