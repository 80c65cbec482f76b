//! `approx_percentile_cont` and `approx_median` in the place of DataFusion's, which keeps a digest for each group that it
//! feeds slice by slice: over 800 groups most of the time went there.

mod groups;
mod sketch;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::approx_percentile_cont::ApproxPercentileCont;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature, TypeSignature,
    Volatility,
};
use datafusion::physical_expr::expressions::Literal;

use super::arguments::list_type;
use groups::{Alone, Groups};

/// `approx_percentile_cont(x, q)`, also `approx_percentile_cont(q) WITHIN GROUP (ORDER BY x)`; `approx_median(x)`.
pub(super) fn udafs() -> [AggregateUDF; 2] {
    let theirs = ApproxPercentileCont::new();
    // The value alone, as the first of two arguments is coerced.
    let alone = match &theirs.signature().type_signature {
        TypeSignature::OneOf(forms) => forms.iter().find_map(|form| match form {
            TypeSignature::Coercible(arguments) => {
                Some(TypeSignature::Coercible(vec![arguments.first()?.clone()]))
            }
            _ => None,
        }),
        _ => None,
    };
    let alone = Signature::new(alone.unwrap_or(TypeSignature::Any(1)), Volatility::Immutable);
    let percentile = theirs.signature().clone();
    [
        Percentile {
            name: "approx_percentile_cont",
            signature: percentile,
            theirs: ApproxPercentileCont::new(),
        },
        Percentile { name: "approx_median", signature: alone, theirs },
    ]
    .map(AggregateUDF::new_from_impl)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentile {
    name: &'static str,
    signature: Signature,
    /// Knows the argument types and how the function is told to users.
    theirs: ApproxPercentileCont,
}

impl Percentile {
    /// The share that is asked for.
    fn share(&self, args: &AccumulatorArgs<'_>) -> Result<f64> {
        if args.is_distinct {
            return plan_err!("{} does not take DISTINCT; ask over a SELECT DISTINCT instead", self.name);
        }
        let Some(expression) = args.exprs.get(1) else { return Ok(0.5) };
        let literal = expression.downcast_ref::<Literal>().map(Literal::value);
        let share = literal.and_then(|value| match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(share)) => share,
            _ => None,
        });
        let Some(share) = share.filter(|share| (0.0..=1.0).contains(share)) else {
            return plan_err!("{} takes a constant from 0 to 1 as the share, not {expression}", self.name);
        };
        let descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        Ok(if descending { 1.0 - share } else { share })
    }
}

impl AggregateUDFImpl for Percentile {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.theirs.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let parts = [("values", DataType::Float64), ("places", DataType::Int32), ("counts", DataType::Int64)];
        let field =
            |(part, item)| Arc::new(Field::new(format_state_name(args.name, part), list_type(item), true));
        Ok(parts.map(field).to_vec())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let groups = Groups::new(self.share(&args)?, args.return_field.data_type().clone());
        Ok(Box::new(Alone(groups)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.share(&args)?, args.return_field.data_type().clone())))
    }

    fn supports_within_group_clause(&self) -> bool {
        self.theirs.supports_within_group_clause() && self.name != "approx_median"
    }

    fn documentation(&self) -> Option<&Documentation> {
        None
    }
}
