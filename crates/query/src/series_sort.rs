//! Sorting rows by series and time, which windows over series ask for, by moving runs of rows.
//!
//! The engine's own sort compares row by row and, since it needs a second copy of its input and of its keys, spills
//! early. Here each series is compared once, and points that a block holds side by side are moved as one. When
//! the memory does not suffice, the engine's own sort goes on, which can spill.

mod runs;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::{
    Array, ArrayRef, AsArray, Capacities, MutableArrayData, RecordBatch, RecordBatchOptions, make_array,
};
use arrow::buffer::Buffer;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::memory::SERIES_NAME;
use crate::once::once;
use crate::stand_in::stands_in_for;

pub(crate) use self::runs::Run;
use self::runs::{Keys, Named, Series, in_order};

/// Most rows that are handed on at once; between two such pieces others get a turn.
const PIECE_ROWS_MAX: usize = 1 << 15;
/// And the least, however little memory there is.
const PIECE_ROWS_MIN: usize = 1 << 12;
/// Of the memory that a query may have, a piece takes no more than this part.
const PIECE_PART: usize = 16;

/// Puts [`SeriesSortExec`] in the place of each sort by a series, which is a number or a text, and a time.
#[derive(Debug)]
pub(crate) struct SortSeries;

impl PhysicalOptimizerRule for SortSeries {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |plan: Arc<dyn ExecutionPlan>| {
            let Some(keys) = plan.downcast_ref::<SortExec>().and_then(keys) else {
                return Ok(Transformed::no(plan));
            };
            let ours: Arc<dyn ExecutionPlan> = Arc::new(SeriesSortExec::new(plan, keys));
            Ok(Transformed::yes(ours))
        };
        plan.transform_up(replace).data()
    }

    fn name(&self) -> &'static str {
        "sort_series"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The places of the series and the time that a sort of all rows is by, both rising and nulls last.
fn keys(sort: &SortExec) -> Option<(usize, usize)> {
    let schema = sort.input().schema();
    let rising = SortOptions { descending: false, nulls_first: false };
    let place = |key: usize| {
        let key = sort.expr().get(key).filter(|key| key.options == rising)?;
        Some(key.expr.downcast_ref::<Column>()?.index())
    };
    let (series, time) = (place(0)?, place(1)?);
    let is_ours = sort.fetch().is_none()
        && sort.expr().len() == 2
        && matches!(schema.field(series).data_type(), DataType::Int64 | DataType::Utf8View)
        && matches!(schema.field(time).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _));
    is_ours.then_some((series, time))
}

/// A sort by a series and a time.
#[derive(Debug)]
pub(crate) struct SeriesSortExec {
    /// The engine's own, of which everything but the execution is taken.
    sort: Arc<dyn ExecutionPlan>,
    keys: (usize, usize),
    metrics: ExecutionPlanMetricsSet,
    /// Those that went on where the memory did not suffice.
    spilling: Arc<Spilling>,
}

type Spilling = Mutex<Vec<Arc<SortExec>>>;

impl SeriesSortExec {
    fn new(sort: Arc<dyn ExecutionPlan>, keys: (usize, usize)) -> Self {
        Self { sort, keys, metrics: ExecutionPlanMetricsSet::new(), spilling: Arc::default() }
    }

    /// The places of the series and the time.
    pub(crate) fn keys(&self) -> (usize, usize) {
        self.keys
    }
}

impl DisplayAs for SeriesSortExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let (series, time) = self.keys;
        write!(
            f,
            "SeriesSortExec: series={}, time={}",
            schema.field(series).name(),
            schema.field(time).name()
        )
    }
}

impl ExecutionPlan for SeriesSortExec {
    fn name(&self) -> &'static str {
        "SeriesSortExec"
    }

    stands_in_for!(sort);

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let sort = Arc::clone(&self.sort).replace_children(children, options)?;
        Ok(Arc::new(Self::new(sort, self.keys)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        let spilling = self.spilling.lock().map(|sorts| sorts.clone()).unwrap_or_default();
        for more in spilling.iter().filter_map(|sort| sort.metrics()) {
            more.iter().for_each(|metric| metrics.push(Arc::clone(metric)));
        }
        Some(metrics)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(sort) = self.sort.downcast_ref::<SortExec>() else {
            return internal_err!("the sort of a series is no sort");
        };
        let input = sort.input().execute(partition, Arc::clone(&context))?;
        let (series, time) = self.keys;
        let work = Work {
            schema: input.schema(),
            input,
            ordering: sort.expr().clone(),
            by: By { names: None, series, time },
            held: Held::new(&context, partition),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            spilling: Arc::clone(&self.spilling),
            context,
        };
        Ok(work.sorted())
    }
}

/// What rows are sorted by, all rising: the names of a series where there are, nothing before any name, then the series,
/// then the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    pub(crate) names: Option<[usize; 2]>,
    pub(crate) series: usize,
    pub(crate) time: usize,
}

/// The rows in the order of series and time, of which the names, if any, are [`DataType::Utf8View`] and the series is as
/// in [`SeriesSortExec`]. They are spilled where there is no memory for them.
///
/// # Errors
/// When the input has no such columns.
pub(crate) fn sorted(
    input: SendableRecordBatchStream,
    by: By,
    metrics: BaselineMetrics,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let schema = input.schema();
    let names = by.names.iter().flatten().map(|place| (*place, true));
    let key = names.chain([(by.series, false), (by.time, false)]).map(|(place, nulls_first)| {
        let name = schema.field(place).name();
        let options = SortOptions { descending: false, nulls_first };
        PhysicalSortExpr::new(Arc::new(Column::new(name, place)), options)
    });
    let Some(ordering) = LexOrdering::new(key) else { return internal_err!("rows are sorted by nothing") };
    let held = Held::new(&context, partition);
    let work = Work { input, schema, ordering, by, held, metrics, spilling: Arc::default(), context };
    Ok(work.sorted())
}

/// Batches in memory and what was reserved for them.
struct Held {
    batches: Vec<RecordBatch>,
    /// What was reserved for each.
    reserved: Vec<usize>,
    memory: MemoryReservation,
    /// The buffers that were counted; texts of many batches lie in the same.
    counted: HashSet<usize>,
}

impl Held {
    fn new(context: &TaskContext, partition: usize) -> Self {
        let consumer = MemoryConsumer::new(format!("{SERIES_NAME}[{partition}]")).with_can_spill(true);
        let memory = consumer.register(context.memory_pool());
        Self { batches: Vec::new(), reserved: Vec::new(), memory, counted: HashSet::new() }
    }

    /// Keeps the batch; says whether there was room for it.
    fn push(&mut self, batch: RecordBatch) -> bool {
        let bytes = batch.columns().iter().map(|column| self.bytes(column)).sum::<usize>();
        let has_room = self.memory.try_grow(bytes).is_ok();
        self.reserved.push(if has_room { bytes } else { 0 });
        self.batches.push(batch);
        has_room
    }

    fn bytes(&mut self, column: &ArrayRef) -> usize {
        let data = column.to_data();
        let own = data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size());
        if *column.data_type() != DataType::Utf8View {
            return own;
        }
        // The views are this batch's own.
        let new = |buffer: &&Buffer| self.counted.insert(buffer.data_ptr().as_ptr() as usize);
        let texts = column.as_string_view().data_buffers().iter().filter(new).map(Buffer::capacity);
        size_of::<u128>() * column.len() + texts.sum::<usize>()
    }
}

struct Work {
    input: SendableRecordBatchStream,
    schema: SchemaRef,
    ordering: LexOrdering,
    by: By,
    held: Held,
    metrics: BaselineMetrics,
    spilling: Arc<Spilling>,
    context: Arc<TaskContext>,
}

impl Work {
    fn sorted(self) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(self.run()).try_flatten()))
    }

    async fn run(mut self) -> Result<SendableRecordBatchStream> {
        while let Some(batch) = self.input.next().await {
            if !self.held.push(batch?) {
                return self.spilling();
            }
        }
        if self.held.batches.is_empty() {
            return Ok(Box::pin(EmptyRecordBatchStream::new(self.schema)));
        }
        let Self { schema, by, held, metrics, context, .. } = self;
        let runs = {
            let _timer = metrics.elapsed_compute().timer();
            let By { names, series, time } = by;
            let ids = |batch| RecordBatch::column(batch, series).as_primitive::<Int64Type>();
            match (names, schema.field(series).data_type()) {
                (Some(names), _) => ordered(&held.batches, time, |batch| Named {
                    names: names.map(|name| batch.column(name).as_string_view()),
                    ids: ids(batch),
                }),
                (None, DataType::Int64) => ordered(&held.batches, time, ids),
                (None, _) => ordered(&held.batches, time, |batch| batch.column(series).as_string_view()),
            }
        };
        let rows: usize = held.batches.iter().map(RecordBatch::num_rows).sum();
        let row_bytes = held.memory.size() / rows.max(1);
        let piece_bytes = match context.memory_pool().memory_limit() {
            MemoryLimit::Finite(limit) => limit / PIECE_PART,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        let piece_rows = (piece_bytes / row_bytes.max(1)).clamp(PIECE_ROWS_MIN, PIECE_ROWS_MAX);
        let whole = Arc::clone(&schema);
        let pieces = Pieces { schema: whole, held, runs, at: 0, piece_rows, row_bytes, taken: 0, metrics };
        let sorted = stream::try_unfold(pieces, |mut pieces| async move {
            tokio::task::yield_now().await;
            Ok(pieces.next()?.map(|piece| (piece, pieces)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, sorted)))
    }

    /// Leaves what was read and what is to come to the engine's own sort.
    fn spilling(self) -> Result<SendableRecordBatchStream> {
        let Self { input, schema, ordering, held, spilling, context, .. } = self;
        let Held { batches, reserved, memory, .. } = held;
        let read = stream::iter(batches.into_iter().zip(reserved).map(|(batch, bytes)| (Ok(batch), bytes)));
        // It stays registered to the end, so that the sorts of the other partitions do not take its part as well.
        let all = read.chain(input.map(|batch| (batch, 0))).map(move |(batch, bytes)| {
            memory.shrink(bytes);
            batch
        });
        let all = once(Box::pin(RecordBatchStreamAdapter::new(schema, all)), None)?;
        let sort = Arc::new(SortExec::new(ordering, all));
        if let Ok(mut spilling) = spilling.lock() {
            spilling.push(Arc::clone(&sort));
        }
        sort.execute(0, context)
    }
}

fn ordered<'a, S: Series>(
    batches: &'a [RecordBatch],
    time: usize,
    series: impl Fn(&'a RecordBatch) -> S,
) -> Vec<Run> {
    let keys = batches.iter().map(|batch| Keys {
        series: series(batch),
        time: batch.column(time).as_primitive::<TimestampMicrosecondType>(),
    });
    in_order(&keys.collect::<Vec<_>>())
}

/// Sorted rows on their way.
struct Pieces {
    schema: SchemaRef,
    held: Held,
    runs: Vec<Run>,
    /// The first run that was not handed on.
    at: usize,
    /// Most rows of a piece.
    piece_rows: usize,
    /// What a row takes about.
    row_bytes: usize,
    /// What was reserved for the last piece.
    taken: usize,
    metrics: BaselineMetrics,
}

impl Pieces {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let _timer = self.metrics.elapsed_compute().timer();
        let rest = &self.runs[self.at..];
        let mut rows = 0;
        let fits = |run: &&Run| {
            let before = rows;
            rows += run.rows as usize;
            before == 0 || rows <= self.piece_rows
        };
        let count = rest.iter().take_while(fits).count();
        if count == 0 {
            return Ok(None);
        }
        // What the last piece took is its reader's by now; this one is the only sorted copy.
        let memory = &self.held.memory;
        memory.shrink(std::mem::take(&mut self.taken));
        let piece = gathered(&self.schema, &self.held.batches, &rest[..count])?;
        self.taken = self.row_bytes * piece.num_rows();
        memory.grow(self.taken);
        self.at += count;
        self.metrics.record_output(piece.num_rows());
        Ok(Some(piece))
    }
}

/// The rows of some runs as one batch, of as many of the batches' columns as `schema` has.
///
/// # Errors
/// When they are too many for a column.
pub(crate) fn gathered(schema: &SchemaRef, batches: &[RecordBatch], runs: &[Run]) -> Result<RecordBatch> {
    let rows = runs.iter().map(|run| run.rows as usize).sum();
    // Of many batches, a piece has rows of few.
    let mut used: Vec<u32> = runs.iter().map(|run| run.batch).collect();
    used.sort_unstable();
    used.dedup();
    let source = |run: &Run| used.partition_point(|batch| *batch < run.batch);
    let sources: Vec<usize> = runs.iter().map(source).collect();
    let column = |column: usize| {
        let columns: Vec<_> = used.iter().map(|batch| batches[*batch as usize].column(column)).collect();
        let room = room(&columns, runs, &sources, rows);
        let data: Vec<_> = columns.iter().map(Array::to_data).collect();
        let mut gathered = MutableArrayData::with_capacities(data.iter().collect(), false, room);
        for (run, source) in runs.iter().zip(&sources) {
            let (start, end) = (run.start as usize, (run.start + run.rows) as usize);
            gathered.try_extend(*source, start, end)?;
        }
        Ok(make_array(gathered.freeze()))
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// How much a column of the runs takes, so that nothing has to move while it grows.
fn room(columns: &[&ArrayRef], runs: &[Run], sources: &[usize], rows: usize) -> Capacities {
    let lists: Option<Vec<_>> = columns.iter().map(|column| column.as_list_opt::<i32>()).collect();
    let Some(lists) = lists.filter(|lists| !lists.is_empty()) else { return Capacities::Array(rows) };
    let items = runs.iter().zip(sources).map(|(run, source)| {
        let offsets = lists[*source].value_offsets();
        let (start, end) = (run.start as usize, (run.start + run.rows) as usize);
        usize::try_from(offsets[end] - offsets[start]).unwrap_or(0)
    });
    Capacities::List(rows, Some(Box::new(Capacities::Array(items.sum()))))
}
