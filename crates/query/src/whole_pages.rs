//! Pages all of whose rows a filter takes: those for which the opposite is ruled out by their bounds.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNullExpr, Literal, lit};
use datafusion::physical_expr::utils::split_conjunction;

/// A column compared with a value, both of one type whose order has no exceptions.
#[derive(Clone, Debug, PartialEq)]
struct Comparison {
    column: String,
    operator: Operator,
    value: ScalarValue,
}

/// A filter that a row passes when all of its comparisons are true of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WholePages(Vec<Comparison>);

impl WholePages {
    /// Of a filter over rows of a file with this schema. `None` unless it compares whole numbers and times with values, or
    /// says which text a row has: of nothing else do bounds tell what every row does. `name` knows the columns.
    pub(crate) fn of(
        filter: &Arc<dyn PhysicalExpr>,
        schema: &Schema,
        name: impl Fn(&Column) -> Option<String>,
    ) -> Option<Self> {
        let one = |part: &Arc<dyn PhysicalExpr>| {
            let comparison = part.downcast_ref::<BinaryExpr>()?;
            let column = |side: &Arc<dyn PhysicalExpr>| name(side.downcast_ref::<Column>()?);
            let value = |side: &Arc<dyn PhysicalExpr>| Some(side.downcast_ref::<Literal>()?.value().clone());
            let (left, right) = (comparison.left(), comparison.right());
            let (column, operator, value) = match (column(left), value(right)) {
                (Some(column), Some(value)) => (column, *comparison.op(), value),
                _ => (column(right)?, comparison.op().swap()?, value(left)?),
            };
            let field = schema.field_with_name(&column).ok()?;
            let is_plain = matches!(
                field.data_type(),
                DataType::Timestamp(..) | DataType::Int16 | DataType::Int32 | DataType::Int64
            );
            let is_comparison = matches!(
                operator,
                Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            );
            // Bounds of texts may be shortened. Where they are one text nevertheless, all rows have it.
            let is_text = *field.data_type() == DataType::Utf8View && operator == Operator::Eq;
            let is_known = (is_plain && is_comparison || is_text) && !value.is_null();
            (is_known && value.data_type() == *field.data_type()).then_some(Comparison {
                column,
                operator,
                value,
            })
        };
        split_conjunction(filter).into_iter().map(one).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether every comparison of the other is one of these.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|comparison| self.0.contains(comparison))
    }

    /// What is true of the rows that do not pass, over rows of this schema: one without a value does not.
    ///
    /// # Errors
    /// When the schema is another than that of [`Self::of`].
    pub(crate) fn opposite(&self, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
        let mut any: Arc<dyn PhysicalExpr> = lit(false);
        for Comparison { column, operator, value } in &self.0 {
            let Some(operator) = operator.negate() else {
                return internal_err!("{operator} has no opposite");
            };
            let is_nullable = schema.field_with_name(column)?.is_nullable();
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(column, schema)?);
            let one = Arc::new(BinaryExpr::new(Arc::clone(&column), operator, lit(value.clone())));
            any = Arc::new(BinaryExpr::new(any, Operator::Or, one));
            if is_nullable {
                any = Arc::new(BinaryExpr::new(any, Operator::Or, Arc::new(IsNullExpr::new(column))));
            }
        }
        Ok(any)
    }
}
