//! What the tables and columns are called and mean, for completion and help.

use std::sync::Arc;

use hindsight_model::SystemTable;

/// A table that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// The name that users type.
    pub name: String,
    /// One sentence on what a row is.
    pub doc: &'static str,
    /// Whether it is made of other tables.
    pub is_view: bool,
    /// Its columns in the order of `SELECT *`.
    pub columns: Vec<ColumnInfo>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// The name that users type.
    pub name: String,
    /// SQL type name, for example `BIGINT`.
    pub sql_type: String,
    /// One sentence on what it holds.
    pub doc: &'static str,
}

/// Lets the tables that know their own docs say them; the others have theirs.
pub(crate) fn document(tables: &mut [TableInfo], system: &[Arc<dyn SystemTable>]) {
    for table in tables {
        let Some(own) = system.iter().find(|own| own.name() == table.name) else { continue };
        table.doc = own.doc();
        let docs = own.column_docs();
        for column in &mut table.columns {
            column.doc = docs.iter().find(|(name, _)| *name == column.name).map_or("", |(_, doc)| *doc);
        }
    }
}
