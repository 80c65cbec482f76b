//! Full-text indexes: the `[search]` of `hindsight.toml`, and where they are opened.

use std::path::Path;

use hindsight_model::Table;
use hindsight_search::{SearchIndex, SearchOptions, indexed_columns};
use serde::Deserialize;

use crate::fault::chain;
use crate::{ConfigError, ConfigSource, Setting};

/// What is indexed, with its source.
#[derive(Clone, Debug)]
pub struct SearchSettings {
    /// Whether texts are indexed at all; without it, indexes that are there go.
    pub enabled: Setting<bool>,
    /// Tables whose texts are indexed.
    pub tables: Setting<Vec<Table>>,
    /// Bytes of all indexes together.
    pub bytes_max: Setting<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchFile {
    enabled: Option<bool>,
    tables: Option<Vec<String>>,
    bytes_max: Option<u64>,
}

impl SearchSettings {
    pub(crate) fn load(file: &SearchFile) -> Result<Self, ConfigError> {
        let default = SearchOptions::default();
        let tables = file.tables.as_ref().map(|names| names.iter().map(|name| table(name)).collect());
        Ok(Self {
            enabled: Setting::pick(None, file.enabled, true),
            tables: Setting::pick(None, tables.transpose()?, default.tables),
            bytes_max: Setting::pick(None, file.bytes_max, default.bytes_max),
        })
    }

    /// As the indexes want them.
    pub(crate) fn options(&self) -> SearchOptions {
        let tables = if self.enabled.value { self.tables.value.clone() } else { Vec::new() };
        SearchOptions { tables, bytes_max: self.bytes_max.value }
    }

    pub(crate) fn describe(&self) -> Vec<(&'static str, String, ConfigSource)> {
        let tables: Vec<&str> = self.tables.value.iter().map(|table| table.name()).collect();
        vec![
            ("search.enabled", self.enabled.value.to_string(), self.enabled.source),
            ("search.tables", tables.join(", "), self.tables.source),
            ("search.bytes_max", self.bytes_max.value.to_string(), self.bytes_max.source),
        ]
    }
}

fn table(name: &str) -> Result<Table, ConfigError> {
    let has_texts = |table: &Table| !indexed_columns(*table).is_empty();
    Table::from_name(name).filter(has_texts).ok_or_else(|| {
        let names: Vec<&str> = Table::ALL.iter().filter(|table| has_texts(table)).map(|t| t.name()).collect();
        let problem = format!("texts of `{name}` are not indexed; there are {}", names.join(", "));
        ConfigError::Invalid { key: "search.tables", problem }
    })
}

/// The indexes of a data directory that this process holds; `None` when they cannot be read, and every text is looked
/// at then.
pub fn search_index(data_dir: &Path) -> Option<SearchIndex> {
    match SearchIndex::open(&data_dir.join("index")) {
        Ok(index) => Some(index),
        Err(error) => {
            tracing::warn!(error = chain(&error), "there are no text indexes; searches read every text");
            None
        }
    }
}
