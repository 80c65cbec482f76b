//! `exp_histogram_increase(…, timestamp[, temporality[, start_timestamp]])`: an aggregate function, what one series of
//! exponential histograms counted within one window.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::columns::{
    exponential_column, exponential_row, exponential_rows, exponential_types, list, parts, struct_type,
};
use super::exponential::Exponential;
use crate::functions::arguments::{Counting, list_type, lists, row_of, time_type};

const NAME: &str = "exp_histogram_increase";
/// Columns that make a histogram.
const PARTS: usize = 7;

pub(in crate::functions) fn udaf() -> AggregateUDF {
    AggregateUDF::new_from_impl(Increase { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Increase {
    signature: Signature,
}

impl AggregateUDFImpl for Increase {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(PARTS + 1..=PARTS + 3).contains(&types.len()) {
            let names = exponential_types().map(|(name, _)| name).join(", ");
            return plan_err!("{NAME} takes {names}, timestamp[, temporality[, start_timestamp]]");
        }
        let histogram = exponential_types().into_iter().map(|(_, data_type)| data_type);
        let wanted = histogram.chain([time_type()]).chain(Counting::types());
        Ok(wanted.take(types.len()).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(struct_type(exponential_types()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let parts = [
            ("histograms", struct_type(exponential_types())),
            ("at", DataType::Int64),
            ("start", DataType::Int64),
            ("is_delta", DataType::Boolean),
        ];
        let field =
            |(part, item)| Arc::new(Field::new(format_state_name(args.name, part), list_type(item), true));
        Ok(parts.map(field).to_vec())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Snapshots::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug, Default)]
struct Snapshots(Vec<Snapshot>);

#[derive(Debug)]
struct Snapshot {
    at: i64,
    start: Option<i64>,
    is_delta: bool,
    histogram: Exponential,
}

impl Snapshots {
    /// The sum of what each snapshot adds to the one before; nothing when there is no pair.
    fn increase(&mut self) -> Option<Exponential> {
        self.0.sort_by_key(|snapshot| snapshot.at);
        let mut sum: Option<Exponential> = None;
        let mut before: Option<&Snapshot> = None;
        for snapshot in &self.0 {
            let more = match before {
                _ if snapshot.is_delta => Some(snapshot.histogram.clone()),
                None => None,
                Some(before) if before.start.zip(snapshot.start).is_some_and(|(was, is)| was != is) => {
                    Some(snapshot.histogram.clone())
                }
                Some(before) => Some(snapshot.histogram.since(&before.histogram)),
            };
            match (&mut sum, more) {
                (Some(sum), Some(more)) => sum.add(&more),
                (None, more) => sum = more,
                (Some(_), None) => {}
            }
            before = Some(snapshot);
        }
        sum
    }
}

impl Accumulator for Snapshots {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some((histogram, [at, rest @ ..])) = values.split_at_checked(PARTS) else {
            return exec_err!("{NAME} was given too little");
        };
        let at = cast(at, &DataType::Int64)?;
        let at = at.as_primitive::<Int64Type>();
        let counting = Counting::of(rest)?;
        for row in (0..at.len()).filter(|row| at.is_valid(*row)) {
            if let Some(histogram) = exponential_row(histogram, row, NAME)? {
                let (start, is_delta) = (counting.start(row), counting.is_delta(row));
                self.0.push(Snapshot { at: at.value(row), start, is_delta, histogram });
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Struct(Arc::new(exponential_column(self.increase().as_ref())?)))
    }

    fn size(&self) -> usize {
        let counts = |one: &Snapshot| {
            (one.histogram.positive.counts.capacity() + one.histogram.negative.counts.capacity()) * 8
        };
        let held: usize = self.0.iter().map(counts).sum();
        size_of::<Self>() + self.0.capacity() * size_of::<Snapshot>() + held
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let histograms: Vec<_> = self.0.iter().map(|one| Some(one.histogram.clone())).collect();
        let at: Int64Array = self.0.iter().map(|one| Some(one.at)).collect();
        let start: Int64Array = self.0.iter().map(|one| one.start).collect();
        let is_delta: BooleanArray = self.0.iter().map(|one| Some(one.is_delta)).collect();
        let parts: [ArrayRef; 4] =
            [exponential_rows(&histograms)?, Arc::new(at), Arc::new(start), Arc::new(is_delta)];
        parts.into_iter().map(|part| ScalarValue::try_from_array(&list(part)?, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [histograms, at, start, is_delta] = states else {
            return exec_err!("{NAME} was given {} columns of state", states.len());
        };
        let (histograms, start, is_delta) =
            (lists(histograms, NAME)?, lists(start, NAME)?, lists(is_delta, NAME)?);
        for row in 0..histograms.len() {
            let of_row = parts(&[histograms.value(row)]);
            let (start, is_delta) = (start.value(row), is_delta.value(row));
            let (start, is_delta) = (start.as_primitive::<Int64Type>(), is_delta.as_boolean());
            for (place, at) in row_of::<Int64Type>(lists(at, NAME)?, row, NAME)?.iter().enumerate() {
                if let Some(histogram) = exponential_row(&of_row, place, NAME)? {
                    let start = start.is_valid(place).then(|| start.value(place));
                    self.0.push(Snapshot { at: *at, start, is_delta: is_delta.value(place), histogram });
                }
            }
        }
        Ok(())
    }
}
