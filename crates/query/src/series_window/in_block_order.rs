//! Windows over series without a sort: a block of ours has each series' points side by side, in the order of time. Where
//! there are several blocks, or there is a head, they are merged.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule as _;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode, Partitioning};

use super::{SeriesWindowExec, over};
use crate::block_scan::{BlockScan, also_named};
use crate::block_shares::Share;
use crate::series_cuts::SERIES;
use crate::series_merge::{Blocks, SeriesMergeExec};
use crate::series_sort::SeriesSortExec;

/// What a series is called besides its id, in the order in which blocks have them.
const NAMES: [&str; 2] = ["metric_name", "service_name"];
/// So many blocks are merged; more are sorted.
const MERGED_BLOCKS_MAX: usize = 32;
/// Each block of each worker holds what it read of a group of rows. With more, fewer workers share the blocks.
const READERS_MAX: usize = 64;

/// The plan with its windows over series in the order of blocks, where that can be and nothing above counts on another.
pub(super) fn unsorted(
    plan: Arc<dyn ExecutionPlan>,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let workers = config.execution.target_partitions;
    let replace = |node: Arc<dyn ExecutionPlan>| {
        if takes_any_order(&node)
            && let [input] = node.children().as_slice()
            && let Some(input) = below(input, workers)?
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
fn below(step: &Arc<dyn ExecutionPlan>, workers: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(window) = step.downcast_ref::<SeriesWindowExec>() {
        return window_over_blocks(window, workers);
    }
    if step.downcast_ref::<ProjectionExec>().is_none() && step.downcast_ref::<FilterExec>().is_none() {
        return Ok(None);
    }
    with_below(step, |input| below(input, workers))
}

fn window_over_blocks(window: &SeriesWindowExec, workers: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let input = match (
        window.input.downcast_ref::<SeriesWindowExec>(),
        window.input.downcast_ref::<SeriesSortExec>(),
    ) {
        (Some(lower), _) => window_over_blocks(lower, workers)?,
        (None, Some(sort)) => {
            let children = sort.children();
            let [input] = children.as_slice() else { return Ok(None) };
            let input = without_exchange(input);
            match by_series(input, sort.keys())? {
                Some(input) => Some(input),
                None => merged(input, sort.keys(), workers)?,
            }
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
    step.downcast_ref::<DataSourceExec>().map_or(Ok(None), |scan| scan_by_series(scan, keys))
}

fn scan_by_series(scan: &DataSourceExec, keys: (usize, usize)) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((config, blocks)) = scan_of_series(scan, keys) else { return Ok(None) };
    if files(config).len() > 1 {
        return Ok(None);
    }
    let Some(blocks) = blocks.by_series(None, &[])? else { return Ok(None) };
    let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(blocks)).build();
    Ok(Some(DataSourceExec::from_data_source(config)))
}

/// A scan of blocks that may be read by series.
fn scan_of_series(
    scan: &DataSourceExec,
    (series, time): (usize, usize),
) -> Option<(&FileScanConfig, &BlockScan)> {
    let (config, blocks) = scan.downcast_to_file_source::<BlockScan>()?;
    let is_column = |place: usize, wanted: &str| {
        let (columns, table) = (config.file_source().projection(), config.file_source().table_schema());
        let place = match columns {
            Some(columns) => place_of(&columns.as_ref().get(place)?.expr),
            None => Some(place),
        };
        Some(table.table_schema().field(place?).name() == wanted)
    };
    let are_keys = is_column(series, SERIES)? && is_column(time, "timestamp")?;
    (are_keys && config.limit.is_none() && blocks.series_key().is_some()).then_some((config, blocks))
}

/// The files of a scan, each once.
fn files(config: &FileScanConfig) -> Vec<&PartitionedFile> {
    let mut files: Vec<&PartitionedFile> = Vec::new();
    for file in config.file_groups.iter().flat_map(FileGroup::iter) {
        if files.iter().all(|known| known.object_meta.location != file.object_meta.location) {
            files.push(file);
        }
    }
    files
}

/// The rows of several blocks, or of blocks and the head, merged by series; `None` where that cannot be.
fn merged(
    step: &Arc<dyn ExecutionPlan>,
    keys: (usize, usize),
    workers: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut blocks = None;
    let wide = wide(step, keys, workers, &mut blocks)?;
    let Some((wide, blocks)) = wide.zip(blocks) else { return Ok(None) };
    Ok(Some(Arc::new(SeriesMergeExec::new(wide, keys, blocks)?)))
}

/// The same rows with the names by which blocks have their series in order behind the other columns: of the blocks, each
/// of their parts a partition, before those of the head.
fn wide(
    step: &Arc<dyn ExecutionPlan>,
    keys: (usize, usize),
    workers: usize,
    blocks: &mut Option<Blocks>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (series, time) = keys;
    if let Some(filter) = step.downcast_ref::<FilterExec>() {
        let places: Vec<usize> = match filter.projection() {
            Some(places) => places.to_vec(),
            None => (0..filter.input().schema().fields().len()).collect(),
        };
        let keys = places.get(series).copied().zip(places.get(time).copied());
        let Some(keys) = keys.filter(|_| filter.fetch().is_none()) else { return Ok(None) };
        let Some(input) = wide(filter.input(), keys, workers, blocks)? else { return Ok(None) };
        let width = input.schema().fields().len();
        let places = places.into_iter().chain(width - NAMES.len()..width);
        let filter = FilterExecBuilder::new(Arc::clone(filter.predicate()), input)
            .with_default_selectivity(filter.default_selectivity())
            .with_batch_size(filter.batch_size())
            .apply_projection(Some(places.collect()))?;
        return Ok(Some(Arc::new(filter.build()?)));
    }
    if let Some(projection) = step.downcast_ref::<ProjectionExec>() {
        let below = |place: usize| projection.expr().get(place).and_then(|part| place_of(&part.expr));
        let Some(keys) = below(series).zip(below(time)) else { return Ok(None) };
        let Some(input) = wide(projection.input(), keys, workers, blocks)? else { return Ok(None) };
        let parts = projection.expr().iter().cloned().chain(names_of(&input));
        return Ok(Some(Arc::new(ProjectionExec::try_new(parts, Arc::clone(&input))?)));
    }
    if step.downcast_ref::<UnionExec>().is_some() {
        let mut all = Vec::new();
        for (place, input) in step.children().into_iter().enumerate() {
            let mut found = None;
            let Some(input) = wide(input, keys, workers, &mut found)? else { return Ok(None) };
            // Blocks come first, and there are no others.
            if found.is_some() != (place == 0) {
                return Ok(None);
            }
            *blocks = blocks.take().or(found);
            all.push(input);
        }
        return Ok(Some(UnionExec::try_new(all)?));
    }
    let Some(scan) = step.downcast_ref::<DataSourceExec>() else { return Ok(None) };
    match scan.data_source().downcast_ref::<MemorySourceConfig>() {
        Some(rows) => wide_head(scan, rows, keys),
        None => wide_blocks(scan, keys, workers, blocks),
    }
}

/// The names in the last columns.
fn names_of(input: &Arc<dyn ExecutionPlan>) -> impl Iterator<Item = ProjectionExpr> {
    let schema = input.schema();
    let width = schema.fields().len();
    (width - NAMES.len()..width).map(move |place| {
        let name = schema.field(place).name();
        ProjectionExpr::new(Arc::new(Column::new(name, place)), name.clone())
    })
}

fn wide_head(
    scan: &DataSourceExec,
    rows: &MemorySourceConfig,
    (series, time): (usize, usize),
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let whole = rows.original_schema();
    let width = whole.fields().len();
    let places = rows.projection().clone().unwrap_or_else(|| (0..width).collect());
    let is_column = |place: usize, wanted: &str| {
        places.get(place).is_some_and(|place| whole.field(*place).name() == wanted)
    };
    let names: Option<Vec<usize>> = NAMES.iter().map(|name| whole.index_of(name).ok()).collect();
    let are_keys = is_column(series, SERIES) && is_column(time, "timestamp") && scan.fetch().is_none();
    let Some(names) = names.filter(|_| are_keys) else { return Ok(None) };
    let own = places.iter().map(|place| {
        let name = whole.field(*place).name();
        ProjectionExpr::new(Arc::new(Column::new(name, *place)), name.clone())
    });
    let also = names.iter().map(|place| {
        let name = whole.field(*place).name();
        ProjectionExpr::new(Arc::new(Column::new(name, *place)), also_named(name))
    });
    let parts: Vec<_> = own.chain(also).collect();
    let whole = MemorySourceConfig::try_new(rows.partitions(), whole, None)?;
    let whole = DataSourceExec::from_data_source(whole);
    Ok(Some(Arc::new(ProjectionExec::try_new(parts, whole)?)))
}

fn wide_blocks(
    scan: &DataSourceExec,
    keys: (usize, usize),
    workers: usize,
    found: &mut Option<Blocks>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((config, blocks)) = scan_of_series(scan, keys) else { return Ok(None) };
    let files = files(config);
    let are_few = (1..=MERGED_BLOCKS_MAX).contains(&files.len());
    let is_ordered =
        blocks.series_key().is_some_and(|key| key.len() == NAMES.len() + 1 && key.starts_with(&NAMES));
    let lead = files.iter().max_by_key(|file| file.object_meta.size).copied().cloned();
    let Some(lead) = lead.filter(|_| are_few && is_ordered && found.is_none()) else { return Ok(None) };
    let lead = Arc::new(lead);
    let Some(blocks) = blocks.by_series(Some(lead), &NAMES)? else { return Ok(None) };
    let shares = (READERS_MAX / files.len()).clamp(1, workers.max(1));
    let parts = files.iter().enumerate().flat_map(|(place, file)| {
        Share::all(place, shares).map(|share| FileGroup::new(vec![(*file).clone().with_extension(share)]))
    });
    *found = Some(Blocks { count: files.len(), shares, executions: Arc::clone(blocks.executions()) });
    let config = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(parts.collect())
        // Each partition reads its own part.
        .with_preserve_order(true)
        .with_source(Arc::new(blocks))
        .build();
    Ok(Some(DataSourceExec::from_data_source(config)))
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
