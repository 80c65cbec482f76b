//! The SQL behind [`Observations`](crate::Observations): single rows rather than minutes.

use jiff::Timestamp;

use super::queries::{FAILED, ROWS_MAX, drawn, within};

/// How much of a log's body is read, in characters.
pub const BODY_CHARS: usize = 300;

/// Whose a row is. Where a sender gave no name, or a library's `unknown_service`, what runs it has one.
const SERVICE: &str = "(CASE WHEN coalesce(service_name, '') <> '' AND NOT starts_with(service_name, 'unknown_service')\n    \
     THEN service_name\n    \
     ELSE coalesce(resource_attributes->>'k8s.deployment.name', resource_attributes->>'k8s.statefulset.name',\n    \
     resource_attributes->>'k8s.daemonset.name', resource_attributes->>'k8s.container.name',\n    \
     regexp_replace(k8s_pod_name, '(-[a-z0-9]{5,10})?-[a-z0-9]{5}$', ''), resource_attributes->>'container.name',\n    \
     resource_attributes->>'faas.name', service_name, host_name) END)";

/// The severity of a record; where none was given, what its text or its exception says.
pub(super) const SEVERITY: &str = "(CASE WHEN coalesce(severity_number, 0) > 0 THEN severity_number\n    \
     WHEN exception_type IS NOT NULL THEN 17\n    \
     WHEN coalesce(severity_text, substr(body, 1, 120)) ~* '\\b(error|fatal|critical|severe|panic|exception|traceback)\\b' THEN 17\n    \
     WHEN coalesce(severity_text, substr(body, 1, 120)) ~* '\\b(warn|warning)\\b' THEN 13 ELSE 0 END)";

/// Whether a span failed, also by the words of older conventions and of other libraries.
pub(super) fn failed() -> String {
    format!(
        "({FAILED} OR (error_type IS NOT NULL AND NOT starts_with(error_type, '4'))\n    \
         OR attributes LIKE '%\"http.status_code\":5__%' OR attributes LIKE '%\"http.status_code\":\"5__%'\n    \
         OR attributes LIKE '%\"error\":true%' OR attributes LIKE '%\"error\":\"true\"%')"
    )
}

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

/// Spans of whole traces, of this share of all traces. Columns `trace_id`, `span_id`, `parent_span_id`, `service`,
/// `name`, `kind`, `timestamp`, `duration_nano`, `failed`.
pub fn spans(from: Timestamp, to: Timestamp, share: f64, limit: usize) -> String {
    let sample = if share < 1.0 { drawn(share) } else { String::new() };
    format!(
        "SELECT trace_id, span_id, parent_span_id, {SERVICE} AS service, name, kind, timestamp, duration_nano,\n  \
         {} AS failed\nFROM spans\nWHERE {}{sample}\nLIMIT {limit}",
        failed(),
        within("timestamp", from, to),
    )
}

/// One log record of every `every`, its severity by its text where no number was given. Columns `service`,
/// `timestamp`, `severity_number`, `body`.
pub fn logs(from: Timestamp, to: Timestamp, every: u64, limit: usize) -> String {
    let sample = if every <= 1 {
        String::new()
    } else {
        format!(" AND CAST(date_part('microsecond', timestamp) AS BIGINT) / 1000 % {every} = 0")
    };
    format!(
        "SELECT {SERVICE} AS service, timestamp, {SEVERITY} AS severity_number, substr(body, 1, {BODY_CHARS}) AS body\n\
         FROM logs\nWHERE {}{sample}\nLIMIT {limit}",
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

/// Tables of distributions: points with a count and a sum.
pub const HISTOGRAMS: [&str; 3] = ["metric_histograms", "metric_exp_histograms", "metric_summaries"];

/// Counts and sums of all distributions of a table by minute. Columns `series_id`, `minute`, `at`, `most_count`,
/// `most_sum`, `count`, `sum`.
pub fn histograms(table: &str, from: Timestamp, to: Timestamp, limit: usize) -> String {
    format!(
        "SELECT series_id, date_trunc('minute', timestamp) AS minute, min(timestamp) AS at,\n  \
         CAST(max(count) AS DOUBLE) AS most_count, max(sum) AS most_sum,\n  \
         CAST(sum(count) AS DOUBLE) AS count, sum(sum) AS sum\n\
         FROM {table}\nWHERE {}\nGROUP BY 1, 2\nORDER BY 1, 2\nLIMIT {limit}",
        within("timestamp", from, to),
    )
}

/// Spans by service and minute, those that receive a request or have no caller apart from the rest. Columns `service`,
/// `minute`, `is_entry`, `calls`, `errors`, `usual_ms` (geometric mean), `p95_ms`.
pub fn span_minutes(from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT {SERVICE} AS service, date_trunc('minute', timestamp) AS minute,\n  \
         (kind IN ('server', 'consumer') OR parent_span_id IS NULL) AS is_entry,\n  \
         count(*) AS calls, count(*) FILTER (WHERE {}) AS errors,\n  \
         exp(avg(ln(CAST(greatest(duration_nano, 1000) AS DOUBLE)))) / 1e6 AS usual_ms,\n  \
         approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY CAST(duration_nano AS DOUBLE)) / 1e6 AS p95_ms\n\
         FROM spans\nWHERE {}\nGROUP BY 1, 2, 3\nORDER BY 2, 1, 3\nLIMIT {ROWS_MAX}",
        failed(),
        within("timestamp", from, to),
    )
}

/// Log records by service and minute, and how many complain. Columns `service`, `minute`, `records`, `errors`,
/// `warnings`.
pub fn log_minutes(from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT {SERVICE} AS service, date_trunc('minute', timestamp) AS minute, count(*) AS records,\n  \
         count(*) FILTER (WHERE {SEVERITY} >= 17) AS errors,\n  \
         count(*) FILTER (WHERE {SEVERITY} BETWEEN 13 AND 16) AS warnings\n\
         FROM logs\nWHERE {}\nGROUP BY 1, 2\nORDER BY 2, 1\nLIMIT {ROWS_MAX}",
        within("timestamp", from, to),
    )
}
