//! The SQL behind every figure, with literal times, so that a timeline row can carry the text that shows it and
//! anyone can run it again.
//!
//! A request is a server or consumer span. It failed when its status is error, or its HTTP status is 5xx, or its
//! gRPC status is one that OpenTelemetry's conventions count as the server's fault.

use jiff::Timestamp;

/// Most rows that any of these queries returns; a cut answer is reported in `Telemetry::gaps`.
pub const ROWS_MAX: usize = 100_000;

const ENTRY: &str = "kind IN ('server', 'consumer')";
pub(super) const FAILED: &str = "(status_code = 'error' OR coalesce(http_response_status_code, 0) >= 500 \
     OR coalesce(rpc_grpc_status_code, 0) IN (2, 4, 12, 13, 14, 15))";

/// Which traces a join over spans looks at: joining every span of an hour of a large system takes more memory than a
/// query may have. Drawn by the last digits of the trace id, which are random also where the first are a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sample {
    /// All of them.
    All,
    /// One in 8.
    Eighth,
    /// One in 64.
    SixtyFourth,
}

impl Sample {
    /// How many traces one of the sample stands for.
    pub fn weight(self) -> f64 {
        match self {
            Self::All => 1.0,
            Self::Eighth => 8.0,
            Self::SixtyFourth => 64.0,
        }
    }

    /// The next smaller one.
    pub fn smaller(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::Eighth),
            Self::Eighth => Some(Self::SixtyFourth),
            Self::SixtyFourth => None,
        }
    }

    fn condition(self) -> String {
        if self == Self::All { String::new() } else { drawn(1.0 / self.weight()) }
    }
}

/// The condition that draws this share of all traces, whole, beginning with ` AND `.
///
/// Ids may begin with a time; their last seven bytes are random (W3C Trace Context level 2, `random-trace-id`).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share, 0 to 1")]
pub fn drawn(share: f64) -> String {
    let below = (share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
    format!(" AND substr(trace_id, 25, 8) <= '{below:08x}'")
}

/// Requests, failures and duration quantiles by service and minute. Columns `service`, `minute`, `calls`,
/// `errors`, `p50_ms`, `p95_ms`.
pub fn requests(from: Timestamp, to: Timestamp, service: Option<&str>) -> String {
    format!(
        "SELECT service_name AS service, date_trunc('minute', timestamp) AS minute,\n  \
         count(*) AS calls, count(*) FILTER (WHERE {FAILED}) AS errors,\n  \
         approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(duration_nano AS DOUBLE)) / 1e6 AS p50_ms,\n  \
         approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY CAST(duration_nano AS DOUBLE)) / 1e6 AS p95_ms\n\
         FROM spans\nWHERE {} AND {ENTRY} AND {}\n\
         GROUP BY 1, 2 ORDER BY 2, 1 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        of_service("service_name", service),
    )
}

/// Requests and failures of one service in buckets of ten seconds. Columns `bucket`, `calls`, `errors`.
pub fn close_up(from: Timestamp, to: Timestamp, service: &str) -> String {
    format!(
        "SELECT date_bin(INTERVAL '10 seconds', timestamp) AS bucket, count(*) AS calls,\n  \
         count(*) FILTER (WHERE {FAILED}) AS errors\n\
         FROM spans\nWHERE {} AND {ENTRY} AND service_name = {}\nGROUP BY 1 ORDER BY 1 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        text(service),
    )
}

/// Spans, requests and failures by service, version and minute. Columns `service`, `version`, `minute`, `spans`,
/// `calls`, `errors`.
pub fn versions(from: Timestamp, to: Timestamp, service: Option<&str>) -> String {
    format!(
        "SELECT service_name AS service, service_version AS version, date_trunc('minute', timestamp) AS minute,\n  \
         count(*) AS spans, count(*) FILTER (WHERE {ENTRY}) AS calls,\n  \
         count(*) FILTER (WHERE {ENTRY} AND {FAILED}) AS errors\n\
         FROM spans\nWHERE {} AND service_version IS NOT NULL AND {}\n\
         GROUP BY 1, 2, 3 ORDER BY 3, 1, 2 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        of_service("service_name", service),
    )
}

/// Evaluations of feature flags by service, key, variant and minute, from log records that are such events
/// (OpenTelemetry's semantic conventions, `feature_flag.evaluation`; the attribute of the variant had another name
/// before 1.32). Columns `service`, `flag`, `variant`, `minute`, `evaluations`.
pub fn flags(from: Timestamp, to: Timestamp, service: Option<&str>) -> String {
    format!(
        "SELECT service_name AS service, attributes->>'feature_flag.key' AS flag,\n  \
         coalesce(attributes->>'feature_flag.result.variant', attributes->>'feature_flag.variant') AS variant,\n  \
         date_trunc('minute', timestamp) AS minute, count(*) AS evaluations\n\
         FROM logs\nWHERE {} AND event_name = 'feature_flag.evaluation' AND {}\n\
         GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        of_service("service_name", service),
    )
}

/// Calls between services by minute: a span whose parent belongs to another service. Columns `caller`, `callee`,
/// `minute`, `calls`, `errors`, `p95_ms`.
pub fn edges(from: Timestamp, to: Timestamp, caller: Option<&str>, sample: Sample) -> String {
    let drawn = sample.condition();
    format!(
        "SELECT p.service_name AS caller, c.service_name AS callee, date_trunc('minute', c.timestamp) AS minute,\n  \
         count(*) AS calls, count(*) FILTER (WHERE c.failed) AS errors,\n  \
         approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY CAST(c.duration_nano AS DOUBLE)) / 1e6 AS p95_ms\n\
         FROM (SELECT trace_id, parent_span_id, service_name, timestamp, duration_nano, {FAILED} AS failed\n    \
         FROM spans WHERE {} AND parent_span_id IS NOT NULL{drawn}) c\n\
         JOIN (SELECT trace_id, span_id, service_name FROM spans WHERE {} AND {}{drawn}) p\n  \
         ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id\n\
         WHERE p.service_name <> c.service_name\n\
         GROUP BY 1, 2, 3 ORDER BY 3, 1, 2 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        within("timestamp", from, to),
        of_service("service_name", caller),
    )
}

/// Calls to peers without spans of their own (databases, brokers, third parties), by minute and by the name the
/// caller gives them. Columns as in [`edges`].
pub fn peers(from: Timestamp, to: Timestamp, caller: Option<&str>, sample: Sample) -> String {
    let drawn = sample.condition();
    format!(
        "SELECT c.caller, c.callee, date_trunc('minute', c.timestamp) AS minute,\n  \
         count(*) AS calls, count(*) FILTER (WHERE c.failed) AS errors,\n  \
         approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY CAST(c.duration_nano AS DOUBLE)) / 1e6 AS p95_ms\n\
         FROM (SELECT trace_id, span_id, service_name AS caller, timestamp, duration_nano, {FAILED} AS failed,\n    \
         coalesce(peer_service, server_address, db_namespace, messaging_destination_name) AS callee\n    \
         FROM spans WHERE {} AND kind IN ('client', 'producer') AND {}{drawn}) c\n\
         LEFT JOIN (SELECT DISTINCT trace_id, parent_span_id FROM spans\n    \
         WHERE {} AND parent_span_id IS NOT NULL AND {ENTRY}{drawn}) s\n  \
         ON s.trace_id = c.trace_id AND s.parent_span_id = c.span_id\n\
         WHERE s.trace_id IS NULL AND c.callee IS NOT NULL\n\
         GROUP BY 1, 2, 3 ORDER BY 3, 1, 2 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        of_service("service_name", caller),
        within("timestamp", from, to),
    )
}

/// Log records of severity error or above by service and minute. Columns `service`, `minute`, `records`.
pub fn log_errors(from: Timestamp, to: Timestamp, service: Option<&str>) -> String {
    format!(
        "SELECT service_name AS service, date_trunc('minute', timestamp) AS minute, count(*) AS records\n\
         FROM logs\nWHERE {} AND severity_number >= 17 AND {}\n\
         GROUP BY 1, 2 ORDER BY 2, 1 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        of_service("service_name", service),
    )
}

/// Services that send logs at all. Column `service`.
pub fn logging_services(from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT DISTINCT service_name AS service FROM logs\nWHERE {} AND service_name IS NOT NULL\nLIMIT {ROWS_MAX}",
        within("timestamp", from, to),
    )
}

/// How finely gauges are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaugeGrain {
    /// One series per service, metric and attributes (instances are averaged).
    Attributes,
    /// One series per service and metric.
    Metric,
}

/// Means of gauges and up-down counters by service, metric and minute. Columns `service`, `metric`, `attributes`,
/// `unit`, `minute`, `value`.
pub fn gauges(from: Timestamp, to: Timestamp, grain: GaugeGrain) -> String {
    let attributes = match grain {
        GaugeGrain::Attributes => "attributes",
        GaugeGrain::Metric => "''",
    };
    gauge_query(from, to, attributes, "service_name IS NOT NULL")
}

/// One gauge of one service by minute. Columns as in [`gauges`].
pub fn gauge(from: Timestamp, to: Timestamp, service: &str, metric: &str, attributes: &str) -> String {
    let mut only = format!("service_name = {} AND metric_name = {}", text(service), text(metric));
    if !attributes.is_empty() {
        only.push_str(&format!(" AND attributes = {}", text(attributes)));
    }
    gauge_query(from, to, if attributes.is_empty() { "''" } else { "attributes" }, &only)
}

fn gauge_query(from: Timestamp, to: Timestamp, attributes: &str, only: &str) -> String {
    format!(
        "SELECT service_name AS service, metric_name AS metric, {attributes} AS attributes,\n  \
         max(coalesce(unit, '')) AS unit, date_trunc('minute', timestamp) AS minute,\n  \
         avg(coalesce(value, CAST(value_int AS DOUBLE))) AS value\n\
         FROM metrics\nWHERE {}\n  \
         AND (metric_type = 'gauge' OR (metric_type = 'sum' AND NOT coalesce(is_monotonic, false)))\n  AND {only}\n\
         GROUP BY 1, 2, 3, 5 ORDER BY 5, 1, 2, 3 LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
    )
}

/// Good and bad requests of one service by one column of `spans`. Columns `value`, `bad`, `good`.
pub fn attribute(from: Timestamp, to: Timestamp, service: &str, column: &str) -> String {
    format!(
        "SELECT CAST({} AS VARCHAR) AS value, count(*) FILTER (WHERE {FAILED}) AS bad,\n  \
         count(*) FILTER (WHERE NOT {FAILED}) AS good\n\
         FROM spans\nWHERE {} AND {ENTRY} AND service_name = {} AND {} IS NOT NULL\n\
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50",
        identifier(column),
        within("timestamp", from, to),
        text(service),
        identifier(column),
    )
}

/// All and failed requests of one service. Columns `total_requests`, `failed_requests`, `failed_share`.
pub fn impact(from: Timestamp, to: Timestamp, service: &str) -> String {
    format!(
        "SELECT count(*) AS total_requests, count(*) FILTER (WHERE {FAILED}) AS failed_requests,\n  \
         CAST(count(*) FILTER (WHERE {FAILED}) AS DOUBLE) / count(*) AS failed_share\n\
         FROM spans\nWHERE {} AND {ENTRY} AND service_name = {}",
        within("timestamp", from, to),
        text(service),
    )
}

/// The transitions of one rule. Columns as the system table `alert_transitions` has them.
pub fn transitions(from: Timestamp, to: Timestamp, rule: &str) -> String {
    format!(
        "SELECT * FROM alert_transitions\nWHERE {} AND rule = {}\nORDER BY timestamp LIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        text(rule),
    )
}

pub(super) fn within(column: &str, from: Timestamp, to: Timestamp) -> String {
    format!("{column} >= TIMESTAMP '{from}' AND {column} < TIMESTAMP '{to}'")
}

fn of_service(column: &str, service: Option<&str>) -> String {
    service.map_or_else(|| format!("{column} IS NOT NULL"), |name| format!("{column} = {}", text(name)))
}

/// A SQL text literal; names come from telemetry and may hold anything.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_telemetry_cannot_leave_their_quotes() {
        let at = Timestamp::UNIX_EPOCH;
        let sql = impact(at, at, "x' OR '1'='1");
        assert!(sql.contains("service_name = 'x'' OR ''1''=''1'"), "{sql}");
        assert!(attribute(at, at, "s", "a\"b").contains("\"a\"\"b\""));
    }
}
