//! Rows that are counted without being read: those of pages whose bounds say that all of them are of one group.
//!
//! Rows of a block lie by service, or by metric and service, so that most pages have one. A scan that only counts by such
//! columns leaves these pages out, and their rows come as one, with their number. Where the question has a filter, as one
//! of time, this holds for the pages all of whose rows pass.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource as _};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use parquet::file::metadata::ParquetMetaData;

use crate::block_pages::{Pages, Values};
use crate::block_scan::BlockScan;
use crate::block_shares::Executions;
use crate::whole_pages::WholePages;

/// What a scan and the step above it know together.
#[derive(Debug)]
pub(crate) struct PageCounts {
    /// The names of the columns in the blocks.
    columns: Vec<String>,
    /// The filter that rows must pass; those of other pages pass it above the scan.
    whole: Option<WholePages>,
    executions: Executions<Found>,
}

/// Groups and their rows, until a worker takes them.
type Found = Mutex<Vec<(Values, i64)>>;

impl PageCounts {
    /// Counts of `input`'s rows by `groups`, and the input without the rows that are in them. `None` unless it is a scan,
    /// the groups are columns of texts, and a filter between, if there is one, is such that bounds tell what it takes.
    pub(crate) fn over(
        groups: &[(Arc<dyn PhysicalExpr>, String)],
        input: &Arc<dyn ExecutionPlan>,
    ) -> Option<(Arc<Self>, Arc<dyn ExecutionPlan>)> {
        let filter = input.downcast_ref::<FilterExec>();
        if filter.is_some_and(|filter| filter.fetch().is_some()) {
            return None;
        }
        let below = filter.map_or(input, FilterExec::input);
        let source = below.downcast_ref::<DataSourceExec>()?;
        let config = source.data_source().downcast_ref::<FileScanConfig>()?;
        let scan = config.file_source().downcast_ref::<BlockScan>()?;
        let read: Vec<_> = config.file_source().projection()?.iter().collect();
        let stored = |place: usize| Some(read.get(place)?.expr.downcast_ref::<Column>()?.name().to_owned());
        let schema = below.schema();
        let column = |(group, _): &(Arc<dyn PhysicalExpr>, String)| {
            let place = group.downcast_ref::<Column>()?.index();
            let place = match filter.and_then(|filter| filter.projection().as_ref()) {
                Some(kept) => *kept.get(place)?,
                None => place,
            };
            let is_text = *schema.fields().get(place)?.data_type() == DataType::Utf8View;
            if is_text { stored(place) } else { None }
        };
        let columns = groups.iter().map(column).collect::<Option<Vec<_>>>()?;
        if config.limit.is_some() || (filter.is_none() && columns.len() != read.len()) {
            return None;
        }
        let file_schema = scan.table_schema().file_schema();
        let whole = match filter {
            None => None,
            Some(filter) => {
                Some(WholePages::of(filter.predicate(), file_schema, |column| stored(column.index()))?)
            }
        };
        // What the scan knows of the filter is the filter's, too.
        if let Some(known) = scan.filter() {
            let known = WholePages::of(&known, file_schema, |column| Some(column.name().to_owned()))?;
            if !whole.as_ref().is_some_and(|whole| whole.covers(&known)) {
                return None;
            }
        }
        let counts = Arc::new(Self { columns, whole, executions: Executions::default() });
        let scan = scan.counting(Arc::clone(&counts))?;
        let left = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(scan)).build();
        let left: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(left);
        if filter.is_none() {
            return Some((counts, left));
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Some((counts, Arc::clone(input).replace_children(vec![left], options).ok()?))
    }

    /// What one worker of the scan counts with.
    pub(crate) fn begin(self: &Arc<Self>, worker: usize) -> Counting {
        // The scan and the step above begin each for itself.
        Counting { counts: Arc::clone(self), found: self.executions.begin(2 * worker) }
    }

    /// What was found, for a worker of the step above the scan, in rows of this schema.
    pub(crate) fn take(&self, worker: usize, schema: SchemaRef) -> Taking {
        Taking { found: self.executions.begin(2 * worker + 1), schema }
    }
}

/// One worker's counting.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    counts: Arc<PageCounts>,
    found: Arc<Found>,
}

impl Counting {
    /// Counts what the bounds of a block's pages tell, once for the block. The rows of the pages that are left and may have
    /// one that passes `filter`, from the block's first; `None` for all of the groups.
    ///
    /// # Errors
    /// When the filter cannot be looked into.
    pub(crate) fn left_to_read(
        &self,
        footer: Arc<ParquetMetaData>,
        schema: SchemaRef,
        groups: Vec<usize>,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Option<Vec<Range<u64>>>> {
        let opposite = self.counts.whole.as_ref().map(|whole| whole.opposite(&schema)).transpose()?;
        let by = &self.counts.columns;
        let Some(pages) = Pages::constant(footer, schema, groups, by, filter, opposite.as_ref())? else {
            return Ok(None);
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Vec::new();
        for (rows, values) in pages {
            match values {
                Some(values) => {
                    found.push((values, i64::try_from(rows.end - rows.start).unwrap_or(i64::MAX)));
                }
                None => left.push(rows),
            }
        }
        Ok(Some(left))
    }
}

/// Hands on what was counted.
#[derive(Debug)]
pub(crate) struct Taking {
    found: Arc<Found>,
    schema: SchemaRef,
}

impl Taking {
    /// The groups that were found since the last call, a row each, and last how many rows they are; `None` without any.
    pub(crate) fn rows(self) -> Result<Option<RecordBatch>> {
        let found = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        let Some((first, _)) = found.first() else { return Ok(None) };
        let texts = |column: usize| {
            let texts: StringViewArray = found.iter().map(|(values, _)| values[column].as_deref()).collect();
            Arc::new(texts) as ArrayRef
        };
        let mut columns: Vec<ArrayRef> = (0..first.len()).map(texts).collect();
        columns.push(Arc::new(found.iter().map(|(_, rows)| *rows).collect::<Int64Array>()));
        Ok(Some(RecordBatch::try_new(self.schema, columns)?))
    }
}
