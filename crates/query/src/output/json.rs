use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hindsight_model::{SqlAnswer, SqlStats, timestamp_from_micros};
use serde_json::{Map, Number, Value, json};

use crate::error::{Error, Result};
use crate::output::sql_type;

/// `{"columns":[{"name","type"}],"rows":[[…]],"stats":{…}}`.
///
/// 64-bit integers are JSON numbers; timestamps are RFC 3339 in UTC with microseconds; NaN and the infinities are
/// strings; lists are arrays and structs objects. Stats: `elapsed_ms`, `rows`, `rows_scanned`, `files_scanned`,
/// `files_pruned`, `files_pruned_by_id`, `rows_skipped_by_index`, `bytes_scanned`, `memory_peak_bytes`,
/// `spilled_bytes`.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_json(answer: &SqlAnswer) -> Result<Value> {
    let stats = stats(&answer.stats, answer.row_count() as u64);
    Ok(json!({"columns": columns(&answer.schema), "rows": to_rows(answer)?, "stats": stats}))
}

pub(super) fn columns(schema: &Schema) -> Vec<Value> {
    let column = |field: &Arc<Field>| json!({"name": field.name(), "type": sql_type(field.data_type())});
    schema.fields().iter().map(column).collect()
}

pub(super) fn stats(stats: &SqlStats, rows: u64) -> Value {
    json!({
        "elapsed_ms": stats.elapsed.as_secs_f64() * 1_000.0,
        "rows": rows,
        "rows_scanned": stats.rows_scanned,
        "files_scanned": stats.files_scanned,
        "files_pruned": stats.files_pruned,
        "files_pruned_by_id": stats.files_pruned_by_id,
        "rows_skipped_by_index": stats.rows_skipped_by_index,
        "bytes_scanned": stats.bytes_scanned,
        "memory_peak_bytes": stats.memory_peak_bytes,
        "spilled_bytes": stats.spilled_bytes,
    })
}

/// Each row as JSON cells in column order, as in [`to_json`].
///
/// # Errors
/// When a column is not what its type says.
pub fn to_rows(answer: &SqlAnswer) -> Result<Vec<Vec<Value>>> {
    let mut rows = Vec::with_capacity(answer.row_count());
    for batch in &answer.batches {
        let start = rows.len();
        rows.resize_with(start + batch.num_rows(), || Vec::with_capacity(batch.num_columns()));
        for column in batch.columns() {
            let cells = cells(column).map_err(|source| Error::Output { format: "JSON", source })?;
            for (row, cell) in rows[start..].iter_mut().zip(cells) {
                row.push(cell);
            }
        }
    }
    Ok(rows)
}

/// One column's values as [`to_json`] writes them.
///
/// # Errors
/// When the column is not what its type says.
pub fn cells(column: &dyn Array) -> Result<Vec<Value>, ArrowError> {
    let at = |value: &dyn Fn(usize) -> Value| -> Vec<Value> {
        (0..column.len()).map(|row| if column.is_null(row) { Value::Null } else { value(row) }).collect()
    };
    Ok(match column.data_type() {
        DataType::Null => vec![Value::Null; column.len()],
        DataType::Boolean => {
            let flags = column.as_boolean();
            at(&|row| Value::Bool(flags.value(row)))
        }
        DataType::UInt64 => {
            let numbers = column.as_primitive::<UInt64Type>();
            at(&|row| Value::from(numbers.value(row)))
        }
        kind if kind.is_integer() => {
            let numbers = cast(column, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            at(&|row| Value::from(numbers.value(row)))
        }
        DataType::Float64 | DataType::Float32 | DataType::Float16 => {
            let numbers = cast(column, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            at(&|row| double(numbers.value(row)))
        }
        DataType::Timestamp(_, _) => {
            let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>();
            at(&|row| time(micros.value(row)))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            let texts = cast(column, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            at(&|row| Value::from(texts.value(row)))
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.value_offsets();
            let at_place = |row: usize| usize::try_from(offsets[row]).unwrap_or(0);
            // Of a window on a large list only what shows in it.
            let (first, last) = (at_place(0), at_place(list.len()));
            let items = cells(&list.values().slice(first, last - first))?;
            let place = |row: usize| at_place(row) - first;
            at(&|row| Value::Array(items[place(row)..place(row + 1)].to_vec()))
        }
        DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::ListView(_) => {
            let (DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::ListView(item)) =
                column.data_type()
            else {
                return Err(ArrowError::CastError("not a list".to_owned()));
            };
            cells(&cast(column, &DataType::List(Arc::clone(item)))?)?
        }
        DataType::Struct(fields) => {
            let parts =
                column.as_struct().columns().iter().map(|part| cells(part)).collect::<Result<Vec<_>, _>>()?;
            at(&|row| {
                let named =
                    fields.iter().zip(&parts).map(|(field, part)| (field.name().clone(), part[row].clone()));
                Value::Object(named.collect::<Map<_, _>>())
            })
        }
        _ => {
            let options = FormatOptions::default();
            let texts = ArrayFormatter::try_new(column, &options)?;
            at(&|row| Value::from(texts.value(row).to_string()))
        }
    })
}

fn double(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::from("NaN"),
        None if number > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

fn time(micros: i64) -> Value {
    match timestamp_from_micros(micros) {
        Some(at) => Value::from(format!("{at:.6}")),
        None => Value::from(format!("{micros} µs")),
    }
}
