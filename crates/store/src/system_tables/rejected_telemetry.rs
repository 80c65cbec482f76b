use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hindsight_model::{SqlError, SystemTable, Tenant};

use super::{time_field, times};
use crate::{RejectedItem, Store};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        time_field("time", false),
        Field::new("tenant", DataType::Utf8, false),
        Field::new("signal", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("occurrences", DataType::Int64, false),
        Field::new("service", DataType::Utf8, true),
        Field::new("sender", DataType::Utf8, true),
        Field::new("excerpt", DataType::Utf8, false),
    ]))
});

/// `rejected_telemetry`: the tenant's most recent refused items, one row each, and refused requests, one row for
/// each minute and reason with their number in `occurrences`; bounded, and kept over a restart.
#[derive(Debug)]
pub struct RejectedTelemetryTable {
    store: Store,
}

impl RejectedTelemetryTable {
    /// The refused items of `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait::async_trait]
impl SystemTable for RejectedTelemetryTable {
    fn name(&self) -> &'static str {
        "rejected_telemetry"
    }

    fn doc(&self) -> &'static str {
        "one row for each refused item, and for each minute and reason of refused requests"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("time", "when it was refused; of several the minute"),
            ("tenant", "who sent it"),
            ("signal", "logs, traces or metrics"),
            ("reason", "why, in a word"),
            ("occurrences", "how many this row stands for"),
            ("service", "the service that sent it, where known"),
            ("sender", "the address it came from, where known"),
            ("excerpt", "its beginning, or what its sender was told"),
        ]
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        let mut items = self.store.rejections();
        items.retain(|item| item.tenant == *tenant);
        let text = |of: fn(&RejectedItem) -> Option<&str>| -> ArrayRef {
            Arc::new(items.iter().map(|item| of(item)).collect::<StringArray>())
        };
        let columns = vec![
            times(items.iter().map(|item| Some(item.time))),
            text(|item| Some(item.tenant.as_str())),
            text(|item| Some(item.signal.as_str())),
            text(|item| Some(&item.reason)),
            Arc::new(items.iter().map(|item| i64::try_from(item.occurrences).ok()).collect::<Int64Array>()),
            text(|item| item.service.as_deref()),
            text(|item| item.sender.as_deref()),
            text(|item| Some(&item.excerpt)),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: error.to_string() })
    }
}
