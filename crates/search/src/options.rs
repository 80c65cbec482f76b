use hindsight_model::Table;

/// What is indexed, and how much room it may take.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Tables whose texts are indexed, see [`indexed_columns`]. Default `logs`.
    pub tables: Vec<Table>,
    /// Bytes of all indexes together; beyond, those of the oldest rows go. Default 10 GiB.
    pub bytes_max: u64,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { tables: vec![Table::Logs], bytes_max: 10 << 30 }
    }
}

/// The columns of a table whose words an index has; none for a table without texts.
pub fn indexed_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Logs => &["body", "exception_message", "event_name"],
        Table::Spans => &["name", "status_message"],
        _ => &[],
    }
}
