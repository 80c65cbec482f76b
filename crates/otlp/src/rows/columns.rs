//! Columns that cost nothing on rows without a value: a builder is made with the first value and catches up.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, Int16Array, Int64Array, ListArray, PrimitiveBuilder, StringBuilder,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use hindsight_model::{Owner, Owners, Rows, Table, default_array, split_nanos};

use crate::DecodeError;

/// How many rows to make room for with a column's first value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room(pub(super) usize);

impl Room {
    pub(super) fn builder(self, bytes_each: usize) -> StringBuilder {
        StringBuilder::with_capacity(self.0, self.0 * bytes_each)
    }

    pub(super) fn texts(self, bytes_each: usize) -> Texts {
        Texts { builder: None, room: self, bytes_each }
    }

    pub(super) fn numbers<T: ArrowPrimitiveType>(self) -> Numbers<T> {
        Numbers { builder: None, room: self }
    }

    pub(super) fn vec<T>(self) -> Vec<T> {
        Vec::with_capacity(self.0)
    }

    pub(super) fn times(self) -> Times {
        Times { micros: self.vec(), nanos: self.vec() }
    }

    pub(super) fn optional_times(self) -> OptionalTimes {
        OptionalTimes { micros: self.numbers(), nanos: self.numbers() }
    }
}

/// Text that may be missing.
#[derive(Default)]
pub(super) struct Texts {
    builder: Option<StringBuilder>,
    room: Room,
    bytes_each: usize,
}

impl Texts {
    #[inline]
    pub(super) fn set(&mut self, row: usize, text: &str) {
        self.at(row).append_value(text);
    }

    /// Null for an empty text: proto3 cannot tell it from one that was not sent.
    #[inline]
    pub(super) fn set_unless_empty(&mut self, row: usize, text: &str) {
        if !text.is_empty() {
            self.set(row, text);
        }
    }

    /// The builder, ready for this row's value; the rows before it that had none are null.
    #[inline]
    pub(super) fn at(&mut self, row: usize) -> &mut StringBuilder {
        let builder = self.builder.get_or_insert_with(|| self.room.builder(self.bytes_each));
        let behind = row - arrow::array::ArrayBuilder::len(builder);
        if behind > 0 {
            builder.append_nulls(behind);
        }
        builder
    }

    pub(super) fn finish(self, rows: usize) -> Option<ArrayRef> {
        let mut builder = self.builder?;
        builder.append_nulls(rows - arrow::array::ArrayBuilder::len(&builder));
        Some(Arc::new(builder.finish()))
    }
}

/// Numbers that may be missing.
pub(super) struct Numbers<T: ArrowPrimitiveType> {
    builder: Option<PrimitiveBuilder<T>>,
    room: Room,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Room::default().numbers()
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    #[inline]
    pub(super) fn set(&mut self, row: usize, number: T::Native) {
        let builder = self.builder.get_or_insert_with(|| PrimitiveBuilder::with_capacity(self.room.0));
        let behind = row - builder.values_slice().len();
        if behind > 0 {
            builder.append_nulls(behind);
        }
        builder.append_value(number);
    }

    pub(super) fn finish(self, rows: usize) -> Option<ArrayRef> {
        let mut builder = self.builder?;
        builder.append_nulls(rows - builder.values_slice().len());
        Some(Arc::new(builder.finish()))
    }
}

/// Counts and flags: 0 when not sent.
#[derive(Default)]
pub(super) struct Counts(Vec<i64>);

impl Counts {
    #[inline]
    pub(super) fn set(&mut self, row: usize, count: i64) {
        if count != 0 {
            self.0.resize(row, 0);
            self.0.push(count);
        }
    }

    pub(super) fn finish(mut self, rows: usize) -> Option<ArrayRef> {
        if self.0.is_empty() {
            return None;
        }
        self.0.resize(rows, 0);
        Some(Arc::new(Int64Array::from(self.0)))
    }
}

/// A timestamp that every row has, and its nanoseconds.
#[derive(Default)]
pub(super) struct Times {
    micros: Vec<i64>,
    nanos: Vec<i16>,
}

impl Times {
    #[inline]
    pub(super) fn push(&mut self, unix_nano: u64) {
        let (micros, nanos) = split_nanos(unix_nano);
        self.micros.push(micros);
        self.nanos.push(nanos);
    }

    pub(super) fn len(&self) -> usize {
        self.micros.len()
    }

    pub(super) fn finish(self) -> (ArrayRef, ArrayRef) {
        let micros = TimestampMicrosecondArray::from(self.micros).with_timezone("UTC");
        (Arc::new(micros), Arc::new(Int16Array::from(self.nanos)))
    }
}

/// A timestamp that is null when 0 was sent, and its nanoseconds.
#[derive(Default)]
pub(super) struct OptionalTimes {
    micros: Numbers<arrow::datatypes::TimestampMicrosecondType>,
    nanos: Numbers<arrow::datatypes::Int16Type>,
}

impl OptionalTimes {
    #[inline]
    pub(super) fn set(&mut self, row: usize, unix_nano: u64) {
        if unix_nano != 0 {
            let (micros, nanos) = split_nanos(unix_nano);
            self.micros.set(row, micros);
            self.nanos.set(row, nanos);
        }
    }

    pub(super) fn finish(self, rows: usize) -> (Option<ArrayRef>, Option<ArrayRef>) {
        let utc = |mut builder: PrimitiveBuilder<arrow::datatypes::TimestampMicrosecondType>| -> ArrayRef {
            builder.append_nulls(rows - builder.values_slice().len());
            Arc::new(builder.finish().with_timezone("UTC"))
        };
        (self.micros.builder.map(utc), self.nanos.finish(rows))
    }
}

/// Where each row's elements of a list column end.
#[derive(Default)]
pub(super) struct Offsets(Vec<i32>);

impl Offsets {
    /// Ends a row that has elements, after `total` elements of all rows so far.
    #[inline]
    pub(super) fn end_row(&mut self, row: usize, total: usize) {
        if self.0.is_empty() {
            self.0.push(0);
        }
        let before = *self.0.last().expect("one was pushed");
        self.0.resize(row + 1, before);
        // Each element took at least two bytes of a body below BODY_BYTES_MAX.
        self.0.push(i32::try_from(total).expect("fewer elements than bytes in a body"));
    }

    fn finish(mut self, rows: usize) -> Option<OffsetBuffer<i32>> {
        let last = *self.0.last()?;
        self.0.resize(rows + 1, last);
        Some(OffsetBuffer::new(self.0.into()))
    }
}

/// The rows of a table, column by column in any order.
pub(super) struct Finished {
    table: Table,
    owners: SharedOwners,
    columns: Vec<Option<ArrayRef>>,
    all_promoted: bool,
}

impl Finished {
    pub(super) fn new(table: Table, owners: SharedOwners) -> Self {
        let all_promoted = table.promoted().is_empty();
        Self { table, owners, columns: vec![None; table.row_columns().len()], all_promoted }
    }

    /// Whether every promoted attribute is in its column.
    pub(super) fn set_all_promoted(&mut self, all_promoted: bool) {
        self.all_promoted = all_promoted;
    }

    pub(super) fn rows(&self) -> usize {
        self.owners.keys.len()
    }

    /// A name that the table lacks is left out; the round trip tests would miss the column.
    pub(super) fn put_array(&mut self, column: &str, array: impl Array + 'static) {
        self.put(column, Some(Arc::new(array) as ArrayRef));
    }

    /// As [`Self::put_array`]; without an array every row has the column's default.
    pub(super) fn put(&mut self, column: &str, array: impl Into<Option<ArrayRef>>) {
        if let Some(index) = self.table.row_column(column) {
            self.columns[index] = array.into();
        }
    }

    pub(super) fn put_times(
        &mut self,
        column: &str,
        nanos: &str,
        times: (Option<ArrayRef>, Option<ArrayRef>),
    ) {
        self.put(column, times.0);
        self.put(nanos, times.1);
    }

    /// Puts a list of structs or numbers whose elements are `values`, cut at `offsets`.
    pub(super) fn put_list(
        &mut self,
        column: &str,
        offsets: Offsets,
        values: impl FnOnce() -> Vec<ArrayRef>,
    ) -> Result<(), DecodeError> {
        let Some(offsets) = offsets.finish(self.rows()) else { return Ok(()) };
        let table = self.table;
        let list = list(table, column, offsets, values());
        let list = list.map_err(|source| DecodeError::Arrow { table, source })?;
        self.put(column, Some(Arc::new(list) as ArrayRef));
        Ok(())
    }

    pub(super) fn done(self) -> Result<(Table, Rows), DecodeError> {
        let table = self.table;
        Rows::try_new(table, self.owners.owners, self.owners.keys, self.columns)
            .map(|rows| (table, rows.with_all_promoted(self.all_promoted)))
            .map_err(|source| DecodeError::Arrow { table, source })
    }
}

fn list(
    table: Table,
    column: &str,
    offsets: OffsetBuffer<i32>,
    mut values: Vec<ArrayRef>,
) -> Result<ListArray, ArrowError> {
    let schema = table.schema();
    let DataType::List(item) = schema.field_with_name(column)?.data_type() else {
        return Err(ArrowError::SchemaError(format!("{column} is not a list")));
    };
    let values: ArrayRef = match item.data_type() {
        DataType::Struct(fields) => Arc::new(StructArray::try_new(fields.clone(), values, None)?),
        _ => values.pop().ok_or_else(|| ArrowError::SchemaError(format!("{column} has no values")))?,
    };
    ListArray::try_new(Arc::clone(item), offsets, values, None)
}

/// A list's inner column: what was collected, or nulls when nothing was.
pub(super) fn inner(array: Option<ArrayRef>, data_type: DataType, rows: usize) -> ArrayRef {
    array.unwrap_or_else(|| default_array(&Field::new("inner", data_type, true), rows))
}

/// Which row belongs to whom.
#[derive(Debug, Default)]
pub(super) struct OwnerKeys {
    /// The first rows', when others have said it before; the fields below are empty then.
    shared: Option<SharedOwners>,
    owners: Owners,
    keys: Vec<u32>,
    last: Option<(*const Owner, u32)>,
}

/// Which row belongs to whom, said once for many requests.
#[derive(Clone, Debug)]
pub(super) struct SharedOwners {
    owners: Arc<[Arc<Owner>]>,
    keys: Arc<[u32]>,
}

impl OwnerKeys {
    #[inline]
    pub(super) fn push(&mut self, owner: &Arc<Owner>) {
        if let Some(shared) = self.shared.take() {
            self.push_all(&shared);
        }
        let key = match self.last {
            Some((last, key)) if last == Arc::as_ptr(owner) => key,
            _ => self.owners.key(owner),
        };
        self.last = Some((Arc::as_ptr(owner), key));
        self.keys.push(key);
    }

    fn push_all(&mut self, shared: &SharedOwners) {
        shared.keys.iter().for_each(|key| self.push(&shared.owners[*key as usize]));
    }

    /// Adds the rows of `shared`.
    pub(super) fn adopt(&mut self, shared: &SharedOwners) {
        if self.len() == 0 {
            self.shared = Some(shared.clone());
        } else {
            self.push_all(shared);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shared.as_ref().map_or(self.keys.len(), |shared| shared.keys.len())
    }

    pub(super) fn share(self) -> SharedOwners {
        self.shared.unwrap_or_else(|| SharedOwners {
            owners: self.owners.into_list().into(),
            keys: self.keys.into(),
        })
    }

    pub(super) fn finish(self, table: Table) -> Finished {
        Finished::new(table, self.share())
    }
}

/// A `u64` in a `BIGINT`, bit by bit.
pub(super) fn bits(count: u64) -> i64 {
    count.cast_signed()
}
