//! `increase`, `rate`, `irate` and `delta`: aggregate functions over the points of one series in one window.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::arguments::{Counting, time_type};
use super::counter::{self, Point};
use super::points::{Points, state_types};

pub(super) fn udafs() -> [AggregateUDF; 4] {
    [Of::Increase, Of::Rate, Of::InstantRate, Of::Difference].map(|of| {
        AggregateUDF::new_from_impl(Counter { of, signature: Signature::user_defined(Volatility::Immutable) })
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Increase,
    Rate,
    InstantRate,
    Difference,
}

impl Of {
    fn points(self, points: &[Point]) -> Option<f64> {
        match self {
            Self::Increase => counter::increase(points),
            Self::Rate => counter::rate(points),
            Self::InstantRate => counter::instant_rate(points),
            Self::Difference => counter::difference(points),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Counter {
    of: Of,
    signature: Signature,
}

impl AggregateUDFImpl for Counter {
    fn name(&self) -> &'static str {
        match self.of {
            Of::Increase => "increase",
            Of::Rate => "rate",
            Of::InstantRate => "irate",
            Of::Difference => "delta",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let most = if self.of == Of::Difference { 2 } else { 4 };
        if !(2..=most).contains(&types.len()) {
            let rest = if most == 4 { "[, temporality[, start_timestamp]]" } else { "" };
            return plan_err!("{0} takes more to go by: {0}(value, timestamp{rest})", self.name());
        }
        let [temporality, start] = Counting::types();
        let wanted = [DataType::Float64, time_type(), temporality, start];
        Ok(wanted.into_iter().take(types.len()).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field =
            |(part, data_type)| Arc::new(Field::new(format_state_name(args.name, part), data_type, true));
        Ok(state_types().into_iter().map(field).collect())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { of: self.of, points: Points::default() }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many { of: self.of, points: Points::default() }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// All rows are one group.
#[derive(Debug)]
struct One {
    of: Of,
    points: Points,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.points.add(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.of.points(&self.points.sorted())))
    }

    fn size(&self) -> usize {
        self.points.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        // Even without a row there is one group, whose lists are empty.
        self.points.be_one_group();
        let lists = self.points.state(EmitTo::All)?;
        lists.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.points.merge(states, &vec![0; rows], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.points.forget(values)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

struct Many {
    of: Of,
    points: Points,
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.points.add(values, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let groups = self.points.emit(emit);
        let answers: Float64Array = groups.iter().map(|points| self.of.points(points)).collect();
        Ok(Arc::new(answers))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.points.state(emit)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.points.merge(values, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut each = Points::default();
        each.add(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.points.size()
    }
}
