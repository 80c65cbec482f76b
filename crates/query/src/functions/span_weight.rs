//! `span_weight(trace_state)`: how many spans a sampled one stands for.
//!
//! Source: OpenTelemetry, "TraceState: Probability Sampling". The vendor part `ot` of the W3C tracestate holds
//! `th:<hex>`, the rejection threshold T out of 2^56 with its trailing zeros left out; the span was kept with the
//! probability 1 − T/2^56 and so stands for one in that many.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Hexadecimal digits of a whole threshold.
const DIGITS: usize = 14;

pub(super) fn udf() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8View], Volatility::Immutable);
    ScalarUDF::new_from_impl(SpanWeight { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SpanWeight {
    signature: Signature,
}

impl ScalarUDFImpl for SpanWeight {
    fn name(&self) -> &'static str {
        "span_weight"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [states] = columns.as_slice() else { return exec_err!("span_weight takes one trace_state") };
        let Some(states) = states.as_string_view_opt() else {
            return exec_err!("span_weight was given {} where it expects text", states.data_type());
        };
        let weights: Float64Array = (0..states.len())
            .map(|row| Some(if states.is_valid(row) { weight(states.value(row)) } else { 1.0 }))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(weights) as ArrayRef))
    }
}

/// One for what says nothing of sampling, or nothing that can be read: it is there, so it counts.
fn weight(state: &str) -> f64 {
    let ours = state.split(',').find_map(|member| member.trim().strip_prefix("ot="));
    let threshold = ours.and_then(|ours| ours.split(';').find_map(|part| part.trim().strip_prefix("th:")));
    threshold.and_then(kept).map_or(1.0, |kept| 1.0 / kept)
}

/// The share of spans that are kept under a threshold, above nought.
fn kept(threshold: &str) -> Option<f64> {
    let is_threshold = (1..=DIGITS).contains(&threshold.len())
        && threshold.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let digits = is_threshold.then(|| u64::from_str_radix(threshold, 16).ok())??;
    let rejected = digits << (4 * (DIGITS - threshold.len()));
    #[expect(
        clippy::cast_precision_loss,
        reason = "fifty-six bits; what is lost is less than a part in 2^53"
    )]
    let kept = ((1_u64 << 56) - rejected) as f64 / (1_u64 << 56) as f64;
    Some(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sampled_span_stands_for_one_in_its_probability() {
        for (state, expected) in [
            ("", 1.0),
            ("vendor=x", 1.0),
            ("ot=th:0", 1.0),
            ("ot=th:8", 2.0),
            ("ot=th:c", 4.0),
            ("ot=th:fd70a3d70a3d71", 100.0),
            ("vendor=a:1;th:8,ot=rv:abcdefabcdefab;th:c", 4.0),
            (" ot=th:e , other=y", 8.0),
            ("ot=th:ffffffffffffff", 72_057_594_037_927_936.0),
            // What cannot be read is no reason to lose the span.
            ("ot=th:C", 1.0),
            ("ot=th:", 1.0),
            ("ot=th:800000000000000", 1.0),
            ("ot=th:-8", 1.0),
            ("notot=th:8", 1.0),
        ] {
            let got = weight(state);
            assert!((got / expected - 1.0_f64).abs() < 1e-9, "{state}: {got}");
        }
    }

    proptest! {
        #[test]
        fn any_state_weighs_at_least_one(state in "(ot=)?[th:;,=0-9a-f]{0,24}") {
            prop_assert!(weight(&state) >= 1.0 && weight(&state).is_finite());
        }
    }
}
