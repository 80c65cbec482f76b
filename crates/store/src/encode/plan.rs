//! How each column is written. The figures behind these choices are in docs/adr/0007-block-layout.md.

use hindsight_model::Table;

/// How often a filter may say “perhaps” for an id that is not there.
pub(super) const FILTER_FALSE_POSITIVES: f64 = 0.02;

/// The choices for one leaf column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Try a dictionary first.
    pub(super) dictionary: bool,
    /// Whole numbers as differences rather than as they are.
    pub(super) delta: bool,
    /// Keep a bloom filter.
    pub(super) filter: bool,
}

/// Columns whose values hardly ever repeat: looking for repetition would be wasted.
const NEVER_REPEAT: [&str; 11] = [
    "timestamp",
    "observed_timestamp",
    "duration_nano",
    "trace_id",
    "span_id",
    "parent_span_id",
    "body",
    "sum",
    "count",
    "value",
    "value_int",
];
const FILTERED: [&str; 2] = ["trace_id", "span_id"];

/// The plan for the leaf at `path`, names joined by dots.
pub(super) fn plan_of(table: Table, path: &str) -> Plan {
    Plan {
        dictionary: !NEVER_REPEAT.contains(&path),
        delta: !path.contains('.'),
        filter: matches!(table, Table::Spans | Table::Logs) && FILTERED.contains(&path),
    }
}
