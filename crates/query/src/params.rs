//! Named parameters: `$now` and the like become typed literals before anything is planned.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, Interval, ObjectName, Value, VisitMut,
};
use hindsight_model::{SqlError, SqlParam};
use jiff::Timestamp;

use crate::suggest::closest;

/// What has a value without being given.
const DEFAULTED: [&str; 4] = ["from", "interval", "now", "to"];
/// What `$from` lies before `$to` when the caller does not say.
const DEFAULT_RANGE: Duration = Duration::from_secs(3600);
/// Most buckets of the default `$interval` between `$from` and `$to`; there are at least a third of them, but for
/// ranges under 100 seconds.
const DEFAULT_BUCKETS_MAX: u64 = 300;
/// The lengths that the default `$interval` may have, in seconds.
const STEPS: [u64; 19] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
];

/// What to do with a name without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Refuse,
    Leave,
}

/// Replaces every `$name` in a parsed statement.
///
/// # Errors
/// [`SqlError::Invalid`] for a name without a value, where that is refused.
pub(crate) fn bind<S: VisitMut>(
    statement: &mut S,
    params: &BTreeMap<String, SqlParam>,
    now: Timestamp,
    on_missing: Missing,
) -> Result<(), SqlError> {
    let outcome = ast::visit_expressions_mut(statement, |expr| {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(placeholder) = &value.value else { return ControlFlow::Continue(()) };
        let name = placeholder.strip_prefix('$').unwrap_or(placeholder);
        match params.get(name).cloned().or_else(|| default(name, params, now)) {
            Some(param) => *expr = literal(&param),
            None if on_missing == Missing::Leave => {}
            None => return ControlFlow::Break(missing(placeholder, params)),
        }
        ControlFlow::Continue(())
    });
    match outcome {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// `$now` is the server's clock, `$to` is now, `$from` an hour before, and `$interval` a round length that makes a
/// chart of the range: 100 to 300 buckets.
fn default(name: &str, params: &BTreeMap<String, SqlParam>, now: Timestamp) -> Option<SqlParam> {
    let given = |name: &str| match params.get(name)? {
        SqlParam::Time(at) => Some(*at),
        SqlParam::Text(text) => text.parse().ok(),
        _ => None,
    };
    let now = given("now").unwrap_or(now);
    let to = given("to").unwrap_or(now);
    let from = given("from").or_else(|| to.checked_sub(DEFAULT_RANGE).ok()).unwrap_or(to);
    match name {
        "now" => Some(SqlParam::Time(now)),
        "to" => Some(SqlParam::Time(to)),
        "from" => Some(SqlParam::Time(from)),
        "interval" => {
            let seconds = u64::try_from(to.as_second().saturating_sub(from.as_second())).unwrap_or(0);
            Some(SqlParam::Interval(Duration::from_secs(step(seconds))))
        }
        _ => None,
    }
}

/// The shortest round step that cuts a range into few enough buckets.
fn step(seconds: u64) -> u64 {
    let fits = |step: &u64| seconds <= step.saturating_mul(DEFAULT_BUCKETS_MAX);
    let day = 86_400;
    STEPS.into_iter().find(fits).unwrap_or_else(|| seconds.div_ceil(DEFAULT_BUCKETS_MAX).div_ceil(day) * day)
}

fn missing(placeholder: &str, params: &BTreeMap<String, SqlParam>) -> SqlError {
    let name = placeholder.strip_prefix('$').unwrap_or(placeholder);
    let hint = match closest(name, params.keys().map(String::as_str).chain(DEFAULTED)) {
        Some(known) => format!("; did you mean ${known}?"),
        None if params.is_empty() => "; no parameters were given".to_owned(),
        None => {
            let given: Vec<String> = params.keys().map(|known| format!("${known}")).collect();
            format!("; given are {}", given.join(", "))
        }
    };
    SqlError::Invalid { message: format!("parameter {placeholder} has no value{hint}") }
}

fn literal(param: &SqlParam) -> Expr {
    match param {
        SqlParam::Null => Expr::value(Value::Null),
        SqlParam::Bool(flag) => Expr::value(Value::Boolean(*flag)),
        SqlParam::Int(number) => typed(number.to_string(), DataType::BigInt(None)),
        SqlParam::Double(number) => typed(number.to_string(), DataType::Double(ExactNumberInfo::None)),
        SqlParam::Text(text) => Expr::value(Value::SingleQuotedString(text.clone())),
        SqlParam::Time(at) => time(*at),
        SqlParam::Interval(span) => interval(*span),
    }
}

fn typed(text: String, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(text))),
        data_type,
        array: false,
        format: None,
    }
}

/// The type of every `timestamp` column, so that the comparison needs no cast and can rule out files.
fn time(at: Timestamp) -> Expr {
    call("arrow_cast", [format!("{at:.6}"), "Timestamp(Microsecond, Some(\"UTC\"))".to_owned()])
}

fn interval(span: Duration) -> Expr {
    let text = format!("{}.{:09} seconds", span.as_secs(), span.subsec_nanos());
    Expr::Interval(Interval {
        value: Box::new(Expr::value(Value::SingleQuotedString(text))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

fn call(name: &str, args: [String; 2]) -> Expr {
    let args = args
        .into_iter()
        .map(|text| FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::value(Value::SingleQuotedString(text)))))
        .collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-05-04T10:00:00Z";

    fn ask(name: &str, given: &[(&str, SqlParam)]) -> Option<SqlParam> {
        let params = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        default(name, &params, NOW.parse().unwrap())
    }

    #[test]
    fn the_last_hour_is_meant_when_nothing_is_said() {
        let at = |text: &str| Some(SqlParam::Time(text.parse().unwrap()));
        assert_eq!(ask("now", &[]), at(NOW));
        assert_eq!(ask("to", &[]), at(NOW));
        assert_eq!(ask("from", &[]), at("2026-05-04T09:00:00Z"));
        assert_eq!(ask("interval", &[]), Some(SqlParam::Interval(Duration::from_secs(15))));
        assert_eq!(ask("service", &[]), None);
        let day = SqlParam::Text("2026-05-03T10:00:00Z".to_owned());
        assert_eq!(ask("interval", &[("from", day)]), Some(SqlParam::Interval(Duration::from_secs(300))));
        let end = SqlParam::Time("2026-05-02T10:00:00Z".parse().unwrap());
        assert_eq!(ask("from", &[("to", end.clone())]), at("2026-05-02T09:00:00Z"));
        assert_eq!(
            ask("interval", &[("from", SqlParam::Time(NOW.parse().unwrap())), ("to", end)]),
            Some(SqlParam::Interval(Duration::from_secs(1)))
        );
    }

    proptest! {
        #[test]
        fn a_range_is_cut_into_a_hundred_to_three_hundred_buckets(seconds in 120_u64..250_000_000) {
            let buckets = seconds as f64 / step(seconds) as f64;
            prop_assert!((100.0..=300.0).contains(&buckets), "{} {}", step(seconds), buckets);
        }
    }
}
