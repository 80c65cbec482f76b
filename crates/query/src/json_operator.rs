//! `attributes->>'http.route'`: one spelling, whether the attribute has a column of its own or not (DESIGN §7).

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue, TableReference};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion_functions_json::udfs::json_as_text_udf;

use crate::attribute_text;
use crate::signal_schema::{has_mark, is_all_promoted, is_attributes, promoted_for};

/// Plans `->>` with a literal key. The key is always one name, dots and all, never a path.
#[derive(Debug)]
pub(crate) struct AttributePlanner;

impl ExprPlanner for AttributePlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::LongArrow {
            return Ok(PlannerResult::Original(expr));
        }
        let Some(key) = literal_text(&expr.right).map(|key| unquoted(key).to_owned()) else {
            return Ok(PlannerResult::Original(expr));
        };
        let title = title(&expr.left, &key, schema);
        let promoted = match &expr.left {
            Expr::Column(column) => promoted_column(column, &key, schema)?,
            _ => None,
        };
        let field = match &expr.left {
            Expr::Column(column) => field_of(column, schema),
            _ => None,
        };
        let ours = field.is_some_and(is_attributes);
        if let Some((column, data_type)) = &promoted
            && field.is_some_and(is_all_promoted)
        {
            return Ok(PlannerResult::Planned(as_text(column, data_type).alias(title)));
        }
        let function = if ours { attribute_text::udf() } else { json_as_text_udf() };
        let text = function.call(vec![expr.left, Expr::Literal(ScalarValue::from(key), None)]);
        let text = match promoted {
            Some((column, data_type)) => coalesce(vec![as_text(&column, &data_type), text]),
            None => text,
        };
        Ok(PlannerResult::Planned(text.alias(title)))
    }
}

pub(crate) fn as_text(column: &Column, data_type: &DataType) -> Expr {
    let column = Expr::Column(column.clone());
    if matches!(data_type, DataType::Utf8 | DataType::Utf8View) {
        column
    } else {
        cast(column, DataType::Utf8)
    }
}

/// The promoted column beside this JSON column and its type.
///
/// # Errors
/// When there is one but a subquery left it out: the JSON alone would silently answer null.
pub(crate) fn promoted_column(
    json: &Column,
    key: &str,
    schema: &DFSchema,
) -> Result<Option<(Column, DataType)>> {
    let Some(field) = field_of(json, schema) else { return Ok(None) };
    let Some((mark, name)) = promoted_for(field, key) else { return Ok(None) };
    let beside = |(qualifier, field): &(Option<&TableReference>, &std::sync::Arc<Field>)| {
        *qualifier == json.relation.as_ref() && has_mark(field, &mark)
    };
    if let Some((qualifier, field)) = schema.iter().find(beside) {
        return Ok(Some((Column::new(qualifier.cloned(), field.name()), field.data_type().clone())));
    }
    Err(DataFusionError::Plan(format!(
        "`{json}->>'{key}'` needs the column `{name}`, which the subquery does not select; add `{name}` to its select list or ask for the attribute inside it",
        json = json.name,
    )))
}

pub(crate) fn field_of<'a>(column: &Column, schema: &'a DFSchema) -> Option<&'a Field> {
    let same = |qualifier: Option<&TableReference>, field: &Field| {
        qualifier == column.relation.as_ref() && field.name() == &column.name
    };
    schema.iter().find(|(qualifier, field)| same(*qualifier, field)).map(|(_, field)| field.as_ref())
}

pub(crate) fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
            _,
        ) => Some(text),
        _ => None,
    }
}

/// `"http.route"` within the literal is the same key as `http.route`.
fn unquoted(key: &str) -> &str {
    key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).filter(|key| !key.is_empty()).unwrap_or(key)
}

/// What the column is called when the query does not say: as it was written, with the table only where several
/// tables are in scope.
fn title(left: &Expr, key: &str, schema: &DFSchema) -> String {
    match left {
        Expr::Column(column) => {
            // Columns without a table are aliases, which come into scope in GROUP BY and ORDER BY.
            let other = |table: Option<&TableReference>| table.is_some() && table != column.relation.as_ref();
            let several = schema.iter().any(|(table, _)| other(table));
            match &column.relation {
                Some(table) if several => format!("{}.{}->>'{key}'", table.table(), column.name),
                _ => format!("{}->>'{key}'", column.name),
            }
        }
        other => format!("{}->>'{key}'", other.schema_name()),
    }
}
