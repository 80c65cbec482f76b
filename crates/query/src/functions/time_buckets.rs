//! `time_buckets(from, to, interval)`: every bucket of a span of time, to `LEFT JOIN` what may have gaps.
//!
//! TimescaleDB fills gaps with a function that its planner knows (`time_bucket_gapfill`), which cannot say what a
//! gap is for which group. A table of buckets is plain SQL: the query says with `CROSS JOIN` which series must have
//! a row in every bucket, and `coalesce`, `locf` or `interpolate` say what stands there.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::kernels::numeric::add;
use arrow::datatypes::{Field, IntervalMonthDayNano, Schema, TimestampMicrosecondType};
use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs};

use super::arguments::time_type;
use super::time_bucket;

/// Most buckets that one call gives.
const BUCKETS_MAX: usize = 100_000;
const USAGE: &str = "time_buckets takes two times and an interval, none of them a column: time_buckets($from, $to, $interval)";

#[derive(Debug)]
pub(super) struct TimeBuckets;

impl TableFunctionImpl for TimeBuckets {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let [from, to, interval] = args.exprs() else { return plan_err!("{USAGE}") };
        let (from, to) = (time(from)?, time(to)?);
        let interval = interval_of(interval)?;
        let buckets = buckets(from, to, interval)?;
        let schema = Arc::new(Schema::new(vec![Field::new("bucket", time_type(), false)]));
        let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(buckets).with_timezone("UTC"));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column])?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}

fn time(expr: &Expr) -> Result<i64> {
    let Expr::Literal(value, _) = expr else { return plan_err!("{USAGE}") };
    match value.cast_to(&time_type()) {
        Ok(ScalarValue::TimestampMicrosecond(Some(micros), _)) => Ok(micros),
        _ => plan_err!("{USAGE}; {value} is not a time"),
    }
}

fn interval_of(expr: &Expr) -> Result<IntervalMonthDayNano> {
    let Expr::Literal(value, _) = expr else { return plan_err!("{USAGE}") };
    let unit = arrow::datatypes::IntervalUnit::MonthDayNano;
    match value.cast_to(&arrow::datatypes::DataType::Interval(unit)) {
        Ok(ScalarValue::IntervalMonthDayNano(Some(span))) => Ok(span),
        _ => plan_err!("{USAGE}; {value} is not an interval"),
    }
}

/// The buckets from the one that holds `from` to the last that begins before `to`, all in microseconds.
fn buckets(from: i64, to: i64, interval: IntervalMonthDayNano) -> Result<Vec<i64>> {
    let mut at = bucket_of(from, interval)?;
    let mut buckets = Vec::new();
    while at < to {
        if buckets.len() == BUCKETS_MAX {
            return plan_err!(
                "time_buckets would give more than {BUCKETS_MAX} buckets; take a longer interval or less time"
            );
        }
        buckets.push(at);
        let next = after(at, interval)?;
        if next <= at {
            return plan_err!("time_buckets needs an interval longer than a microsecond");
        }
        at = next;
    }
    Ok(buckets)
}

fn after(at: i64, interval: IntervalMonthDayNano) -> Result<i64> {
    if interval.months == 0 {
        let micros = i64::from(interval.days) * 86_400_000_000 + interval.nanoseconds / 1_000;
        return Ok(at.saturating_add(micros));
    }
    let at = TimestampMicrosecondArray::new_scalar(at);
    let step = arrow::array::IntervalMonthDayNanoArray::new_scalar(interval);
    let next = add(&at, &step)?;
    Ok(next.as_primitive::<TimestampMicrosecondType>().value(0))
}

fn bucket_of(at: i64, interval: IntervalMonthDayNano) -> Result<i64> {
    let udf = time_bucket::udf();
    let at = ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into()));
    let field = |value: &ScalarValue| Arc::new(Field::new("argument", value.data_type(), true));
    let interval = ScalarValue::IntervalMonthDayNano(Some(interval));
    let args = ScalarFunctionArgs {
        arg_fields: vec![field(&interval), field(&at)],
        return_field: field(&at),
        args: vec![ColumnarValue::Scalar(interval), ColumnarValue::Scalar(at)],
        number_rows: 1,
        config_options: Arc::new(ConfigOptions::default()),
    };
    match udf.inner().invoke_with_args(args)? {
        ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(micros), _)) => Ok(micros),
        other => plan_err!("time_buckets could not place its first bucket: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(count: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano::new(0, 0, count * 1_000_000_000)
    }

    #[test]
    fn an_interval_that_goes_nowhere_or_gives_too_much_is_refused() {
        for (to, interval, says) in [
            (1, IntervalMonthDayNano::new(0, 0, 0), ""),
            (1, IntervalMonthDayNano::new(0, 0, -1_000_000), ""),
            (1_000_000, IntervalMonthDayNano::new(0, 0, 1_000), "more than 100000"),
        ] {
            let error = buckets(0, to, interval).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn buckets_follow_each_other_and_each_holds_its_own_start(
            from in 0_i64..4_000_000_000_000_000,
            long in 0_i64..10_000_000_000,
            step in 1_i64..5_000,
        ) {
            let all = buckets(from, from + long, seconds(step)).unwrap();
            let first = bucket_of(from, seconds(step)).unwrap();
            prop_assert!(first <= from && from < first + step * 1_000_000);
            prop_assert!(all.iter().all(|at| bucket_of(*at, seconds(step)).unwrap() == *at));
            prop_assert!(all.windows(2).all(|pair| pair[1] - pair[0] == step * 1_000_000));
            prop_assert!(all.last().is_none_or(|last| *last < from + long));
            prop_assert_eq!(all.is_empty(), first >= from + long);
        }
    }
}
