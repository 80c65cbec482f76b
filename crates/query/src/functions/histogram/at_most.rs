//! `histogram_at_most(x, …)`: how many of the values that a histogram counted are at or under `x`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{ExplicitRows, explicit_types, exponential_row, exponential_types, parts};
use super::explicit;
use crate::functions::arguments::numbers;

const NAME: &str = "histogram_at_most";
const FIELDS: [&str; 5] = ["count", "lower", "upper", "bound_below", "bound_above"];

/// Values at or under a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct AtMost {
    /// The number to use: of explicit buckets the lower end, of exponential ones an estimate.
    pub(super) count: f64,
    /// It is not less than this.
    pub(super) lower: f64,
    /// It is not more than this.
    pub(super) upper: f64,
    /// The bound at or under the threshold, of explicit buckets.
    pub(super) bound_below: Option<f64>,
    /// The bound above it.
    pub(super) bound_above: Option<f64>,
}

pub(in crate::functions) fn udf() -> ScalarUDF {
    ScalarUDF::new_from_impl(CountAtMost { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountAtMost {
    signature: Signature,
}

fn fields() -> Fields {
    FIELDS.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
}

impl ScalarUDFImpl for CountAtMost {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let mut wanted = vec![DataType::Float64];
        match types.len() {
            3 => wanted.extend(explicit_types().map(|(_, data_type)| data_type)),
            8 => wanted.extend(exponential_types().map(|(_, data_type)| data_type)),
            _ => {
                let names = exponential_types().map(|(name, _)| name).join(", ");
                return plan_err!("{NAME} takes (x, explicit_bounds, bucket_counts) or (x, {names})");
            }
        }
        Ok(wanted)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [limits, histogram @ ..] = columns.as_slice() else {
            return exec_err!("{NAME} was given nothing");
        };
        let limits = numbers::<Float64Type>(limits, NAME)?;
        let parts = parts(histogram);
        let explicit = if parts.len() == 2 { Some(ExplicitRows::of(&parts, NAME)?) } else { None };
        let mut found: Vec<Option<AtMost>> = Vec::with_capacity(limits.len());
        for row in 0..limits.len() {
            if limits.is_null(row) || limits.value(row).is_nan() {
                found.push(None);
                continue;
            }
            let limit = limits.value(row);
            found.push(match &explicit {
                Some(rows) => {
                    let (bounds, counts) = rows.row(row)?;
                    explicit::at_most(limit, bounds, counts)
                }
                None => exponential_row(&parts, row, NAME)?.map(|histogram| histogram.at_most(limit)),
            });
        }
        let column = |value: fn(&AtMost) -> Option<f64>| -> ArrayRef {
            Arc::new(found.iter().map(|found| found.as_ref().and_then(value)).collect::<Float64Array>())
        };
        let columns = vec![
            column(|found| Some(found.count)),
            column(|found| Some(found.lower)),
            column(|found| Some(found.upper)),
            column(|found| found.bound_below),
            column(|found| found.bound_above),
        ];
        let valid: NullBuffer = found.iter().map(Option::is_some).collect();
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields(), columns, Some(valid))?)))
    }
}
