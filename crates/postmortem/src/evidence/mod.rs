//! Frozen evidence: a question, its answer, and a checksum over both (PM-1).
//!
//! A file `evidence/E1.json` holds everything needed to read it in five years without a server: the SQL with its
//! parameters, the time range, how far the data reached, the engine, the rows, and how to draw them. The checksum
//! covers question and answer; a file whose checksum does not hold is shown as altered, never hidden.

mod canonical;
mod draw;
mod freeze;
mod store;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use draw::{ChartKind, ChartSpec, standalone_svg};
pub use freeze::{EvidenceSpec, FreezeContext, freeze, rerun};
pub use store::{EvidenceSet, read_evidence, write_evidence};

/// The value of `schema` that this version reads and writes.
pub const SCHEMA: &str = "hindsight/evidence/v1";
/// Rows that one piece of evidence may have; a query that answers more is refused.
pub const MAX_ROWS: usize = 5_000;
/// Pieces of evidence read from one post-mortem; further files are reported and left out.
pub const MAX_EVIDENCE: usize = 200;

/// One frozen answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// `E1`: what the document cites.
    pub id: String,
    /// What was asked.
    pub title: String,
    /// What it shows and why it matters.
    pub caption: String,
    /// The SQL as it was run.
    pub sql: String,
    /// Its parameters; times and durations as text.
    pub params: BTreeMap<String, Json>,
    /// Start of the range it looked at.
    pub from: Timestamp,
    /// End of the range it looked at.
    pub to: Timestamp,
    /// How far the data reached when it was asked, if known.
    pub watermark: Option<Timestamp>,
    /// Which engine answered.
    pub engine: String,
    /// When it was frozen.
    pub frozen_at: Timestamp,
    /// How to draw it, if it is a chart.
    pub chart: Option<ChartSpec>,
    /// The answer's columns.
    pub columns: Vec<Column>,
    /// The answer's rows: null, booleans, numbers, text; times as RFC 3339 text; a double that is not finite as
    /// `{"$double": "NaN"}`.
    pub rows: Vec<Vec<Json>>,
    /// SHA-256 of question and answer in canonical form, lower-case hex.
    pub sha256: String,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What a checksum says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Question and answer are as they were frozen.
    Intact,
    /// They are not.
    Altered {
        /// The checksum in the file.
        stated: String,
        /// The checksum of what the file holds now.
        found: String,
    },
}

/// Checks that question and answer are as they were frozen.
pub fn verify(evidence: &Evidence) -> Verdict {
    let found = canonical::digest(evidence);
    if found == evidence.sha256 {
        Verdict::Intact
    } else {
        Verdict::Altered { stated: evidence.sha256.clone(), found }
    }
}

impl Evidence {
    /// Position of a column.
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// A cell, if there is such a row and column.
    pub fn cell(&self, row: usize, column: &str) -> Option<&Json> {
        self.rows.get(row)?.get(self.column(column)?)
    }

    /// A cell's number.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        self.cell(row, column)?.as_f64()
    }

    /// A cell's text; a number or truth value is written out, null is none.
    pub fn text(&self, row: usize, column: &str) -> Option<String> {
        match self.cell(row, column)? {
            Json::String(text) => Some(text.clone()),
            Json::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// A cell's instant.
    pub fn time(&self, row: usize, column: &str) -> Option<Timestamp> {
        self.cell(row, column)?.as_str()?.parse().ok()
    }
}
