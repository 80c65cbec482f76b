//! Rows in memory of a table whose blocks were all ruled out: a plan says so, as [`crate::block_scan`] does where some
//! are left.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::source::DataSource;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;

use crate::block_scan::Pruned;

/// Another source, with what became of the blocks. It passes everything on.
#[derive(Clone, Debug)]
pub(crate) struct HeadScan {
    rows: Arc<dyn DataSource>,
    blocks: Pruned,
}

impl HeadScan {
    pub(crate) fn new(rows: Arc<dyn DataSource>, blocks: Pruned) -> Self {
        Self { rows, blocks }
    }

    fn around(&self, rows: Arc<dyn DataSource>) -> Arc<dyn DataSource> {
        Arc::new(Self { rows, blocks: self.blocks })
    }
}

impl DataSource for HeadScan {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.rows.open(partition, context)
    }

    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt_as(t, f)?;
        match t {
            DisplayFormatType::TreeRender => writeln!(f, "blocks={}", self.blocks),
            _ => write!(f, ", blocks={}", self.blocks),
        }
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        repartition_file_min_size: usize,
        output_ordering: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let rows = self.rows.repartitioned(target_partitions, repartition_file_min_size, output_ordering)?;
        Ok(rows.map(|rows| self.around(rows)))
    }

    fn output_partitioning(&self) -> Partitioning {
        self.rows.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.rows.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.rows.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.rows.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.rows.with_fetch(limit).map(|rows| self.around(rows))
    }

    fn fetch(&self) -> Option<usize> {
        self.rows.fetch()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.rows.try_swapping_with_projection(projection)?.map(|rows| self.around(rows)))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let pushed = self.rows.try_pushdown_filters(filters, config)?;
        let updated_node = pushed.updated_node.map(|rows| self.around(rows));
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.rows.apply_expressions(f)
    }

    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn DataSource>> {
        self.rows.with_new_state(state).map(|rows| self.around(rows))
    }
}
