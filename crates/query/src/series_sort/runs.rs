//! The order of rows by series and time, found run by run: points of a series lie side by side in a block, so that
//! few series are compared and most rows are moved together with their neighbours.

use std::collections::HashMap;
use std::hash::Hash;

use arrow::array::{Array, Int64Array, StringViewArray, TimestampMicrosecondArray};

/// Rows of one batch that stand side by side, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) batch: u32,
    pub(crate) start: u32,
    pub(crate) rows: u32,
}

impl Run {
    fn end(self) -> u32 {
        self.start + self.rows
    }
}

/// What tells the series of a batch's rows apart.
pub(super) trait Series {
    type Value: Copy + Eq + Hash + Ord;

    fn rows(&self) -> usize;

    fn value(&self, row: usize) -> Option<Self::Value>;

    /// Whether two rows are of one series, as far as can be told at once.
    fn same(&self, a: usize, b: usize) -> bool;
}

impl<'a> Series for &'a StringViewArray {
    type Value = &'a str;

    fn rows(&self) -> usize {
        self.len()
    }

    fn value(&self, row: usize) -> Option<&'a str> {
        let texts: &'a StringViewArray = self;
        texts.is_valid(row).then(|| texts.value(row))
    }

    /// Equal views of valid rows are equal texts; the other way round need not be.
    fn same(&self, a: usize, b: usize) -> bool {
        self.is_valid(a) && self.is_valid(b) && self.views()[a] == self.views()[b]
    }
}

impl Series for &Int64Array {
    type Value = i64;

    fn rows(&self) -> usize {
        self.len()
    }

    fn value(&self, row: usize) -> Option<i64> {
        self.is_valid(row).then(|| Int64Array::value(self, row))
    }

    fn same(&self, a: usize, b: usize) -> bool {
        self.is_valid(a) && self.is_valid(b) && self.values()[a] == self.values()[b]
    }
}

/// Numbers that tell series apart, and what else they are called: series are in the order of that first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) names: [&'a StringViewArray; 2],
    pub(super) ids: &'a Int64Array,
}

impl<'a> Series for Named<'a> {
    type Value = ([Option<&'a str>; 2], Option<i64>);

    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn value(&self, row: usize) -> Option<Self::Value> {
        Some((self.names.map(|names| Series::value(&names, row)), Series::value(&self.ids, row)))
    }

    fn same(&self, a: usize, b: usize) -> bool {
        self.ids.same(a, b) && self.names.iter().all(|names| names.same(a, b))
    }
}

/// What the rows of a batch are sorted by.
#[derive(Debug)]
pub(super) struct Keys<'a, S> {
    pub(super) series: S,
    pub(super) time: &'a TimestampMicrosecondArray,
}

/// A time as it is sorted: null comes last.
type Time = (bool, i64);

fn time<S>(keys: &Keys<'_, S>, row: u32) -> Time {
    let row = row as usize;
    if keys.time.is_null(row) { (true, 0) } else { (false, keys.time.value(row)) }
}

/// All rows by series and time, both rising and nulls last.
pub(super) fn in_order<S: Series>(batches: &[Keys<'_, S>]) -> Vec<Run> {
    let (mut runs, series) = runs(batches);
    let ranks = ranks(&series);
    // Runs of the same series keep their order, by batch and row.
    runs.sort_by_key(|(_, place)| ranks[*place as usize]);
    let mut ordered = Vec::with_capacity(runs.len());
    let mut group = Vec::new();
    for same in runs.chunk_by(|a, b| a.1 == b.1) {
        group.clear();
        group.extend(same.iter().map(|(run, _)| *run));
        by_time(batches, &mut group, &mut ordered);
    }
    ordered
}

/// A run of rows of one series, and the place of the series among all.
type Placed = (Run, u32);

/// All runs, and the series that there are.
fn runs<S: Series>(batches: &[Keys<'_, S>]) -> (Vec<Placed>, Vec<Option<S::Value>>) {
    let (mut runs, mut all) = (Vec::<Placed>::new(), Vec::new());
    let mut places: HashMap<_, u32, foldhash::fast::RandomState> = HashMap::default();
    for (batch, keys) in (0_u32..).zip(batches) {
        for (at, row) in (0_u32..).zip(0..keys.series.rows()) {
            // Those of an earlier batch end there.
            let mut last = runs.last_mut().filter(|_| row > 0);
            if let Some((run, _)) = &mut last
                && keys.series.same(row - 1, row)
            {
                run.rows += 1;
                continue;
            }
            let value = keys.series.value(row);
            let place = *places.entry(value).or_insert_with(|| {
                all.push(value);
                u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
            });
            match last {
                Some((run, before)) if *before == place => run.rows += 1,
                _ => runs.push((Run { batch, start: at, rows: 1 }, place)),
            }
        }
    }
    (runs, all)
}

/// For each series its place among the sorted ones.
fn ranks<V: Copy + Ord>(series: &[Option<V>]) -> Vec<u32> {
    let mut sorted: Vec<usize> = (0..series.len()).collect();
    sorted.sort_unstable_by_key(|place| (series[*place].is_none(), series[*place]));
    let mut ranks = vec![0; series.len()];
    for (rank, place) in (0..).zip(sorted) {
        ranks[place] = rank;
    }
    ranks
}

/// Puts the runs of one series in the order of their times.
fn by_time<S>(batches: &[Keys<'_, S>], runs: &mut [Run], ordered: &mut Vec<Run>) {
    let time = |run: &Run, row| time(&batches[run.batch as usize], row);
    if !runs.iter().all(|run| (run.start + 1..run.end()).all(|row| time(run, row - 1) <= time(run, row))) {
        return by_row(batches, runs, ordered);
    }
    // Each is in order, so they only have to follow one another.
    runs.sort_by_key(|run| time(run, run.start));
    let follow = |pair: &[Run]| time(&pair[0], pair[0].end() - 1) <= time(&pair[1], pair[1].start);
    if !runs.windows(2).all(follow) {
        return by_row(batches, runs, ordered);
    }
    runs.iter().for_each(|run| append(ordered, *run));
}

fn by_row<S>(batches: &[Keys<'_, S>], runs: &[Run], ordered: &mut Vec<Run>) {
    let rows = runs.iter().flat_map(|run| {
        (run.start..run.end()).map(|row| (time(&batches[run.batch as usize], row), run.batch, row))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows.into_iter().for_each(|(_, batch, start)| append(ordered, Run { batch, start, rows: 1 }));
}

fn append(ordered: &mut Vec<Run>, run: Run) {
    match ordered.last_mut() {
        Some(last) if last.batch == run.batch && last.end() == run.start => last.rows += run.rows,
        _ => ordered.push(run),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<String>, Option<i64>);

    /// Some are longer than a view holds itself.
    fn row() -> impl Strategy<Value = Row> {
        let text = prop_oneof![
            1 => Just(None),
            4 => "[ab]{0,2}".prop_map(Some),
            4 => "[ab]".prop_map(|end| Some(format!("a text of some length {end}"))),
        ];
        (text, prop::option::weighted(0.9, 0..6_i64))
    }

    fn sorted(batches: &[Vec<Row>]) -> Vec<Row> {
        let arrays: Vec<_> = batches
            .iter()
            .map(|rows| {
                let text: StringViewArray = rows.iter().map(|(text, _)| text.as_deref()).collect();
                let time: TimestampMicrosecondArray = rows.iter().map(|(_, time)| *time).collect();
                (text, time)
            })
            .collect();
        let keys: Vec<_> = arrays.iter().map(|(text, time)| Keys { series: text, time }).collect();
        let rows = |run: Run| batches[run.batch as usize][run.start as usize..run.end() as usize].to_vec();
        in_order(&keys).into_iter().flat_map(rows).collect()
    }

    proptest! {
        #[test]
        fn every_row_comes_once_and_in_order(batches in prop::collection::vec(prop::collection::vec(row(), 0..20), 0..5)) {
            let mut expected = batches.concat();
            expected.sort_by_key(|(text, time)| (text.is_none(), text.clone(), time.is_none(), *time));
            prop_assert_eq!(sorted(&batches), expected);
        }
    }

    #[test]
    fn numbers_tell_series_apart_as_texts_do() {
        let series: Int64Array = [Some(2), Some(-1), None, Some(2), Some(2)].into_iter().collect();
        let time: TimestampMicrosecondArray =
            [Some(5), Some(1), Some(0), None, Some(7)].into_iter().collect();
        let runs = in_order(&[Keys { series: &series, time: &time }]);
        let rows: Vec<u32> = runs.into_iter().flat_map(|run| run.start..run.end()).collect();
        assert_eq!(rows, [1, 0, 4, 3, 2]);
    }

    #[test]
    fn neighbours_stay_together() {
        let time: TimestampMicrosecondArray = (0..6).map(Some).collect();
        let text: StringViewArray = ["b", "b", "b", "a", "a", "a"].into_iter().map(Some).collect();
        let later: TimestampMicrosecondArray = (-3..0).map(Some).collect();
        let more: StringViewArray = ["b", "b", "c"].into_iter().map(Some).collect();
        let keys = [Keys { series: &text, time: &time }, Keys { series: &more, time: &later }];
        let run = |batch, start, rows| Run { batch, start, rows };
        assert_eq!(in_order(&keys), [run(0, 3, 3), run(1, 0, 2), run(0, 0, 3), run(1, 2, 1)]);
    }
}
