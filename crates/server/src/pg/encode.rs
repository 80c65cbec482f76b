//! Rows of Arrow columns as rows of PostgreSQL, in text or binary.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, LargeBinaryArray,
    LargeStringArray, OffsetSizeTrait, RecordBatch,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use bytes::{BufMut, BytesMut};
use hindsight_query::output;
use serde_json::Value;

use super::fault::PgFault;
use super::types::{PgType, Scalar};
use super::{numeric, text};

/// How a value travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

/// The columns of one batch, ready to be written row by row.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<(Cells, Format)>,
    len: usize,
}

/// One column in one of few shapes.
#[derive(Debug)]
struct Cells {
    scalar: Scalar,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanArray),
    /// Integers of any width, and days, times and instants in PostgreSQL's unit but Arrow's epoch.
    Int(Int64Array),
    Float(Float32Array),
    Double(Float64Array),
    /// Texts and numerics.
    Text(LargeStringArray),
    Bytes(LargeBinaryArray),
    Interval(arrow::array::IntervalMonthDayNanoArray),
    /// JSON, or what has no type of its own, as text.
    Shown(Vec<Option<String>>),
    List(List),
}

/// Which rows of the items belong to a row.
#[derive(Debug)]
struct List {
    items: Box<Cells>,
    rows: Vec<Option<(usize, usize)>>,
}

impl Rows {
    /// The batch with its columns as `types` and `formats` want them.
    ///
    /// # Errors
    /// When a column cannot be read as the type that was promised for it.
    pub(crate) fn new(batch: &RecordBatch, types: &[PgType], formats: &[Format]) -> Result<Self, PgFault> {
        let mut columns = Vec::with_capacity(types.len());
        for ((column, wanted), format) in batch.columns().iter().zip(types).zip(formats) {
            let cells = Cells::new(column, *wanted).map_err(|error| unreadable(&error))?;
            columns.push((cells, *format));
        }
        Ok(Self { columns, len: batch.num_rows() })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The values of one row, each with its length before it; -1 is NULL.
    ///
    /// # Errors
    /// When a value is longer than the protocol can say.
    pub(crate) fn write(&self, row: usize, out: &mut BytesMut) -> Result<(), PgFault> {
        for (cells, format) in &self.columns {
            cells.field(row, *format, out)?;
        }
        Ok(())
    }
}

fn unreadable(error: &ArrowError) -> PgFault {
    PgFault::new("XX000", format!("a column cannot be sent: {error}"))
}

impl Cells {
    fn new(column: &ArrayRef, wanted: PgType) -> Result<Self, ArrowError> {
        let to = |kind: &DataType| cast(column, kind);
        let (scalar, values) = match wanted {
            PgType::Many(scalar) => (scalar, Values::List(List::new(column, scalar)?)),
            PgType::One(scalar) => (
                scalar,
                match scalar {
                    Scalar::Bool => Values::Bool(to(&DataType::Boolean)?.as_boolean().clone()),
                    Scalar::Int2 | Scalar::Int4 | Scalar::Int8 => {
                        Values::Int(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone())
                    }
                    Scalar::Float4 => {
                        Values::Float(to(&DataType::Float32)?.as_primitive::<Float32Type>().clone())
                    }
                    Scalar::Float8 => {
                        Values::Double(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
                    }
                    Scalar::Numeric => Values::Text(to(&DataType::LargeUtf8)?.as_string::<i64>().clone()),
                    Scalar::Text => texts(column)?,
                    Scalar::Bytea => Values::Bytes(to(&DataType::LargeBinary)?.as_binary::<i64>().clone()),
                    Scalar::Date => {
                        let days = to(&DataType::Date32)?;
                        Values::Int(days.as_primitive::<Date32Type>().unary(i64::from))
                    }
                    Scalar::Time => {
                        let times = to(&DataType::Time64(TimeUnit::Microsecond))?;
                        Values::Int(times.as_primitive::<Time64MicrosecondType>().unary(|micros| micros))
                    }
                    Scalar::Timestamp | Scalar::Timestamptz => Values::Int(micros(column)?),
                    Scalar::Interval => {
                        let spans = to(&DataType::Interval(IntervalUnit::MonthDayNano))?;
                        Values::Interval(spans.as_primitive::<IntervalMonthDayNanoType>().clone())
                    }
                    Scalar::Json => Values::Shown(shown(column)?),
                },
            ),
        };
        Ok(Self { scalar, values })
    }

    fn is_null(&self, row: usize) -> bool {
        match &self.values {
            Values::Bool(cells) => cells.is_null(row),
            Values::Int(cells) => cells.is_null(row),
            Values::Float(cells) => cells.is_null(row),
            Values::Double(cells) => cells.is_null(row),
            Values::Text(cells) => cells.is_null(row),
            Values::Bytes(cells) => cells.is_null(row),
            Values::Interval(cells) => cells.is_null(row),
            Values::Shown(cells) => cells[row].is_none(),
            Values::List(list) => list.rows[row].is_none(),
        }
    }

    /// The value with its length before it.
    fn field(&self, row: usize, format: Format, out: &mut BytesMut) -> Result<(), PgFault> {
        if self.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        let at = out.len();
        out.put_i32(0);
        match format {
            Format::Binary => self.binary(row, out)?,
            Format::Text => {
                let mut shown = String::new();
                match self.borrowed(row) {
                    Some(text) => out.put_slice(text.as_bytes()),
                    None => {
                        self.text(row, &mut shown);
                        out.put_slice(shown.as_bytes());
                    }
                }
            }
        }
        let length = i32::try_from(out.len() - at - 4)
            .map_err(|_| PgFault::new("54000", "a value has more than 2 GiB; select a part of it"))?;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// The value where it is text already.
    fn borrowed(&self, row: usize) -> Option<&str> {
        match &self.values {
            Values::Text(cells) => Some(cells.value(row)),
            Values::Shown(cells) => cells[row].as_deref(),
            _ => None,
        }
    }

    fn text(&self, row: usize, out: &mut String) {
        match &self.values {
            Values::Bool(cells) => out.push(if cells.value(row) { 't' } else { 'f' }),
            Values::Int(cells) => match self.scalar {
                Scalar::Date => text::date(out, cells.value(row)),
                Scalar::Time => text::time(out, cells.value(row)),
                Scalar::Timestamp => text::timestamp(out, cells.value(row), ""),
                Scalar::Timestamptz => text::timestamp(out, cells.value(row), "+00"),
                _ => out.push_str(&cells.value(row).to_string()),
            },
            Values::Float(cells) => text::float(out, &format!("{:e}", cells.value(row)), 6),
            Values::Double(cells) => text::float(out, &format!("{:e}", cells.value(row)), 15),
            Values::Text(cells) => out.push_str(cells.value(row)),
            Values::Bytes(cells) => {
                out.push_str("\\x");
                out.push_str(&hex::encode(cells.value(row)));
            }
            Values::Interval(cells) => text::interval(out, cells.value(row)),
            Values::Shown(cells) => out.push_str(cells[row].as_deref().unwrap_or_default()),
            Values::List(list) => list.text(row, out),
        }
    }

    fn binary(&self, row: usize, out: &mut BytesMut) -> Result<(), PgFault> {
        match &self.values {
            Values::Bool(cells) => out.put_u8(u8::from(cells.value(row))),
            Values::Int(cells) => self.integer(cells.value(row), out)?,
            Values::Float(cells) => out.put_f32(cells.value(row)),
            Values::Double(cells) => out.put_f64(cells.value(row)),
            Values::Text(cells) if self.scalar == Scalar::Numeric => numeric::write(out, cells.value(row)),
            Values::Text(cells) => out.put_slice(cells.value(row).as_bytes()),
            Values::Bytes(cells) => out.put_slice(cells.value(row)),
            Values::Interval(cells) => {
                let span = cells.value(row);
                out.put_i64(span.nanoseconds / 1_000);
                out.put_i32(span.days);
                out.put_i32(span.months);
            }
            Values::Shown(cells) => out.put_slice(cells[row].as_deref().unwrap_or_default().as_bytes()),
            Values::List(list) => list.binary(row, self.scalar, out)?,
        }
        Ok(())
    }

    fn integer(&self, value: i64, out: &mut BytesMut) -> Result<(), PgFault> {
        let wide = |what: &str| PgFault::new("22003", format!("{value} is out of range for {what}"));
        match self.scalar {
            Scalar::Int2 => out.put_i16(i16::try_from(value).map_err(|_| wide("smallint"))?),
            Scalar::Int4 => out.put_i32(i32::try_from(value).map_err(|_| wide("integer"))?),
            Scalar::Date => {
                let days = value - text::EPOCH_DAYS;
                out.put_i32(i32::try_from(days).map_err(|_| wide("date"))?);
            }
            Scalar::Timestamp | Scalar::Timestamptz => {
                let micros = value.checked_sub(text::EPOCH_MICROS);
                out.put_i64(micros.ok_or_else(|| wide("timestamp"))?);
            }
            _ => out.put_i64(value),
        }
        Ok(())
    }
}

/// Microseconds since 1970 of instants in any unit and zone.
fn micros(column: &ArrayRef) -> Result<Int64Array, ArrowError> {
    let zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    Ok(micros.as_primitive::<TimestampMicrosecondType>().unary(|micros| micros))
}

fn texts(column: &ArrayRef) -> Result<Values, ArrowError> {
    if matches!(column.data_type(), DataType::Union(..) | DataType::Null) {
        return Ok(Values::Shown(shown(column)?));
    }
    Ok(Values::Text(cast(column, &DataType::LargeUtf8)?.as_string::<i64>().clone()))
}

/// Values as the HTTP API writes them; a text stands for itself only where the column is one.
fn shown(column: &ArrayRef) -> Result<Vec<Option<String>>, ArrowError> {
    let is_union = matches!(column.data_type(), DataType::Union(..));
    let show = |value: Value| match value {
        Value::Null => None,
        Value::String(text) if is_union => Some(text),
        other => Some(other.to_string()),
    };
    Ok(output::cells(column)?.into_iter().map(show).collect())
}

impl List {
    fn new(column: &ArrayRef, scalar: Scalar) -> Result<Self, ArrowError> {
        let (rows, items) = match column.data_type() {
            DataType::List(_) => ranges(column.as_list::<i32>()),
            DataType::LargeList(_) => ranges(column.as_list::<i64>()),
            DataType::ListView(item) | DataType::LargeListView(item) | DataType::FixedSizeList(item, _) => {
                let list = cast(column, &DataType::LargeList(Arc::clone(item)))?;
                ranges(list.as_list::<i64>())
            }
            DataType::Dictionary(_, values) => {
                return Self::new(&cast(column, values)?, scalar);
            }
            other => return Err(ArrowError::CastError(format!("{other} is not a list"))),
        };
        let items = Box::new(Cells::new(&items, PgType::One(scalar))?);
        Ok(Self { items, rows })
    }

    /// `{1,NULL,"a b"}`.
    fn text(&self, row: usize, out: &mut String) {
        let (from, to) = self.rows[row].unwrap_or((0, 0));
        out.push('{');
        let mut item = String::new();
        for at in from..to {
            if at > from {
                out.push(',');
            }
            if self.items.is_null(at) {
                out.push_str("NULL");
                continue;
            }
            item.clear();
            self.items.text(at, &mut item);
            push_quoted(out, &item);
        }
        out.push('}');
    }

    fn binary(&self, row: usize, scalar: Scalar, out: &mut BytesMut) -> Result<(), PgFault> {
        let (from, to) = self.rows[row].unwrap_or((0, 0));
        let nulls = (from..to).any(|at| self.items.is_null(at));
        out.put_i32(i32::from(from < to));
        out.put_i32(i32::from(nulls));
        out.put_u32(scalar.oid());
        if from == to {
            return Ok(());
        }
        let length = i32::try_from(to - from)
            .map_err(|_| PgFault::new("54000", "a list has more items than an array may have"))?;
        out.put_i32(length);
        // The index of the first item.
        out.put_i32(1);
        for at in from..to {
            self.items.field(at, Format::Binary, out)?;
        }
        Ok(())
    }
}

/// The items of each row, and all items.
fn ranges<O: OffsetSizeTrait>(
    list: &arrow::array::GenericListArray<O>,
) -> (Vec<Option<(usize, usize)>>, ArrayRef) {
    let offsets = list.value_offsets();
    let range =
        |row: usize| (!list.is_null(row)).then(|| (offsets[row].as_usize(), offsets[row + 1].as_usize()));
    ((0..list.len()).map(range).collect(), Arc::clone(list.values()))
}

/// An item of an array's text, in quotes where it could be taken for something else.
fn push_quoted(out: &mut String, item: &str) {
    let plain = !item.is_empty()
        && !item.eq_ignore_ascii_case("null")
        && !item.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\'));
    if plain {
        return out.push_str(item);
    }
    out.push('"');
    for c in item.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
