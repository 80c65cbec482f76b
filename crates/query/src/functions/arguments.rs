//! What several functions do with their arguments.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, PrimitiveArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Int64Type, TimeUnit};
use datafusion::common::{Result, exec_err};
use std::sync::Arc;

/// The type of every `timestamp` column.
pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A list of numbers, its items nullable as our tables have them.
pub(super) fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// The column as the type that coercion promised.
///
/// # Errors
/// When it is another one.
pub(super) fn numbers<'a, T: ArrowPrimitiveType>(
    column: &'a ArrayRef,
    function: &str,
) -> Result<&'a PrimitiveArray<T>> {
    match column.as_primitive_opt::<T>() {
        Some(numbers) => Ok(numbers),
        None => exec_err!("{function} was given {} where it expects {}", column.data_type(), T::DATA_TYPE),
    }
}

/// The column as lists.
///
/// # Errors
/// When it is another type.
pub(super) fn lists<'a>(column: &'a ArrayRef, function: &str) -> Result<&'a ListArray> {
    match column.as_list_opt::<i32>() {
        Some(lists) => Ok(lists),
        None => exec_err!("{function} was given {} where it expects a list", column.data_type()),
    }
}

/// A column of lists of numbers, row by row.
pub(super) struct ListRows<'a, T: ArrowPrimitiveType> {
    values: &'a [T::Native],
    /// Where each row's numbers begin; one more for where the last row's end.
    offsets: &'a [i32],
    valid: Option<&'a NullBuffer>,
}

impl<'a, T: ArrowPrimitiveType> ListRows<'a, T> {
    /// # Errors
    /// When they are of another type.
    pub(super) fn of(lists: &'a ListArray, function: &str) -> Result<Self> {
        let values = numbers::<T>(lists.values(), function)?.values();
        let valid = lists.nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(Self { values, offsets: lists.value_offsets(), valid })
    }

    /// The numbers of one row; none where it is null. A null among them is whatever stands in its place, nought in what
    /// we write.
    pub(super) fn row(&self, row: usize) -> &'a [T::Native] {
        let ends = self.offsets.get(row).zip(self.offsets.get(row + 1));
        let range =
            ends.and_then(|(from, to)| Some(usize::try_from(*from).ok()?..usize::try_from(*to).ok()?));
        let held = range.and_then(|range| self.values.get(range));
        held.filter(|_| self.valid.is_none_or(|valid| valid.is_valid(row))).unwrap_or_default()
    }

    /// How many numbers all rows have together, at most.
    pub(super) fn numbers(&self) -> usize {
        let ends = self.offsets.first().zip(self.offsets.last());
        ends.and_then(|(from, to)| usize::try_from(to - from).ok()).unwrap_or(0)
    }
}

/// The numbers of one row's list, as [`ListRows`] gives them.
///
/// # Errors
/// When they are of another type.
pub(super) fn row_of<'a, T: ArrowPrimitiveType>(
    lists: &'a ListArray,
    row: usize,
    function: &str,
) -> Result<&'a [T::Native]> {
    Ok(ListRows::<T>::of(lists, function)?.row(row))
}

/// What the columns `[temporality[, start_timestamp]]` say of how each row counts; nothing where they were not given.
pub(super) struct Counting<'a> {
    temporality: Option<&'a StringViewArray>,
    start: Option<Int64Array>,
}

impl<'a> Counting<'a> {
    /// The types that [`Counting::of`] takes.
    pub(super) fn types() -> [DataType; 2] {
        [DataType::Utf8View, time_type()]
    }

    /// # Errors
    /// When the start is no time.
    pub(super) fn of(columns: &'a [ArrayRef]) -> Result<Self> {
        let micros = |column: &ArrayRef| -> Result<Int64Array> {
            Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        Ok(Self {
            temporality: columns.first().and_then(|column| column.as_string_view_opt()),
            start: columns.get(1).map(micros).transpose()?,
        })
    }

    /// Whether all rows are deltas, or none; `None` where that is not plain to see.
    pub(super) fn all_are_delta(&self) -> Option<bool> {
        let Some(texts) = self.temporality else { return Some(false) };
        if texts.null_count() == texts.len() {
            return Some(false);
        }
        // Equal views of valid rows are equal texts.
        let first = *texts.views().first()?;
        let alike = texts.null_count() == 0 && texts.views().iter().all(|view| *view == first);
        alike.then(|| texts.value(0) == "delta")
    }

    /// From when on each row counts, in microseconds, where all rows say so; no times where none does. `None` where
    /// some do.
    pub(super) fn starts(&self) -> Option<Option<&[i64]>> {
        match &self.start {
            Some(start) if start.null_count() == 0 => Some(Some(start.values())),
            Some(start) => (start.null_count() == start.len()).then_some(None),
            None => Some(None),
        }
    }

    /// Whether the row tells what came since the row before, not since the start.
    pub(super) fn is_delta(&self, row: usize) -> bool {
        self.temporality.is_some_and(|texts| texts.is_valid(row) && texts.value(row) == "delta")
    }

    /// From when on the row counts, in microseconds.
    pub(super) fn start(&self, row: usize) -> Option<i64> {
        self.start.as_ref().filter(|start| start.is_valid(row)).map(|start| start.value(row))
    }
}
