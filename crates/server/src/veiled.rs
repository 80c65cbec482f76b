//! System tables of the state that tell of post-mortems by id: rows about a document that the reader must not know of
//! are left out.

use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use hindsight_model::{Clearance, SqlError, SystemTable, Tenant};
use hindsight_postmortem::Library;

/// The tables that tell of post-mortems, and the column that has the id: `PM-2026-014`, or `PM-2026-014/A1` for an
/// action item.
const TELLING: [(&str, &str); 2] = [("audit_log", "subject"), ("action_verifications", "postmortem")];

/// A table without the rows about hidden documents.
#[derive(Debug)]
struct Veiled {
    table: Arc<dyn SystemTable>,
    column: &'static str,
    library: Arc<Library>,
}

/// The same table, behind a veil if it tells of post-mortems.
pub(crate) fn veiled(table: Arc<dyn SystemTable>, library: &Arc<Library>) -> Arc<dyn SystemTable> {
    match TELLING.into_iter().find(|(name, _)| *name == table.name()) {
        Some((_, column)) => Arc::new(Veiled { table, column, library: Arc::clone(library) }),
        None => table,
    }
}

#[async_trait::async_trait]
impl SystemTable for Veiled {
    fn name(&self) -> &'static str {
        self.table.name()
    }

    fn doc(&self) -> &'static str {
        self.table.doc()
    }

    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        self.table.column_docs()
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        self.rows_for(tenant, Clearance::Everyone).await
    }

    async fn rows_for(&self, tenant: &Tenant, clearance: Clearance) -> Result<RecordBatch, SqlError> {
        let failed = |message: String| SqlError::Failed { message };
        let (library, whose) = (Arc::clone(&self.library), tenant.clone());
        let hidden = tokio::task::spawn_blocking(move || library.hidden(&whose, clearance)).await;
        let hidden = hidden.map_err(|error| failed(error.to_string()))?;
        let hidden = hidden.map_err(|error| failed(error.to_string()))?;
        let rows = self.table.rows_for(tenant, clearance).await?;
        if hidden.is_empty() {
            return Ok(rows);
        }
        let ids = rows.column_by_name(self.column).and_then(|column| column.as_string_opt::<i32>());
        let ids = ids.ok_or_else(|| failed(format!("{} has no texts in {}", self.name(), self.column)))?;
        let is_shown = |id: Option<&str>| {
            let id = id.unwrap_or_default();
            Some(!hidden.contains(id.split_once('/').map_or(id, |(postmortem, _)| postmortem)))
        };
        let shown: BooleanArray = ids.iter().map(is_shown).collect();
        filter_record_batch(&rows, &shown).map_err(|error| failed(error.to_string()))
    }
}
