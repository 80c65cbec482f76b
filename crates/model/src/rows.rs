//! Rows in memory, with what many rows share kept once ([`Owner`]) and columns without a value left out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Array, Int64Builder, ListArray, RecordBatch,
    RecordBatchOptions, StringBuilder, TimestampMicrosecondArray, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, TimestampMicrosecondType};
use arrow::error::ArrowError;

use crate::{Table, Tenant};

mod flat;
mod layout;
mod owner;
mod views;

pub use layout::Place;
pub use owner::{Cell, Owner};

/// Rows of one table and tenant, in the order they came. Cheap to clone: everything is shared.
#[derive(Clone, Debug)]
pub struct Rows {
    table: Table,
    owners: Arc<[Arc<Owner>]>,
    keys: Arc<[u32]>,
    columns: Arc<[Option<ArrayRef>]>,
    all_promoted: bool,
}

impl Rows {
    /// Row `n` belongs to `owners[keys[n]]`; `columns` are those of [`Table::row_columns`] in that order, `None`
    /// for a column in which every row has its default: null, or where null is not allowed 0, an empty list or,
    /// for attributes, `{}`. Whether [all were promoted](Self::all_promoted) is not known: `false`.
    ///
    /// # Errors
    /// When lengths or types do not fit, a key has no owner, or `timestamp` or `timestamp_nanos` is left out.
    pub fn try_new(
        table: Table,
        owners: impl Into<Arc<[Arc<Owner>]>>,
        keys: impl Into<Arc<[u32]>>,
        columns: Vec<Option<ArrayRef>>,
    ) -> Result<Self, ArrowError> {
        let (owners, keys) = (owners.into(), keys.into());
        let wrong = |what: String| Err(ArrowError::InvalidArgumentError(format!("rows of {table}: {what}")));
        let expected = table.row_columns();
        if columns.len() != expected.len() {
            return wrong(format!("{} columns instead of {}", columns.len(), expected.len()));
        }
        let schema = table.schema();
        for (column, &index) in columns.iter().zip(expected) {
            let field = schema.field(index);
            let Some(array) = column else {
                if field.name() == "timestamp" || field.name() == "timestamp_nanos" {
                    return wrong(format!("{} is left out", field.name()));
                }
                continue;
            };
            if array.len() != keys.len() || array.data_type() != field.data_type() {
                return wrong(format!("{} has {} of {}", field.name(), array.len(), array.data_type()));
            }
        }
        if keys.iter().any(|key| *key as usize >= owners.len()) {
            return wrong("a key without owner".to_owned());
        }
        Ok(Self { table, owners, keys, columns: columns.into(), all_promoted: false })
    }

    /// The same rows, with what is known of their attributes.
    #[must_use]
    pub fn with_all_promoted(self, all_promoted: bool) -> Self {
        Self { all_promoted, ..self }
    }

    /// Whether no row has an attribute left in the JSON of `attributes` whose name has a column of its own: one of
    /// another type than its column stays there. `false` also when that is not known.
    pub fn all_promoted(&self) -> bool {
        self.all_promoted
    }

    /// Which table the rows are of.
    pub fn table(&self) -> Table {
        self.table
    }

    /// How many.
    pub fn num_rows(&self) -> usize {
        self.keys.len()
    }

    /// What the rows belong to. No two of one batch are the same object, though they may be equal.
    pub fn owners(&self) -> &[Arc<Owner>] {
        &self.owners
    }

    /// For each row the index of its owner.
    pub fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// A column of [`Table::row_columns`]; `None` where every row has the default.
    pub fn column(&self, index: usize) -> Option<&ArrayRef> {
        self.columns.get(index)?.as_ref()
    }

    /// The `timestamp` of each row.
    pub fn timestamps(&self) -> &TimestampMicrosecondArray {
        let index = self.table.row_column("timestamp").expect("every table has it");
        self.column(index).expect("it is never left out").as_primitive::<TimestampMicrosecondType>()
    }

    /// Memory of the rows themselves. Owners are counted as a pointer each: they are shared with other rows.
    pub fn memory_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().flatten().map(Array::get_array_memory_size).sum();
        columns + self.keys.len() * size_of::<u32>() + self.owners.len() * size_of::<usize>()
    }

    /// The rows of all `parts`, one after the other.
    ///
    /// # Errors
    /// When there is no part, they are of different tables, or together too large for one array.
    pub fn concat(parts: &[Self]) -> Result<Self, ArrowError> {
        let Some(first) = parts.first() else {
            return Err(ArrowError::InvalidArgumentError("no rows to join".to_owned()));
        };
        let table = first.table;
        if parts.iter().any(|part| part.table != table) {
            return Err(ArrowError::InvalidArgumentError("rows of different tables".to_owned()));
        }
        let mut owners = Owners::with_capacity(parts.iter().map(|part| part.owners.len()).sum());
        let mut keys = Vec::with_capacity(parts.iter().map(Self::num_rows).sum());
        for part in parts {
            let moved: Vec<u32> = part.owners.iter().map(|owner| owners.key(owner)).collect();
            keys.extend(part.keys.iter().map(|key| moved[*key as usize]));
        }
        let columns: Result<Vec<_>, _> =
            (0..first.columns.len()).map(|index| concat_column(parts, index)).collect();
        let all_promoted = parts.iter().all(Self::all_promoted);
        Ok(Self {
            table,
            owners: owners.list.into(),
            keys: keys.into(),
            columns: columns?.into(),
            all_promoted,
        })
    }

    /// The rows as the table's schema has them.
    ///
    /// # Errors
    /// When a text column would exceed what one array holds.
    pub fn to_batch(&self, tenant: &Tenant) -> Result<RecordBatch, ArrowError> {
        let schema = self.table.schema();
        let fields = schema.fields().iter().enumerate();
        let arrays: Result<Vec<_>, _> =
            fields.map(|(column, field)| self.full_column(tenant, column, field)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.num_rows()));
        RecordBatch::try_new_with_options(schema, arrays?, &options)
    }

    fn full_column(&self, tenant: &Tenant, column: usize, field: &Field) -> Result<ArrayRef, ArrowError> {
        Ok(match self.table.places()[column] {
            Place::Tenant => {
                text_column((0..self.num_rows()).map(|_| Some(tenant.as_str())), self.num_rows())
            }
            Place::Date => Arc::new(dates(self.timestamps())),
            Place::Row(index) => {
                self.column(index).cloned().unwrap_or_else(|| default_array(field, self.num_rows()))
            }
            Place::Owner { level, index } => self.owner_column(level, index, field.data_type())?,
        })
    }

    fn owner_column(&self, level: usize, index: usize, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let cells: Vec<&Cell> = self.owners.iter().map(|owner| owner.cell(level, index)).collect();
        let rows = self.keys.iter().map(|key| cells[*key as usize]);
        Ok(match data_type {
            DataType::Utf8 => text_column(rows.map(Cell::as_text), self.num_rows()),
            DataType::Int64 => {
                let mut builder = Int64Builder::with_capacity(self.num_rows());
                rows.for_each(|cell| {
                    builder.append_option(if let Cell::Int(number) = cell { Some(*number) } else { None });
                });
                Arc::new(builder.finish())
            }
            DataType::Boolean => {
                let mut builder = BooleanBuilder::with_capacity(self.num_rows());
                rows.for_each(|cell| {
                    builder.append_option(if let Cell::Bool(flag) = cell { Some(*flag) } else { None });
                });
                Arc::new(builder.finish())
            }
            other => return Err(ArrowError::SchemaError(format!("no owner column has type {other}"))),
        })
    }
}

/// A pointer's own bits are random enough once they are spread; this runs for every point of a request.
#[derive(Debug, Default)]
struct PointerHasher(u64);

impl Hasher for PointerHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, pointer: usize) {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4), folded so that low bits are mixed too.
        let spread = (self.0 ^ pointer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}

/// Owners without repetition, by identity.
#[derive(Debug, Default)]
pub struct Owners {
    list: Vec<Arc<Owner>>,
    places: HashMap<*const Owner, u32, BuildHasherDefault<PointerHasher>>,
}

impl Owners {
    /// Room for `count` owners.
    fn with_capacity(count: usize) -> Self {
        let places = HashMap::with_capacity_and_hasher(count, BuildHasherDefault::default());
        Self { list: Vec::with_capacity(count), places }
    }

    /// The key of `owner`, new or known.
    pub fn key(&mut self, owner: &Arc<Owner>) -> u32 {
        *self.places.entry(Arc::as_ptr(owner)).or_insert_with(|| {
            self.list.push(Arc::clone(owner));
            u32::try_from(self.list.len() - 1).expect("fewer owners than rows of a batch")
        })
    }

    /// All of them, by key.
    pub fn into_list(self) -> Vec<Arc<Owner>> {
        self.list
    }
}

fn concat_column(parts: &[Rows], index: usize) -> Result<Option<ArrayRef>, ArrowError> {
    if parts.iter().all(|part| part.column(index).is_none()) {
        return Ok(None);
    }
    let table = parts[0].table;
    let schema = table.schema();
    let field = schema.field(table.row_columns()[index]);
    let arrays: Vec<ArrayRef> = parts
        .iter()
        .map(|part| part.column(index).cloned().unwrap_or_else(|| default_array(field, part.num_rows())))
        .collect();
    let borrowed: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    concat(&borrowed).map(Some)
}

/// What a row column that was left out stands for.
pub fn default_array(field: &Field, rows: usize) -> ArrayRef {
    if field.is_nullable() {
        return new_null_array(field.data_type(), rows);
    }
    match field.data_type() {
        DataType::Utf8 => text_column((0..rows).map(|_| Some("{}")), rows),
        DataType::List(item) => {
            let values = new_empty_array(item.data_type());
            Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::new_zeroed(rows), values, None))
        }
        other => arrow::array::make_array(
            arrow::array::ArrayData::new_null(other, rows)
                .into_builder()
                .nulls(None)
                .build()
                .expect("zeros are a valid value of a number"),
        ),
    }
}

/// The UTC date of each time.
pub fn dates(timestamps: &TimestampMicrosecondArray) -> Date32Array {
    const DAY_MICROS: i64 = 86_400_000_000;
    let date = |micros: &i64| i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX);
    timestamps.values().iter().map(date).collect::<Vec<i32>>().into()
}

fn text_column<'a>(texts: impl Iterator<Item = Option<&'a str>>, rows: usize) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows, rows * 16);
    texts.for_each(|text| builder.append_option(text));
    Arc::new(builder.finish())
}

#[cfg(test)]
mod tests;
