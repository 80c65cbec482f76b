//! The newest rows first, wherever they come from.
//!
//! The engine tells a scan right below a sort which rows are wanted first. It does not do so through a filter, nor to the
//! parts of a union, and both are in most questions to a server that takes rows in.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, SortOrderPushdownResult};

/// Most rows that a filter below such a sort gathers.
const ROWS_TOGETHER_MAX: usize = 1 << 10;

/// Tells the scans below each sort that keeps so many rows which they are.
#[derive(Debug)]
pub(crate) struct NewestFirst;

impl PhysicalOptimizerRule for NewestFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let tell = |plan: Arc<dyn ExecutionPlan>| {
            let sort = plan.downcast_ref::<SortExec>();
            let Some((sort, rows)) = sort.and_then(|sort| Some((sort, sort.fetch()?))) else {
                return Ok(Transformed::no(plan));
            };
            Ok(match told(sort.input(), sort.expr(), rows)? {
                Some(input) => Transformed::yes(over(&plan, vec![input])?),
                None => Transformed::no(plan),
            })
        };
        plan.transform_up(tell).data()
    }

    fn name(&self) -> &'static str {
        "newest_first"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same plan, whose scans know that so many rows are wanted in this order; `None` where none can make use of it.
fn told(
    plan: &Arc<dyn ExecutionPlan>,
    order: &[PhysicalSortExpr],
    rows: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let column = |place: usize| projection.expr().get(place)?.expr.downcast_ref::<Column>().cloned();
        let Some(order) = below(order, column) else { return Ok(None) };
        let input = told(projection.input(), &order, rows)?;
        return input.map(|input| over(plan, vec![input])).transpose();
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let schema = filter.input().schema();
        let column = |place: usize| {
            let place = match filter.projection().as_ref() {
                Some(kept) => *kept.get(place)?,
                None => place,
            };
            Some(Column::new(schema.fields().get(place)?.name(), place))
        };
        let Some(order) = below(order, column) else { return Ok(None) };
        let Some(input) = told(filter.input(), &order, rows)? else { return Ok(None) };
        // It would gather thousands of rows before it hands on the first, and the sort could not tell what it wants.
        let filter = FilterExecBuilder::from(filter).with_input(input);
        return Ok(Some(Arc::new(filter.with_batch_size(rows.clamp(1, ROWS_TOGETHER_MAX)).build()?)));
    }
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        let parts = union.inputs().iter().map(|part| told(part, order, rows)).collect::<Result<Vec<_>>>()?;
        if parts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let parts = parts.into_iter().zip(union.inputs());
        let parts = parts.map(|(told, part)| told.unwrap_or_else(|| Arc::clone(part))).collect();
        return over(plan, parts).map(Some);
    }
    Ok(match plan.try_pushdown_sort(order)? {
        SortOrderPushdownResult::Exact { inner } | SortOrderPushdownResult::Inexact { inner } => Some(inner),
        SortOrderPushdownResult::Unsupported => None,
    })
}

/// The same operator over others.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(children, options)
}

/// The order as the input of an operator has it, given where each of its columns comes from; `None` unless it is one of
/// columns.
fn below(
    order: &[PhysicalSortExpr],
    column: impl Fn(usize) -> Option<Column>,
) -> Option<Vec<PhysicalSortExpr>> {
    let key = |key: &PhysicalSortExpr| {
        let column = column(key.expr.downcast_ref::<Column>()?.index())?;
        Some(PhysicalSortExpr { expr: Arc::new(column), options: key.options })
    };
    order.iter().map(key).collect()
}
