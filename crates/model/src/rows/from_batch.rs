use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;

use super::{Cell, Owner, Rows};
use crate::Table;

impl Rows {
    /// Rows from a batch with all columns of [`Table::schema`]: the inverse of [`Rows::to_batch`], for rows that
    /// come from elsewhere than a request.
    ///
    /// # Errors
    /// When a column is missing or has another type.
    pub fn from_batch(table: Table, batch: &RecordBatch) -> Result<Self, ArrowError> {
        let mut known: HashMap<Vec<Cell>, u32> = HashMap::new();
        let mut owners: Vec<Arc<Owner>> = Vec::new();
        let mut keys = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let levels: Vec<Vec<Cell>> = table
                .owner_columns()
                .iter()
                .map(|columns| columns.iter().map(|column| cell(batch.column(*column), row)).collect())
                .collect::<Result<_, _>>()?;
            let key = match known.get(&levels.concat()) {
                Some(key) => *key,
                None => {
                    known.insert(levels.concat(), owners.len() as u32);
                    owners.push(owner(levels));
                    (owners.len() - 1) as u32
                }
            };
            keys.push(key);
        }
        let columns =
            table.row_columns().iter().map(|column| Some(Arc::clone(batch.column(*column)))).collect();
        Self::try_new(table, owners, keys, columns)
    }
}

fn owner(levels: Vec<Vec<Cell>>) -> Arc<Owner> {
    let mut levels = levels.into_iter();
    let top = Arc::new(Owner::group(levels.next().unwrap_or_default()));
    levels.fold(top, |parent, cells| Arc::new(Owner::within(&parent, cells)))
}

fn cell(column: &dyn Array, row: usize) -> Result<Cell, ArrowError> {
    if column.is_null(row) {
        return Ok(Cell::Null);
    }
    Ok(match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).into()),
        DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        other => return Err(ArrowError::SchemaError(format!("no owner column has type {other}"))),
    })
}
