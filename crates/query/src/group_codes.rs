//! The first step of grouping, by numbers in the place of texts.
//!
//! The engine hashes and compares every row's values. Those of a block repeat: [`codes`] knows most of them by where
//! they lie, at a tenth of the work. Where groups are many it does not pay, and where memory is short it cannot go on:
//! then what was grouped so far is handed on, as any first step may at any time, and the engine's own step takes the rest.

mod codes;
mod texts;

use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use self::codes::{Codes, is_known};
use crate::once::once;
use crate::stand_in::stands_in_for;

/// How many groups are worth it; the rest is left to the engine.
#[derive(Clone, Copy, Debug)]
struct Worth {
    groups_max: usize,
    /// More groups to a hundred rows than this are too many, judged once there are so many rows.
    groups_per_hundred_max: usize,
    rows_to_judge: usize,
}

impl Worth {
    /// By one column of texts, whose table serves many as well as few. Where nearly every row has its own, the engine
    /// hands rows on as they are.
    const TEXTS: Self = Self { groups_max: 1 << 20, groups_per_hundred_max: 80, rows_to_judge: 100_000 };
    const OTHERS: Self = Self { groups_max: 1 << 16, groups_per_hundred_max: 25, rows_to_judge: 4_096 };

    fn of(types: &[DataType]) -> Self {
        if matches!(types, [DataType::Utf8View]) { Self::TEXTS } else { Self::OTHERS }
    }

    fn is_it(self, groups: usize, rows: usize) -> bool {
        let are_many = rows >= self.rows_to_judge && groups * 100 > rows * self.groups_per_hundred_max;
        !are_many && groups <= self.groups_max
    }
}

/// Puts [`CodedGroupsExec`] in the place of each first step of grouping by a text or by several columns.
#[derive(Debug)]
pub(crate) struct GroupByCodes;

impl PhysicalOptimizerRule for GroupByCodes {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |plan: Arc<dyn ExecutionPlan>| {
            let is_ours = plan.downcast_ref::<AggregateExec>().is_some_and(is_ours);
            if !is_ours {
                return Ok(Transformed::no(plan));
            }
            let ours: Arc<dyn ExecutionPlan> = Arc::new(CodedGroupsExec::new(plan));
            Ok(Transformed::yes(ours))
        };
        plan.transform_up(replace).data()
    }

    fn name(&self) -> &'static str {
        "group_by_codes"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_ours(step: &AggregateExec) -> bool {
    let groups = step.group_expr();
    let input = step.input().schema();
    let types: Option<Vec<_>> = groups.expr().iter().map(|(group, _)| group.data_type(&input).ok()).collect();
    let Some(types) = types else { return false };
    *step.mode() == AggregateMode::Partial
        && *step.input_order_mode() == InputOrderMode::Linear
        && !groups.has_grouping_set()
        && step.limit_options().is_none()
        && types.iter().all(is_known)
        // The engine's own table for one number needs no help.
        && (types.len() > 1 || types.first().is_some_and(|only| !only.is_primitive()))
        && step.aggr_expr().iter().all(|call| call.groups_accumulator_supported() && call.order_bys().is_empty())
}

/// A first step of grouping.
#[derive(Debug)]
struct CodedGroupsExec {
    /// The engine's own, of which everything but the execution is taken.
    step: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
    /// Those that took the rest of a partition.
    engines: Arc<Engines>,
}

type Engines = Mutex<Vec<Arc<AggregateExec>>>;

impl CodedGroupsExec {
    fn new(step: Arc<dyn ExecutionPlan>) -> Self {
        Self { step, metrics: ExecutionPlanMetricsSet::new(), engines: Arc::default() }
    }
}

impl DisplayAs for CodedGroupsExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodedGroupsExec: ")?;
        match self.step.downcast_ref::<AggregateExec>() {
            Some(step) => step.fmt_as(t, f),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for CodedGroupsExec {
    fn name(&self) -> &'static str {
        "CodedGroupsExec"
    }

    stands_in_for!(step);

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let step = Arc::clone(&self.step).replace_children(children, options)?;
        Ok(Arc::new(Self::new(step)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        let engines = self.engines.lock().map(|engines| engines.clone()).unwrap_or_default();
        for more in engines.iter().filter_map(|engine| engine.metrics()) {
            more.iter().for_each(|metric| metrics.push(Arc::clone(metric)));
        }
        Some(metrics)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(step) = self.step.downcast_ref::<AggregateExec>() else {
            return internal_err!("a first step of grouping is none");
        };
        let input = step.input().schema();
        let groups: Vec<_> = step.group_expr().expr().iter().map(|(group, _)| Arc::clone(group)).collect();
        let types = groups.iter().map(|group| group.data_type(&input)).collect::<Result<Vec<_>>>()?;
        let calls = step.aggr_expr().iter().zip(step.filter_expr());
        let calls =
            calls.map(|(call, filter)| Call::new(call, filter.as_ref())).collect::<Result<Vec<_>>>()?;
        let consumer = MemoryConsumer::new(format!("CodedGroups[{partition}]")).with_can_spill(true);
        let work = Work {
            input: step.input().execute(partition, Arc::clone(&context))?,
            schema: self.schema(),
            step: Arc::clone(&self.step),
            groups,
            worth: Worth::of(&types),
            codes: Codes::new(types),
            rows: 0,
            calls,
            memory: consumer.register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            engines: Arc::clone(&self.engines),
            context,
        };
        let grouped = stream::once(work.run()).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), grouped)))
    }
}

/// One aggregate.
struct Call {
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    state: Box<dyn GroupsAccumulator>,
}

impl Call {
    fn new(call: &Arc<AggregateFunctionExpr>, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<Self> {
        let (arguments, state) = (call.expressions(), call.create_groups_accumulator()?);
        Ok(Self { arguments, filter: filter.map(Arc::clone), state })
    }

    fn add(&mut self, batch: &RecordBatch, groups: &[usize], total: usize) -> Result<()> {
        let rows = batch.num_rows();
        let evaluate = |argument: &Arc<dyn PhysicalExpr>| argument.evaluate(batch)?.into_array(rows);
        let arguments = self.arguments.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let filter: Option<ArrayRef> = self.filter.as_ref().map(evaluate).transpose()?;
        let filter: Option<&BooleanArray> = filter.as_ref().map(AsArray::as_boolean);
        self.state.update_batch(&arguments, groups, filter, total)
    }
}

struct Work {
    input: SendableRecordBatchStream,
    schema: SchemaRef,
    step: Arc<dyn ExecutionPlan>,
    groups: Vec<Arc<dyn PhysicalExpr>>,
    codes: Codes,
    worth: Worth,
    /// Rows that were grouped.
    rows: usize,
    calls: Vec<Call>,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
    engines: Arc<Engines>,
    context: Arc<TaskContext>,
}

impl Work {
    async fn run(mut self) -> Result<SendableRecordBatchStream> {
        while let Some(batch) = self.input.next().await {
            if !self.add(&batch?)? {
                let schema = Arc::clone(&self.schema);
                let all = self.grouped()?.chain(self.rest()?);
                return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)));
            }
        }
        let grouped = self.grouped()?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, grouped)))
    }

    /// Groups the rows of a batch; says whether this should go on so.
    fn add(&mut self, batch: &RecordBatch) -> Result<bool> {
        let _timer = self.metrics.elapsed_compute().timer();
        let rows = batch.num_rows();
        let evaluate = |group: &Arc<dyn PhysicalExpr>| group.evaluate(batch)?.into_array(rows);
        let columns = self.groups.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let groups: Vec<usize> = self.codes.of(&columns)?.iter().map(|group| *group as usize).collect();
        let total = self.codes.len();
        for call in &mut self.calls {
            call.add(batch, &groups, total)?;
        }
        self.rows += rows;
        let bytes = self.codes.bytes() + self.calls.iter().map(|call| call.state.size()).sum::<usize>();
        Ok(self.worth.is_it(total, self.rows) && self.memory.try_resize(bytes).is_ok())
    }

    /// What was grouped so far; it counts as memory until the last of it is taken.
    fn grouped(&mut self) -> Result<impl Stream<Item = Result<RecordBatch>> + use<>> {
        let _timer = self.metrics.elapsed_compute().timer();
        let schema = Arc::clone(&self.schema);
        let all = if self.codes.len() == 0 {
            RecordBatch::new_empty(schema)
        } else {
            let mut columns = self.codes.columns()?;
            for call in &mut self.calls {
                columns.extend(call.state.state(EmitTo::All)?);
            }
            RecordBatch::try_new(schema, columns)?
        };
        self.metrics.record_output(all.num_rows());
        let held = self.memory.split(all.get_array_memory_size().min(self.memory.size()));
        self.memory.free();
        let rows = self.context.session_config().batch_size().max(1);
        let pieces = (0..all.num_rows()).step_by(rows).map(move |start| {
            let _held = &held;
            Ok(all.slice(start, rows.min(all.num_rows() - start)))
        });
        Ok(stream::iter(pieces))
    }

    /// The engine's own step over what is to come.
    fn rest(self) -> Result<SendableRecordBatchStream> {
        let Some(step) = self.step.downcast_ref::<AggregateExec>() else {
            return internal_err!("a first step of grouping is none");
        };
        let engine = Arc::new(AggregateExec::try_new(
            AggregateMode::Partial,
            step.group_expr().clone(),
            step.aggr_expr().to_vec(),
            step.filter_expr().to_vec(),
            once(self.input, None)?,
            step.input_schema(),
        )?);
        if let Ok(mut engines) = self.engines.lock() {
            engines.push(Arc::clone(&engine));
        }
        engine.execute(0, self.context)
    }
}
