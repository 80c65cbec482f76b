//! `locf(value)` and `interpolate(value[, at])`: window functions for what a gap leaves empty.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

use super::arguments::{numbers, time_type};

/// The last observation carried forward.
pub(super) fn locf() -> WindowUDF {
    WindowUDF::new_from_impl(Fill { way: Way::Locf, signature: Signature::any(1, Volatility::Immutable) })
}

/// The straight line between the observations on both sides.
pub(super) fn interpolate() -> WindowUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    WindowUDF::new_from_impl(Fill { way: Way::Interpolate, signature })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Locf,
    Interpolate,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Fill {
    way: Way,
    signature: Signature,
}

impl WindowUDFImpl for Fill {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Locf => "locf",
            Way::Interpolate => "interpolate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [_] => Ok(vec![DataType::Float64]),
            [_, DataType::Timestamp(..)] => Ok(vec![DataType::Float64, time_type()]),
            [_, _] => Ok(vec![DataType::Float64, DataType::Int64]),
            _ => plan_err!("interpolate takes a value and perhaps the time it stands at"),
        }
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let own = args.get_input_field(0).map_or(DataType::Null, |field| field.data_type().clone());
        let data_type = match self.way {
            Way::Locf => own,
            Way::Interpolate => DataType::Float64,
        };
        Ok(Arc::new(Field::new(args.name(), data_type, true)))
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Filler(self.way)))
    }
}

#[derive(Debug)]
struct Filler(Way);

impl PartitionEvaluator for Filler {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        match (self.0, values) {
            (Way::Locf, [values]) => Ok(take(values, &last_known(values), None)?),
            (Way::Interpolate, [values]) => {
                let rows = Int64Array::from_iter_values((0..).take(rows));
                Ok(Arc::new(between(numbers::<Float64Type>(values, "interpolate")?, &rows)))
            }
            (Way::Interpolate, [values, at]) => {
                let at = cast(at, &DataType::Int64)?;
                let at = numbers::<Int64Type>(&at, "interpolate")?;
                Ok(Arc::new(between(numbers::<Float64Type>(values, "interpolate")?, at)))
            }
            _ => exec_err!("a filling function was given {} arguments", values.len()),
        }
    }
}

/// For each row the last row that has a value.
fn last_known(values: &ArrayRef) -> UInt32Array {
    let mut last = None;
    let rows = (0_u32..).take(values.len()).map(|row| {
        if values.is_valid(row as usize) {
            last = Some(row);
        }
        last
    });
    rows.collect()
}

/// The values with gaps between two known ones filled along a line over `at`; the ends stay null.
#[expect(clippy::cast_precision_loss, reason = "the share of a gap, not an id")]
fn between(values: &Float64Array, at: &Int64Array) -> Float64Array {
    let mut filled: Vec<Option<f64>> = values.iter().collect();
    let mut left: Option<usize> = None;
    for right in 0..values.len() {
        if values.is_null(right) {
            continue;
        }
        if let Some(left) = left.filter(|left| left + 1 < right) {
            let (from, to) = (values.value(left), values.value(right));
            let long = at.value(right).wrapping_sub(at.value(left)) as f64;
            for (gap, filled) in filled.iter_mut().enumerate().take(right).skip(left + 1) {
                let share = at.value(gap).wrapping_sub(at.value(left)) as f64 / long;
                let known = at.is_valid(gap) && at.is_valid(left) && at.is_valid(right) && long != 0.0;
                *filled = known.then_some(from + (to - from) * share);
            }
        }
        left = Some(right);
    }
    filled.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn points_taken_from_a_line_come_back(
            slope in -100.0..100.0_f64,
            keep in proptest::collection::vec(any::<bool>(), 2..40),
        ) {
            let line: Vec<f64> = (0..keep.len()).map(|x| slope * f64::from(u32::try_from(x).unwrap())).collect();
            let holes: Float64Array = line.iter().zip(&keep).map(|(y, keep)| keep.then_some(*y)).collect();
            let at = Int64Array::from_iter_values((0..).take(keep.len()));
            let first = keep.iter().position(|keep| *keep);
            let last = keep.iter().rposition(|keep| *keep);
            for (row, filled) in between(&holes, &at).iter().enumerate() {
                let inside = first.is_some_and(|first| first <= row) && last.is_some_and(|last| row <= last);
                prop_assert_eq!(filled.is_some(), inside);
                prop_assert!(filled.is_none_or(|filled| (filled - line[row]).abs() < 1e-6));
            }
        }
    }
}
