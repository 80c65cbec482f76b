//! The points of many groups side by side, as the aggregate functions over counters gather them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, PrimitiveArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::EmitTo;

use super::arguments::{Counting, list_type, lists, numbers};
use super::counter::Point;

/// The types of what [`Points::state`] gives.
pub(super) fn state_types() -> [(&'static str, DataType); 4] {
    [
        ("at", list_type(DataType::Int64)),
        ("value", list_type(DataType::Float64)),
        ("start", list_type(DataType::Int64)),
        ("is_delta", list_type(DataType::Boolean)),
    ]
}

/// Rows in the order they came, each with its group.
#[derive(Debug, Default)]
pub(super) struct Points {
    groups: usize,
    group: Vec<usize>,
    points: Vec<Point>,
}

impl Points {
    /// Adds the rows of `(value, timestamp[, temporality[, start_timestamp]])` that have a value and a time.
    pub(super) fn add(
        &mut self,
        columns: &[ArrayRef],
        group: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups = self.groups.max(groups);
        let columns = Columns::of(columns)?;
        for (row, group) in group.iter().enumerate() {
            let wanted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(point) = columns.point(row).filter(|_| wanted) {
                self.group.push(*group);
                self.points.push(point);
            }
        }
        Ok(())
    }

    /// Adds what other [`Points`] gave as their state.
    pub(super) fn merge(&mut self, state: &[ArrayRef], group: &[usize], groups: usize) -> Result<()> {
        let [at, value, start, is_delta] = state else {
            return exec_err!("a counter function was given {} columns of state", state.len());
        };
        self.groups = self.groups.max(groups);
        let name = "a counter function";
        let ends = lists(at, name)?;
        let at: &Int64Array = numbers(ends.values(), name)?;
        let value: &Float64Array = numbers(lists(value, name)?.values(), name)?;
        let start: &Int64Array = numbers(lists(start, name)?.values(), name)?;
        let is_delta = lists(is_delta, name)?.values().as_boolean();
        for (row, group) in group.iter().enumerate() {
            let ends = ends.value_offsets();
            let (Ok(from), Ok(to)) = (usize::try_from(ends[row]), usize::try_from(ends[row + 1])) else {
                return exec_err!("a counter function was given a list that ends before it begins");
            };
            for place in from..to {
                self.group.push(*group);
                self.points.push(Point {
                    at: at.value(place),
                    value: value.value(place),
                    start: start.is_valid(place).then(|| start.value(place)),
                    is_delta: is_delta.value(place),
                });
            }
        }
        Ok(())
    }

    /// Takes groups out, each with its points in time order. The groups that stay are numbered from nought again.
    pub(super) fn emit(&mut self, emit: EmitTo) -> Vec<Vec<Point>> {
        let count = match emit {
            EmitTo::All => self.groups,
            EmitTo::First(count) => count.min(self.groups),
        };
        let mut out = vec![Vec::new(); count];
        let (mut group, mut points) = (Vec::new(), Vec::new());
        for (at, point) in std::mem::take(&mut self.group).into_iter().zip(std::mem::take(&mut self.points)) {
            if let Some(out) = out.get_mut(at) {
                out.push(point);
            } else {
                group.push(at - count);
                points.push(point);
            }
        }
        (self.groups, self.group, self.points) = (self.groups - count, group, points);
        for points in &mut out {
            points.sort_by_key(|point| point.at);
        }
        out
    }

    /// Takes groups out as state: a list of each part of their points.
    pub(super) fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.emit(emit);
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(Vec::len));
        let points: Vec<Point> = groups.into_iter().flatten().collect();
        let at: Int64Array = points.iter().map(|point| Some(point.at)).collect();
        let value: Float64Array = points.iter().map(|point| Some(point.value)).collect();
        let start: Int64Array = points.iter().map(|point| point.start).collect();
        let is_delta: BooleanArray = points.iter().map(|point| Some(point.is_delta)).collect();
        let parts: [ArrayRef; 4] = [Arc::new(at), Arc::new(value), Arc::new(start), Arc::new(is_delta)];
        let list = |part: ArrayRef| -> Result<ArrayRef> {
            let item = Arc::new(Field::new("item", part.data_type().clone(), true));
            Ok(Arc::new(ListArray::try_new(item, offsets.clone(), part, None)?))
        };
        parts.into_iter().map(list).collect()
    }

    /// Makes sure that there is one group at least.
    pub(super) fn be_one_group(&mut self) {
        self.groups = self.groups.max(1);
    }

    /// Forgets the rows that came first.
    pub(super) fn forget(&mut self, rows: &[ArrayRef]) -> Result<()> {
        let columns = Columns::of(rows)?;
        let len = rows.first().map_or(0, arrow::array::Array::len);
        let kept = (0..len).filter(|row| columns.point(*row).is_some()).count().min(self.points.len());
        self.points.drain(..kept);
        self.group.drain(..kept);
        Ok(())
    }

    /// The points of all groups as one series, in time order.
    pub(super) fn sorted(&self) -> Vec<Point> {
        let mut points = self.points.clone();
        points.sort_by_key(|point| point.at);
        points
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>()
            + self.group.capacity() * size_of::<usize>()
            + self.points.capacity() * size_of::<Point>()
    }
}

struct Columns<'a> {
    value: &'a Float64Array,
    at: PrimitiveArray<Int64Type>,
    counting: Counting<'a>,
}

impl<'a> Columns<'a> {
    fn of(columns: &'a [ArrayRef]) -> Result<Self> {
        let [value, at, rest @ ..] = columns else {
            return exec_err!("a counter function takes a value and a timestamp");
        };
        Ok(Self {
            value: numbers::<Float64Type>(value, "a counter function")?,
            at: cast(at, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
            counting: Counting::of(rest)?,
        })
    }

    fn point(&self, row: usize) -> Option<Point> {
        let value =
            self.value.is_valid(row).then(|| self.value.value(row)).filter(|value| !value.is_nan())?;
        Some(Point {
            at: self.at.is_valid(row).then(|| self.at.value(row))?,
            value,
            start: self.counting.start(row),
            is_delta: self.counting.is_delta(row),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use proptest::prelude::*;

    use super::*;

    type Row = (usize, Option<i64>, Option<i8>, Option<i64>, Option<bool>);

    fn columns(rows: &[Row]) -> (Vec<usize>, Vec<ArrayRef>) {
        let at = rows.iter().map(|row| row.1).collect::<TimestampMicrosecondArray>();
        let start = rows.iter().map(|row| row.3).collect::<TimestampMicrosecondArray>();
        let value: Float64Array = rows.iter().map(|row| row.2.map(f64::from)).collect();
        let word = |is_delta| if is_delta { "delta" } else { "cumulative" };
        let temporality: arrow::array::StringViewArray = rows.iter().map(|row| row.4.map(word)).collect();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(value), Arc::new(at), Arc::new(temporality), Arc::new(start)];
        (rows.iter().map(|row| row.0).collect(), columns)
    }

    fn gathered(rows: &[Row]) -> Points {
        let (groups, columns) = columns(rows);
        let mut points = Points::default();
        points.add(&columns, &groups, None, 4).unwrap();
        points
    }

    proptest! {
        #[test]
        fn points_gathered_in_parts_are_the_points_gathered_at_once(
            rows in proptest::collection::vec(
                (0_usize..4, proptest::option::of(0_i64..1000), proptest::option::of(any::<i8>()),
                 proptest::option::of(0_i64..9), proptest::option::of(any::<bool>())), 0..40),
            cut in 0_usize..40, first in 0_usize..6,
        ) {
            let whole = gathered(&rows).emit(EmitTo::All);
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let mut merged = Points::default();
            for part in [left, right] {
                let state = gathered(part).state(EmitTo::All).unwrap();
                merged.merge(&state, &[0, 1, 2, 3], 4).unwrap();
            }
            let mut taken = merged.emit(EmitTo::First(first));
            prop_assert_eq!(taken.len(), first.min(4));
            taken.extend(merged.emit(EmitTo::All));
            prop_assert_eq!(taken, whole);
            prop_assert!(merged.emit(EmitTo::All).is_empty());
        }

        #[test]
        fn what_is_forgotten_is_what_came_first(
            rows in proptest::collection::vec(
                (Just(0_usize), proptest::option::of(0_i64..1000), proptest::option::of(any::<i8>()),
                 Just(None), Just(None)), 1..20),
            cut in 0_usize..20,
        ) {
            let cut = cut.min(rows.len());
            let mut points = gathered(&rows);
            points.forget(&columns(&rows[..cut]).1).unwrap();
            prop_assert_eq!(points.sorted(), gathered(&rows[cut..]).sorted());
        }
    }
}
