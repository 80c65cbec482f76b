//! Windows over series without a sort: a block of ours has each series' points side by side, in the order of time.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule as _;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode, Partitioning};

use super::{SeriesWindowExec, over};
use crate::block_scan::BlockScan;
use crate::series_cuts::SERIES;
use crate::series_sort::SeriesSortExec;

/// The plan with its windows over series in the order of blocks, where that can be and nothing above counts on another.
pub(super) fn unsorted(
    plan: Arc<dyn ExecutionPlan>,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let replace = |node: Arc<dyn ExecutionPlan>| {
        if takes_any_order(&node)
            && let [input] = node.children().as_slice()
            && let Some(input) = below(input)?
        {
            return Ok(Transformed::yes(over(&node, input)?));
        }
        Ok(Transformed::no(node))
    };
    let unsorted = Arc::clone(&plan).transform_up(replace)?;
    if !unsorted.transformed {
        return Ok(plan);
    }
    // Whatever asks for an order or a distribution that was the sort's has the plan as it was.
    Ok(SanityCheckPlan::new().optimize(unsorted.data, config).unwrap_or(plan))
}

/// Whether the rows of a step's input may come in any order, without the step or those above counting on one.
fn takes_any_order(step: &Arc<dyn ExecutionPlan>) -> bool {
    let groups = step.downcast_ref::<AggregateExec>();
    groups.is_some_and(|step| *step.input_order_mode() == InputOrderMode::Linear)
        || step.downcast_ref::<SortExec>().is_some()
        || step.downcast_ref::<SeriesSortExec>().is_some()
}

/// The steps from below one that takes any order down to the windows, over blocks in their order.
fn below(step: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(window) = step.downcast_ref::<SeriesWindowExec>() {
        return window_over_blocks(window);
    }
    if step.downcast_ref::<ProjectionExec>().is_none() && step.downcast_ref::<FilterExec>().is_none() {
        return Ok(None);
    }
    with_below(step, below)
}

fn window_over_blocks(window: &SeriesWindowExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let input = match (
        window.input.downcast_ref::<SeriesWindowExec>(),
        window.input.downcast_ref::<SeriesSortExec>(),
    ) {
        (Some(lower), _) => window_over_blocks(lower)?,
        (None, Some(sort)) => {
            let children = sort.children();
            let [input] = children.as_slice() else { return Ok(None) };
            by_series(without_exchange(input), sort.keys())?
        }
        (None, None) => None,
    };
    Ok(input.map(|input| Arc::new(window.over_unsorted(input)) as Arc<dyn ExecutionPlan>))
}

/// What is below an exchange of rows by the hash of their series.
fn without_exchange(input: &Arc<dyn ExecutionPlan>) -> &Arc<dyn ExecutionPlan> {
    let exchange = input.downcast_ref::<RepartitionExec>();
    match exchange.filter(|exchange| matches!(exchange.partitioning(), Partitioning::Hash(..))) {
        Some(exchange) => exchange.input(),
        None => input,
    }
}

/// The same rows, each partition with whole series one after the other, each in the order of time.
fn by_series(step: &Arc<dyn ExecutionPlan>, keys: (usize, usize)) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (series, time) = keys;
    if let Some(filter) = step.downcast_ref::<FilterExec>() {
        let below = |place: usize| match filter.projection() {
            Some(places) => places.get(place).copied(),
            None => Some(place),
        };
        let Some(keys) = below(series).zip(below(time)).filter(|_| filter.fetch().is_none()) else {
            return Ok(None);
        };
        return with_below(step, |input| by_series(input, keys));
    }
    if let Some(projection) = step.downcast_ref::<ProjectionExec>() {
        let below = |place: usize| projection.expr().get(place).and_then(|part| place_of(&part.expr));
        let Some(keys) = below(series).zip(below(time)) else { return Ok(None) };
        return with_below(step, |input| by_series(input, keys));
    }
    Ok(step.downcast_ref::<DataSourceExec>().and_then(|scan| scan_by_series(scan, keys)))
}

fn scan_by_series(scan: &DataSourceExec, (series, time): (usize, usize)) -> Option<Arc<dyn ExecutionPlan>> {
    let (config, blocks) = scan.downcast_to_file_source::<BlockScan>()?;
    let config: &FileScanConfig = config;
    let is_column = |place: usize, wanted: &str| {
        let (columns, table) = (config.file_source().projection(), config.file_source().table_schema());
        let place = match columns {
            Some(columns) => place_of(&columns.as_ref().get(place)?.expr),
            None => Some(place),
        };
        Some(table.table_schema().field(place?).name() == wanted)
    };
    let are_keys = is_column(series, SERIES)? && is_column(time, "timestamp")?;
    let blocks = blocks.by_series().filter(|_| are_keys && config.limit.is_none())?;
    let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(blocks)).build();
    Some(DataSourceExec::from_data_source(config))
}

fn place_of(expression: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expression.downcast_ref::<Column>().map(Column::index)
}

/// The step over what `change` makes of its input.
fn with_below(
    step: &Arc<dyn ExecutionPlan>,
    change: impl FnOnce(&Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let children = step.children();
    let [input] = children.as_slice() else { return Ok(None) };
    change(input)?.map(|input| over(step, input)).transpose()
}
