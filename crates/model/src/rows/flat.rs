//! Flat batches back to rows whose owners are kept once.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::{
    Arc, Array, ArrayRef, ArrowError, Cell, DataType, Owner, RecordBatch, Rows, Table, default_array,
};

impl Rows {
    /// The rows of a batch with the columns of [`Table::schema`]: the inverse of [`Rows::to_batch`]. Equal owners
    /// become one, and a column in which every row has its default is left out. Slow: for tests and benchmarks.
    ///
    /// # Errors
    /// When the batch lacks a column or has one of another type.
    pub fn from_batch(table: Table, batch: &RecordBatch) -> Result<Self, ArrowError> {
        let schema = table.schema();
        let mut known: HashMap<(Option<u32>, Vec<Cell>), u32> = HashMap::new();
        let mut owners: Vec<Arc<Owner>> = Vec::new();
        let mut keys: Vec<u32> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let mut parent = None;
            for columns in table.owner_columns() {
                let cells = columns
                    .iter()
                    .map(|&column| cell(named(batch, schema.field(column).name())?, row))
                    .collect::<Result<Vec<_>, _>>()?;
                parent = Some(*known.entry((parent, cells)).or_insert_with_key(|(parent, cells)| {
                    owners.push(Arc::new(match parent {
                        Some(parent) => Owner::within(&owners[*parent as usize], cells.clone()),
                        None => Owner::group(cells.clone()),
                    }));
                    u32::try_from(owners.len() - 1).expect("fewer owners than rows of a batch")
                }));
            }
            keys.extend(parent);
        }
        let columns = table.row_columns().iter().map(|&column| {
            let field = schema.field(column);
            let array = named(batch, field.name())?;
            let needed = field.name().starts_with("timestamp") && !field.is_nullable();
            let left_out = !needed && array == &default_array(field, batch.num_rows());
            Ok((!left_out).then(|| ArrayRef::clone(array)))
        });
        let columns: Result<Vec<_>, ArrowError> = columns.collect();
        // Owners above the lowest level own no row themselves.
        let mut used = super::Owners::default();
        let keys: Vec<u32> = keys.iter().map(|key| used.key(&owners[*key as usize])).collect();
        Self::try_new(table, used.into_list(), keys, columns?)
    }
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column `{name}`")))
}

fn cell(array: &ArrayRef, row: usize) -> Result<Cell, ArrowError> {
    if array.is_null(row) {
        return Ok(Cell::Null);
    }
    Ok(match array.data_type() {
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).into()),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        other => return Err(ArrowError::SchemaError(format!("no owner column has type {other}"))),
    })
}
