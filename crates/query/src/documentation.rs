//! The system table `documentation`: what every table, view and column holds, in words.

use std::sync::{Arc, LazyLock, OnceLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hindsight_model::{SqlError, SystemTable, Tenant};

use crate::table_info::{ColumnInfo, TableInfo};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("table_name"),
        text("table_type"),
        text("table_doc"),
        Field::new("position", DataType::Int64, false),
        text("column_name"),
        text("data_type"),
        text("column_doc"),
    ]))
});

/// One row for each column of each table and view, itself included.
#[derive(Debug, Default)]
pub(crate) struct Documentation {
    /// Known once all tables are.
    tables: OnceLock<Vec<TableInfo>>,
}

impl Documentation {
    /// Fills it; only the first time counts.
    pub(crate) fn fill(&self, tables: &[TableInfo]) {
        let _ = self.tables.set(tables.to_vec());
    }
}

#[async_trait::async_trait]
impl SystemTable for Documentation {
    fn name(&self) -> &'static str {
        "documentation"
    }

    fn doc(&self) -> &'static str {
        "one row for each column of each table and view"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("table_name", "the table or view"),
            ("table_type", "table or view"),
            ("table_doc", "what a row of it is"),
            ("position", "place of the column in it, from 1"),
            ("column_name", "the column"),
            ("data_type", "its type"),
            ("column_doc", "what it holds"),
        ]
    }

    async fn rows(&self, _: &Tenant) -> Result<RecordBatch, SqlError> {
        let tables = self.tables.get().map_or(&[][..], Vec::as_slice);
        let rows: Vec<(&TableInfo, usize, &ColumnInfo)> = tables
            .iter()
            .flat_map(|table| table.columns.iter().enumerate().map(move |(at, column)| (table, at, column)))
            .collect();
        let text = |of: fn(&TableInfo, &ColumnInfo) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(table, _, column)| of(table, column))))
        };
        let position = rows.iter().map(|(_, at, _)| i64::try_from(at + 1).unwrap_or(i64::MAX));
        let columns = vec![
            text(|table, _| table.name.clone()),
            text(|table, _| if table.is_view { "view" } else { "table" }.to_owned()),
            text(|table, _| table.doc.to_owned()),
            Arc::new(Int64Array::from_iter_values(position)) as ArrayRef,
            text(|_, column| column.name.clone()),
            text(|_, column| column.sql_type.clone()),
            text(|_, column| column.doc.to_owned()),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: format!("make rows of documentation: {error}") })
    }
}
