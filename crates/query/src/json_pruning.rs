//! Lets `attributes->>'http.route' = '/x'` rule out blocks as `http_route = '/x'` would.
//!
//! `coalesce(column, json) = v` tells the file statistics nothing, and its answer needs the JSON of every row.
//! `(column = v OR column IS NULL)` beside it is never null and true wherever it is: they say the same in every
//! context, the statistics know the first, and the JSON is read for the rows that it leaves.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, Operator, binary_expr};

use crate::attribute_text;

/// The rewrite, applied once when a plan is analysed.
#[derive(Debug)]
pub(crate) struct AttributeEquality;

impl FunctionRewrite for AttributeEquality {
    fn name(&self) -> &'static str {
        "attribute_equality"
    }

    fn rewrite(&self, expr: Expr, _: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match equality(&expr) {
            Some(spread) => Transformed::yes(spread),
            None => Transformed::no(expr),
        })
    }
}

fn equality(expr: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
    let (attribute, value) = match (left.as_ref(), right.as_ref()) {
        (attribute, value @ Expr::Literal(_, _)) => (attribute, value),
        (value @ Expr::Literal(_, _), attribute) => (attribute, value),
        _ => return None,
    };
    let Expr::ScalarFunction(ScalarFunction { func, args }) = attribute.clone().unalias_nested().data else {
        return None;
    };
    let [column, json] = args.as_slice() else { return None };
    if func.name() != "coalesce" || !is_attribute_text(json) {
        return None;
    }
    let may_be = binary_expr(column.clone(), Operator::Eq, value.clone()).or(column.clone().is_null());
    Some(may_be.and(expr.clone()))
}

fn is_attribute_text(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if ["json_as_text", attribute_text::NAME].contains(&call.func.name()))
}
