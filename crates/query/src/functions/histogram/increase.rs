//! `histogram_increase(bounds, counts, timestamp[, temporality[, start_timestamp]])`: an aggregate function, what one
//! series counted within one window.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::columns::{ExplicitRows, explicit_column, explicit_types, list, struct_type};
use super::explicit::{Explicit, difference};
use crate::functions::arguments::{Counting, list_type, lists, row_of, time_type};

const NAME: &str = "histogram_increase";
const OTHER_BOUNDS: &str =
    "histogram_increase met histograms with different bounds; add explicit_bounds to GROUP BY";

pub(in crate::functions) fn udaf() -> AggregateUDF {
    AggregateUDF::new_from_impl(Increase { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Increase {
    signature: Signature,
}

impl AggregateUDFImpl for Increase {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(3..=5).contains(&types.len()) {
            return plan_err!("{NAME} takes bounds, counts, timestamp[, temporality[, start_timestamp]]");
        }
        let [(_, bounds), (_, counts)] = explicit_types();
        let [temporality, start] = Counting::types();
        let wanted = [bounds, counts, time_type(), temporality, start];
        Ok(wanted.into_iter().take(types.len()).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(struct_type(explicit_types()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let parts = [
            ("bounds", DataType::Float64),
            ("counts", DataType::Int64),
            ("at", DataType::Int64),
            ("start", DataType::Int64),
            ("is_delta", DataType::Boolean),
        ];
        let field =
            |(part, item)| Arc::new(Field::new(format_state_name(args.name, part), list_type(item), true));
        Ok(parts.map(field).to_vec())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Snapshots::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug, Default)]
struct Snapshots {
    bounds: Vec<f64>,
    each: Vec<Snapshot>,
}

#[derive(Debug)]
struct Snapshot {
    at: i64,
    start: Option<i64>,
    is_delta: bool,
    counts: Vec<i64>,
}

impl Snapshots {
    fn add(&mut self, bounds: &[f64], snapshot: Snapshot) -> Result<()> {
        if snapshot.counts.is_empty() {
            return Ok(());
        }
        if self.each.is_empty() {
            self.bounds = bounds.to_vec();
        } else if self.bounds != bounds {
            return exec_err!("{OTHER_BOUNDS}");
        }
        self.each.push(snapshot);
        Ok(())
    }

    /// The sum of what each snapshot adds to the one before; nothing when there is no pair.
    fn increase(&mut self) -> Result<Explicit> {
        self.each.sort_by_key(|snapshot| snapshot.at);
        let mut sum = Explicit::default();
        let mut before: Option<&Snapshot> = None;
        for snapshot in &self.each {
            let more = match before {
                _ if snapshot.is_delta => Some(snapshot.counts.clone()),
                None => None,
                Some(before) => {
                    let restarted =
                        before.start.is_some() && snapshot.start.is_some() && before.start != snapshot.start;
                    Some(if restarted {
                        snapshot.counts.clone()
                    } else {
                        difference(&snapshot.counts, &before.counts)
                    })
                }
            };
            if let Some(more) = more
                && sum.add(&self.bounds, &more).is_err()
            {
                return exec_err!("{OTHER_BOUNDS}");
            }
            before = Some(snapshot);
        }
        Ok(sum)
    }
}

impl Accumulator for Snapshots {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [_, _, at, rest @ ..] = values else { return exec_err!("{NAME} was given too little") };
        let at = cast(at, &DataType::Int64)?;
        let at = at.as_primitive::<Int64Type>();
        let counting = Counting::of(rest)?;
        let rows = ExplicitRows::of(&values[..2], NAME)?;
        for row in (0..at.len()).filter(|row| at.is_valid(*row)) {
            let (bounds, counts) = rows.row(row)?;
            let snapshot = Snapshot {
                at: at.value(row),
                start: counting.start(row),
                is_delta: counting.is_delta(row),
                counts: counts.to_vec(),
            };
            self.add(bounds, snapshot)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.increase()?;
        Ok(ScalarValue::Struct(Arc::new(explicit_column(&sum)?)))
    }

    fn size(&self) -> usize {
        let counts: usize = self.each.iter().map(|snapshot| snapshot.counts.capacity() * 8).sum();
        size_of::<Self>() + self.bounds.capacity() * 8 + self.each.capacity() * size_of::<Snapshot>() + counts
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let counts: Int64Array =
            self.each.iter().flat_map(|one| &one.counts).map(|count| Some(*count)).collect();
        let at: Int64Array = self.each.iter().map(|one| Some(one.at)).collect();
        let start: Int64Array = self.each.iter().map(|one| one.start).collect();
        let is_delta: BooleanArray = self.each.iter().map(|one| Some(one.is_delta)).collect();
        let bounds = Float64Array::from(self.bounds.clone());
        let parts: [ArrayRef; 5] =
            [Arc::new(bounds), Arc::new(counts), Arc::new(at), Arc::new(start), Arc::new(is_delta)];
        parts.into_iter().map(|part| ScalarValue::try_from_array(&list(part)?, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [bounds, counts, at, start, is_delta] = states else {
            return exec_err!("{NAME} was given {} columns of state", states.len());
        };
        let start = lists(start, NAME)?;
        let is_delta = lists(is_delta, NAME)?;
        for row in 0..bounds.len() {
            let bounds = row_of::<Float64Type>(lists(bounds, NAME)?, row, NAME)?;
            let counts = row_of::<Int64Type>(lists(counts, NAME)?, row, NAME)?;
            let at = row_of::<Int64Type>(lists(at, NAME)?, row, NAME)?;
            let (start, is_delta) = (start.value(row), is_delta.value(row));
            let (start, is_delta) = (start.as_primitive::<Int64Type>(), is_delta.as_boolean());
            for (place, (at, counts)) in at.iter().zip(counts.chunks(bounds.len() + 1)).enumerate() {
                let snapshot = Snapshot {
                    at: *at,
                    start: start.is_valid(place).then(|| start.value(place)),
                    is_delta: is_delta.value(place),
                    counts: counts.to_vec(),
                };
                self.add(bounds, snapshot)?;
            }
        }
        Ok(())
    }
}
