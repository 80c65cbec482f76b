//! System tables: the program's own state, read once for each query that asks for it.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use hindsight_model::{Clearance, SystemTable, Tenant};
use tokio::sync::OnceCell;

/// One system table for one query.
pub(crate) struct SystemProvider {
    table: Arc<dyn SystemTable>,
    tenant: Tenant,
    clearance: Clearance,
    /// Read at the first scan, so that a self-join sees one instant.
    rows: OnceCell<RecordBatch>,
}

impl SystemProvider {
    pub(crate) fn new(table: Arc<dyn SystemTable>, tenant: Tenant, clearance: Clearance) -> Self {
        Self { table, tenant, clearance, rows: OnceCell::new() }
    }
}

impl fmt::Debug for SystemProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemProvider({})", self.table.name())
    }
}

#[async_trait::async_trait]
impl TableProvider for SystemProvider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self
            .rows
            .get_or_try_init(|| self.table.rows_for(&self.tenant, self.clearance))
            .await
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![rows.clone()]], self.schema(), projection.cloned())?)
    }
}
