//! From which input each next row comes, decided on the columns of the sort key alone.

use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use hindsight_model::Table;

use super::input::{Input, Keys};
use crate::block_writer::file_schema;
use crate::{Error, Result};

/// Neighbouring rows of one input that stay neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) input: usize,
    pub(super) rows: usize,
}

/// The merge's order, found as far as it is asked for.
pub(super) struct Order {
    table: Table,
    converter: RowConverter,
    cursors: Vec<Cursor>,
}

/// One input, standing at a row of its current batch of keys.
struct Cursor {
    input: usize,
    source: Keys,
    keys: Rows,
    at: usize,
}

impl Order {
    pub(super) fn of(table: Table, inputs: &[Input]) -> Result<Self> {
        let schema = file_schema(table);
        let fields = table
            .sort_key()
            .iter()
            .map(|name| Ok(SortField::new(schema.field_with_name(name)?.data_type().clone())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::arrow(table))?;
        let converter = RowConverter::new(fields).map_err(Error::arrow(table))?;
        let mut order = Self { table, converter, cursors: Vec::with_capacity(inputs.len()) };
        for (input, opened) in inputs.iter().enumerate() {
            let mut source = opened.keys(table.sort_key())?;
            if let Some(keys) = order.load(&mut source, None)? {
                order.cursors.push(Cursor { input, source, keys, at: 0 });
            }
        }
        Ok(order)
    }

    /// The next `rows` rows or all that are left, in the order of the key; equal keys in the order of the inputs.
    pub(super) fn next_runs(&mut self, rows: usize) -> Result<Vec<Run>> {
        let (mut runs, mut missing): (Vec<Run>, _) = (Vec::new(), rows);
        while missing > 0 && !self.cursors.is_empty() {
            let run = self.next_run(missing)?;
            missing -= run.rows;
            match runs.last_mut() {
                Some(last) if last.input == run.input => last.rows += run.rows,
                _ => runs.push(run),
            }
        }
        Ok(runs)
    }

    /// Takes rows of the smallest cursor for as long as no other comes first.
    fn next_run(&mut self, most: usize) -> Result<Run> {
        let (first, second) = self.two_smallest();
        let limit = second.map(|at| (at, self.cursors[at].keys.row(self.cursors[at].at)));
        let cursor = &self.cursors[first];
        let most = most.min(cursor.keys.num_rows() - cursor.at);
        let still_first = |ahead: usize| {
            let row = cursor.keys.row(cursor.at + ahead);
            match limit {
                Some((other, key)) if other < first => row < key,
                Some((_, key)) => row <= key,
                None => true,
            }
        };
        let rows = first_not(most, still_first);
        let run = Run { input: cursor.input, rows };
        let cursor = &mut self.cursors[first];
        cursor.at += rows;
        if cursor.at == cursor.keys.num_rows() {
            let mut spent = self.cursors.remove(first);
            let last = spent.keys.row(spent.at - 1).owned();
            if let Some(keys) = self.load(&mut spent.source, Some(&last))? {
                self.cursors.insert(first, Cursor { keys, at: 0, ..spent });
            }
        }
        Ok(run)
    }

    /// The cursor whose row comes first, and the one that comes after it. There are few cursors and runs are long,
    /// so looking at all of them is as fast as a heap.
    fn two_smallest(&self) -> (usize, Option<usize>) {
        let key = |at: usize| self.cursors[at].keys.row(self.cursors[at].at);
        let (mut first, mut second) = (0, None);
        for at in 1..self.cursors.len() {
            if key(at) < key(first) {
                (first, second) = (at, Some(first));
            } else if second.is_none_or(|other| key(at) < key(other)) {
                second = Some(at);
            }
        }
        (first, second)
    }

    /// The next keys of a source, which must not be below each other or `last`; `None` at its end.
    fn load(&self, source: &mut Keys, last: Option<&OwnedRow>) -> Result<Option<Rows>> {
        let Some(columns) = source.next()? else { return Ok(None) };
        let keys = self.converter.convert_columns(&columns).map_err(Error::arrow(self.table))?;
        let falls = last.is_some_and(|last| keys.row(0) < last.row());
        if falls || (1..keys.num_rows()).any(|row| keys.row(row) < keys.row(row - 1)) {
            return Err(source.unsorted());
        }
        Ok(Some(keys))
    }
}

/// How many of the first `most` places hold, where place 0 does and none holds after one that does not: looked for in
/// steps that double, so that a long run costs few looks.
fn first_not(most: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut held, mut step) = (0, 1);
    while held + step < most && holds(held + step) {
        held += step;
        step *= 2;
    }
    let mut end = most.min(held + step);
    while held + 1 < end {
        let middle = usize::midpoint(held, end);
        if holds(middle) { held = middle } else { end = middle }
    }
    held + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_does_not_hold_is_found_wherever_it_is() {
        for most in 1..70 {
            for until in 1..=most + 1 {
                assert_eq!(first_not(most, |place| place < until), until.min(most), "{until} of {most}");
            }
        }
    }
}
