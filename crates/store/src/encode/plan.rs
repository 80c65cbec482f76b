//! How each column is written. The figures behind these choices are in docs/adr/0007-block-layout.md.

use hindsight_model::Table;

/// The choices for one leaf column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) dictionary: Use,
    /// Whole numbers as differences rather than as they are.
    pub(super) delta: bool,
    /// Random digits.
    pub(super) ids: bool,
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

/// How zstd works on the pages of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effort {
    /// Matches of seven bytes and more, also far off: shorter ones in random digits cost more than they save.
    Far,
    /// The same, the nearest only: where there is one, saying where costs less.
    Near,
    /// The same, looking for longer ones first.
    Long,
    /// The same for ids, which the beginning of a chunk does not tell how often and how far off they repeat.
    Ids,
    /// For doubles, which share exponents and some of the digits.
    Doubles,
    /// For lists of numbers, which repeat those of the row before.
    Lists,
    /// For keys and dictionaries, whose repetitions are short.
    Keys,
}

/// Keys of fewer bits stay packed.
const WIDTH_ALIGNED_MIN: u8 = 5;

/// So many bits a key that compression sees keys rather than bits of several.
pub(super) fn aligned(width: u8) -> u8 {
    if width < WIDTH_ALIGNED_MIN { width } else { width.next_multiple_of(8) }
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
const IDS: [&str; 3] = ["trace_id", "span_id", "parent_span_id"];

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
        ids: IDS.contains(&path),
        // Who looks for a span has its trace; a filter of span ids would be a byte in fifty.
        filter: matches!((table, path), (Table::Spans | Table::Logs, "trace_id") | (Table::Logs, "span_id")),
    }
}
