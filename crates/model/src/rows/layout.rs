//! Which column of a table lives where while rows are in memory.

use std::sync::LazyLock;

use crate::{RESOURCE_PROMOTED, Table};

/// Where a column's values are in [`crate::Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Every row's tenant; not held.
    Tenant,
    /// Computed from `timestamp`; not held.
    Date,
    /// In the owner of that level, at that index of its cells.
    Owner {
        /// See [`crate::Owner::level`].
        level: usize,
        /// Index in [`crate::Owner::cells`].
        index: usize,
    },
    /// In the row columns, at that index.
    Row(usize),
}

struct Layout {
    places: Vec<Place>,
    owner_columns: Vec<Vec<usize>>,
    row_columns: Vec<usize>,
}

/// Columns of a metric, the same for all its points.
const METRIC_COLUMNS: [&str; 7] =
    ["metric_name", "metric_type", "unit", "description", "metadata", "temporality", "is_monotonic"];

fn layout(table: Table) -> &'static Layout {
    static LAYOUTS: LazyLock<[Layout; Table::ALL.len()]> = LazyLock::new(|| Table::ALL.map(build));
    &LAYOUTS[table.index()]
}

fn build(table: Table) -> Layout {
    let levels = if matches!(table, Table::Logs | Table::Spans) { 1 } else { 3 };
    let mut layout =
        Layout { places: Vec::new(), owner_columns: vec![Vec::new(); levels], row_columns: Vec::new() };
    for (column, field) in table.schema().fields().iter().enumerate() {
        let place = match (field.name().as_str(), level_of(table, field.name())) {
            ("tenant", _) => Place::Tenant,
            ("date", _) => Place::Date,
            (_, Some(level)) => {
                layout.owner_columns[level].push(column);
                Place::Owner { level, index: layout.owner_columns[level].len() - 1 }
            }
            (_, None) => {
                layout.row_columns.push(column);
                Place::Row(layout.row_columns.len() - 1)
            }
        };
        layout.places.push(place);
    }
    layout
}

fn level_of(table: Table, column: &str) -> Option<usize> {
    let shared = column.starts_with("resource_")
        || column.starts_with("scope_")
        || RESOURCE_PROMOTED.iter().any(|promoted| promoted.column == column);
    if shared {
        return Some(0);
    }
    if matches!(table, Table::Logs | Table::Spans) {
        return None;
    }
    if METRIC_COLUMNS.contains(&column) {
        return Some(1);
    }
    let of_series = column == "series_id"
        || column == "attributes"
        || table.promoted().iter().any(|promoted| promoted.column == column);
    of_series.then_some(2)
}

impl Table {
    /// For each column of [`Table::schema`]: where [`crate::Rows`] has its values.
    pub fn places(self) -> &'static [Place] {
        &layout(self).places
    }

    /// For each level of owner: the columns of [`Table::schema`] that its cells stand for, in their order.
    pub fn owner_columns(self) -> &'static [Vec<usize>] {
        &layout(self).owner_columns
    }

    /// The columns of [`Table::schema`] that each row has for itself, in their order.
    pub fn row_columns(self) -> &'static [usize] {
        &layout(self).row_columns
    }

    /// The index among [`Table::row_columns`] of the column with this name.
    pub fn row_column(self, name: &str) -> Option<usize> {
        let column = self.schema().index_of(name).ok()?;
        match self.places()[column] {
            Place::Row(index) => Some(index),
            _ => None,
        }
    }
}
