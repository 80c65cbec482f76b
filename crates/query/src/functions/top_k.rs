//! `approx_top_k(x, k)`: an aggregate function, the most frequent values of a group and how often each came.

mod counters;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, ListArray, StructArray, new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;

use self::counters::Counters;
use super::arguments::{list_type, lists, numbers};

const NAME: &str = "approx_top_k";
/// More are another question: a GROUP BY.
const MOST: i64 = 1_000;
/// How many values keep a count in a group at least, and for each that is asked for.
const KEPT_MIN: usize = 1_024;
const KEPT_FOR_EACH: usize = 16;

pub(super) fn udaf() -> AggregateUDF {
    AggregateUDF::new_from_impl(TopK { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TopK {
    signature: Signature,
}

/// What there is to say of a value.
fn parts(value: &DataType) -> Fields {
    [("value", value.clone(), true), ("count", DataType::Int64, false), ("at_most", DataType::Int64, false)]
        .into_iter()
        .map(|(name, data_type, nullable)| Field::new(name, data_type, nullable))
        .collect()
}

fn field(value: &DataType) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(parts(value)), true))
}

impl AggregateUDFImpl for TopK {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [value, _] = types else { return plan_err!("{NAME} takes a column and how many values of it") };
        if !RowConverter::supports_fields(&[SortField::new(value.clone())]) {
            return plan_err!("{NAME} cannot count values of type {value}");
        }
        Ok(vec![value.clone(), DataType::Int64])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some(value) = types.first() else { return plan_err!("{NAME} takes a column") };
        Ok(DataType::List(field(value)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let parts = [
            ("values", list_type(DataType::Binary)),
            ("counts", list_type(DataType::Int64)),
            ("missed", DataType::Int64),
        ];
        let field =
            |(part, data_type)| Arc::new(Field::new(format_state_name(args.name, part), data_type, true));
        Ok(parts.map(field).to_vec())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{NAME} does not take DISTINCT, which leaves one of each value");
        }
        let literal = args.exprs.get(1).and_then(|expression| expression.downcast_ref::<Literal>());
        let count = match literal.map(Literal::value) {
            Some(ScalarValue::Int64(Some(count))) if (1..=MOST).contains(count) => *count,
            _ => return plan_err!("{NAME} takes a constant from 1 to {MOST} as its second argument"),
        };
        let count = usize::try_from(count).unwrap_or(1);
        let DataType::List(item) = args.return_field.data_type() else {
            return plan_err!("{NAME} gives a list");
        };
        let DataType::Struct(parts) = item.data_type() else { return plan_err!("{NAME} gives rows") };
        let value = parts[0].data_type().clone();
        Ok(Box::new(Top {
            count,
            rows: RowConverter::new(vec![SortField::new(value.clone())])?,
            counters: Counters::new(KEPT_MIN.max(KEPT_FOR_EACH * count)),
            value,
        }))
    }
}

#[derive(Debug)]
struct Top {
    /// How many are asked for.
    count: usize,
    value: DataType,
    rows: RowConverter,
    counters: Counters,
}

/// A column of one list.
fn one_list(item: FieldRef, values: ArrayRef) -> Result<Arc<ListArray>> {
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Accumulator for Top {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else { return exec_err!("{NAME} was given no column") };
        let rows = self.rows.convert_columns(std::slice::from_ref(column))?;
        let mut run: Option<(usize, u64)> = None;
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            match &mut run {
                Some((first, times)) if rows.row(*first) == rows.row(row) => *times += 1,
                _ => {
                    if let Some((first, times)) = run.replace((row, 1)) {
                        self.counters.add(rows.row(first).data(), times);
                    }
                }
            }
        }
        if let Some((first, times)) = run {
            self.counters.add(rows.row(first).data(), times);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let top = self.counters.top(self.count);
        let parser = self.rows.parser();
        let values = self.rows.convert_rows(top.iter().map(|(value, _)| parser.parse(value)))?;
        let value = values.into_iter().next().unwrap_or_else(|| new_empty_array(&self.value));
        let numbers = |more: u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(top.iter().map(|(_, count)| number(count + more))))
        };
        let columns = vec![value, numbers(0), numbers(self.counters.missed())];
        let rows = StructArray::try_new_with_length(parts(&self.value), columns, None, top.len())?;
        Ok(ScalarValue::List(one_list(field(&self.value), Arc::new(rows))?))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.size() + self.counters.heap_bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let all = self.counters.top(usize::MAX);
        let values = BinaryArray::from_iter_values(all.iter().map(|(value, _)| value));
        let counts = Int64Array::from_iter_values(all.iter().map(|(_, count)| number(*count)));
        let list = |values: ArrayRef| {
            let item = Arc::new(Field::new("item", values.data_type().clone(), true));
            Ok::<_, datafusion::common::DataFusionError>(ScalarValue::List(one_list(item, values)?))
        };
        let missed = ScalarValue::Int64(Some(number(self.counters.missed())));
        Ok(vec![list(Arc::new(values))?, list(Arc::new(counts))?, missed])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts, missed] = states else { return exec_err!("{NAME} was given no state") };
        let (values, counts) = (lists(values, NAME)?, lists(counts, NAME)?);
        let missed = numbers::<Int64Type>(missed, NAME)?;
        for row in (0..missed.len()).filter(|row| missed.is_valid(*row)) {
            let (values, counts) = (values.value(row), counts.value(row));
            let Some(values) = values.as_binary_opt::<i32>() else {
                return exec_err!("{NAME} was given a state of another type");
            };
            for (value, count) in values.iter().zip(numbers::<Int64Type>(&counts, NAME)?) {
                if let (Some(value), Some(count)) = (value, count) {
                    self.counters.add(value, u64::try_from(count).unwrap_or(0));
                }
            }
            self.counters.miss(u64::try_from(missed.value(row)).unwrap_or(0));
        }
        Ok(())
    }
}
