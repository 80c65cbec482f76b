//! `time_bucket(interval, timestamp[, origin])`: the start of the bucket that a time falls in.
//!
//! Named and aligned as in TimescaleDB and DuckDB: buckets begin at midnight UTC, weeks on Monday, months and years
//! on the first of January 2000. `date_bin` does the arithmetic; only its origin (a Thursday) differs.
//! Where the length is fixed and the times are of our tables' kind it is one division, done here.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::datetime::date_bin;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::time_type;

/// 2000-01-03T00:00:00Z, a Monday.
const MONDAY_NANOS: i64 = 946_857_600_000_000_000;
/// 2000-01-01T00:00:00Z, for buckets of months and years.
const NEW_YEAR_NANOS: i64 = 946_684_800_000_000_000;

pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::new_from_impl(TimeBucket { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeBucket {
    signature: Signature,
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &'static str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !matches!(types.len(), 2 | 3) {
            return plan_err!("time_bucket takes an interval, a timestamp and perhaps an origin");
        }
        let time = match &types[1] {
            DataType::Timestamp(unit, zone) => DataType::Timestamp(*unit, zone.clone()),
            _ => time_type(),
        };
        let origin = DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
        let wanted = [DataType::Interval(IntervalUnit::MonthDayNano), time, origin];
        Ok(wanted.into_iter().take(types.len()).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.get(1) {
            Some(time @ DataType::Timestamp(..)) => Ok(time.clone()),
            _ => plan_err!("time_bucket takes an interval, a timestamp and perhaps an origin"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.len() == 2 {
            let begins = match (fixed_micros(&args.args[0]), &args.args[1]) {
                (Some(micros), ColumnarValue::Array(times)) => begins(times, micros),
                _ => None,
            };
            if let Some(begins) = begins {
                return Ok(ColumnarValue::Array(begins));
            }
            let origin = default_origin(&args.args[0]);
            args.args.push(ColumnarValue::Scalar(origin));
        }
        date_bin().inner().invoke_with_args(args)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        date_bin().inner().output_ordering(inputs)
    }
}

fn default_origin(interval: &ColumnarValue) -> ScalarValue {
    let nanos = match interval {
        ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(span))) if span.months != 0 => {
            NEW_YEAR_NANOS
        }
        _ => MONDAY_NANOS,
    };
    ScalarValue::TimestampNanosecond(Some(nanos), Some("+00:00".into()))
}

/// Times from the year 1716 to 2223, whose distance to an origin can be told in nanoseconds as well.
const MICROS_MAX: u64 = 8_000_000_000_000_000;
/// Three years.
const FIXED_MICROS_MAX: i64 = 100_000_000_000_000;

/// The length of an interval of whole microseconds without months.
fn fixed_micros(interval: &ColumnarValue) -> Option<i64> {
    let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(span))) = interval else { return None };
    let days = i64::from(span.days).checked_mul(86_400_000_000)?;
    let micros = days.checked_add(span.nanoseconds / 1000)?;
    let is_fixed = span.months == 0 && span.nanoseconds % 1000 == 0;
    (is_fixed && (1..=FIXED_MICROS_MAX).contains(&micros)).then_some(micros)
}

/// The starts of the buckets of so many microseconds, for times of the usual kind and range.
fn begins(times: &ArrayRef, micros: i64) -> Option<ArrayRef> {
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    if times.values().iter().fold(false, |far, time| far | (time.unsigned_abs() > MICROS_MAX)) {
        return None;
    }
    let origin = MONDAY_NANOS / 1000;
    let begins = times.unary::<_, TimestampMicrosecondType>(|time| time - (time - origin).rem_euclid(micros));
    Some(Arc::new(begins.with_timezone_opt(times.timezone())))
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use arrow::datatypes::{Field, IntervalMonthDayNano};
    use datafusion::common::config::ConfigOptions;
    use proptest::prelude::*;

    use super::*;

    fn by_date_bin(interval: ScalarValue, times: &ArrayRef) -> ArrayRef {
        let interval = ColumnarValue::Scalar(interval);
        let origin = default_origin(&interval);
        let args = vec![interval, ColumnarValue::Array(Arc::clone(times)), ColumnarValue::Scalar(origin)];
        let fields = args.iter().map(|arg| Arc::new(Field::new("argument", arg.data_type(), true)));
        let binned = date_bin().inner().invoke_with_args(ScalarFunctionArgs {
            arg_fields: fields.collect(),
            args,
            number_rows: times.len(),
            return_field: Arc::new(Field::new("begin", times.data_type().clone(), true)),
            config_options: Arc::new(ConfigOptions::default()),
        });
        binned.unwrap().to_array(times.len()).unwrap()
    }

    proptest! {
        #[test]
        fn buckets_of_a_fixed_length_are_those_of_date_bin(
            days in 0..40_i32,
            nanos in prop_oneof![Just(0), 1..100_i64, (1..10_000_000_000_i64).prop_map(|micros| micros * 1000)],
            times in prop::collection::vec(prop::option::of(prop_oneof![
                9 => -8_000_000_000_000_000..=8_000_000_000_000_000_i64,
                9 => 946_857_599_000_000..946_857_601_000_000_i64,
                1 => any::<i64>(),
            ]), 0..20),
        ) {
            let span = ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, days, nanos))));
            let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
            if let Some(begins) = fixed_micros(&span).and_then(|micros| begins(&times, micros)) {
                let ColumnarValue::Scalar(span) = span else { unreachable!() };
                prop_assert_eq!(&begins, &by_date_bin(span, &times));
            } else {
                let odd = days == 0 && nanos == 0 || nanos % 1000 != 0;
                let far = |time: &i64| time.unsigned_abs() > MICROS_MAX;
                prop_assert!(odd || times.as_primitive::<TimestampMicrosecondType>().values().iter().any(far));
            }
        }
    }
}
