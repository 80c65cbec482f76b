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
    on_missing: Missing,
) -> Result<(), SqlError> {
    let outcome = ast::visit_expressions_mut(statement, |expr| {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(placeholder) = &value.value else { return ControlFlow::Continue(()) };
        let name = placeholder.strip_prefix('$').unwrap_or(placeholder);
        match params.get(name) {
            Some(param) => *expr = literal(param),
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

fn missing(placeholder: &str, params: &BTreeMap<String, SqlParam>) -> SqlError {
    let name = placeholder.strip_prefix('$').unwrap_or(placeholder);
    let hint = match closest(name, params.keys().map(String::as_str)) {
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
