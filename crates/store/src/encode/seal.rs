//! Rows of one table as they lie in the head become the files of their dates.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use hindsight_model::{Owner, Place as Column, Rows, Table};

use super::gather::Gather;
use super::order::{Order, Place};
use super::{BlockSink, Failure, Finished, RowGroup, Source};

/// A UTC date in days since the epoch, and its file.
pub(crate) type DayFile = (i32, Finished<Vec<u8>>);

/// Encodes a file for each date, in days since the epoch. Takes long; not for an I/O thread.
pub(crate) fn blocks(table: Table, batches: &[Rows], row_group_rows: usize) -> Result<Vec<DayFile>, Failure> {
    let mut order = Order::of(table, batches);
    let mut files = Vec::new();
    while let Some((day, places)) = order.days.pop_first() {
        let mut sink = BlockSink::new(table, Vec::new())?;
        for places in places.chunks(row_group_rows) {
            sink.write(&Group::new(table, batches, &order, places))?;
        }
        files.push((day, sink.finish()?));
    }
    Ok(files)
}

/// Sorted rows of many batches.
struct Group<'a> {
    table: Table,
    schema: SchemaRef,
    /// For each column of the file its column of the table.
    columns: Vec<usize>,
    batches: &'a [Rows],
    places: &'a [Place],
    /// The owners that these rows have.
    owners: Vec<&'a Owner>,
    keys: Vec<u32>,
}

impl<'a> Group<'a> {
    fn new(table: Table, batches: &'a [Rows], order: &'a Order, places: &'a [Place]) -> Self {
        let mut local: HashMap<u32, u32> = HashMap::new();
        let mut owners = Vec::new();
        let mut last = None;
        let keys = places.iter().map(|place| {
            let owner = order.owner(batches, *place);
            let key = match last {
                Some((known, key)) if known == owner => key,
                _ => *local.entry(owner).or_insert_with(|| {
                    owners.push(order.owners[owner as usize].as_ref());
                    owners.len() as u32 - 1
                }),
            };
            last = Some((owner, key));
            key
        });
        let keys = keys.collect();
        let schema = table.schema();
        let held = |column: &usize| matches!(table.places()[*column], Column::Owner { .. } | Column::Row(_));
        let columns = (0..schema.fields().len()).filter(held).collect();
        Self { table, schema, columns, batches, places, owners, keys }
    }
}

impl RowGroup for Group<'_> {
    fn rows(&self) -> usize {
        self.places.len()
    }

    fn column(&self, index: usize) -> Result<Source<'_>, Failure> {
        let column = self.columns[index];
        match self.table.places()[column] {
            Column::Owner { level, index } => {
                let cells = self.owners.iter().map(|owner| owner.cell(level, index)).collect();
                Ok(Source::Shared { keys: &self.keys, cells })
            }
            Column::Row(row_column) => {
                let arrays: Vec<_> = self.batches.iter().map(|rows| rows.column(row_column)).collect();
                if arrays.iter().all(Option::is_none) {
                    return Ok(Source::Default);
                }
                let gather = Gather::new(self.schema.field(column), &arrays)?;
                Ok(Source::Rows(Box::new(move |rows| gather.take(&self.places[rows]))))
            }
            Column::Tenant | Column::Date => Err(Failure::Shape("a partition column has no place in a file")),
        }
    }
}
