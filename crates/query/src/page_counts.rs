//! Rows that are counted without being read: those of pages whose bounds say that all of them are of one group.
//!
//! Rows of a block lie by service, or by metric and service, so that most pages have one. A scan that only counts by such
//! columns leaves these pages out, and their rows come as one, with their number. Where the question has a filter, as one
//! of time, this holds for the pages all of whose rows pass.
//!
//! A scan that only asks which values a column has leaves out groups of rows whose dictionary has them all, too.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource as _,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use parquet::file::metadata::ParquetMetaData;

use crate::block_pages::{Pages, Values, narrows};
use crate::block_reader::{BlockReaders, row_groups};
use crate::block_scan::BlockScan;
use crate::dictionaries::{Dictionaries, Ours};
use crate::executions::Executions;
use crate::whole_pages::WholePages;

/// What a scan and the step above it know together.
#[derive(Debug)]
pub(crate) struct PageCounts {
    /// The names of the columns in the blocks.
    columns: Vec<String>,
    /// Whether all of them are texts, of which bounds tell.
    by_bounds: bool,
    /// Whether all that is asked is which values the only column has.
    by_dictionary: bool,
    /// The filter that rows must pass; those of other pages pass it above the scan.
    whole: Option<WholePages>,
    executions: Executions<Found>,
}

/// What was found, until a worker takes it.
#[derive(Debug, Default)]
struct Found {
    /// Groups and their rows.
    pages: Mutex<Vec<(Values, i64)>>,
    /// Values of the only column.
    values: Mutex<Vec<ArrayRef>>,
}

impl PageCounts {
    /// Counts of `input`'s rows by `groups`, and the input without the rows that are in them. `None` unless it is a scan,
    /// the groups are columns of texts, or one column in blocks of ours where no rows are counted (`is_distinct`), and a
    /// filter between, if there is one, is such that bounds tell what it takes.
    pub(crate) fn over(
        groups: &[(Arc<dyn PhysicalExpr>, String)],
        input: &Arc<dyn ExecutionPlan>,
        is_distinct: bool,
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
            Some((stored(place)?, schema.fields().get(place)?.data_type()))
        };
        let columns = groups.iter().map(column).collect::<Option<Vec<_>>>()?;
        let mut files = config.file_groups.iter().flat_map(FileGroup::files);
        let by_dictionary = is_distinct
            && columns.len() == 1
            && columns.iter().all(|(_, data_type)| Dictionaries::are_of(data_type))
            && files.any(|file| file.extension::<Ours>().is_some());
        let by_bounds = columns.iter().all(|(_, data_type)| **data_type == DataType::Utf8View);
        if !by_bounds && !by_dictionary {
            return None;
        }
        let columns: Vec<_> = columns.into_iter().map(|(name, _)| name).collect();
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
        // What the scan knows of the filter is the filter's, too. What gets narrower while the query runs only leaves out
        // groups that nobody wants any more.
        if let Some(known) = scan.filter() {
            for part in split_conjunction(&known).into_iter().filter(|part| !narrows(part)) {
                let part = WholePages::of(part, file_schema, |column| Some(column.name().to_owned()))?;
                if !whole.as_ref().is_some_and(|whole| whole.covers(&part)) {
                    return None;
                }
            }
        }
        let executions = Executions::default();
        let counts = Arc::new(Self { columns, by_bounds, by_dictionary, whole, executions });
        let scan = scan.counting(Arc::clone(&counts))?;
        let left = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(scan)).build();
        let left: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(left);
        if filter.is_none() {
            return Some((counts, left));
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Some((counts, Arc::clone(input).replace_children(vec![left], options).ok()?))
    }

    /// Whether pages are counted by their bounds.
    pub(crate) fn by_bounds(&self) -> bool {
        self.by_bounds
    }

    /// Whether dictionaries are read in the place of rows.
    pub(crate) fn by_dictionary(&self) -> bool {
        self.by_dictionary
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
        if !self.counts.by_bounds {
            return Ok(None);
        }
        let opposite = self.counts.whole.as_ref().map(|whole| whole.opposite(&schema)).transpose()?;
        let by = &self.counts.columns;
        let Some(pages) = Pages::constant(footer, schema, groups, by, filter, opposite.as_ref())? else {
            return Ok(None);
        };
        let mut found = self.found.pages.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// The dictionaries that say all about those of a block's `groups` whose rows all pass the filter. `None` without any,
    /// and for a block of another program.
    ///
    /// # Errors
    /// When the filter cannot be looked into.
    pub(crate) fn dictionaries(
        &self,
        file: &PartitionedFile,
        footer: &Arc<ParquetMetaData>,
        schema: &SchemaRef,
        groups: impl Iterator<Item = usize>,
    ) -> Result<Option<Dictionaries>> {
        let [column] = self.counts.columns.as_slice() else { return Ok(None) };
        if !self.counts.by_dictionary || file.extension::<Ours>().is_none() {
            return Ok(None);
        }
        let cut = match &self.counts.whole {
            Some(whole) => row_groups(footer, schema, Some(whole.opposite(schema)?))?,
            None => Vec::new(),
        };
        let groups = groups.filter(|group| cut.binary_search(group).is_err());
        Ok(Dictionaries::of(footer, schema, column, groups))
    }

    /// Reads the dictionaries of some groups of a block, for each of them once.
    ///
    /// # Errors
    /// When they cannot be read or are damaged.
    pub(crate) async fn read(
        &self,
        dictionaries: &Dictionaries,
        readers: &BlockReaders,
        file: &PartitionedFile,
        groups: &[usize],
    ) -> Result<()> {
        let found = &self.found.values;
        let put = |values| found.lock().unwrap_or_else(PoisonError::into_inner).push(values);
        dictionaries.read(readers, file, groups, put).await
    }
}

/// Hands on what was counted.
#[derive(Debug)]
pub(crate) struct Taking {
    found: Arc<Found>,
    schema: SchemaRef,
}

impl Taking {
    /// Some of the groups that were found and not taken yet, a row each, and last how many rows they are: of values out of
    /// dictionaries, whose rows nobody counts, one. `None` without any.
    pub(crate) fn next(&self) -> Result<Option<RecordBatch>> {
        let values = self.found.values.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(values) = values {
            let ones = Int64Array::from(vec![1; values.len()]);
            return Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), vec![values, Arc::new(ones)])?));
        }
        let found = std::mem::take(&mut *self.found.pages.lock().unwrap_or_else(PoisonError::into_inner));
        let Some((first, _)) = found.first() else { return Ok(None) };
        let texts = |column: usize| {
            let texts: StringViewArray = found.iter().map(|(values, _)| values[column].as_deref()).collect();
            Arc::new(texts) as ArrayRef
        };
        let mut columns: Vec<ArrayRef> = (0..first.len()).map(texts).collect();
        columns.push(Arc::new(found.iter().map(|(_, rows)| *rows).collect::<Int64Array>()));
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}
