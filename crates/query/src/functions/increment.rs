//! `increment(value[, temporality[, start_timestamp]])`: a window function, what each point adds to the one before.
//!
//! An aggregate over a window of time cannot see the point before the window, so the increase between two windows
//! is in neither. Here no increase is lost: increments are made over the whole series, then summed by bucket.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

use super::arguments::{Counting, numbers};
use super::counter::{self, Point};

pub(super) fn udwf() -> WindowUDF {
    WindowUDF::new_from_impl(Increment { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Increment {
    signature: Signature,
}

impl WindowUDFImpl for Increment {
    fn name(&self) -> &'static str {
        "increment"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(1..=3).contains(&types.len()) {
            return plan_err!(
                "increment takes more to go by: increment(value[, temporality[, start_timestamp]])"
            );
        }
        let [temporality, start] = Counting::types();
        let wanted = [DataType::Float64, temporality, start];
        Ok(wanted.into_iter().take(types.len()).collect())
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Float64, true)))
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

/// What each point adds to the one before it in its series, for several series side by side.
pub(super) fn over_series(columns: &[ArrayRef], rows: usize, begins: &[usize]) -> Result<ArrayRef> {
    let [values, rest @ ..] = columns else { return exec_err!("increment was given no value") };
    let values: &Float64Array = numbers::<Float64Type>(values, "increment")?;
    let counting = Counting::of(rest)?;
    let plain = plain(values, &counting, begins);
    Ok(Arc::new(plain.unwrap_or_else(|| point_by_point(values, &counting, rows, begins))))
}

/// Where every row has a number, all count alike, and all or none say from when on.
fn plain(values: &Float64Array, counting: &Counting<'_>, begins: &[usize]) -> Option<Float64Array> {
    let numbers: &[f64] = values.values();
    if values.null_count() > 0 || numbers.iter().fold(false, |any, value| any | value.is_nan()) {
        return None;
    }
    if counting.all_are_delta()? {
        return Some(values.clone());
    }
    let later = numbers.get(1..).unwrap_or_default();
    let pairs = later.iter().zip(numbers);
    let mut more = Vec::with_capacity(numbers.len());
    // No series begins with an increment, so what is computed there is covered.
    more.extend(numbers.first().map(|_| 0.0));
    match counting.starts()? {
        None => more.extend(pairs.map(|(later, before)| added(*later, *before, false))),
        Some(starts) => {
            let restarted = starts.get(1..).unwrap_or_default().iter().zip(starts).map(|(a, b)| a != b);
            more.extend(pairs.zip(restarted).map(|((later, before), anew)| added(*later, *before, anew)));
        }
    }
    let mut valid = BooleanBufferBuilder::new(more.len());
    valid.append_n(more.len(), true);
    begins.iter().filter(|begin| **begin < more.len()).for_each(|begin| valid.set_bit(*begin, false));
    Some(Float64Array::new(more.into(), Some(NullBuffer::new(valid.finish()))))
}

fn added(later: f64, before: f64, restarted: bool) -> f64 {
    if restarted | (later < before) { later } else { later - before }
}

fn point_by_point(
    values: &Float64Array,
    counting: &Counting<'_>,
    rows: usize,
    begins: &[usize],
) -> Float64Array {
    let mut before: Option<Point> = None;
    let mut begins = begins.iter().copied().peekable();
    let increments = (0..rows).map(|row| {
        if begins.next_if_eq(&row).is_some() {
            before = None;
        }
        if values.is_null(row) || values.value(row).is_nan() {
            return None;
        }
        let point = Point {
            at: 0, // The window's own order says which came first.
            value: values.value(row),
            start: counting.start(row),
            is_delta: counting.is_delta(row),
        };
        let more = counter::increment(before.as_ref(), &point);
        before = Some(point);
        more
    });
    increments.collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringViewArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<f64>, Option<&'static str>, Option<i64>);

    /// Columns that are all alike, and columns that are not.
    fn rows() -> impl Strategy<Value = (Vec<Row>, Vec<usize>)> {
        let value = |all| {
            prop_oneof![
                20 => (0..20_i32).prop_map(|value| Some(f64::from(value))),
                all => Just(None),
                all => Just(Some(f64::NAN)),
            ]
        };
        let text = prop_oneof![Just(None), Just(Some("delta")), Just(Some("cumulative"))];
        let alike = (text.clone(), any::<bool>(), 0..3_u32).prop_flat_map(move |(text, timed, odd)| {
            let start = (0..2_i64).prop_map(move |start| timed.then_some(start));
            prop::collection::vec((value(odd), Just(text), start), 0..40)
        });
        let mixed = prop::collection::vec((value(2), text, prop::option::of(0..2_i64)), 0..40);
        (prop_oneof![alike, mixed], prop::collection::btree_set(1..40_usize, 0..6))
            .prop_map(|(rows, begins)| (rows, std::iter::once(0).chain(begins).collect()))
    }

    fn columns(rows: &[Row]) -> [ArrayRef; 3] {
        let values: Float64Array = rows.iter().map(|row| row.0).collect();
        let texts: StringViewArray = rows.iter().map(|row| row.1).collect();
        let starts: TimestampMicrosecondArray = rows.iter().map(|row| row.2).collect();
        [Arc::new(values), Arc::new(texts), Arc::new(starts.with_timezone("UTC"))]
    }

    proptest! {
        #[test]
        fn many_series_at_once_are_as_one_after_the_other_and_point_by_point(
            (rows, begins) in rows(), given in 1..=3_usize,
        ) {
            let begins: Vec<usize> = begins.into_iter().filter(|begin| *begin == 0 || *begin < rows.len()).collect();
            let columns = &columns(&rows)[..given];
            let at_once = over_series(columns, rows.len(), &begins).unwrap();
            let mut expected = Vec::new();
            for (place, begin) in begins.iter().enumerate() {
                let end = begins.get(place + 1).copied().unwrap_or(rows.len());
                let of_series: Vec<_> =
                    columns.iter().map(|column| column.slice(*begin, end - begin)).collect();
                let counting = Counting::of(&of_series[1..]).unwrap();
                let values = numbers::<Float64Type>(&of_series[0], "increment").unwrap();
                let each = point_by_point(values, &counting, end - begin, &[0]);
                let alone = Increments.evaluate_all(&of_series, end - begin).unwrap();
                prop_assert_eq!(numbers::<Float64Type>(&alone, "increment").unwrap(), &each);
                expected.extend(each.iter());
            }
            let at_once = numbers::<Float64Type>(&at_once, "increment").unwrap();
            prop_assert_eq!(at_once.iter().collect::<Vec<_>>(), expected);
        }
    }
}
