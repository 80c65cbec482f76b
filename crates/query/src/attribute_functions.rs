//! The other ways to an attribute (`->`, `?`, and the functions over JSON text) find it where `->>` does: in its column
//! when it has one, else in the JSON. A value whose type its column does not have is in the JSON.
//!
//! Done once when a plan is analysed, since only there a function's call and the columns beside it are known.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{Case, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ScalarUDF, cast, try_cast, when};
use datafusion_functions_json::udfs::{
    json_as_text_udf, json_from_scalar_udf, json_get_bool_udf, json_get_float_udf, json_get_int_udf,
    json_union_to_text_udf,
};

use crate::attribute_keys;
use crate::json_operator::{as_text, field_of, literal_text, promoted_column};
use crate::signal_schema::{is_all_promoted, promoted_beside};

/// The rewrite.
#[derive(Debug)]
pub(crate) struct AttributeFunctions;

impl FunctionRewrite for AttributeFunctions {
    fn name(&self) -> &'static str {
        "attribute_functions"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let found = match &expr {
            Expr::ScalarFunction(call) => of_call(call, schema)?,
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                of_cast(expr, field.data_type())
            }
            _ => None,
        };
        Ok(found.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}

/// What is asked of the attributes instead, where a column knows more than the JSON.
fn of_call(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let Some(Expr::Column(json)) = call.args.first() else { return Ok(None) };
    let Some(field) = field_of(json, schema) else { return Ok(None) };
    if call.func.name() == "json_object_keys" && call.args.len() == 1 {
        return Ok(keys(json, schema));
    }
    let [_, key] = call.args.as_slice() else { return Ok(None) };
    let Some(key) = literal_text(key) else { return Ok(None) };
    let known = [
        "json_contains",
        "json_as_text",
        "json_get",
        "json_get_json",
        "json_get_str",
        "json_get_int",
        "json_get_float",
    ];
    if !known.contains(&call.func.name()) {
        return Ok(None);
    }
    let Some((column, data_type)) = promoted_column(json, key, schema)? else { return Ok(None) };
    let is_number = data_type == DataType::Int64;
    let rest = (!is_all_promoted(field)).then(|| Expr::ScalarFunction(call.clone()));
    let here = Expr::Column(column.clone());
    let union = || json_from_scalar_udf().call(vec![here.clone()]);
    let either = |here: Expr| match rest.clone() {
        Some(rest) => coalesce(vec![here, rest]),
        None => here,
    };
    Ok(match call.func.name() {
        "json_contains" => Some(match rest {
            Some(rest) => here.is_not_null().or(rest),
            None => here.is_not_null(),
        }),
        "json_as_text" => Some(either(as_text(&column, &data_type))),
        "json_get_json" => Some(either(json_union_to_text_udf().call(vec![union()]))),
        "json_get_str" if !is_number => Some(either(here)),
        "json_get_int" if is_number => Some(either(here)),
        "json_get_float" if is_number => Some(either(cast(here, DataType::Float64))),
        "json_get" => Some(match rest {
            Some(rest) => when(here.clone().is_not_null(), union()).otherwise(rest)?,
            None => union(),
        }),
        _ => None,
    })
}

/// Those in the JSON, and those of the columns beside it that hold something.
fn keys(json: &Column, schema: &DFSchema) -> Option<Expr> {
    let field = field_of(json, schema)?;
    let beside = schema.iter().filter(|(qualifier, _)| *qualifier == json.relation.as_ref());
    let promoted: Vec<(&str, Expr)> = beside
        .filter_map(|(qualifier, column)| {
            let attribute = promoted_beside(field, column)?;
            Some((attribute, Expr::Column(Column::new(qualifier.cloned(), column.name()))))
        })
        .collect();
    let (names, columns): (Vec<&str>, Vec<Expr>) = promoted.into_iter().unzip();
    let arguments = std::iter::once(Expr::Column(json.clone())).chain(columns).collect();
    Some(attribute_keys::udf(&names).call(arguments))
}

/// `(attributes->'http.response.status_code')::bigint` reads the column, and of the JSON what has that type; anything
/// else is null, as it is for an attribute without a column.
fn of_cast(expr: &Expr, wanted: &DataType) -> Option<Expr> {
    let of_column = |expr: &Expr| match expr {
        Expr::ScalarFunction(call) if call.func.name() == json_from_scalar_udf().name() => {
            call.args.first().filter(|column| matches!(column, Expr::Column(_))).cloned()
        }
        _ => None,
    };
    match expr.clone().unalias_nested().data {
        Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(rest) }) => {
            let [(_, then)] = when_then_expr.as_slice() else { return None };
            let column = of_column(then)?;
            let Expr::ScalarFunction(ScalarFunction { func, args }) = *rest else { return None };
            let typed = typed(wanted).filter(|_| func.name() == "json_get")?;
            let rest = cast(typed.call(args), wanted.clone());
            Some(coalesce(vec![try_cast(column, wanted.clone()), rest]))
        }
        call => Some(try_cast(of_column(&call)?, wanted.clone())),
    }
}

/// What reads a value of this type from JSON.
fn typed(wanted: &DataType) -> Option<Arc<ScalarUDF>> {
    Some(match wanted {
        DataType::Boolean => json_get_bool_udf(),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => json_as_text_udf(),
        kind if kind.is_integer() => json_get_int_udf(),
        kind if kind.is_numeric() => json_get_float_udf(),
        _ => return None,
    })
}
