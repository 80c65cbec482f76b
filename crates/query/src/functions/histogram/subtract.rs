//! `histogram_delta(later_counts, earlier_counts)`: what came between two snapshots of a cumulative histogram.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListBuilder, PrimitiveBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::explicit::difference;
use crate::functions::arguments::{list_type, lists, row_of};

const NAME: &str = "histogram_delta";

pub(in crate::functions) fn udf() -> ScalarUDF {
    let counts = list_type(DataType::Int64);
    let signature = Signature::exact(vec![counts.clone(), counts], Volatility::Immutable);
    ScalarUDF::new_from_impl(Subtract { signature })
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

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_type(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [later, earlier] = columns.as_slice() else {
            return exec_err!("{NAME} takes two lists of counts");
        };
        let (later, earlier) = (lists(later, NAME)?, lists(earlier, NAME)?);
        let mut differences = ListBuilder::new(PrimitiveBuilder::<Int64Type>::new());
        for row in 0..later.len() {
            let known = later.is_valid(row) && earlier.is_valid(row);
            if known {
                let (later, earlier) =
                    (row_of::<Int64Type>(later, row, NAME)?, row_of::<Int64Type>(earlier, row, NAME)?);
                differences.values().append_slice(&difference(later, earlier));
            }
            differences.append(known);
        }
        Ok(ColumnarValue::Array(Arc::new(differences.finish()) as ArrayRef))
    }
}
