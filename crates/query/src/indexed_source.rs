//! The step before a block is opened: an index of its texts says which of its rows are worth reading.
//!
//! It stands around the source of Parquet files and passes everything on. Only when a filter was pushed into the
//! scan that an index can answer, each file is looked up first, while the query runs and off its threads.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, not_impl_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{MorselPlan, MorselPlanner, Morselizer};
use hindsight_model::{RowSet, TextIndex, Wanted};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::wanted::wanted;

/// The name of the counter in `EXPLAIN ANALYZE`.
pub(crate) const ROWS_SKIPPED: &str = "rows_skipped_by_index";

/// A source of Parquet files with an index of their texts beside it.
#[derive(Clone)]
pub(crate) struct IndexedSource {
    files: Arc<dyn FileSource>,
    index: Arc<dyn TextIndex>,
}

impl IndexedSource {
    pub(crate) fn new(files: Arc<dyn FileSource>, index: Arc<dyn TextIndex>) -> Self {
        Self { files, index }
    }

    fn around(&self, files: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { files, index: Arc::clone(&self.index) })
    }

    fn wanted(&self) -> Option<Wanted> {
        self.files.filter().map(|filter| wanted(&filter)).filter(Wanted::narrows)
    }
}

impl FileSource for IndexedSource {
    fn create_file_opener(
        &self,
        _: Arc<dyn ObjectStore>,
        _: &FileScanConfig,
        _: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        not_impl_err!("blocks are read in morsels")
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let files = self.files.create_morselizer(store, config, partition)?;
        let Some(wanted) = self.wanted() else { return Ok(files) };
        Ok(Box::new(Indexed {
            files: Arc::from(files),
            index: Arc::clone(&self.index),
            wanted: Arc::new(wanted),
            skipped: MetricBuilder::new(self.files.metrics()).counter(ROWS_SKIPPED, partition),
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.files.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.around(self.files.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.files.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.files.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.files.metrics()
    }

    fn file_type(&self) -> &str {
        self.files.file_type()
    }

    fn fmt_extra(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wanted().is_some() {
            match t {
                DisplayFormatType::TreeRender => writeln!(f, "text_index=asked")?,
                _ => write!(f, ", text_index=asked")?,
            }
        }
        self.files.fmt_extra(t, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.files.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.files.try_pushdown_filters(filters, config)?;
        let updated_node = pushed.updated_node.map(|files| self.around(files));
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        use SortOrderPushdownResult::{Exact, Inexact, Unsupported};
        Ok(match self.files.try_pushdown_sort(order, properties)? {
            Exact { inner } => Exact { inner: self.around(inner) },
            Inexact { inner } => Inexact { inner: self.around(inner) },
            Unsupported => Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.files.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.files.try_pushdown_projection(projection)?.map(|files| self.around(files)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.files.apply_expressions(f)
    }
}

/// What looks a file up before it is opened.
#[derive(Clone, Debug)]
struct Indexed {
    files: Arc<dyn Morselizer>,
    index: Arc<dyn TextIndex>,
    wanted: Arc<Wanted>,
    skipped: Count,
}

impl Morselizer for Indexed {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        Ok(Box::new(LookUp { file, indexed: self.clone() }))
    }
}

#[derive(Debug)]
struct LookUp {
    file: PartitionedFile,
    indexed: Indexed,
}

impl MorselPlanner for LookUp {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { file, indexed } = *self;
        Ok(Some(MorselPlan::new().with_pending_planner(indexed.opened(file))))
    }
}

impl Indexed {
    async fn opened(self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let (index, wanted) = (Arc::clone(&self.index), Arc::clone(&self.wanted));
        let path = file.object_meta.location.clone();
        let look_up = move || index.candidates(path.as_ref(), &wanted);
        // Without an answer the file is read whole.
        let Some(rows) = tokio::task::spawn_blocking(look_up).await.ok().flatten() else {
            return self.files.plan_file(file);
        };
        // A file may be read in several ranges; only the first of them counts what they all skip.
        if file.range.as_ref().is_none_or(|range| range.start == 0) {
            self.skipped.add(rows.total as usize - rows.rows.len());
        }
        if rows.rows.is_empty() {
            return Ok(Box::new(Nothing));
        }
        self.files.plan_file(file.with_extension(ParquetRowSelection::new(selection(&rows))))
    }
}

/// A file without a row that is worth reading.
#[derive(Debug)]
struct Nothing;

impl MorselPlanner for Nothing {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        Ok(None)
    }
}

fn selection(rows: &RowSet) -> RowSelection {
    let mut selectors = Vec::new();
    let mut at = 0;
    for (first, count) in rows.runs() {
        selectors.push(RowSelector::skip((first - at) as usize));
        selectors.push(RowSelector::select(count as usize));
        at = first + count;
    }
    selectors.push(RowSelector::skip((rows.total - at) as usize));
    selectors.retain(|selector| selector.row_count > 0);
    RowSelection::from(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_covers_the_whole_file() {
        for (rows, skipped, selected) in
            [(vec![0, 1, 4, 9], 6, 4), (vec![3], 9, 1), ((0..10).collect(), 0, 10)]
        {
            let selection = selection(&RowSet { total: 10, rows });
            assert_eq!((selection.skipped_row_count(), selection.row_count()), (skipped, selected));
        }
    }
}
