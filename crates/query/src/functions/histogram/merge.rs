//! `histogram_merge` and `exp_histogram_merge`: aggregate functions that add histograms up.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::columns::{
    ExplicitRows, explicit_column, explicit_types, exponential_column, exponential_row, exponential_types,
    is_struct_of, parts, struct_type,
};
use super::explicit::Explicit;
use super::exponential::Exponential;
use super::merge_groups::{ExplicitSums, NAME, OTHER_BOUNDS};

pub(in crate::functions) fn udafs() -> [AggregateUDF; 2] {
    [Kind::Explicit, Kind::Exponential].map(|kind| {
        AggregateUDF::new_from_impl(Merge { kind, signature: Signature::user_defined(Volatility::Immutable) })
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Explicit,
    Exponential,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Merge {
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Merge {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Explicit => NAME,
            Kind::Exponential => "exp_histogram_merge",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match (self.kind, types) {
            (Kind::Explicit, [one]) if is_struct_of(one, &explicit_types()) => {
                Ok(vec![struct_type(explicit_types())])
            }
            (Kind::Explicit, [_, _]) => Ok(explicit_types().map(|(_, data_type)| data_type).to_vec()),
            (Kind::Explicit, _) => plan_err!("histogram_merge takes bounds and counts, or a histogram"),
            (Kind::Exponential, [one]) if is_struct_of(one, &exponential_types()) => {
                Ok(vec![struct_type(exponential_types())])
            }
            (Kind::Exponential, [_, _, _, _, _, _, _]) => {
                Ok(exponential_types().map(|(_, data_type)| data_type).to_vec())
            }
            (Kind::Exponential, _) => {
                let names = exponential_types().map(|(name, _)| name).join(", ");
                plan_err!("exp_histogram_merge takes {names}, or an exponential histogram")
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Explicit => struct_type(explicit_types()),
            Kind::Exponential => struct_type(exponential_types()),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "histogram");
        Ok(vec![Arc::new(Field::new(name, self.return_type(&[])?, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(match self.kind {
            Kind::Explicit => Box::new(ExplicitSum::default()),
            Kind::Exponential => Box::new(ExponentialSum::default()),
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.kind == Kind::Explicit && !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(ExplicitSums::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug, Default)]
struct ExplicitSum(Explicit);

impl Accumulator for ExplicitSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let parts = parts(values);
        let rows = ExplicitRows::of(&parts, NAME)?;
        for row in 0..parts.first().map_or(0, arrow::array::Array::len) {
            let (bounds, counts) = rows.row(row)?;
            if self.0.add(bounds, counts).is_err() {
                return exec_err!("{OTHER_BOUNDS}");
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Struct(Arc::new(explicit_column(&self.0)?)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.bounds.capacity() * 8 + self.0.counts.capacity() * 8
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

#[derive(Debug, Default)]
struct ExponentialSum(Option<Exponential>);

impl Accumulator for ExponentialSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let parts = parts(values);
        for row in 0..parts.first().map_or(0, arrow::array::Array::len) {
            if let Some(histogram) = exponential_row(&parts, row, "exp_histogram_merge")? {
                match &mut self.0 {
                    Some(sum) => sum.add(&histogram),
                    none => *none = Some(histogram),
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Struct(Arc::new(exponential_column(self.0.as_ref())?)))
    }

    fn size(&self) -> usize {
        let held =
            self.0.as_ref().map_or(0, |sum| sum.positive.counts.capacity() + sum.negative.counts.capacity());
        size_of::<Self>() + held * 8
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
