//! The span of time that a filter leaves, so that the blocks outside it are not even looked at.

use arrow::datatypes::TimeUnit;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use hindsight_model::timestamp_from_micros;
use jiff::Timestamp;

/// Bounds of `timestamp`, both included; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TimeRange {
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
}

impl TimeRange {
    /// What all of `filters` together leave. Bounds in other forms than `timestamp <op> literal` are not seen;
    /// the range is then wider than it could be, never narrower.
    pub(crate) fn of(filters: &[Expr]) -> Self {
        let mut range = Self::default();
        for filter in filters {
            range.narrow(filter);
        }
        range
    }

    fn narrow(&mut self, filter: &Expr) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return };
        if *op == Operator::And {
            self.narrow(left);
            self.narrow(right);
            return;
        }
        let (op, at) = match (is_timestamp(left), is_timestamp(right)) {
            (true, _) => (Some(*op), literal(right)),
            (_, true) => (op.swap(), literal(left)),
            _ => return,
        };
        let (Some(op), Some(at)) = (op, at) else { return };
        // A bound that is not included is taken as included: wider by a microsecond at most.
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            self.from = self.from.max(Some(at));
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            self.to = Some(self.to.map_or(at, |to| to.min(at)));
        }
    }
}

fn is_timestamp(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == "timestamp")
}

fn literal(expr: &Expr) -> Option<Timestamp> {
    let Expr::Literal(value, _) = expr else { return None };
    let micros = value.cast_to(&arrow::datatypes::DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
    let (ScalarValue::TimestampMicrosecond(micros, _), true) = (micros, exact(value)) else { return None };
    timestamp_from_micros(micros?)
}

/// Whether turning the value into microseconds loses nothing.
fn exact(value: &ScalarValue) -> bool {
    matches!(
        value,
        ScalarValue::TimestampMicrosecond(..)
            | ScalarValue::TimestampMillisecond(..)
            | ScalarValue::TimestampSecond(..)
    )
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn micros(at: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())))
    }

    fn range(from: Option<i64>, to: Option<i64>) -> TimeRange {
        let at = |micros: Option<i64>| micros.and_then(timestamp_from_micros);
        TimeRange { from: at(from), to: at(to) }
    }

    #[test]
    fn the_narrowest_bounds_of_all_filters_count() {
        let filters = [
            col("timestamp").gt_eq(micros(10)).and(col("name").eq(lit("a"))),
            col("timestamp").gt(micros(20)),
            micros(70).gt(col("timestamp")),
            col("timestamp").lt_eq(micros(90)),
        ];
        assert_eq!(TimeRange::of(&filters), range(Some(20), Some(70)));
        assert_eq!(TimeRange::of(&[col("timestamp").eq(micros(5))]), range(Some(5), Some(5)));
        let seconds = lit(ScalarValue::TimestampSecond(Some(3), None));
        assert_eq!(TimeRange::of(&[col("timestamp").lt(seconds)]), range(None, Some(3_000_000)));
    }

    #[test]
    fn what_is_not_understood_does_not_narrow() {
        let nothing = lit(ScalarValue::TimestampMicrosecond(None, None));
        let filters = [
            col("timestamp").gt(micros(10)).or(col("name").eq(lit("a"))),
            col("observed_timestamp").gt(micros(10)),
            col("timestamp").not_eq(micros(10)),
            col("timestamp").gt(nothing),
            col("timestamp").gt(lit(ScalarValue::TimestampNanosecond(Some(10_001), None))),
            (col("timestamp") + lit(1)).gt(micros(10)),
        ];
        assert_eq!(TimeRange::of(&filters), TimeRange::default());
    }
}
