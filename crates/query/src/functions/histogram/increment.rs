//! `histogram_increment(bucket_counts[, temporality[, start_timestamp]])`: a window function, what each snapshot of
//! one series adds to the one before: `increment`, for the counts of a histogram.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBufferBuilder, Int64Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

use super::explicit::push_difference;
use crate::functions::OverSeries;
use crate::functions::arguments::{Counting, ListRows, list_type, lists};

const NAME: &str = "histogram_increment";

pub(in crate::functions) fn udwf() -> WindowUDF {
    WindowUDF::new_from_impl(Increment { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Increment {
    signature: Signature,
}

impl WindowUDFImpl for Increment {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(1..=3).contains(&types.len()) {
            return plan_err!("{NAME} takes bucket_counts[, temporality[, start_timestamp]]");
        }
        let [temporality, start] = Counting::types();
        let wanted = [list_type(DataType::Int64), temporality, start];
        Ok(wanted.into_iter().take(types.len()).collect())
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), list_type(DataType::Int64), true)))
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Increments))
    }
}

#[derive(Debug)]
struct Increments;

impl PartitionEvaluator for Increments {
    fn evaluate_all(&mut self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        over_series(columns, rows, &[0])
    }
}

/// The same over many series at once, when the function is this one.
pub(in crate::functions) fn increments(function: &dyn Any) -> Option<OverSeries> {
    function.is::<Increment>().then_some(over_series as OverSeries)
}

/// What each snapshot adds to the one before it in its series, for several series side by side.
fn over_series(columns: &[ArrayRef], rows: usize, begins: &[usize]) -> Result<ArrayRef> {
    let [snapshots, rest @ ..] = columns else { return exec_err!("{NAME} was given no counts") };
    let snapshots = ListRows::<Int64Type>::of(lists(snapshots, NAME)?, NAME)?;
    let counting = Counting::of(rest)?;
    let (alike, starts) = (counting.all_are_delta(), counting.starts());
    let start = |row: usize| match starts {
        Some(starts) => starts.map(|starts| starts[row]),
        None => counting.start(row),
    };
    let mut items = Vec::with_capacity(snapshots.numbers());
    let (mut lengths, mut valid) = (Vec::with_capacity(rows), BooleanBufferBuilder::new(rows));
    let mut begins = begins.iter().copied().peekable();
    let mut before: Option<(&[i64], Option<i64>)> = None;
    for row in 0..rows {
        if begins.next_if_eq(&row).is_some() {
            before = None;
        }
        let held = items.len();
        let later = snapshots.row(row);
        if !later.is_empty() {
            let start = start(row);
            match before {
                _ if alike.unwrap_or_else(|| counting.is_delta(row)) => items.extend_from_slice(later),
                None => {}
                Some((_, from)) if from.is_some() && start.is_some() && from != start => {
                    items.extend_from_slice(later);
                }
                Some((earlier, _)) => push_difference(&mut items, later, earlier),
            }
            before = Some((later, start));
        }
        lengths.push(items.len() - held);
        valid.append(items.len() > held);
    }
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let valid = NullBuffer::new(valid.finish());
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(Int64Array::from(items)), Some(valid))?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, StringViewArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::super::explicit::difference;
    use super::*;
    use crate::functions::arguments::numbers;

    /// Counts, whether it is a delta, when it began to count.
    type Row = (Option<Vec<i64>>, bool, Option<i64>);

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let counts = |odd| {
            let buckets = prop_oneof![9 => Just(3_usize), odd => 0..5_usize];
            let counts = buckets.prop_flat_map(|buckets| prop::collection::vec(0..9_i64, buckets));
            prop_oneof![9 => counts.prop_map(Some), odd => Just(None)]
        };
        let alike = (any::<bool>(), any::<bool>(), 0..2_u32).prop_flat_map(move |(is_delta, timed, odd)| {
            let start = (0..2_i64).prop_map(move |start| timed.then_some(start));
            prop::collection::vec((counts(odd), Just(is_delta), start), 0..30)
        });
        let mixed = prop::collection::vec((counts(1), any::<bool>(), prop::option::of(0..2_i64)), 0..30);
        prop_oneof![alike, mixed]
    }

    fn columns(rows: &[Row]) -> Vec<ArrayRef> {
        let counts = rows.iter().map(|(counts, ..)| counts.as_ref().map(|row| row.iter().copied().map(Some)));
        let text = |row: &Row| Some(if row.1 { "delta" } else { "cumulative" });
        let starts: TimestampMicrosecondArray = rows.iter().map(|row| row.2).collect();
        vec![
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(counts)),
            Arc::new(rows.iter().map(text).collect::<StringViewArray>()),
            Arc::new(starts.with_timezone("UTC")),
        ]
    }

    /// Of one series, row by row.
    fn plainly(rows: &[Row], given: usize) -> Vec<Option<Vec<i64>>> {
        let mut before: Option<(&[i64], Option<i64>)> = None;
        let more = rows.iter().map(|(counts, is_delta, start)| {
            let start = start.filter(|_| given > 2);
            let later = counts.as_deref().filter(|counts| !counts.is_empty())?;
            let (earlier, from) = before.replace((later, start)).unzip();
            match earlier {
                _ if given > 1 && *is_delta => Some(later.to_vec()),
                Some(_) if start.is_some() && from.flatten().is_some_and(|from| Some(from) != start) => {
                    Some(later.to_vec())
                }
                earlier => Some(difference(later, earlier?)),
            }
        });
        more.collect()
    }

    proptest! {
        #[test]
        fn many_series_at_once_are_as_one_after_the_other(
            rows in rows(), begins in prop::collection::btree_set(1..30_usize, 0..6), given in 1..=3_usize, skip in 0..3_usize,
        ) {
            // A slice, as batches are.
            let skip = skip.min(rows.len());
            let columns: Vec<_> =
                columns(&rows)[..given].iter().map(|column| column.slice(skip, rows.len() - skip)).collect();
            let rows = &rows[skip..];
            let begins: Vec<usize> =
                std::iter::once(0).chain(begins.into_iter().filter(|begin| *begin < rows.len())).collect();
            let found = over_series(&columns, rows.len(), &begins).unwrap();
            let found = lists(&found, NAME).unwrap();
            let ends = begins.iter().skip(1).copied().chain([rows.len()]);
            let expected: Vec<_> =
                begins.iter().zip(ends).flat_map(|(begin, end)| plainly(&rows[*begin..end], given)).collect();
            let found: Vec<Option<Vec<i64>>> = found
                .iter()
                .map(|row| row.map(|row| numbers::<Int64Type>(&row, NAME).unwrap().values().to_vec()))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
