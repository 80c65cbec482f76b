use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Int16Array, ListArray, RecordBatch, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use hindsight_model::{Table, split_nanos};

use crate::DecodeError;

/// The columns of a batch, put in any order, checked against the table's schema at the end.
pub(super) struct Finished {
    table: Table,
    schema: SchemaRef,
    arrays: Vec<Option<ArrayRef>>,
}

impl Finished {
    pub(super) fn new(table: Table) -> Self {
        let schema = table.schema();
        let arrays = vec![None; schema.fields().len()];
        Self { table, schema, arrays }
    }

    /// A name that the table lacks is left out; the column it was meant for is then missing in [`Self::batch`].
    pub(super) fn put(&mut self, column: &str, array: impl Array + 'static) {
        if let Ok(index) = self.schema.index_of(column) {
            self.arrays[index] = Some(Arc::new(array));
        }
    }

    /// Puts a list of structs or numbers whose elements are `values`, cut at `offsets`.
    pub(super) fn put_list(
        &mut self,
        column: &str,
        offsets: Vec<i32>,
        values: Vec<ArrayRef>,
    ) -> Result<(), DecodeError> {
        let table = self.table;
        let list = self.list(column, offsets, values);
        self.put(column, list.map_err(|source| DecodeError::Arrow { table, source })?);
        Ok(())
    }

    fn list(
        &self,
        column: &str,
        offsets: Vec<i32>,
        mut values: Vec<ArrayRef>,
    ) -> Result<ListArray, ArrowError> {
        let DataType::List(item) = self.schema.field_with_name(column)?.data_type() else {
            return Err(ArrowError::SchemaError(format!("{column} is not a list")));
        };
        let values: ArrayRef = match item.data_type() {
            DataType::Struct(fields) => Arc::new(StructArray::try_new(fields.clone(), values, None)?),
            _ => values.pop().ok_or_else(|| ArrowError::SchemaError(format!("{column} has no values")))?,
        };
        ListArray::try_new(Arc::clone(item), OffsetBuffer::new(offsets.into()), values, None)
    }

    pub(super) fn batch(self) -> Result<RecordBatch, DecodeError> {
        let missing = |index: usize| {
            ArrowError::SchemaError(format!("column {} was not built", self.schema.field(index).name()))
        };
        let arrays: Result<Vec<_>, _> = self
            .arrays
            .into_iter()
            .enumerate()
            .map(|(index, array)| array.ok_or_else(|| missing(index)))
            .collect();
        arrays
            .and_then(|arrays| RecordBatch::try_new(Arc::clone(&self.schema), arrays))
            .map_err(|source| DecodeError::Arrow { table: self.table, source })
    }
}

/// The offsets of a list column: where each row's elements end.
pub(super) struct Offsets(pub(super) Vec<i32>);

impl Default for Offsets {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Offsets {
    /// Ends a row after `total` elements of all rows so far.
    pub(super) fn end_row(&mut self, total: usize) {
        // Each element took at least two bytes of a body below BODY_BYTES_MAX.
        self.0.push(i32::try_from(total).expect("fewer elements than bytes in a body"));
    }
}

/// A `timestamp` and its `timestamp_nanos`.
#[derive(Default)]
pub(super) struct Times {
    micros: Vec<i64>,
    nanos: Vec<i16>,
}

impl Times {
    pub(super) fn push(&mut self, unix_nano: u64) {
        let (micros, nanos) = split_nanos(unix_nano);
        self.micros.push(micros);
        self.nanos.push(nanos);
    }

    pub(super) fn len(&self) -> usize {
        self.micros.len()
    }

    /// The UTC date of each time.
    pub(super) fn dates(&self) -> Date32Array {
        const DAY_MICROS: i64 = 86_400_000_000;
        let date = |micros: &i64| {
            i32::try_from(micros.div_euclid(DAY_MICROS)).expect("u64 nanoseconds end in the year 2554")
        };
        self.micros.iter().map(date).collect::<Vec<i32>>().into()
    }

    pub(super) fn finish(self) -> (TimestampMicrosecondArray, Int16Array) {
        (TimestampMicrosecondArray::from(self.micros).with_timezone("UTC"), self.nanos.into())
    }
}

/// As [`Times`], with null for 0.
#[derive(Default)]
pub(super) struct OptionalTimes {
    micros: Vec<Option<i64>>,
    nanos: Vec<Option<i16>>,
}

impl OptionalTimes {
    pub(super) fn push(&mut self, unix_nano: u64) {
        let (micros, nanos) = split_nanos(unix_nano);
        self.micros.push((unix_nano != 0).then_some(micros));
        self.nanos.push((unix_nano != 0).then_some(nanos));
    }

    pub(super) fn finish(self) -> (TimestampMicrosecondArray, Int16Array) {
        (TimestampMicrosecondArray::from(self.micros).with_timezone("UTC"), self.nanos.into())
    }
}

/// Null for an empty text: proto3 cannot tell it from one that was not sent.
pub(super) fn push_text(builder: &mut StringBuilder, text: &str) {
    builder.append_option((!text.is_empty()).then_some(text));
}

/// A `u64` in a `BIGINT`, bit by bit.
pub(super) fn bits(count: u64) -> i64 {
    count.cast_signed()
}
