//! An answer of `POST /api/v1/sql` or `hindsight sql --json`.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Columns and rows as they came.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// One column of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// A row by column name.
pub(crate) type Row = BTreeMap<String, Value>;

impl Answer {
    pub(crate) fn from_json(text: &str) -> anyhow::Result<Self> {
        let answer: Self = serde_json::from_str(text).with_context(|| format!("read the answer {text}"))?;
        for row in &answer.rows {
            ensure!(row.len() == answer.columns.len(), "a row has other columns than the header: {row:?}");
        }
        Ok(answer)
    }

    pub(crate) fn by_name(self) -> Vec<Row> {
        let names: Vec<String> = self.columns.into_iter().map(|column| column.name).collect();
        self.rows.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect()
    }

    /// The only cell of an answer that has one.
    pub(crate) fn single(&self) -> anyhow::Result<&Value> {
        match self.rows.as_slice() {
            [row] if row.len() == 1 => Ok(&row[0]),
            rows => anyhow::bail!("expected one cell, got {rows:?}"),
        }
    }
}

/// A whole number, whether the answer writes it as a number or (to be exact everywhere) as text.
pub(crate) fn whole(value: &Value) -> anyhow::Result<i64> {
    match value {
        Value::String(text) => text.parse().with_context(|| format!("read {text} as a whole number")),
        value => value.as_i64().with_context(|| format!("{value} is not a whole number")),
    }
}
