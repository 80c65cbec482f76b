//! Grouping by what lies side by side in a block: rows of one service, one series, one minute.
//!
//! The engine looks every row's group up in a hash table. Where all that is asked of a group is that it is there, or
//! how many rows it has, a run of rows of the same group is one look-up: runs become single rows with a count before
//! they are grouped, and the counts are added.

use std::fmt;
use std::sync::Arc;
use std::task::{Poll, ready};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputOrderMode, Partitioning,
    PlanProperties,
};
use futures::{StreamExt as _, stream};

use crate::page_counts::PageCounts;

/// The column with the number of rows of a run.
const ROWS: &str = "rows of the run";
/// Runs are made one row where there are at least so many rows to a run.
const ROWS_PER_RUN_MIN: usize = 2;

/// Puts [`CollapseRunsExec`] below each first step of grouping that only counts rows or counts nothing.
#[derive(Debug)]
pub(crate) struct CollapseRuns;

impl PhysicalOptimizerRule for CollapseRuns {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |plan: Arc<dyn ExecutionPlan>| {
            Ok(match plan.downcast_ref::<AggregateExec>().map(over_runs).transpose()?.flatten() {
                Some(ours) => Transformed::yes(ours),
                None => Transformed::no(plan),
            })
        };
        plan.transform_up(replace).data()
    }

    fn name(&self) -> &'static str {
        "collapse_runs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same step over runs; `None` where it needs more of its rows than how many they are, or where what comes in is in
/// an order that steps above may count on.
fn over_runs(step: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let groups = step.group_expr();
    let is_ours = *step.mode() == AggregateMode::Partial
        && *step.input_order_mode() == InputOrderMode::Linear
        && !groups.expr().is_empty()
        && !groups.has_grouping_set()
        && step.filter_expr().iter().all(Option::is_none)
        && step.aggr_expr().iter().all(|call| counts_rows(call));
    if !is_ours {
        return Ok(None);
    }
    let is_distinct = step.aggr_expr().is_empty();
    let Some(runs) = collapsed(groups.expr(), step.input(), is_distinct)? else { return Ok(None) };
    let schema = runs.schema();
    let groups = groups.expr().iter().enumerate().map(|(place, (_, name))| {
        (Arc::new(Column::new(schema.field(place).name(), place)) as Arc<dyn PhysicalExpr>, name.clone())
    });
    let groups = PhysicalGroupBy::new_single(groups.collect());
    let rows: Arc<dyn PhysicalExpr> = Arc::new(Column::new(ROWS, schema.fields().len() - 1));
    let sum = |call: &Arc<AggregateFunctionExpr>| {
        let sum = AggregateExprBuilder::new(sum_udaf(), vec![Arc::clone(&rows)]).schema(Arc::clone(&schema));
        Ok(Arc::new(sum.alias(call.name()).build()?))
    };
    let sums = step.aggr_expr().iter().map(sum).collect::<Result<Vec<_>>>()?;
    let filters = vec![None; sums.len()];
    let ours = AggregateExec::try_new(AggregateMode::Partial, groups, sums, filters, runs, schema)?;
    Ok(Some(Arc::new(ours.with_limit_options(step.limit_options()))))
}

/// The runs of a plan's rows; of each part by itself where it has parts, as blocks and head. `None` when neighbours of
/// a group's type cannot be told apart quickly.
fn collapsed(
    groups: &[(Arc<dyn PhysicalExpr>, String)],
    input: &Arc<dyn ExecutionPlan>,
    is_distinct: bool,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(union) = input.downcast_ref::<UnionExec>() {
        let parts = union
            .inputs()
            .iter()
            .map(|part| collapsed(groups, part, is_distinct))
            .collect::<Result<Vec<_>>>()?;
        return parts.into_iter().collect::<Option<Vec<_>>>().map(UnionExec::try_new).transpose();
    }
    let (counts, input) = match PageCounts::over(groups, input, is_distinct) {
        Some((counts, left)) => (Some(counts), left),
        None => (None, Arc::clone(input)),
    };
    let runs = CollapseRunsExec::new(groups, input)?;
    Ok(runs.map(|runs| Arc::new(CollapseRunsExec { counts, ..runs }) as _))
}

/// Whether this is `count(*)`, whose state is a number that adds up.
fn counts_rows(call: &AggregateFunctionExpr) -> bool {
    let is_value = |argument: &Arc<dyn PhysicalExpr>| {
        argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
    };
    call.fun().name() == "count"
        && !call.is_distinct()
        && call.order_bys().is_empty()
        && call.expressions().iter().all(is_value)
}

/// The groups of its input's rows, one row for each run, and how many rows it is.
#[derive(Debug)]
struct CollapseRunsExec {
    groups: Arc<[(Arc<dyn PhysicalExpr>, String)]>,
    input: Arc<dyn ExecutionPlan>,
    /// Rows that the input leaves out.
    counts: Option<Arc<PageCounts>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CollapseRunsExec {
    /// `None` when neighbours of a group's type cannot be told apart quickly.
    fn new(
        groups: &[(Arc<dyn PhysicalExpr>, String)],
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Option<Self>> {
        let schema = input.schema();
        let mut fields = Vec::with_capacity(groups.len() + 1);
        for (group, name) in groups {
            let data_type = group.data_type(&schema)?;
            if !(data_type.is_primitive() || matches!(data_type, DataType::Utf8View | DataType::Boolean)) {
                return Ok(None);
            }
            let field = group.return_field(&schema)?;
            fields.push(field.as_ref().clone().with_name(name));
        }
        fields.push(Field::new(ROWS, DataType::Int64, false));
        let equivalence = EquivalenceProperties::new(Arc::new(Schema::new(fields)));
        let partitions = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
        let properties =
            PlanProperties::new(equivalence, partitions, input.pipeline_behavior(), input.boundedness());
        let metrics = ExecutionPlanMetricsSet::new();
        let (groups, properties) = (groups.into(), Arc::new(properties));
        Ok(Some(Self { groups, input, counts: None, properties, metrics }))
    }
}

impl DisplayAs for CollapseRunsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.groups.iter().map(|(_, name)| name.as_str()).collect();
        write!(f, "CollapseRunsExec: by=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for CollapseRunsExec {
    fn name(&self) -> &'static str {
        "CollapseRunsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for (group, _) in self.groups.iter() {
            if f(group)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return datafusion::common::internal_err!("runs are collapsed of one input");
        };
        let counts = self.counts.clone();
        match Self::new(&self.groups, input)? {
            Some(ours) => Ok(Arc::new(Self { counts, ..ours })),
            None => datafusion::common::internal_err!("the groups of runs changed their types"),
        }
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
        let (groups, schema) = (Arc::clone(&self.groups), self.schema());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let counted = self.counts.as_ref().map(|counts| counts.take(partition, self.schema()));
        let counted = move || counted.as_ref().and_then(|counted| counted.next().transpose());
        let mut rows = self.input.execute(partition, context)?.fuse();
        let runs = stream::poll_fn(move |context| {
            // Each worker hands on what it or another has found before it looks for more, so that little is held.
            let found = match counted() {
                Some(found) => Some(found),
                None => match ready!(rows.poll_next_unpin(context)) {
                    Some(batch) => {
                        let _timer = metrics.elapsed_compute().timer();
                        Some(batch.and_then(|batch| runs(&groups, &schema, &batch)))
                    }
                    None => counted(),
                },
            };
            if let Some(Ok(runs)) = &found {
                metrics.record_output(runs.num_rows());
            }
            Poll::Ready(found)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), runs)))
    }
}

fn runs(
    groups: &[(Arc<dyn PhysicalExpr>, String)],
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let evaluate = |(group, _): &(Arc<dyn PhysicalExpr>, String)| group.evaluate(batch)?.into_array(rows);
    let mut columns = groups.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
    let mut changes = BooleanBuffer::new_unset(rows.saturating_sub(1));
    for column in &columns {
        changes = &changes | &changes_of(column)?;
    }
    let counts: Int64Array = if rows == 0 || (changes.count_set_bits() + 1) * ROWS_PER_RUN_MIN > rows {
        std::iter::repeat_n(1, rows).collect()
    } else {
        let after = changes.set_indices().map(|before| before + 1);
        let starts: Vec<usize> = std::iter::once(0).chain(after).collect();
        let ends = starts.iter().skip(1).copied().chain([rows]);
        let counts = starts.iter().zip(ends).map(|(start, end)| (end - start) as i64).collect();
        let starts: UInt32Array = starts.iter().map(|start| *start as u32).collect();
        columns = columns.iter().map(|column| Ok(take(column, &starts, None)?)).collect::<Result<_>>()?;
        counts
    };
    columns.push(Arc::new(counts));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// For each row but the last whether the next is of another group, or may be.
fn changes_of(column: &ArrayRef) -> Result<BooleanBuffer> {
    let Some(others) = column.len().checked_sub(1) else { return Ok(BooleanBuffer::new_unset(0)) };
    if let Some(texts) = column.as_string_view_opt() {
        // Equal views are equal texts. Others need not be of two groups, but they are one more look-up at most.
        let views = texts.views();
        let next = views.get(1..).unwrap_or_default();
        let words =
            views.chunks(u64::BITS as usize).zip(next.chunks(u64::BITS as usize)).map(|(these, next)| {
                let pairs = these.iter().zip(next).enumerate();
                pairs.map(|(place, (a, b))| u64::from(a != b) << place).fold(0, |word, bit| word | bit)
            });
        let changes = BooleanBuffer::new(words.collect::<Vec<u64>>().into(), 0, others);
        return Ok(match texts.nulls() {
            Some(nulls) => {
                let valid = nulls.inner();
                let same = |row| valid.value(row) == valid.value(row + 1);
                let both_null = |row| !valid.value(row) && same(row);
                BooleanBuffer::collect_bool(others, |row| {
                    !both_null(row) && (!same(row) || changes.value(row))
                })
            }
            None => changes,
        });
    }
    let changes: BooleanArray = distinct(&column.slice(0, others), &column.slice(1, others))?;
    Ok(changes.values().clone())
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringViewArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    type Key = (Option<String>, Option<i64>);

    fn collapsed(keys: &[Key]) -> Vec<(Key, i64)> {
        let texts: StringViewArray = keys.iter().map(|(text, _)| text.as_deref()).collect();
        let times: TimestampMicrosecondArray = keys.iter().map(|(_, time)| *time).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![("text", Arc::new(texts)), ("time", Arc::new(times))];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let group = |name: &str, place| {
            (Arc::new(Column::new(name, place)) as Arc<dyn PhysicalExpr>, name.to_owned())
        };
        let mut fields: Vec<_> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new(ROWS, DataType::Int64, false));
        let runs =
            runs(&[group("text", 0), group("time", 1)], &Arc::new(Schema::new(fields)), &batch).unwrap();
        let times = runs.column(1).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        let counts = runs.column(2).as_primitive::<arrow::datatypes::Int64Type>();
        let texts = runs.column(0).as_string_view().iter().map(|text| text.map(str::to_owned));
        texts.zip(times.iter()).zip(counts.values().iter().copied()).collect()
    }

    fn key() -> impl Strategy<Value = Key> {
        let text =
            prop_oneof![Just(None), "[ab]".prop_map(Some), Just(Some("longer than a view".to_owned()))];
        (text, prop::option::of(0..2_i64))
    }

    proptest! {
        #[test]
        fn runs_lead_back_to_the_rows(keys in prop::collection::vec((key(), 1..6_usize), 0..20)) {
            let rows: Vec<Key> = keys.into_iter().flat_map(|(key, times)| vec![key; times]).collect();
            let runs = collapsed(&rows);
            let back: Vec<Key> = runs.into_iter().flat_map(|(key, count)| vec![key; count as usize]).collect();
            prop_assert_eq!(back, rows);
        }
    }

    #[test]
    fn neighbours_of_a_group_become_one_row() {
        let key = |text: &str, time| (Some(text.to_owned()), time);
        let rows = [vec![key("a", Some(1)); 5], vec![key("a", None); 4], vec![key("b", None); 3]].concat();
        assert_eq!(collapsed(&rows), [(key("a", Some(1)), 5), (key("a", None), 4), (key("b", None), 3)]);
    }
}
