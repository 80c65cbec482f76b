//! The aggregate function behind `trace_tree` and `critical_path`: all spans in, a list of nodes out.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, StructArray, UInt64Array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::tree::{Span, tree};
use crate::functions::arguments::{list_type, lists, numbers};
use crate::functions::histogram::list;

/// What it reads of `spans`.
pub(super) const INPUT: [&str; 8] = [
    "span_id",
    "parent_span_id",
    "service_name",
    "name",
    "kind",
    "status_code",
    "time_unix_nano",
    "duration_nano",
];

/// The columns of a node.
pub(super) const OUTPUT: [&str; 14] = [
    "position",
    "depth",
    "path",
    "span_id",
    "parent_span_id",
    "service_name",
    "name",
    "kind",
    "status_code",
    "start_offset_nano",
    "duration_nano",
    "self_time_nano",
    "critical_nano",
    "is_orphan",
];

pub(super) fn udaf() -> AggregateUDF {
    let texts = std::iter::repeat_n(DataType::Utf8, 6);
    let types = texts.chain([DataType::Int64, DataType::Int64]).collect();
    AggregateUDF::new_from_impl(Nodes { signature: Signature::exact(types, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Nodes {
    signature: Signature,
}

impl AggregateUDFImpl for Nodes {
    fn name(&self) -> &'static str {
        "trace_nodes"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_type(DataType::Struct(fields())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |(name, item): (&str, &DataType)| {
            Arc::new(Field::new(format_state_name(args.name, name), list_type(item.clone()), true))
        };
        let types = args.input_fields.iter().map(|field| field.data_type());
        Ok(INPUT.into_iter().zip(types).map(field).collect())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Gathered::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn fields() -> Fields {
    let data_type = |name: &str| match name {
        "is_orphan" => DataType::Boolean,
        "position" | "depth" => DataType::Int64,
        name if name.ends_with("_nano") => DataType::Int64,
        _ => DataType::Utf8,
    };
    OUTPUT.into_iter().map(|name| Field::new(name, data_type(name), true)).collect()
}

#[derive(Debug, Default)]
struct Gathered {
    batches: Vec<Vec<ArrayRef>>,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, columns: Vec<ArrayRef>) {
        self.bytes += columns.iter().map(arrow::array::Array::get_array_memory_size).sum::<usize>();
        self.batches.push(columns);
    }

    /// Each column whole.
    fn columns(&self) -> Result<Vec<ArrayRef>> {
        let whole = |column: usize| -> Result<ArrayRef> {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|batch| batch[column].as_ref()).collect();
            if parts.is_empty() {
                let is_number = INPUT[column].ends_with("_nano");
                let data_type = if is_number { DataType::Int64 } else { DataType::Utf8 };
                return Ok(arrow::array::new_empty_array(&data_type));
            }
            Ok(concat(&parts)?)
        };
        (0..INPUT.len()).map(whole).collect()
    }
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.len() != INPUT.len() {
            return exec_err!("trace_nodes takes {}", INPUT.join(", "));
        }
        self.add(values.to_vec());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let nodes = nodes(&self.columns()?)?;
        ScalarValue::try_from_array(&list(Arc::new(nodes))?, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let lists = self.columns()?.into_iter().map(list).collect::<Result<Vec<_>>>()?;
        lists.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states.first().map_or(0, arrow::array::Array::len) {
            let column =
                |state: &ArrayRef| -> Result<ArrayRef> { Ok(lists(state, "trace_nodes")?.value(row)) };
            let columns = states.iter().map(column).collect::<Result<Vec<_>>>()?;
            self.update_batch(&columns)?;
        }
        Ok(())
    }
}

fn nodes(columns: &[ArrayRef]) -> Result<StructArray> {
    let [ids, parents, services, names, kinds, status, start, duration] = columns else {
        return exec_err!("trace_nodes takes {}", INPUT.join(", "));
    };
    let (id, parent) = (ids.as_string::<i32>(), parents.as_string::<i32>());
    let start = numbers::<Int64Type>(start, "trace_nodes")?;
    let long = numbers::<Int64Type>(duration, "trace_nodes")?;
    let span = |row: usize| Span {
        id: id.value(row),
        parent: parent.is_valid(row).then(|| parent.value(row)),
        start_nano: start.value(row),
        duration_nano: long.value(row),
    };
    let spans: Vec<Span<'_>> = (0..id.len()).map(span).collect();
    let first = spans.iter().map(|span| span.start_nano).min().unwrap_or(0);
    let nodes = tree(&spans);
    let rows = UInt64Array::from_iter_values(nodes.iter().map(|node| node.span as u64));
    let at = |column: &ArrayRef| take(column, &rows, None);
    let integers = |value: &dyn Fn(usize) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..nodes.len()).map(value)))
    };
    let paths: StringArray = nodes.iter().map(|node| Some(node.path.as_str())).collect();
    let orphans: BooleanArray = nodes.iter().map(|node| Some(node.is_orphan)).collect();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        integers(&count),
        integers(&|node| count(nodes[node].depth)),
        Arc::new(paths),
        at(ids)?,
        at(parents)?,
        at(services)?,
        at(names)?,
        at(kinds)?,
        at(status)?,
        integers(&|node| spans[nodes[node].span].start_nano.saturating_sub(first)),
        at(duration)?,
        integers(&|node| nodes[node].self_nano),
        integers(&|node| nodes[node].critical_nano),
        Arc::new(orphans),
    ];
    Ok(StructArray::try_new(fields(), columns, None)?)
}
