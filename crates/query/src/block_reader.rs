//! Reading blocks: what a footer and the page index behind it say stays in memory for the queries that come after.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

/// Makes the readers of blocks.
#[derive(Debug)]
pub(crate) struct BlockReaders(CachedParquetFileReaderFactory);

impl BlockReaders {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Self {
        Self(CachedParquetFileReaderFactory::new(store, footers))
    }

    /// What the block's end says of it, with its page index.
    pub(crate) async fn footer(&self, file: &PartitionedFile) -> Result<Arc<ParquetMetaData>> {
        Ok(self.open(file)?.get_metadata(None).await?)
    }

    /// Reads a block for what is found out before the scan, which counts itself what it reads and what it leaves out.
    pub(crate) fn open(&self, file: &PartitionedFile) -> Result<BlockReader> {
        let uncounted = ExecutionPlanMetricsSet::new();
        Ok(BlockReader(self.0.create_reader(0, file.clone(), None, &uncounted)?))
    }
}

/// The places of the groups of rows that may hold a row for which `filter` is true, as far as their bounds tell.
pub(crate) fn row_groups(
    footer: &ParquetMetaData,
    schema: &SchemaRef,
    filter: Option<Arc<dyn PhysicalExpr>>,
) -> Result<Vec<usize>> {
    let all = 0..footer.num_row_groups();
    let build = |filter| PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(filter);
    let Some(filter) = filter.and_then(build) else { return Ok(all.collect()) };
    let keep = filter.prune(&Bounds { schema, footer })?;
    Ok(all.filter(|group| keep[*group]).collect())
}

/// Where a column lies in a block, and what reads its bounds.
pub(crate) fn bounds_of<'a>(
    footer: &'a ParquetMetaData,
    schema: &'a Schema,
    column: &str,
) -> Option<(usize, StatisticsConverter<'a>)> {
    let columns = footer.file_metadata().schema_descr();
    let field = schema.field_with_name(column).ok()?;
    let mut names = columns.columns().iter().map(|column| column.path().parts());
    let place = names.position(|name| name == [column])?;
    let bounds = StatisticsConverter::from_column_index(place, field, columns).ok()?;
    Some((place, bounds.with_missing_null_counts_as_zero(false)))
}

/// What a footer says of each group of rows.
struct Bounds<'a> {
    schema: &'a Schema,
    footer: &'a ParquetMetaData,
}

impl Bounds<'_> {
    fn of<T>(
        &self,
        column: &Column,
        read: impl Fn(&StatisticsConverter<'_>, &[RowGroupMetaData]) -> ParquetResult<T>,
    ) -> Option<T> {
        let (_, bounds) = bounds_of(self.footer, self.schema, column.name())?;
        read(&bounds, self.footer.row_groups()).ok()
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, |bounds, groups| bounds.row_group_mins(groups))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, |bounds, groups| bounds.row_group_maxes(groups))
    }

    fn num_containers(&self) -> usize {
        self.footer.num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, |bounds, groups| Ok(Arc::new(bounds.row_group_null_counts(groups)?) as _))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts = self.footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

impl ParquetFileReaderFactory for BlockReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(BlockReader(self.0.create_reader(partition, file, size_hint, metrics)?)))
    }
}

/// Reads one block.
pub(crate) struct BlockReader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for BlockReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    /// With the page index, asked for or not: whoever needs it later would read it anew for every query.
    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.0.get_metadata(None)
    }
}
