//! The SQL behind [`Observations`](crate::Observations): single rows rather than minutes.

use jiff::Timestamp;

use super::queries::{FAILED, within};

/// How much of a log's body is read, in characters.
pub const BODY_CHARS: usize = 300;

/// Spans in all. Column `rows`.
pub fn span_count(from: Timestamp, to: Timestamp) -> String {
    format!("SELECT count(*) AS rows FROM spans WHERE {}", within("timestamp", from, to))
}

/// Log records in all. Column `rows`.
pub fn log_count(from: Timestamp, to: Timestamp) -> String {
    format!("SELECT count(*) AS rows FROM logs WHERE {}", within("timestamp", from, to))
}

/// The newest row of a table before a time, not older than `from`. Column `newest`.
pub fn newest(table: &str, from: Timestamp, before: Timestamp) -> String {
    format!("SELECT max(timestamp) AS newest FROM {table} WHERE {}", within("timestamp", from, before))
}

/// Spans of whole traces whose id begins below `trace_below`, all without one. Columns `trace_id`, `span_id`,
/// `parent_span_id`, `service`, `name`, `kind`, `timestamp`, `duration_nano`, `failed`.
pub fn spans(from: Timestamp, to: Timestamp, trace_below: Option<&str>, limit: usize) -> String {
    let sample = trace_below.map_or(String::new(), |prefix| format!(" AND trace_id < '{prefix}'"));
    format!(
        "SELECT trace_id, span_id, parent_span_id, service_name AS service, name, kind, timestamp, duration_nano,\n  \
         {FAILED} AS failed\nFROM spans\nWHERE {} AND service_name IS NOT NULL{sample}\nLIMIT {limit}",
        within("timestamp", from, to),
    )
}

/// One log record of every `every`. Columns `service`, `timestamp`, `severity_number`, `body`.
pub fn logs(from: Timestamp, to: Timestamp, every: u64, limit: usize) -> String {
    let sample = if every <= 1 {
        String::new()
    } else {
        format!(" AND CAST(date_part('microsecond', timestamp) AS BIGINT) / 1000 % {every} = 0")
    };
    format!(
        "SELECT service_name AS service, timestamp, severity_number, substr(body, 1, {BODY_CHARS}) AS body\n\
         FROM logs\nWHERE {} AND service_name IS NOT NULL{sample}\nLIMIT {limit}",
        within("timestamp", from, to),
    )
}

/// The series of a table of metrics. Columns `series_id`, `metric`, `type`, `temporality`, `is_monotonic`, `unit`,
/// `attributes`, `service`, `pod`, `resource`.
pub fn series(table: &str, from: Timestamp, to: Timestamp, limit: usize) -> String {
    format!(
        "SELECT series_id, max(metric_name) AS metric, max(metric_type) AS type, max(temporality) AS temporality,\n  \
         bool_or(is_monotonic) AS is_monotonic, max(unit) AS unit, max(attributes) AS attributes,\n  \
         max(service_name) AS service, max(k8s_pod_name) AS pod, max(resource_attributes) AS resource\n\
         FROM {table}\nWHERE {}\nGROUP BY 1\nORDER BY 1\nLIMIT {limit}",
        within("timestamp", from, to),
    )
}

/// Points of all number series by minute. Columns `series_id`, `minute`, `at`, `mean`, `most`, `sum`.
pub fn points(from: Timestamp, to: Timestamp, limit: usize) -> String {
    format!(
        "SELECT series_id, date_trunc('minute', timestamp) AS minute, min(timestamp) AS at,\n  \
         avg(coalesce(value, CAST(value_int AS DOUBLE))) AS mean,\n  \
         max(coalesce(value, CAST(value_int AS DOUBLE))) AS most,\n  \
         sum(coalesce(value, CAST(value_int AS DOUBLE))) AS sum\n\
         FROM metrics\nWHERE {} AND metric_type IN ('gauge', 'sum')\nGROUP BY 1, 2\nORDER BY 1, 2\nLIMIT {limit}",
        within("timestamp", from, to),
    )
}

/// Counts and sums of all histograms by minute. Columns `series_id`, `minute`, `at`, `most_count`, `most_sum`,
/// `count`, `sum`.
pub fn histograms(from: Timestamp, to: Timestamp, limit: usize) -> String {
    format!(
        "SELECT series_id, date_trunc('minute', timestamp) AS minute, min(timestamp) AS at,\n  \
         CAST(max(count) AS DOUBLE) AS most_count, max(sum) AS most_sum,\n  \
         CAST(sum(count) AS DOUBLE) AS count, sum(sum) AS sum\n\
         FROM metric_histograms\nWHERE {}\nGROUP BY 1, 2\nORDER BY 1, 2\nLIMIT {limit}",
        within("timestamp", from, to),
    )
}
