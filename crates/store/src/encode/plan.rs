//! How each column is written. The figures behind these choices are in docs/adr/0007-block-layout.md.

use hindsight_model::Table;

/// How often a filter may say “perhaps” for an id that is not there, about.
pub(super) const FILTER_FALSE_POSITIVES: f64 = 0.05;

/// The choices for one leaf column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) dictionary: Use,
    /// Whole numbers as differences rather than as they are.
    pub(super) delta: bool,
    /// Keep a bloom filter.
    pub(super) filter: bool,
}

/// Whether a column gets a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Looking for repetition would be wasted.
    Never,
    /// When the values of a row group repeat enough.
    IfItPays,
    /// Few values are possible, however few of them have been seen.
    Always,
}

/// How hard zstd works on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effort {
    /// Matches of seven bytes and more only: shorter ones in random digits cost more than they save.
    LongMatches,
    /// For keys and counts, whose repetitions are short.
    ShortMatches,
}

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
    let dictionary = match path {
        _ if NEVER_REPEAT.contains(&path) || path.contains("_counts.") => Use::Never,
        // Below a microsecond there are a thousand.
        _ if path.ends_with("timestamp_nanos") => Use::Always,
        _ => Use::IfItPays,
    };
    Plan {
        dictionary,
        delta: !path.contains('.'),
        filter: matches!(table, Table::Spans | Table::Logs) && FILTERED.contains(&path),
    }
}
