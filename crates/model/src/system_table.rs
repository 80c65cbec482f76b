use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::{Clearance, SqlError, Tenant};

/// A table whose rows are the program's own state (`incidents`, `blocks`, …), made afresh for each query.
#[async_trait::async_trait]
pub trait SystemTable: std::fmt::Debug + Send + Sync {
    /// The name that users type.
    fn name(&self) -> &'static str;

    /// What a row of it is, in one sentence.
    fn doc(&self) -> &'static str;

    /// Column names and types, in order.
    fn schema(&self) -> SchemaRef;

    /// What each column holds, in one sentence by its name; every column has one.
    fn column_docs(&self) -> Vec<(&'static str, &'static str)>;

    /// The rows of this tenant (QRY-3) that everyone may see, in no particular order.
    ///
    /// # Errors
    /// [`SqlError::Failed`] when the state cannot be read.
    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError>;

    /// The rows of this tenant that a reader may see. Only tables that tell of restricted post-mortems have more for
    /// some than for everyone.
    ///
    /// # Errors
    /// As [`SystemTable::rows`].
    async fn rows_for(&self, tenant: &Tenant, _: Clearance) -> Result<RecordBatch, SqlError> {
        self.rows(tenant).await
    }
}
