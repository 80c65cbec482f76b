//! What several functions do with their arguments.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, TimeUnit};
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

/// The numbers of one row's list; a null among them is whatever stands in its place, nought in what we write.
///
/// # Errors
/// When they are of another type.
pub(super) fn row_of<'a, T: ArrowPrimitiveType>(
    lists: &'a ListArray,
    row: usize,
    function: &str,
) -> Result<&'a [T::Native]> {
    let values = numbers::<T>(lists.values(), function)?.values();
    let offsets = lists.value_offsets();
    let ends = offsets.get(row).zip(offsets.get(row + 1));
    let range = ends.and_then(|(from, to)| Some(usize::try_from(*from).ok()?..usize::try_from(*to).ok()?));
    let held = range.and_then(|range| values.get(range)).filter(|_| lists.is_valid(row));
    Ok(held.unwrap_or_default())
}
