//! `increment(value[, temporality[, start_timestamp]])`: a window function, what each point adds to the one before.
//!
//! An aggregate over a window of time cannot see the point before the window, so the increase between two windows
//! is in neither. Here no increase is lost: increments are made over the whole series, then summed by bucket.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
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
struct Increment {
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
        let [values, rest @ ..] = columns else { return exec_err!("increment was given no value") };
        let values: &Float64Array = numbers::<Float64Type>(values, "increment")?;
        let counting = Counting::of(rest)?;
        let mut before: Option<Point> = None;
        let increments = (0..rows).map(|row| {
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
        Ok(Arc::new(increments.collect::<Float64Array>()))
    }
}
