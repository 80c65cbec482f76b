//! Windows over series: `increment(value) OVER (PARTITION BY series_id ORDER BY timestamp)` and their like.
//!
//! The engine holds all rows of a query, puts them together once more, looks at each series alone and puts the answers
//! together. Here rows pass by with what is said of them, and only those of the series that has not ended yet are held.
//! The engine's own operator goes on where one series is too much for the memory and it can do with less.

mod calls;
mod in_block_order;
mod open_series;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties as _,
    InputDistributionRequirements, Partitioning, PlanProperties,
};
use futures::{StreamExt as _, stream};

use crate::once::once;
use crate::series_sort::SeriesSortExec;

use self::calls::Calls;
use self::open_series::OpenSeries;
pub(crate) use self::open_series::bytes;

/// How a window over series begins the name of its memory.
const NAME: &str = "SeriesWindow";

/// Puts [`SeriesWindowExec`] in the place of each window over sorted series, and leaves the sort out where blocks have
/// the series in order.
#[derive(Debug)]
pub(crate) struct WindowSeries;

impl PhysicalOptimizerRule for WindowSeries {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |plan: Arc<dyn ExecutionPlan>| {
            Ok(match SeriesWindowExec::of(&plan)? {
                Some(ours) => Transformed::yes(Arc::new(ours) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(plan),
            })
        };
        let sorted = plan.transform_up(replace)?;
        if sorted.transformed { in_block_order::unsorted(sorted.data, config) } else { Ok(sorted.data) }
    }

    fn name(&self) -> &'static str {
        "window_series"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What the functions of the engine's own operator are.
fn functions(window: &Arc<dyn ExecutionPlan>) -> Option<&[Arc<dyn WindowExpr>]> {
    let whole = window.downcast_ref::<WindowAggExec>().map(WindowAggExec::window_expr);
    whole.or_else(|| window.downcast_ref::<BoundedWindowAggExec>().map(BoundedWindowAggExec::window_expr))
}

/// The step over another input.
fn over(step: &Arc<dyn ExecutionPlan>, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(step).replace_children(vec![input], anew)
}

/// A window over series.
#[derive(Debug)]
pub(crate) struct SeriesWindowExec {
    /// The engine's own.
    window: Arc<dyn ExecutionPlan>,
    /// Whose rows of a series are side by side, in the order of time.
    input: Arc<dyn ExecutionPlan>,
    keys: (usize, usize),
    /// Whether series come in their order too.
    is_sorted: bool,
    calls: Arc<Calls>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SeriesWindowExec {
    /// `None` when it is no window over sorted series, or one that only the engine knows.
    fn of(window: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let Some(functions) = functions(window) else { return Ok(None) };
        let children = window.children();
        let [input] = children.as_slice() else { return Ok(None) };
        let keys = match (input.downcast_ref::<SeriesSortExec>(), input.downcast_ref::<Self>()) {
            (Some(sort), _) => sort.keys(),
            (None, Some(window)) if window.is_sorted => window.keys,
            _ => return Ok(None),
        };
        let is_column = |expression: &Arc<dyn PhysicalExpr>, place: usize| {
            expression.downcast_ref::<Column>().is_some_and(|column| column.index() == place)
        };
        let is_ours = |function: &Arc<dyn WindowExpr>| {
            let by_time = match function.order_by() {
                [] => true,
                [key] => is_column(&key.expr, keys.1) && !key.options.descending,
                _ => false,
            };
            by_time && matches!(function.partition_by(), [series] if is_column(series, keys.0))
        };
        if !functions.iter().all(is_ours) {
            return Ok(None);
        }
        let Some(calls) = Calls::of(functions)? else { return Ok(None) };
        Ok(Some(Self {
            window: Arc::clone(window),
            input: Arc::clone(input),
            keys,
            is_sorted: true,
            calls: Arc::new(calls),
            properties: Arc::clone(window.properties()),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    /// The same over rows whose series come in any order.
    fn over_unsorted(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(self.window.schema()),
            partitions,
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            window: Arc::clone(&self.window),
            input,
            keys: self.keys,
            is_sorted: false,
            calls: Arc::clone(&self.calls),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for SeriesWindowExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let (series, time) = self.keys;
        write!(
            f,
            "SeriesWindowExec: series={}, time={}, functions=[{}]",
            schema.field(series).name(),
            schema.field(time).name(),
            self.calls.names().collect::<Vec<_>>().join(", ")
        )?;
        if self.is_sorted { Ok(()) } else { write!(f, ", in the blocks' order") }
    }
}

impl ExecutionPlan for SeriesWindowExec {
    fn name(&self) -> &'static str {
        "SeriesWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        if self.is_sorted {
            return self.window.input_distribution_requirements();
        }
        InputDistributionRequirements::new(vec![Distribution::UnspecifiedDistribution])
    }

    fn required_input_ordering(&self) -> Vec<Option<datafusion::physical_expr::OrderingRequirements>> {
        if self.is_sorted { self.window.required_input_ordering() } else { vec![None] }
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![self.is_sorted]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.window.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a window over series has one input");
        };
        if !self.is_sorted {
            return Ok(Arc::new(self.over_unsorted(input)));
        }
        let window = Arc::clone(&self.window).replace_children(vec![Arc::clone(&input)], options)?;
        Ok(Arc::new(Self {
            properties: Arc::clone(window.properties()),
            window,
            input,
            keys: self.keys,
            is_sorted: true,
            calls: Arc::clone(&self.calls),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
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
        let (series, time) = self.keys;
        let order = [series, time].map(|place| {
            let name = self.input.schema().field(place).name().clone();
            PhysicalSortExpr::new_default(Arc::new(Column::new(&name, place))).nulls_last()
        });
        let passing = Passing {
            input: self.input.execute(partition, Arc::clone(&context))?,
            open: OpenSeries::new(self.schema(), series, Arc::clone(&self.calls)),
            memory: MemoryConsumer::new(format!("{NAME}[{partition}]")).register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            window: Arc::clone(&self.window),
            order: LexOrdering::new(order),
            context,
            has_ended: false,
            engines: None,
        };
        let rows = stream::try_unfold(passing, |mut passing| async move {
            Ok(passing.next().await?.map(|batch| (batch, passing)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// Rows that pass by.
struct Passing {
    input: SendableRecordBatchStream,
    open: OpenSeries,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
    window: Arc<dyn ExecutionPlan>,
    order: Option<LexOrdering>,
    context: Arc<TaskContext>,
    has_ended: bool,
    /// What the engine's own operator says, once it has taken over.
    engines: Option<SendableRecordBatchStream>,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.open.take_ready() {
                self.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if let Some(engines) = &mut self.engines {
                return engines.next().await.transpose();
            }
            if self.has_ended {
                return Ok(None);
            }
            let batch = self.input.next().await.transpose()?;
            let timer = self.metrics.elapsed_compute().timer();
            match batch {
                Some(batch) => self.open.push(batch)?,
                None => {
                    self.has_ended = true;
                    self.open.end()?;
                }
            }
            drop(timer);
            let held = self.open.held_bytes();
            if let Err(full) = self.memory.try_resize(held) {
                // Only some of the engine's can do with less than a series.
                if self.window.downcast_ref::<BoundedWindowAggExec>().is_none() {
                    return Err(full);
                }
                self.give_way()?;
            }
        }
    }

    /// Leaves the series that has not ended, and what is to come, to the engine's own operator.
    fn give_way(&mut self) -> Result<()> {
        let held = self.open.give_up()?;
        self.memory.free();
        let schema = self.input.schema();
        let nothing = stream::empty();
        let nothing = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), nothing));
        let rest = std::mem::replace(&mut self.input, nothing);
        let rows = stream::iter(held.into_iter().map(Ok)).chain(rest);
        // Series may come in another order, but all that is asked of them is that each comes at once.
        let rows = once(Box::pin(RecordBatchStreamAdapter::new(schema, rows)), self.order.clone())?;
        let window = over(&self.window, rows)?;
        self.engines = Some(window.execute(0, Arc::clone(&self.context))?);
        Ok(())
    }
}
