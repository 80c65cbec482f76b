//! The SQL behind [`TraceComparison`](super::TraceComparison).

use jiff::Timestamp;

use super::queries::{ENTRY, FAILED, text, within};

/// Most spans read of one trace.
const SPANS_MAX: usize = 1_000;
/// Requests among which the usual one is looked for, the latest.
const USUAL_OF: usize = 1_000;

/// Requests of one service.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// Start of the time they began in.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Who was asked.
    pub service: &'a str,
}

impl Requests<'_> {
    fn condition(&self) -> String {
        format!(
            "{} AND {ENTRY} AND service_name = {}",
            within("timestamp", self.from, self.to),
            text(self.service)
        )
    }
}

fn columns() -> String {
    format!("trace_id, span_id, name, timestamp, duration_nano, {FAILED} AS failed")
}

/// The first failed request of the operation that failed most. Columns `trace_id`, `span_id`, `name`, `timestamp`,
/// `duration_nano`, `failed`.
pub fn first_failed(requests: &Requests<'_>) -> String {
    let failed = format!("FROM spans WHERE {} AND {FAILED}", requests.condition());
    format!(
        "SELECT {}\n{failed}\n  \
         AND name = (SELECT name {failed} GROUP BY name ORDER BY count(*) DESC, name LIMIT 1)\n\
         ORDER BY timestamp, span_id LIMIT 1",
        columns()
    )
}

/// The slowest request. Columns as in [`first_failed`].
pub fn slowest(requests: &Requests<'_>) -> String {
    format!(
        "SELECT {}\nFROM spans WHERE {}\nORDER BY duration_nano DESC, timestamp, span_id LIMIT 1",
        columns(),
        requests.condition()
    )
}

/// Of the latest requests of an operation that went well, the one whose duration is nearest to their median. Columns
/// as in [`first_failed`].
pub fn usual(requests: &Requests<'_>, operation: &str) -> String {
    format!(
        "WITH calm AS (SELECT {}\n  FROM spans WHERE {} AND name = {} AND NOT {FAILED}\n  \
         ORDER BY timestamp DESC LIMIT {USUAL_OF})\n\
         SELECT * FROM calm\n\
         ORDER BY abs(duration_nano - (SELECT median(duration_nano) FROM calm)), timestamp DESC, span_id LIMIT 1",
        columns(),
        requests.condition(),
        text(operation)
    )
}

/// The spans of one trace. Columns `span_id`, `parent_span_id`, `service`, `name`, `timestamp`, `duration_nano`,
/// `failed`, `message`.
pub fn spans(trace_id: &str, from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT span_id, parent_span_id, service_name AS service, name, timestamp, duration_nano,\n  \
         {FAILED} AS failed, substr(status_message, 1, 200) AS message\n\
         FROM spans WHERE trace_id = {} AND {}\nORDER BY timestamp, span_id LIMIT {SPANS_MAX}",
        text(trace_id),
        within("timestamp", from, to),
    )
}

/// Both traces as a tree each. Columns `trace`, `path`, `service_name`, `name`, `duration_nano`, `self_time_nano`,
/// `status_code`.
pub fn both(bad: &str, good: Option<&str>) -> String {
    let one = |what: &str, id: &str| {
        format!(
            "SELECT '{what}' AS trace, position, path, service_name, name, duration_nano, self_time_nano, status_code\n\
             FROM trace_tree({})",
            text(id)
        )
    };
    let good = good.map_or_else(String::new, |id| format!("\nUNION ALL\n{}", one("good", id)));
    format!("{}{good}\nORDER BY trace, position LIMIT {SPANS_MAX}", one("bad", bad))
}
