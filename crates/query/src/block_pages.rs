//! The pages of a block: those that may have a row of the answer, for several workers to share, or in the order in which
//! a query wants its rows, the newest first for `ORDER BY timestamp DESC LIMIT 100`. What has come by then narrows the
//! filter, so that of most pages nothing is read.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType, UInt64Type};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column as PhysicalColumn, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion_datasource::morsel::{MorselPlan, MorselPlanner};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ParquetColumnIndex, ParquetMetaData, ParquetOffsetIndex};

use crate::block_reader::bounds_of;

/// The column by whose bounds pages are ordered.
const TIME: &str = "timestamp";

/// Which end of time is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Newest,
    Oldest,
}

/// Whether the filter may still get narrower while the query runs.
pub(crate) fn narrows(filter: &Arc<dyn PhysicalExpr>) -> bool {
    let is_dynamic =
        |part: &Arc<dyn PhysicalExpr>| Ok(part.downcast_ref::<DynamicFilterPhysicalExpr>().is_some());
    filter.exists(is_dynamic).unwrap_or(false)
}

/// A text or null for each of some columns.
pub(crate) type Values = Vec<Option<String>>;

/// The rows of a page, and what they have in some columns where that is the same for all.
pub(crate) type Constant = (Range<u64>, Option<Values>);

/// The pages of some groups of rows that are left to read.
#[derive(Debug)]
pub(crate) struct Pages {
    footer: Arc<ParquetMetaData>,
    schema: SchemaRef,
    /// The groups of rows, rising.
    groups: Vec<usize>,
    /// Where the column lies whose pages these are.
    base: usize,
    /// The rows of each page, from the block's first.
    rows: Vec<Range<u64>>,
    /// Places in `rows`, the most wanted first. All workers take from here.
    left: Mutex<VecDeque<usize>>,
}

impl Pages {
    /// The pages of `groups` that may have a row for which `filter` is true, as rows from the block's first, in order;
    /// of the column with the fewest. `None` when the block does not say where they begin.
    pub(crate) fn ranges(
        footer: Arc<ParquetMetaData>,
        schema: SchemaRef,
        groups: Vec<usize>,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Option<Vec<Range<u64>>>> {
        let Some(first) = groups.first().copied() else { return Ok(None) };
        let offsets = footer.offset_index().and_then(|offsets| offsets.get(first));
        let pages =
            |place: &usize| offsets.and_then(|columns| Some(columns.get(*place)?.page_locations().len()));
        let places =
            schema.fields().iter().filter_map(|field| Some(bounds_of(&footer, &schema, field.name())?.0));
        let base = places.filter(|place| pages(place).is_some()).min_by_key(pages);
        let Some(pages) = base.and_then(|base| Self::over(footer, schema, groups, base)) else {
            return Ok(None);
        };
        let keep = filter.map(|filter| pages.keep(filter)).transpose()?.flatten();
        let kept = pages.rows.into_iter().enumerate();
        let kept = kept.filter(|(page, _)| keep.as_ref().is_none_or(|keep| keep[*page]));
        Ok(Some(kept.map(|(_, rows)| rows).collect()))
    }

    /// The pages of `groups` that may have a row for which `filter` is true, as rows from the block's first; those of one
    /// value in each of some columns of texts, and without a row for which `but` is true, with these values. Pages of
    /// whichever of the columns has the most; `None` when the block does not say where they begin.
    pub(crate) fn constant(
        footer: Arc<ParquetMetaData>,
        schema: SchemaRef,
        groups: Vec<usize>,
        columns: &[String],
        filter: Option<&Arc<dyn PhysicalExpr>>,
        but: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Option<Vec<Constant>>> {
        let compared = but.map(collect_columns).unwrap_or_default();
        let names = columns.iter().map(String::as_str).chain(compared.iter().map(PhysicalColumn::name));
        let places = names.filter_map(|name| Some(bounds_of(&footer, &schema, name)?.0));
        let pages = |place: &usize| -> usize {
            let offsets = groups.iter().filter_map(|group| footer.offset_index()?.get(*group)?.get(*place));
            offsets.map(|column| column.page_locations().len()).sum()
        };
        let base = places.max_by_key(pages);
        let Some(pages) = base.and_then(|base| Self::over(footer, schema, groups, base)) else {
            return Ok(None);
        };
        let Some(columns) = columns.iter().map(|column| pages.values(column)).collect::<Option<Vec<_>>>()
        else {
            return Ok(None);
        };
        let kept = filter.map(|filter| pages.keep(filter)).transpose()?.flatten();
        let has_other = match but {
            // Without an answer every page may have one.
            Some(but) => Some(pages.keep(but)?.unwrap_or_else(|| vec![true; pages.rows.len()])),
            None => None,
        };
        let values = |page: usize| {
            let is_whole = has_other.as_ref().is_none_or(|has_other| !has_other[page]);
            let values = columns.iter().map(|column| column[page].clone());
            if is_whole { values.collect::<Option<Values>>() } else { None }
        };
        let pages = pages.rows.iter().cloned().enumerate();
        let pages = pages.filter(|(page, _)| kept.as_ref().is_none_or(|kept| kept[*page]));
        Ok(Some(pages.map(|(page, rows)| (rows, values(page))).collect()))
    }

    /// For each page the value that all its rows have in a column of texts, when the bounds say so.
    fn values(&self, column: &str) -> Option<Vec<Option<Option<String>>>> {
        let of = Column::from_name(column);
        let text = |array: ArrayRef| cast(&array, &DataType::Utf8View).ok();
        let (low, high) = (text(self.min_values(&of)?)?, text(self.max_values(&of)?)?);
        let (low, high) = (low.as_string_view_opt()?, high.as_string_view_opt()?);
        let nulls = self.nulls(column)?;
        let value = |(page, rows): (usize, &Range<u64>)| {
            if nulls.is_null(page) {
                return None;
            }
            match nulls.value(page) {
                0 if low.is_valid(page) && high.is_valid(page) && low.value(page) == high.value(page) => {
                    Some(Some(low.value(page).to_owned()))
                }
                all if all == rows.end - rows.start => Some(None),
                _ => None,
            }
        };
        Some(self.rows.iter().enumerate().map(value).collect())
    }

    fn over(
        footer: Arc<ParquetMetaData>,
        schema: SchemaRef,
        groups: Vec<usize>,
        base: usize,
    ) -> Option<Self> {
        let mut pages = Self { footer, schema, groups, base, rows: Vec::new(), left: Mutex::default() };
        pages.rows = pages.rows()?;
        Some(pages)
    }

    /// All pages of `groups` in the order of time; `None` when the block does not say where they begin.
    pub(crate) fn new(
        footer: Arc<ParquetMetaData>,
        schema: SchemaRef,
        groups: Vec<usize>,
        first: First,
    ) -> Option<Self> {
        let (time, _) = bounds_of(&footer, &schema, TIME)?;
        let mut pages = Self::over(footer, schema, groups, time)?;
        let bounds = pages.bounds(TIME, |time, index, offsets| match first {
            First::Newest => time.data_page_maxes(index, offsets, &pages.groups),
            First::Oldest => time.data_page_mins(index, offsets, &pages.groups),
        })?;
        let bounds = bounds.as_primitive_opt::<TimestampMicrosecondType>()?;
        let mut left: Vec<usize> = (0..pages.rows.len()).collect();
        // Of pages without bounds nothing is known, so they come first.
        left.sort_by_key(|page| {
            let bound = bounds.is_valid(*page).then(|| bounds.value(*page));
            bound.map(|bound| if first == First::Newest { -i128::from(bound) } else { i128::from(bound) })
        });
        pages.left = Mutex::new(left.into());
        Some(pages)
    }

    /// The rows of the most wanted pages that may have one for which `filter` is true, as it is now, in the order in which
    /// they lie: of so many pages at most, and a worker's part of those that are left. None when none is.
    pub(crate) fn next(
        &self,
        filter: &Arc<dyn PhysicalExpr>,
        most: usize,
        workers: usize,
    ) -> Result<Vec<Range<u64>>> {
        let keep = self.keep(filter)?;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keep) = keep {
            left.retain(|page| keep[*page]);
        }
        let most = most.min(left.len().div_ceil(workers.max(1)));
        let mut next: Vec<usize> = left.drain(..most).collect();
        next.sort_unstable();
        Ok(next.into_iter().map(|page| self.rows[page].clone()).collect())
    }

    /// Of each page whether it may have a row for which `filter` is true; `None` when nothing can be told of any.
    fn keep(&self, filter: &Arc<dyn PhysicalExpr>) -> Result<Option<Vec<bool>>> {
        let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema));
        predicate.build(Arc::clone(filter)).map(|predicate| predicate.prune(self)).transpose()
    }

    /// Where the pages of a column begin, in rows from the group's first.
    fn begins(&self, group: usize, place: usize) -> Option<impl Iterator<Item = i64>> {
        let pages = self.footer.offset_index()?.get(group)?.get(place)?.page_locations();
        Some(pages.iter().map(|page| page.first_row_index))
    }

    fn rows(&self) -> Option<Vec<Range<u64>>> {
        let sizes = self.footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
        let mut first = 0;
        let mut ranges = Vec::new();
        for (group, size) in sizes.enumerate() {
            if self.groups.contains(&group) {
                let begins = self.begins(group, self.base)?.map(|row| u64::try_from(row).ok());
                let begins = begins.collect::<Option<Vec<_>>>()?;
                let ends = begins.iter().skip(1).copied().chain([size]);
                ranges.extend(begins.iter().zip(ends).map(|(begin, end)| first + begin..first + end));
            }
            first += size;
        }
        Some(ranges)
    }

    /// Where among the pages of a column those are that hold each page's rows; `None` when they hold others. A column may
    /// have one page for all of a group, as it has for a value that all rows share.
    fn places(&self, column: usize) -> Option<Vec<Place>> {
        let (mut places, mut next) = (Vec::with_capacity(self.rows.len()), 0);
        for group in &self.groups {
            let own = self.begins(*group, column)?.count() as u64;
            let base = self.begins(*group, self.base)?.count() as u64;
            if own == 1 && base > 1 {
                let rows = u64::try_from(self.footer.row_groups().get(*group)?.num_rows()).ok()?;
                places.extend((0..base).map(|_| Place { page: next, shared: Some(rows) }));
            } else if self.begins(*group, column)?.eq(self.begins(*group, self.base)?) {
                places.extend((next..next + own).map(|page| Place { page, shared: None }));
            } else {
                return None;
            }
            next += own;
        }
        Some(places)
    }

    /// A bound of each page; `None` when the column has other pages.
    fn bounds(
        &self,
        column: &str,
        read: impl Fn(
            &StatisticsConverter<'_>,
            &ParquetColumnIndex,
            &ParquetOffsetIndex,
        ) -> ParquetResult<ArrayRef>,
    ) -> Option<ArrayRef> {
        let (column, bounds) = bounds_of(&self.footer, &self.schema, column)?;
        let places = if column == self.base { Vec::new() } else { self.places(column)? };
        let found = read(&bounds, self.footer.column_index()?, self.footer.offset_index()?).ok()?;
        if places.iter().all(|place| place.shared.is_none()) {
            return Some(found);
        }
        take(&found, &UInt64Array::from_iter_values(places.iter().map(|place| place.page)), None).ok()
    }

    /// How many nulls each page has, where that is known.
    fn nulls(&self, column: &str) -> Option<UInt64Array> {
        let nulls = self.bounds(column, |bounds, index, offsets| {
            Ok(Arc::new(bounds.data_page_null_counts(index, offsets, &self.groups)?))
        })?;
        let nulls = nulls.as_primitive_opt::<UInt64Type>()?;
        let places = self.places(bounds_of(&self.footer, &self.schema, column)?.0)?;
        let of_page = |((nulls, place), rows): ((Option<u64>, Place), &Range<u64>)| match place.shared {
            None => nulls,
            Some(_) if nulls == Some(0) => nulls,
            Some(all) => (nulls == Some(all)).then_some(rows.end - rows.start),
        };
        Some(nulls.iter().zip(places).zip(&self.rows).map(of_page).collect())
    }
}

/// The page of a column that holds a page's rows.
#[derive(Clone, Copy, Debug)]
struct Place {
    page: u64,
    /// All rows of the group, when it holds them all.
    shared: Option<u64>,
}

impl PruningStatistics for Pages {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column.name(), |bounds, index, offsets| {
            bounds.data_page_mins(index, offsets, &self.groups)
        })
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column.name(), |bounds, index, offsets| {
            bounds.data_page_maxes(index, offsets, &self.groups)
        })
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(Arc::new(self.nulls(column.name())?))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.rows.iter().map(|rows| rows.end - rows.start))))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Plans one thing to its end and only then another: planners that stand side by side are asked in turn.
#[derive(Debug)]
pub(crate) struct Then {
    pub(crate) now: VecDeque<Box<dyn MorselPlanner>>,
    pub(crate) then: Box<dyn MorselPlanner>,
}

impl MorselPlanner for Then {
    fn plan(mut self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Some(first) = self.now.pop_front() else { return self.then.plan() };
        let Some(mut plan) = first.plan()? else {
            return Ok(Some(MorselPlan::new().with_planners(vec![self])));
        };
        let morsels = plan.take_morsels();
        for planner in plan.take_ready_planners().into_iter().rev() {
            self.now.push_front(planner);
        }
        let planned = MorselPlan::new().with_morsels(morsels);
        let Some(pending) = plan.take_pending_planner() else {
            return Ok(Some(planned.with_planners(vec![self])));
        };
        Ok(Some(planned.with_pending_planner(async move {
            self.now.push_front(pending.await?);
            Ok(self as Box<dyn MorselPlanner>)
        })))
    }
}
