//! Rows as a query reads them: what many of them share is written once and dealt out.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, StringViewArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::{Cell, Owner, Place, PointerHasher, Rows};
use crate::Tenant;

/// The owners of one level, and to which of them each row belongs.
struct Level<'a> {
    owners: Vec<Option<&'a Owner>>,
    keys: UInt32Array,
}

impl Level<'_> {
    fn column(&self, index: usize, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let cells = self.owners.iter().map(|owner| owner.and_then(|owner| owner.cells().get(index)));
        let values: &dyn Array = match data_type {
            DataType::Utf8 => &cells.map(|cell| cell.and_then(Cell::as_text)).collect::<StringViewArray>(),
            DataType::Int64 => &cells
                .map(|cell| if let Some(Cell::Int(number)) = cell { Some(*number) } else { None })
                .collect::<Int64Array>(),
            DataType::Boolean => &cells
                .map(|cell| if let Some(Cell::Bool(flag)) = cell { Some(*flag) } else { None })
                .collect::<BooleanArray>(),
            other => return Err(ArrowError::SchemaError(format!("no owner column has type {other}"))),
        };
        take(values, &self.keys, None)
    }
}

impl Rows {
    /// The columns of the table's schema at the given places, in that order; texts as [`DataType::Utf8View`], those that
    /// rows share without a copy for each.
    ///
    /// # Errors
    /// When a place is none of the schema's.
    pub fn to_views(&self, tenant: &Tenant, columns: &[usize]) -> Result<Vec<ArrayRef>, ArrowError> {
        let schema = self.table.schema();
        let mut levels: HashMap<usize, Level<'_>> = HashMap::new();
        let column = |&column: &usize| {
            let field = schema.fields().get(column);
            let field = field.ok_or_else(|| ArrowError::SchemaError(format!("no column {column}")))?;
            match (self.table.places()[column], field.data_type()) {
                (Place::Owner { level, index }, data_type) => {
                    levels.entry(level).or_insert_with(|| self.level(level)).column(index, data_type)
                }
                (Place::Tenant, _) => {
                    let name = StringViewArray::from_iter_values([tenant.as_str()]);
                    take(&name, &UInt32Array::from(vec![0; self.num_rows()]), None)
                }
                (_, DataType::Utf8) => cast(&self.full_column(tenant, column, field)?, &DataType::Utf8View),
                _ => self.full_column(tenant, column, field),
            }
        };
        columns.iter().map(column).collect()
    }

    /// Rows of one series follow those of others, but those of a metric, or of a resource, mostly stand together.
    fn level(&self, level: usize) -> Level<'_> {
        let above = self.owners.iter().map(|owner| owner.at_level(level));
        if level + 1 == self.table.owner_columns().len() {
            return Level { owners: above.collect(), keys: self.keys.to_vec().into() };
        }
        let mut owners: Vec<Option<&Owner>> = Vec::new();
        let mut places: HashMap<usize, u32, BuildHasherDefault<PointerHasher>> = HashMap::default();
        let mut of_owners: Vec<u32> = Vec::with_capacity(self.owners.len());
        let mut last = None;
        for above in above {
            let pointer = above.map_or(0, |above| std::ptr::from_ref(above).addr());
            let place = match last {
                Some((before, place)) if before == pointer => place,
                _ => *places.entry(pointer).or_insert_with(|| {
                    owners.push(above);
                    u32::try_from(owners.len() - 1).unwrap_or(u32::MAX)
                }),
            };
            last = Some((pointer, place));
            of_owners.push(place);
        }
        let keys = self.keys.iter().map(|key| of_owners[*key as usize]).collect::<Vec<u32>>();
        Level { owners, keys: keys.into() }
    }
}
