//! What is found out about a block right before it is opened: which of its rows an index of texts says are worth
//! reading, and which groups of rows each of several workers takes.
//!
//! A block that is opened in shares is looked at once for all of them, while the query runs. What is left of it after
//! its footer and the index were asked is dealt out evenly, so that a query for one metric keeps all workers busy even
//! where the groups that have it lie side by side. Where the query wants the newest or the oldest rows, the workers take
//! page by page in that order instead.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetRowSelection};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::Count;
use datafusion_datasource::morsel::{MorselPlan, MorselPlanner, Morselizer};
use hindsight_model::{RowSet, TextIndex, Wanted};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::ParquetMetaData;
use tokio::sync::OnceCell;

use crate::block_pages::{First, Pages, Then};
use crate::block_reader::{BlockReaders, row_groups};
use crate::dictionaries::Dictionaries;
use crate::group_blooms;
use crate::page_counts::Counting;
use crate::series_cuts::{self, BySeries, SeriesKey};
use crate::signal_table::is_dear;

/// With fewer groups of rows for each share and a dear column, pages are dealt out instead, so that no share has much more.
const FEW_GROUPS: usize = 4;
/// So often one page is taken, then as often two, four and so on: each time costs as much as reading a few.
const PAGES_ALIKE: usize = 4;
/// With fewer groups of rows for each share, those of series are evened out by pages.
const EVEN_GROUPS_MIN: usize = 16;

/// One of the equal parts in which a block is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    number: usize,
    count: usize,
    /// Which of the scan's blocks.
    block: usize,
}

impl Share {
    /// All shares of one block.
    pub(crate) fn all(block: usize, count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(move |number| Self { number, count, block })
    }

    fn of<'a, T>(&self, things: &'a [T]) -> &'a [T] {
        let at = |number| things.len() * number / self.count;
        &things[at(self.number)..at(self.number + 1)]
    }
}

/// What the workers of a scan find out.
#[derive(Debug, Default)]
pub(crate) struct Execution {
    blocks: Mutex<HashMap<usize, Arc<OnceCell<Outlook>>>>,
    /// Where all blocks are cut, when they are cut at the same series.
    cuts: OnceCell<Vec<SeriesKey>>,
    /// How often pages were taken in the order in which they are wanted.
    taken: AtomicUsize,
}

impl Execution {
    fn block(&self, block: usize) -> Arc<OnceCell<Outlook>> {
        let mut known = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(block).or_default())
    }

    /// How many pages are taken next: where the first had little of what is wanted, many.
    fn pages(&self) -> usize {
        let doubled = self.taken.fetch_add(1, Ordering::Relaxed) / PAGES_ALIKE;
        1 << doubled.min(u16::BITS as usize)
    }

    /// Where all blocks are cut, once one of them was opened.
    pub(crate) fn cuts(&self) -> Option<&[SeriesKey]> {
        self.cuts.get().map(Vec::as_slice)
    }
}

/// An index and what it is asked for.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) index: Arc<dyn TextIndex>,
    pub(crate) wanted: Wanted,
    /// Rows that it left out.
    pub(crate) skipped: Count,
}

impl Lookup {
    /// The rows of a block that are worth reading; `None` without an answer.
    async fn rows(self: Arc<Self>, path: String) -> Option<RowSet> {
        let look = move || {
            let rows = self.index.candidates(&path, &self.wanted)?;
            self.skipped.add(rows.total as usize - rows.rows.len());
            Some(rows)
        };
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }
}

/// Opens blocks.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) files: Arc<dyn Morselizer>,
    pub(crate) readers: Arc<BlockReaders>,
    /// The columns that are read.
    pub(crate) schema: SchemaRef,
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) lookup: Option<Arc<Lookup>>,
    /// Which rows are wanted first, when those that come first rule out others.
    pub(crate) first: Option<First>,
    /// Where pages go that are counted by their bounds.
    pub(crate) counts: Option<Counting>,
    /// When no series may be in two shares.
    pub(crate) by_series: Option<BySeries>,
    pub(crate) execution: Arc<Execution>,
}

impl Morselizer for Opening {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let is_whole = self.first.is_none() && self.counts.is_none() && self.by_series.is_none();
        let is_plain = self.lookup.is_none() && is_whole;
        if is_plain && file.extension::<Share>().is_none() {
            return self.files.plan_file(file);
        }
        Ok(Box::new(Look { file, opening: self.clone() }))
    }
}

#[derive(Debug)]
struct Look {
    file: PartitionedFile,
    opening: Opening,
}

impl MorselPlanner for Look {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { file, opening } = *self;
        Ok(Some(MorselPlan::new().with_pending_planner(opening.opened(file))))
    }
}

impl Opening {
    async fn opened(self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let share = file.extension::<Share>().copied();
        let block = match share {
            Some(Share { block, .. }) => self.execution.block(block),
            None if self.first.is_some() || self.counts.is_some() || self.by_series.is_some() => {
                Arc::default()
            }
            None => {
                return match self.worth_reading(&file).await {
                    Some(rows) if rows.rows.is_empty() => Ok(Box::new(Nothing)),
                    Some(rows) => {
                        let selection = selection(rows.total, rows.runs());
                        self.files.plan_file(file.with_extension(selection))
                    }
                    None => self.files.plan_file(file),
                };
            }
        };
        let share = share.unwrap_or(Share { number: 0, count: 1, block: 0 });
        let outlook = block.get_or_try_init(|| self.outlook(&file, share.count)).await?;
        if let (Some(dictionaries), Some(counting)) = (&outlook.dictionaries, &self.counts) {
            let mine = share.of(dictionaries.groups());
            counting.read(dictionaries, &self.readers, &file, mine).await?;
        }
        if outlook.pages.is_some() {
            return Ok(Box::new(ByPage {
                file,
                block: Arc::clone(&block),
                opening: self,
                workers: share.count,
            }));
        }
        if let Some(parts) = &outlook.parts {
            let part = parts.get(share.number).and_then(|part| outlook.rows_of(part));
            return match part {
                Some(rows) => self.files.plan_file(file.with_extension(rows)),
                None => Ok(Box::new(Nothing)),
            };
        }
        if let Some(ranges) = &outlook.ranges {
            return match outlook.rows_of(share.of(ranges)) {
                Some(rows) => self.files.plan_file(file.with_extension(rows)),
                None => Ok(Box::new(Nothing)),
            };
        }
        let mine = share.of(&outlook.groups);
        if mine.is_empty() {
            return Ok(Box::new(Nothing));
        }
        let file = match &outlook.rows {
            Some(rows) => file.with_extension(outlook.selection(rows, mine)),
            None => {
                let mut plan = ParquetAccessPlan::new_none(outlook.ends.len());
                mine.iter().for_each(|group| plan.scan(*group));
                file.with_extension(plan)
            }
        };
        self.files.plan_file(file)
    }

    async fn worth_reading(&self, file: &PartitionedFile) -> Option<RowSet> {
        let lookup = Arc::clone(self.lookup.as_ref()?);
        lookup.rows(file.object_meta.location.as_ref().to_owned()).await
    }

    async fn outlook(&self, file: &PartitionedFile, shares: usize) -> Result<Outlook> {
        let rows = self.worth_reading(file).await;
        if rows.as_ref().is_some_and(|rows| rows.rows.is_empty()) {
            return Ok(Outlook::default());
        }
        let footer = self.readers.footer(file).await?;
        let mut groups = row_groups(&footer, &self.schema, self.filter.clone())?;
        if let Some(filter) = self.filter.as_ref().filter(|_| shares > 1) {
            groups =
                group_blooms::may_have(&self.readers, file, &footer, &self.schema, filter, groups).await?;
        }
        let mut outlook = Outlook::over(&footer, groups);
        if let Some(rows) = rows {
            let worthwhile = |group: &usize| !outlook.within(&rows, *group).is_empty();
            outlook.groups = outlook.groups.iter().copied().filter(worthwhile).collect();
            outlook.rows = Some(rows);
        }
        let schema = Arc::clone(&self.schema);
        if let Some(by_series) = &self.by_series {
            outlook.parts = Some(self.series(file, &footer, &outlook, by_series, shares).await?);
        } else if let Some(counting) = &self.counts {
            let (groups, filter) = (outlook.groups.clone(), self.filter.as_ref());
            outlook.ranges =
                counting.left_to_read(Arc::clone(&footer), Arc::clone(&schema), groups, filter)?;
            let left = outlook.groups.iter().copied().filter(|group| outlook.is_left(*group));
            let dictionaries = counting.dictionaries(file, &footer, &schema, left)?;
            outlook.leave_to(dictionaries);
        } else if let Some(first) = self.first {
            outlook.pages = Pages::new(footer, schema, outlook.groups.clone(), first);
        } else if outlook.groups.len() < FEW_GROUPS * shares
            && self.schema.fields().iter().any(|field| is_dear(field))
        {
            // Some share would have nothing. Where all columns are cheap, choosing pages costs more than it saves.
            outlook.ranges = Pages::ranges(footer, schema, outlook.groups.clone(), self.filter.as_ref())?;
        }
        Ok(outlook)
    }

    /// What each share reads of a block when no series may be in two.
    async fn series(
        &self,
        file: &PartitionedFile,
        footer: &Arc<ParquetMetaData>,
        outlook: &Outlook,
        by_series: &BySeries,
        shares: usize,
    ) -> Result<Vec<Vec<Range<u64>>>> {
        let ranges = self.rows_in_order(file, footer, outlook, by_series, shares)?;
        let (readers, key) = (&self.readers, series_cuts::series_key(by_series.order));
        let Some(lead) = &by_series.lead else {
            return series_cuts::parts(readers, file, footer, &ranges, shares).await;
        };
        let cuts = self.execution.cuts.get_or_try_init(|| async {
            let footer = readers.footer(lead).await?;
            let groups = row_groups(&footer, &self.schema, self.filter.clone())?;
            let outlook = Outlook::over(&footer, groups);
            let ranges = self.rows_in_order(lead, &footer, &outlook, by_series, shares)?;
            series_cuts::cuts(readers, lead, &footer, &ranges, key, shares).await
        });
        series_cuts::parts_at(readers, file, footer, &ranges, key, cuts.await?, shares).await
    }

    /// The rows that are worth reading of a block that lies in the order of series.
    fn rows_in_order(
        &self,
        file: &PartitionedFile,
        footer: &Arc<ParquetMetaData>,
        outlook: &Outlook,
        by_series: &BySeries,
        shares: usize,
    ) -> Result<Vec<Range<u64>>> {
        let key = by_series.order;
        if !series_cuts::is_in_order(footer, key) {
            let path = &file.object_meta.location;
            return exec_err!(
                "{path} does not say that its rows lie in the order of {key:?}; run `hindsight verify`"
            );
        }
        let pages = if outlook.groups.len() < EVEN_GROUPS_MIN * shares {
            let (schema, groups) = (Arc::clone(&self.schema), outlook.groups.clone());
            Pages::ranges(Arc::clone(footer), schema, groups, self.filter.as_ref())?
        } else {
            None
        };
        Ok(pages.unwrap_or_else(|| outlook.groups.iter().map(|group| outlook.group(*group)).collect()))
    }
}

/// What there is to read in a block.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// Where each group of rows ends, in rows from the block's first.
    ends: Vec<u64>,
    /// The groups that may have something.
    groups: Vec<usize>,
    /// The rows that may, when an index told.
    rows: Option<RowSet>,
    /// The pages in the order in which they are wanted, when there is one.
    pages: Option<Pages>,
    /// The rows of the pages that may have something, where there are too few groups to deal out.
    ranges: Option<Vec<Range<u64>>>,
    /// The rows of each share, where no series may be in two.
    parts: Option<Vec<Vec<Range<u64>>>>,
    /// What is read in the place of the rows of some groups.
    dictionaries: Option<Dictionaries>,
}

impl Outlook {
    fn over(footer: &ParquetMetaData, groups: Vec<usize>) -> Self {
        let ends = footer.row_groups().iter().scan(0_u64, |end, group| {
            *end += u64::try_from(group.num_rows()).unwrap_or(0);
            Some(*end)
        });
        Self { ends: ends.collect(), groups, ..Self::default() }
    }

    /// The places in `rows` of those that lie in a group.
    fn within(&self, rows: &RowSet, group: usize) -> Range<usize> {
        places(rows, &self.group(group))
    }

    /// The rows of a group, from the block's first.
    fn group(&self, group: usize) -> Range<u64> {
        let first = group.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        first..self.ends[group]
    }

    /// Whether some rows of a group are left to read.
    fn is_left(&self, group: usize) -> bool {
        let Some(ranges) = &self.ranges else { return true };
        let rows = self.group(group);
        let first = ranges.partition_point(|range| range.end <= rows.start);
        ranges.get(first).is_some_and(|range| range.start < rows.end)
    }

    /// Leaves groups of rows to the dictionaries that have all of their values.
    fn leave_to(&mut self, dictionaries: Option<Dictionaries>) {
        let Some(dictionaries) = dictionaries else { return };
        let known: HashSet<usize> = dictionaries.groups().iter().copied().collect();
        self.groups.retain(|group| !known.contains(group));
        if let Some(ranges) = &mut self.ranges {
            let group_of = |row: u64| self.ends.partition_point(|end| *end <= row);
            ranges.retain(|range| !known.contains(&group_of(range.start)));
        }
        self.dictionaries = Some(dictionaries);
    }

    /// The rows of some pages, in order; `None` when none is worth reading.
    fn rows_of(&self, pages: &[Range<u64>]) -> Option<ParquetRowSelection> {
        let Some(rows) = &self.rows else {
            let total = self.ends.last().copied().unwrap_or(0);
            let row = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
            let pages = pages.iter().map(|page| (row(page.start), row(page.end - page.start)));
            return (pages.len() > 0).then(|| selection(row(total), pages));
        };
        let some = pages.iter().flat_map(|page| rows.rows[places(rows, page)].iter().copied());
        let some = RowSet { total: rows.total, rows: some.collect() };
        (!some.rows.is_empty()).then(|| selection(some.total, some.runs()))
    }

    /// The rows of some groups, which rise.
    fn selection(&self, rows: &RowSet, groups: &[usize]) -> ParquetRowSelection {
        let some = groups.iter().flat_map(|group| rows.rows[self.within(rows, *group)].iter().copied());
        let some = RowSet { total: rows.total, rows: some.collect() };
        selection(some.total, some.runs())
    }
}

/// The places in `rows` of those in a range.
fn places(rows: &RowSet, range: &Range<u64>) -> Range<usize> {
    let before = |end: u64| rows.rows.partition_point(|row| u64::from(*row) < end);
    before(range.start)..before(range.end)
}

/// Opens a block page by page, the most wanted first.
#[derive(Debug)]
struct ByPage {
    file: PartitionedFile,
    block: Arc<OnceCell<Outlook>>,
    opening: Opening,
    /// How many workers take its pages.
    workers: usize,
}

impl MorselPlanner for ByPage {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Some((outlook, filter)) = self.block.get().zip(self.opening.filter.as_ref()) else {
            return Ok(None);
        };
        let Some(pages) = &outlook.pages else { return Ok(None) };
        loop {
            let next = pages.next(filter, self.opening.execution.pages(), self.workers)?;
            if next.is_empty() {
                return Ok(None);
            }
            if let Some(rows) = outlook.rows_of(&next) {
                let now = self.opening.files.plan_file(self.file.clone().with_extension(rows))?;
                let page = Then { now: [now].into(), then: self };
                return Ok(Some(MorselPlan::new().with_planners(vec![Box::new(page)])));
            }
        }
    }
}

/// A block without a row that is worth reading.
#[derive(Debug)]
struct Nothing;

impl MorselPlanner for Nothing {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        Ok(None)
    }
}

/// Runs of rows, first row and how many, out of all of a file.
fn selection(total: u32, runs: impl Iterator<Item = (u32, u32)>) -> ParquetRowSelection {
    let mut selectors = Vec::new();
    let mut at = 0;
    for (first, count) in runs {
        selectors.push(RowSelector::skip((first - at) as usize));
        selectors.push(RowSelector::select(count as usize));
        at = first + count;
    }
    selectors.push(RowSelector::skip((total - at) as usize));
    selectors.retain(|selector| selector.row_count > 0);
    ParquetRowSelection::new(RowSelection::from(selectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_covers_the_whole_file() {
        for (rows, skipped, selected) in
            [(vec![0, 1, 4, 9], 6, 4), (vec![3], 9, 1), ((0..10).collect(), 0, 10)]
        {
            let rows = RowSet { total: 10, rows };
            let selection = selection(10, rows.runs()).into_inner();
            assert_eq!((selection.skipped_row_count(), selection.row_count()), (skipped, selected));
        }
    }

    #[test]
    fn shares_take_every_group_once_and_about_the_same_number() {
        for (groups, count) in [(0, 2), (1, 2), (7, 2), (8, 3), (31, 4)] {
            let groups: Vec<usize> = (0..groups).collect();
            let shares: Vec<_> = Share::all(0, count).map(|share| share.of(&groups).to_vec()).collect();
            assert_eq!(shares.concat(), groups);
            let sizes = shares.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_share_reads_the_rows_of_its_groups_alone() {
        let outlook = Outlook { ends: vec![10, 20, 25], ..Outlook::default() };
        let rows = RowSet { total: 25, rows: vec![3, 9, 10, 11, 24] };
        assert_eq!([0, 1, 2].map(|group| outlook.within(&rows, group)), [0..2, 2..4, 4..5]);
        let selected = |groups: &[usize]| outlook.selection(&rows, groups).into_inner().row_count();
        assert_eq!([selected(&[0]), selected(&[0, 2]), selected(&[1, 2])], [2, 3, 3]);
    }
}
