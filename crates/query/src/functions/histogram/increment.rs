//! `histogram_increment(bucket_counts[, temporality[, start_timestamp]])`: a window function, what each snapshot of
//! one series adds to the one before: `increment`, for the counts of a histogram.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

use super::explicit::difference;
use crate::functions::arguments::{Counting, list_type, lists, row_of};

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
        let [counts, rest @ ..] = columns else { return exec_err!("{NAME} was given no counts") };
        let snapshots = lists(counts, NAME)?;
        let counting = Counting::of(rest)?;
        let (mut items, mut lengths, mut valid) =
            (Vec::new(), Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut before: Option<(&[i64], Option<i64>)> = None;
        for row in 0..rows {
            let held = items.len();
            let later = row_of::<Int64Type>(snapshots, row, NAME)?;
            if !later.is_empty() {
                let start = counting.start(row);
                match before {
                    _ if counting.is_delta(row) => items.extend_from_slice(later),
                    None => {}
                    Some((_, from)) if from.is_some() && start.is_some() && from != start => {
                        items.extend_from_slice(later);
                    }
                    Some((earlier, _)) => items.extend(difference(later, earlier)),
                }
                before = Some((later, start));
            }
            lengths.push(items.len() - held);
            valid.push(items.len() > held);
        }
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let items = Arc::new(Int64Array::from(items));
        Ok(Arc::new(ListArray::try_new(item, offsets, items, Some(NullBuffer::from(valid)))?))
    }
}
