//! `histogram_quantile(q, …)`: a quantile estimated from buckets, of either kind.

use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{
    ExplicitRows, explicit_types, exponential_row, exponential_types, is_struct_of, parts, struct_type,
};
use super::explicit;
use crate::functions::arguments::numbers;

const NAME: &str = "histogram_quantile";

pub(in crate::functions) fn udf() -> ScalarUDF {
    ScalarUDF::new_from_impl(Quantile { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantile {
    signature: Signature,
}

impl ScalarUDFImpl for Quantile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let mut wanted = vec![DataType::Float64];
        match types {
            [_, one] if is_struct_of(one, &explicit_types()) => wanted.push(struct_type(explicit_types())),
            [_, one] if is_struct_of(one, &exponential_types()) => {
                wanted.push(struct_type(exponential_types()));
            }
            [_, _, _] => wanted.extend(explicit_types().map(|(_, data_type)| data_type)),
            [_, rest @ ..] if rest.len() == exponential_types().len() => {
                wanted.extend(exponential_types().map(|(_, data_type)| data_type));
            }
            _ => {
                let names = exponential_types().map(|(name, _)| name).join(", ");
                return plan_err!(
                    "{NAME} takes (q, explicit_bounds, bucket_counts), (q, {names}) or (q, histogram_merge(…))"
                );
            }
        }
        Ok(wanted)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [q, histogram @ ..] = columns.as_slice() else { return exec_err!("{NAME} was given nothing") };
        let q = numbers::<Float64Type>(q, NAME)?;
        let parts = parts(histogram);
        let one = |row: usize| -> Result<Option<f64>> {
            if q.is_null(row) {
                return Ok(None);
            }
            if parts.len() == 2 {
                let (bounds, counts) = ExplicitRows::of(&parts, NAME)?.row(row)?;
                return Ok(explicit::quantile(q.value(row), bounds, counts));
            }
            let histogram = exponential_row(&parts, row, NAME)?;
            Ok(histogram.and_then(|histogram| histogram.quantile(q.value(row))))
        };
        let quantiles = (0..q.len()).map(one).collect::<Result<Float64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(quantiles)))
    }
}
