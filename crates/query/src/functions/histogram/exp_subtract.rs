//! `exp_histogram_delta(later, earlier)`: what came between two snapshots of a cumulative exponential histogram.

use arrow::array::Array as _;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{
    exponential_row, exponential_rows, exponential_types, is_struct_of, parts, struct_type,
};

const NAME: &str = "exp_histogram_delta";

pub(in crate::functions) fn udf() -> ScalarUDF {
    ScalarUDF::new_from_impl(Subtract { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Subtract {
    signature: Signature,
}

impl ScalarUDFImpl for Subtract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_histogram = |one: &DataType| one.is_null() || is_struct_of(one, &exponential_types());
        if types.len() != 2 || !types.iter().all(is_histogram) {
            return plan_err!(
                "{NAME} takes a later and an earlier histogram, as exp_histogram_merge makes them"
            );
        }
        Ok(vec![struct_type(exponential_types()); 2])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(struct_type(exponential_types()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [later, earlier] = columns.as_slice() else { return exec_err!("{NAME} takes two histograms") };
        let rows = later.len();
        let (later, earlier) = (parts(std::slice::from_ref(later)), parts(std::slice::from_ref(earlier)));
        let between = (0..rows).map(|row| {
            let (later, earlier) =
                (exponential_row(&later, row, NAME)?, exponential_row(&earlier, row, NAME)?);
            Ok(later.zip(earlier).map(|(later, earlier)| later.since(&earlier)))
        });
        Ok(ColumnarValue::Array(exponential_rows(&between.collect::<Result<Vec<_>>>()?)?))
    }
}
