//! Rows of several blocks and of the head as if they were of one: series by series, each in the order of time.
//!
//! Blocks have their series in the same order, so that reading them side by side and always taking what comes first
//! leaves nothing to sort and little to hold. What is in the head is sorted for it. Each worker has its own series:
//! all blocks are cut at the same ones.

mod in_turn;

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, Partitioning, PlanProperties,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::OnceCell;

use crate::block_shares::Execution;
use crate::executions::Executions;
use crate::series_cuts::{SeriesColumns, SeriesKey};
use crate::series_sort::{By, sorted};
use crate::series_window::bytes;

use self::in_turn::InTurn;

/// The blocks below a merge.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    pub(crate) count: usize,
    /// In how many parts each is read. The first parts of all are the first partitions of the input, and so on.
    pub(crate) shares: usize,
    /// What their workers find out.
    pub(crate) executions: Arc<Executions<Execution>>,
}

/// A merge of what several blocks, and the head, have of each series.
#[derive(Debug)]
pub(crate) struct SeriesMergeExec {
    /// First the partitions of the blocks, then those of the head. The last columns are the names by which series are
    /// ordered; they are left out of what comes of it.
    input: Arc<dyn ExecutionPlan>,
    blocks: Blocks,
    by: By,
    /// The rows of the head, which the workers share.
    heads: Arc<Executions<OnceCell<InMemory>>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SeriesMergeExec {
    /// `keys` are the places of the series and the time.
    ///
    /// # Errors
    /// When the input has fewer columns or partitions than are spoken of.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        (series, time): (usize, usize),
        blocks: Blocks,
    ) -> Result<Self> {
        let width = input.schema().fields().len();
        if width < 4 || input.output_partitioning().partition_count() < blocks.count * blocks.shares {
            return internal_err!("a merge of series without its input");
        }
        let schema = input.schema();
        let left: Vec<_> = schema.fields().iter().take(width - 2).cloned().collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(left))),
            Partitioning::UnknownPartitioning(blocks.shares),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            input,
            blocks,
            by: By { names: Some([width - 2, width - 1]), series, time },
            heads: Arc::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for SeriesMergeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let By { series, time, .. } = self.by;
        let Blocks { count, shares, .. } = self.blocks;
        let (series, time) = (schema.field(series).name(), schema.field(time).name());
        write!(f, "SeriesMergeExec: series={series}, time={time}, blocks={count}")?;
        if self.input.output_partitioning().partition_count() > count * shares {
            f.write_str(", head")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SeriesMergeExec {
    fn name(&self) -> &'static str {
        "SeriesMergeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// Each of the input's partitions is what it is.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a merge of series has one input");
        };
        let By { series, time, .. } = self.by;
        Ok(Arc::new(Self::new(input, (series, time), self.blocks.clone())?))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Blocks { count, shares, executions } = &self.blocks;
        let part = |block: usize| self.input.execute(block * shares + partition, Arc::clone(&context));
        let mut sources =
            (0..*count).map(|block| part(block).map(Source::Rows)).collect::<Result<Vec<_>>>()?;
        let in_head = count * shares..self.input.output_partitioning().partition_count();
        if !in_head.is_empty() {
            sources.push(Source::Head(Some(Head {
                input: Arc::clone(&self.input),
                places: in_head,
                rows: self.heads.begin(partition),
                by: self.by,
                // The workers of the blocks have begun as often.
                execution: executions.begin(count * shares + partition),
                partition,
                shares: *shares,
                metrics: BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), partition),
                context: Arc::clone(&context),
            })));
        }
        let schema = self.schema();
        let batch_size = context.session_config().batch_size();
        let merge = Merge {
            rows: InTurn::new(Arc::clone(&schema), self.by, sources.len(), batch_size),
            sources,
            memory: MemoryConsumer::new(format!("SeriesMerge[{partition}]")).register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let merged = stream::try_unfold(merge, |mut merge| async move {
            Ok(merge.next().await?.map(|batch| (batch, merge)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, merged)))
    }
}

/// Where rows come from in the order of series.
enum Source {
    Rows(SendableRecordBatchStream),
    /// They are sorted once the blocks have been cut.
    Head(Option<Head>),
}

struct Merge {
    rows: InTurn,
    sources: Vec<Source>,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
}

impl Merge {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            // The blocks come first.
            while let Some(wanted) = self.rows.wants() {
                match next_of(&mut self.sources[wanted]).await? {
                    Some(batch) => self.rows.push(wanted, batch)?,
                    None => self.rows.end(wanted),
                }
                self.memory.try_resize(self.rows.held_bytes())?;
            }
            let _timer = self.metrics.elapsed_compute().timer();
            if let Some(batch) = self.rows.take()? {
                self.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.rows.wants().is_none() {
                return Ok(None);
            }
        }
    }
}

async fn next_of(source: &mut Source) -> Result<Option<RecordBatch>> {
    if let Source::Head(head) = source {
        let Some(head) = head.take() else { return internal_err!("the head is read twice") };
        *source = Source::Rows(head.sorted().await?);
    }
    match source {
        Source::Rows(rows) => rows.next().await.transpose(),
        Source::Head(_) => internal_err!("the head was not sorted"),
    }
}

/// Rows of the head that filters left, and what they take.
#[derive(Debug)]
struct InMemory {
    batches: Vec<RecordBatch>,
    _memory: MemoryReservation,
}

/// Rows of the head, in no order.
struct Head {
    input: Arc<dyn ExecutionPlan>,
    /// The partitions of the input.
    places: Range<usize>,
    rows: Arc<OnceCell<InMemory>>,
    by: By,
    execution: Arc<Execution>,
    /// Which of the parts, of how many, is wanted.
    partition: usize,
    shares: usize,
    metrics: BaselineMetrics,
    context: Arc<TaskContext>,
}

impl Head {
    /// The rows of this part's series, in order.
    async fn sorted(self) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.get_or_try_init(|| self.read()).await?;
        let cuts = match self.execution.cuts() {
            Some(cuts) => cuts.to_vec(),
            None if self.shares == 1 => Vec::new(),
            None => return internal_err!("the head is sorted before a block was opened"),
        };
        let part = Part { cuts, number: self.partition, by: self.by };
        let rows = stream::iter(rows.batches.clone()).map(move |batch| part.of(&batch));
        let rows = RecordBatchStreamAdapter::new(self.input.schema(), rows);
        sorted(Box::pin(rows), self.by, self.metrics, self.partition, self.context)
    }

    /// The rows of all series.
    async fn read(&self) -> Result<InMemory> {
        let streams = self.places.clone().map(|place| self.input.execute(place, Arc::clone(&self.context)));
        let tasks = streams.map(|rows| Ok(SpawnedTask::spawn(rows?.try_collect::<Vec<RecordBatch>>())));
        let tasks = tasks.collect::<Result<Vec<_>>>()?;
        let mut batches = Vec::new();
        for task in tasks {
            let batch =
                task.join_unwind().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
            batches.extend(batch?);
        }
        let memory = MemoryConsumer::new("SeriesMergeHead").register(self.context.memory_pool());
        // They are there already. What is sorted of them is spilled if need be.
        memory.grow(batches.iter().map(bytes).sum());
        Ok(InMemory { batches, _memory: memory })
    }
}

/// Which series are of a part: those from the cut before it on, and before the cut behind it.
struct Part {
    cuts: Vec<SeriesKey>,
    number: usize,
    by: By,
}

impl Part {
    fn of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let By { names, series, .. } = self.by;
        let names = names.as_ref().map_or(&[][..], |names| names.as_slice());
        let columns = SeriesColumns::of(batch, names, series)
            .ok_or_else(|| internal_datafusion_err!("the head has no series"))?;
        let mut ours = BooleanBufferBuilder::new(batch.num_rows());
        let mut row = 0;
        for same in columns.ids().chunk_by(|a, b| a == b) {
            let part = self.cuts.partition_point(|cut| columns.to_key(row, cut) != Ordering::Less);
            ours.append_n(same.len(), part == self.number);
            row += same.len();
        }
        Ok(filter_record_batch(batch, &BooleanArray::new(ours.finish(), None))?)
    }
}
