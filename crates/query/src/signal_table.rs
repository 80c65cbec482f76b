//! A signal table: the blocks and head rows of one snapshot as one relation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics, ToDFSchema as _};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, cast as cast_to, col, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use hindsight_model::{Rows, Table, Tenant, TextIndex, to_micros};
use hindsight_store::{BlockFile, BlockList, IdFilters};
use object_store::ObjectMeta;

use crate::block_reader::BlockReaders;
use crate::block_scan::{BlockScan, Pruned};
use crate::block_shares::Share;
use crate::dictionaries::Ours;
use crate::head_scan::HeadScan;
use crate::prune::{self, Survivors};
use crate::series_cuts::{SERIES, series_key};
use crate::signal_schema::{TIME_UNIX_NANO, marked};
use crate::source::TableSnapshot;

/// Columns that are in a block's path rather than in the file.
const PARTITION_COLUMNS: [&str; 2] = ["tenant", "date"];

/// What the scans of one query opened and left closed.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    pub(crate) files_scanned: AtomicU64,
    pub(crate) files_pruned: AtomicU64,
    /// Of the pruned ones, those that only the filters of ids ruled out.
    pub(crate) files_pruned_by_id: AtomicU64,
    /// Blocks count their own rows while they are read.
    pub(crate) head_rows: AtomicU64,
}

/// One signal table of one query's snapshot.
#[derive(Debug)]
pub(crate) struct SignalTable {
    table: Table,
    schema: SchemaRef,
    blocks: BlockList,
    ids: Arc<IdFilters>,
    head: Vec<Rows>,
    tenant: Tenant,
    store: ObjectStoreUrl,
    counts: Arc<ScanCounts>,
    text_index: Option<Arc<dyn TextIndex>>,
}

impl SignalTable {
    pub(crate) fn new(
        table: Table,
        tenant: Tenant,
        snapshot: TableSnapshot,
        store: ObjectStoreUrl,
        counts: Arc<ScanCounts>,
    ) -> Self {
        let TableSnapshot { blocks, ids, head } = snapshot;
        let all_promoted =
            head.iter().all(Rows::all_promoted) && blocks.iter().all(|block| block.all_promoted);
        let schema = marked(table, all_promoted);
        Self { table, tenant, schema, blocks, ids, head, store, counts, text_index: None }
    }

    /// With an index of the texts in its blocks.
    pub(crate) fn with_text_index(mut self, index: Option<Arc<dyn TextIndex>>) -> Self {
        self.text_index = index;
        self
    }

    /// These columns as a scan of files has them: those in the file, then those in its path. Nothing is planned for
    /// the other columns, of which there are many.
    fn table_schema(&self, columns: &[usize]) -> TableSchema {
        let in_path = |field: &&Arc<Field>| PARTITION_COLUMNS.contains(&field.name().as_str());
        let fields = self.schema.fields();
        let in_file: Vec<_> =
            columns.iter().map(|column| &fields[*column]).filter(|field| !in_path(field)).cloned().collect();
        let partition: Vec<_> =
            columns.iter().map(|column| &fields[*column]).filter(in_path).cloned().collect();
        TableSchema::builder(Arc::new(Schema::new(in_file))).with_table_partition_cols(partition).build()
    }

    fn scan_blocks(
        &self,
        survivors: &Survivors,
        columns: &[usize],
        limit: Option<usize>,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Survivors { blocks, ruled_out_by_id } = survivors;
        let order = series_order(self.table, blocks);
        let files = self.table_schema(&self.with_series_key(columns, blocks.len()));
        let whole = Arc::clone(files.table_schema());
        let projection = columns
            .iter()
            .map(|&column| Ok(whole.index_of(self.schema.field(column).name())?))
            .collect::<Result<Vec<_>>>()?;
        let workers = session.config().target_partitions();
        let group: FileGroup = in_shares(blocks, &files, workers).collect();
        let runtime = session.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let readers = Arc::new(BlockReaders::new(runtime.object_store(&self.store)?, footers));
        let source = ParquetSource::new(files)
            .with_parquet_file_reader_factory(Arc::clone(&readers) as _)
            .with_pushdown_filters(columns.iter().any(|column| is_dear(self.schema.field(*column))));
        let pruned = Pruned { of: self.blocks.len(), left: blocks.len(), by_id: *ruled_out_by_id };
        let source =
            BlockScan::new(source, readers, self.text_index.clone(), pruned).with_series_order(order);
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(group.split_files(workers))
            .with_statistics(total_statistics(blocks, whole.fields().len()))
            .with_projection_indices(Some(projection))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// These columns, and behind them what tells the order of series where rows of several places may be merged by it.
    fn with_series_key(&self, columns: &[usize], blocks: usize) -> Vec<usize> {
        let mut all = columns.to_vec();
        let places = blocks + usize::from(!self.head.is_empty());
        let has_series = columns.iter().any(|column| self.schema.field(*column).name() == SERIES);
        if has_series && blocks > 0 && places > 1 {
            let names =
                series_key(self.table.sort_key()).iter().filter_map(|name| self.schema.index_of(name).ok());
            all.extend(names.filter(|column| !columns.contains(column)));
        }
        all
    }

    /// `none_left`: there are blocks, and all of them were ruled out.
    fn scan_head(
        &self,
        columns: &[usize],
        blocks: usize,
        none_left: Option<Pruned>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = columns.len();
        let columns = &self.with_series_key(columns, blocks);
        let wanted = (wanted < columns.len()).then(|| (0..wanted).collect());
        let schema = Arc::new(self.schema.project(columns)?);
        let flat = |rows: &Rows| {
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            let columns = rows.to_views(&self.tenant, columns)?.into_iter().zip(schema.fields());
            // What is in a block's path is no view.
            let columns = columns.map(|(column, field)| cast(&column, field.data_type()));
            let columns = columns.collect::<std::result::Result<_, _>>()?;
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)
        };
        let batches = self.head.iter().map(flat).collect::<Result<Vec<RecordBatch>>>()?;
        let rows = Arc::new(MemorySourceConfig::try_new(&[batches], schema, wanted)?);
        Ok(Arc::new(DataSourceExec::new(match none_left {
            Some(pruned) => Arc::new(HeadScan::new(rows, pruned)),
            None => rows,
        })))
    }
}

#[async_trait::async_trait]
impl TableProvider for SignalTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Filters rule out files; row by row they are still checked above the scan.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns =
            projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect::<Vec<_>>());
        let survivors = prune::surviving(session, &self.schema, &self.blocks, &self.ids, filters)?;
        let Survivors { blocks, ruled_out_by_id } = &survivors;
        self.counts.files_pruned_by_id.fetch_add(*ruled_out_by_id as u64, Ordering::Relaxed);
        self.counts.files_scanned.fetch_add(blocks.len() as u64, Ordering::Relaxed);
        self.counts.files_pruned.fetch_add((self.blocks.len() - blocks.len()) as u64, Ordering::Relaxed);
        let head_rows: usize = self.head.iter().map(Rows::num_rows).sum();
        self.counts.head_rows.fetch_add(head_rows as u64, Ordering::Relaxed);
        tracing::trace!(table = %self.table, files = blocks.len(), "planned scan");
        let limit = limit.filter(|_| filters.is_empty());
        let stored = self.stored(&columns)?;
        let scan = match (blocks.is_empty(), self.head.is_empty()) {
            (true, _) => {
                let pruned = Pruned { of: self.blocks.len(), left: 0, by_id: *ruled_out_by_id };
                self.scan_head(&stored, 0, (pruned.of > 0).then_some(pruned))?
            }
            (false, true) => self.scan_blocks(&survivors, &stored, limit, session)?,
            (false, false) => UnionExec::try_new(vec![
                self.scan_blocks(&survivors, &stored, limit, session)?,
                self.scan_head(&stored, blocks.len(), None)?,
            ])?,
        };
        if stored == columns { Ok(scan) } else { self.computed(&columns, scan, session) }
    }
}

impl SignalTable {
    /// The stored columns behind the wanted ones.
    fn stored(&self, wanted: &[usize]) -> Result<Vec<usize>> {
        let computed = self.schema.index_of(TIME_UNIX_NANO)?;
        let mut stored: Vec<usize> = wanted.iter().copied().filter(|column| *column != computed).collect();
        if stored.len() < wanted.len() {
            for part in ["timestamp", "timestamp_nanos"] {
                let part = self.schema.index_of(part)?;
                if !stored.contains(&part) {
                    stored.push(part);
                }
            }
        }
        Ok(stored)
    }

    /// The wanted columns over a scan of the stored ones.
    fn computed(
        &self,
        wanted: &[usize],
        scan: Arc<dyn ExecutionPlan>,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = scan.schema().as_ref().clone().to_dfschema()?;
        let micros = cast_to(col("timestamp"), DataType::Int64) * lit(1_000_i64);
        let nanos = micros + cast_to(col("timestamp_nanos"), DataType::Int64);
        let expression = |column: &usize| {
            let name = self.schema.field(*column).name();
            let expression = if name == TIME_UNIX_NANO { nanos.clone() } else { col(name) };
            Ok((session.create_physical_expr(expression, &schema)?, name.clone()))
        };
        let expressions = wanted.iter().map(expression).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(expressions, scan)?))
    }
}

/// Whether reading the column costs more than choosing which of its rows to read: long texts and lists. Rows are then
/// filtered while they are read, and these columns are read for the rows that are left.
pub(crate) fn is_dear(field: &Field) -> bool {
    field.data_type().is_nested() || field.name() == "body" || field.name().ends_with("attributes")
}

/// The order of the rows, where this program wrote each of the blocks and each row is of a series.
fn series_order(table: Table, blocks: &[Arc<BlockFile>]) -> Option<&'static [&'static str]> {
    let key = table.sort_key();
    let are_ours = blocks.iter().all(|block| is_ours(block));
    (are_ours && key.contains(&SERIES)).then_some(key)
}

/// Whether this program wrote the block.
fn is_ours(block: &BlockFile) -> bool {
    block.wal_position > 0
}

/// Blocks beyond this size are opened in shares while there are too few of them to keep every worker busy. The blocks
/// of tests are all small.
const SHARED_BYTES_MIN: u64 = if cfg!(test) { 1 } else { 1 << 20 };
/// This many blocks for each worker are enough.
const BLOCKS_PER_WORKER: usize = 4;

/// Blocks as the files to open, each in as many shares as it takes.
fn in_shares<'a>(
    blocks: &'a [Arc<BlockFile>],
    files: &'a TableSchema,
    workers: usize,
) -> impl Iterator<Item = PartitionedFile> + 'a {
    let are_few = workers > 1 && blocks.len() < BLOCKS_PER_WORKER * workers;
    blocks.iter().enumerate().flat_map(move |(place, block)| {
        let is_shared = are_few && block.size_bytes >= SHARED_BYTES_MIN;
        let file = partitioned_file(block, files);
        let shares = is_shared.then(|| {
            let file = file.clone();
            Share::all(place, workers).map(move |share| file.clone().with_extension(share))
        });
        let whole = (!is_shared).then_some(file);
        shares.into_iter().flatten().chain(whole)
    })
}

/// Cheap to copy, which planning does many times to each.
fn partitioned_file(block: &BlockFile, files: &TableSchema) -> PartitionedFile {
    let mut statistics = Statistics::new_unknown(files.file_schema());
    statistics.num_rows = rows(block.rows);
    let range = block.min_timestamp.zip(block.max_timestamp);
    if let (Some((min, max)), Ok(column)) = (range, files.file_schema().index_of("timestamp")) {
        let (min, max) = (to_micros(min), to_micros(max));
        let utc = Some("UTC".into());
        statistics.column_statistics[column] = ColumnStatistics {
            min_value: Precision::Exact(ScalarValue::TimestampMicrosecond(Some(min), utc.clone())),
            max_value: Precision::Exact(ScalarValue::TimestampMicrosecond(Some(max), utc)),
            null_count: Precision::Exact(0),
            ..ColumnStatistics::new_unknown()
        };
    }
    let in_path = files.table_partition_cols().iter().map(|column| match column.name().as_str() {
        "date" => ScalarValue::Date32(Some(prune::days(block.date))),
        _ => ScalarValue::Utf8(Some(block.tenant.as_str().to_owned())),
    });
    // A block never changes, so when it was written says nothing.
    let meta = ObjectMeta {
        location: block.path.clone(),
        last_modified: Default::default(),
        size: block.size_bytes,
        e_tag: None,
        version: None,
    };
    let file = PartitionedFile::from(meta)
        .with_partition_values(in_path.collect())
        .with_statistics(Arc::new(statistics));
    if is_ours(block) { file.with_extension(Ours) } else { file }
}

fn total_statistics(blocks: &[Arc<BlockFile>], columns: usize) -> Statistics {
    Statistics {
        num_rows: rows(blocks.iter().map(|block| block.rows).sum()),
        total_byte_size: Precision::Absent,
        column_statistics: vec![ColumnStatistics::new_unknown(); columns],
    }
}

fn rows(count: u64) -> Precision<usize> {
    usize::try_from(count).map_or(Precision::Absent, Precision::Exact)
}
