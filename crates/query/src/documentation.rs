//! What tables and columns mean, for whoever shows them without an engine at hand.

use hindsight_model::Table;

use crate::table_info::{column_doc, table_doc};
use crate::views::VIEWS;

/// What a row of a signal table or a view is; `None` for other tables.
pub fn of_table(name: &str) -> Option<&'static str> {
    let view = || VIEWS.iter().find(|view| view.name == name).map(|view| view.doc);
    Table::from_name(name).map(table_doc).or_else(view)
}

/// What a column of this name holds; empty when the name says it all.
pub fn of_column(name: &str) -> &'static str {
    column_doc(name)
}
