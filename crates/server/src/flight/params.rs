//! Values that a client binds, from a row of Arrow to the engine's own.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::datatypes::{DataType, DurationMicrosecondType, Field, Float64Type, Int64Type, Schema, TimeUnit};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::{FutureExt as _, Stream, TryStreamExt as _};
use hindsight_model::{SqlParam, timestamp_from_micros};
use tonic::Status;

/// The open parameters of a statement, by name without the dollar, with their types where these are known.
pub(super) type Open = BTreeMap<String, Option<DataType>>;

/// What a client is told to bind, in its order. A type that is not known is told as text.
pub(super) fn schema(open: &Open) -> Schema {
    let field = |name: &String| {
        let kind = open.get(name).cloned().flatten().unwrap_or(DataType::Utf8);
        Field::new(name, kind, true)
    };
    Schema::new(names(open).iter().map(field).collect::<Vec<_>>())
}

/// `$1`, `$2`, … in the order of their numbers; names in the order of the alphabet.
fn names(open: &Open) -> Vec<String> {
    let mut names: Vec<String> = open.keys().cloned().collect();
    names.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    names
}

/// The one row that a client sends.
///
/// # Errors
/// Bytes that are no Arrow, no row, or more than one.
pub(super) async fn row(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<RecordBatch, Status> {
    let batches = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
    // The reader of Arrow's messages is not ours, and these come from anyone.
    let batches = AssertUnwindSafe(batches.try_collect::<Vec<_>>()).catch_unwind().await;
    let wrong = || Status::invalid_argument("the parameters are not Arrow record batches");
    let batches = batches.map_err(|_| wrong())?.map_err(|_| wrong())?;
    let mut rows = batches.into_iter().filter(|batch| batch.num_rows() > 0);
    match (rows.next(), rows.next()) {
        (Some(row), None) if row.num_rows() == 1 => Ok(row),
        (None, _) => Err(Status::invalid_argument("no row of parameters came; bind one")),
        _ => Err(Status::invalid_argument(
            "more than one row of parameters came; run the statement once for each",
        )),
    }
}

/// The values of a row: by their place where the statement numbers its parameters, else by their names.
///
/// # Errors
/// Another number of values than there are parameters, a name that is none, a type that no parameter can have.
pub(super) fn bind(open: &Open, row: &RecordBatch) -> Result<BTreeMap<String, SqlParam>, Status> {
    let names = names(open);
    if row.num_columns() != names.len() {
        let (given, wanted) = (row.num_columns(), names.len());
        return Err(Status::invalid_argument(format!("{given} values were bound to {wanted} parameters")));
    }
    let numbered = names.iter().all(|name| name.parse::<u32>().is_ok());
    let schema = row.schema();
    let mut params = BTreeMap::new();
    for (place, column) in row.columns().iter().enumerate() {
        let name = match numbered {
            true => &names[place],
            false => schema.field(place).name().trim_start_matches('$'),
        };
        if !open.contains_key(name) {
            let known = names.join(", $");
            return Err(Status::invalid_argument(format!(
                "there is no parameter ${name}; there are ${known}"
            )));
        }
        params.insert(name.to_owned(), value(name, column)?);
    }
    Ok(params)
}

fn value(name: &str, column: &ArrayRef) -> Result<SqlParam, Status> {
    let kind = column.data_type();
    if *kind == DataType::Null || column.is_null(0) {
        return Ok(SqlParam::Null);
    }
    let wrong =
        || Status::invalid_argument(format!("parameter ${name}: a value of type {kind} cannot be bound"));
    let to = |kind: DataType| {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(column, &kind, &options).map_err(|_| wrong())
    };
    Ok(match kind {
        DataType::Boolean => SqlParam::Bool(column.as_boolean().value(0)),
        kind if kind.is_integer() => SqlParam::Int(to(DataType::Int64)?.as_primitive::<Int64Type>().value(0)),
        kind if kind.is_floating() || kind.is_decimal() => {
            SqlParam::Double(to(DataType::Float64)?.as_primitive::<Float64Type>().value(0))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            SqlParam::Text(to(DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
            let micros = to(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            SqlParam::Time(timestamp_from_micros(micros).ok_or_else(wrong)?)
        }
        DataType::Duration(_) => {
            let micros = to(DataType::Duration(TimeUnit::Microsecond))?;
            let micros = micros.as_primitive::<DurationMicrosecondType>().value(0);
            SqlParam::Interval(Duration::from_micros(u64::try_from(micros).map_err(|_| wrong())?))
        }
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests;
