//! Around the source of Parquet files: what is known of blocks before one is opened.
//!
//! It passes everything on, says in a plan what planning ruled out, and opens each block in the shares and with the
//! rows that [`crate::block_shares`] finds.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, not_impl_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::Morselizer;
use hindsight_model::{TextIndex, Wanted};
use object_store::ObjectStore;

use crate::block_pages::{First, narrows};
use crate::block_reader::BlockReaders;
use crate::block_shares::{Execution, Lookup, Opening};
use crate::executions::Executions;
use crate::page_counts::PageCounts;
use crate::series_cuts::{BySeries, SERIES, series_key};
use crate::wanted::wanted;

/// The name of the counter in `EXPLAIN ANALYZE`.
pub(crate) const ROWS_SKIPPED: &str = "rows_skipped_by_index";

/// How many blocks of a table a scan opens, and why it leaves the others closed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pruned {
    /// Blocks of the table.
    pub(crate) of: usize,
    /// Those that are left.
    pub(crate) left: usize,
    /// Those that the filters of ids ruled out; time and bounds ruled out the rest.
    pub(crate) by_id: usize,
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, left, by_id } = *self;
        write!(f, "{left} of {of}")?;
        let by_bounds = of.saturating_sub(left + by_id);
        match (by_bounds, by_id) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, " (bounds ruled out {by_bounds})"),
            (0, _) => write!(f, " (ids ruled out {by_id})"),
            _ => write!(f, " (bounds ruled out {by_bounds}, ids {by_id})"),
        }
    }
}

/// A source of blocks.
#[derive(Clone)]
pub(crate) struct BlockScan {
    files: Arc<dyn FileSource>,
    /// The same with all columns and no filter.
    bare: Arc<ParquetSource>,
    readers: Arc<BlockReaders>,
    index: Option<Arc<dyn TextIndex>>,
    pruned: Pruned,
    /// Which rows are wanted first.
    first: Option<First>,
    /// What its pages are counted by, where their bounds tell.
    counts: Option<Arc<PageCounts>>,
    /// The order that the rows of each block lie in, where a series' rows are side by side.
    series_order: Option<&'static [&'static str]>,
    /// Whether groups of rows may be read in another order than they lie in.
    is_reordered: bool,
    /// Where no series may be read in two shares.
    by_series: Option<BySeries>,
    executions: Arc<Executions<Execution>>,
}

impl BlockScan {
    pub(crate) fn new(
        files: ParquetSource,
        readers: Arc<BlockReaders>,
        index: Option<Arc<dyn TextIndex>>,
        pruned: Pruned,
    ) -> Self {
        let bare = Arc::new(files);
        Self {
            files: Arc::clone(&bare) as _,
            bare,
            readers,
            index,
            pruned,
            first: None,
            counts: None,
            series_order: None,
            is_reordered: false,
            by_series: None,
            executions: Arc::default(),
        }
    }

    /// The same scan without the pages that `counts` takes; `None` where it does more than read columns. Whether its
    /// filter allows that is for `counts` to know.
    pub(crate) fn counting(&self, counts: Arc<PageCounts>) -> Option<Self> {
        let is_plain = self.counts.is_none() && self.by_series.is_none() && self.first.is_none();
        is_plain.then(|| Self { counts: Some(counts), executions: Arc::default(), ..self.clone() })
    }

    /// Of blocks whose rows lie in the order of a key with the series in it.
    pub(crate) fn with_series_order(mut self, key: Option<&'static [&'static str]>) -> Self {
        self.series_order = key;
        self
    }

    /// What the blocks' order begins with, up to the id of the series, where they may be read by series.
    pub(crate) fn series_key(&self) -> Option<&'static [&'static str]> {
        let is_plain = !self.is_reordered && self.counts.is_none() && self.asked().is_none();
        self.series_order.filter(|_| is_plain).map(series_key)
    }

    /// The same, each share with all rows of its series, one series after the other and each in the order of time. With
    /// a `lead`, of several blocks, each cut where that is; with the columns `also` behind the others.
    ///
    /// # Errors
    /// When there are no such columns.
    pub(crate) fn by_series(
        &self,
        lead: Option<Arc<PartitionedFile>>,
        also: &[&str],
    ) -> Result<Option<Self>> {
        let Some(order) = self.series_order.filter(|_| self.series_key().is_some()) else { return Ok(None) };
        let mut files = Arc::clone(&self.files);
        if !also.is_empty() {
            let whole = self.bare.table_schema().table_schema();
            let Some(columns) = self.files.projection() else { return Ok(None) };
            let also = also.iter().map(|name| {
                let place = whole.index_of(name)?;
                Ok(ProjectionExpr::new(Arc::new(Column::new(name, place)), also_named(name)))
            });
            let columns = columns.iter().cloned().map(Ok).chain(also).collect::<Result<Vec<_>>>()?;
            let bare: Arc<dyn FileSource> = match self.files.filter() {
                Some(filter) => Arc::new(self.bare.with_predicate(filter)),
                None => Arc::clone(&self.bare) as _,
            };
            match bare.try_pushdown_projection(&ProjectionExprs::new(columns))? {
                Some(wider) => files = wider,
                None => return Ok(None),
            }
        }
        let by_series = Some(BySeries { order, lead });
        Ok(Some(Self { files, by_series, executions: Arc::default(), ..self.clone() }))
    }

    /// What its workers find out.
    pub(crate) fn executions(&self) -> &Arc<Executions<Execution>> {
        &self.executions
    }

    fn around(&self, files: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { files, ..self.clone() })
    }

    /// The index, and what to ask it for, when it can answer a filter that was pushed into the scan.
    fn asked(&self) -> Option<(Arc<dyn TextIndex>, Wanted)> {
        let index = self.index.as_ref()?;
        let wanted = self.files.filter().map(|filter| wanted(&filter)).filter(Wanted::narrows)?;
        Some((Arc::clone(index), wanted))
    }
}

impl FileSource for BlockScan {
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
        let lookup = self.asked().map(|(index, wanted)| {
            let skipped = MetricBuilder::new(self.files.metrics()).counter(ROWS_SKIPPED, partition);
            Lookup { index, wanted, skipped }
        });
        Ok(Box::new(Opening {
            files: Arc::from(files),
            readers: Arc::clone(&self.readers),
            schema: Arc::clone(self.files.table_schema().file_schema()),
            filter: self.files.filter(),
            first: self.first.filter(|_| self.files.filter().as_ref().is_some_and(narrows)),
            by_series: self.by_series.clone(),
            lookup: lookup.map(Arc::new),
            counts: self.counts.as_ref().map(|counts| counts.begin(partition)),
            execution: self.executions.begin(partition),
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
        let asked = self.asked().map(|_| "text_index=asked");
        let counted = self.counts.as_ref().filter(|counts| counts.by_bounds());
        let counted = counted.map(|_| "pages=counted by their bounds where they tell");
        let distinct = self.counts.as_ref().filter(|counts| counts.by_dictionary());
        let distinct = distinct.map(|_| "dictionaries=read for rows where they tell");
        let blocks = format!("blocks={}", self.pruned);
        let by_series = self.by_series.as_ref().map(|_| "by=series");
        for fact in [Some(blocks.as_str()), asked, counted, distinct, by_series].into_iter().flatten() {
            match t {
                DisplayFormatType::TreeRender => writeln!(f, "{fact}")?,
                _ => write!(f, ", {fact}")?,
            }
        }
        self.files.fmt_extra(t, f)
    }

    /// Blocks come in shares already.
    fn supports_repartitioning(&self) -> bool {
        false
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
        // A window sorts by series what the block has side by side: nothing is gained by reading it in another order. Nor
        // by being told twice.
        if self.is_reordered || self.series_order.is_some() && begins_with(order, SERIES) {
            return Ok(Unsupported);
        }
        let ordered = |files| {
            Arc::new(Self { files, first: wanted_first(order), is_reordered: true, ..self.clone() }) as _
        };
        Ok(match self.files.try_pushdown_sort(order, properties)? {
            Exact { inner } => Exact { inner: self.around(inner) },
            Inexact { inner } => Inexact { inner: ordered(inner) },
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

/// What a column is called that is read beside the others; one of them may have its own name.
pub(crate) fn also_named(name: &str) -> String {
    format!("{name} of the series")
}

fn begins_with(order: &[PhysicalSortExpr], name: &str) -> bool {
    let first = order.first().and_then(|key| key.expr.downcast_ref::<Column>());
    first.is_some_and(|column| column.name() == name)
}

fn wanted_first(order: &[PhysicalSortExpr]) -> Option<First> {
    let key = order.first().filter(|_| begins_with(order, "timestamp"))?;
    Some(if key.options.descending { First::Newest } else { First::Oldest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_was_ruled_out_and_why() {
        for (of, left, by_id, told) in [
            (3, 3, 0, "3 of 3"),
            (40, 3, 0, "3 of 40 (bounds ruled out 37)"),
            (40, 3, 7, "3 of 40 (bounds ruled out 30, ids 7)"),
            (8, 1, 7, "1 of 8 (ids ruled out 7)"),
            (8, 0, 0, "0 of 8 (bounds ruled out 8)"),
        ] {
            assert_eq!(Pruned { of, left, by_id }.to_string(), told);
        }
    }
}
