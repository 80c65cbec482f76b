//! `time_bucket(interval, timestamp[, origin])`: the start of the bucket that a time falls in.
//!
//! Named and aligned as in TimescaleDB and DuckDB: buckets begin at midnight UTC, weeks on Monday, months and years
//! on the first of January 2000. `date_bin` does the arithmetic; only its origin (a Thursday) differs.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
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
