//! The SQL behind every figure, with literal times, so that a timeline row can carry the text that shows it and
//! anyone can run it again.
//!
//! A request is a server or consumer span. It failed when its status is error, or its HTTP status is 5xx, or its
//! gRPC status is one that OpenTelemetry's conventions count as the server's fault.

use jiff::Timestamp;

/// Most rows that any of these queries returns; a cut answer is reported in `Telemetry::gaps`.
pub const ROWS_MAX: usize = 100_000;

pub(super) const ENTRY: &str = "kind IN ('server', 'consumer')";
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

    pub(super) fn condition(self) -> String {
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

/// Evaluations of feature flags by service, key, variant and minute; with those that the events of spans tell of, in
/// these traces, when `spans` says so: lists are slow to read. Columns `service`, `flag`, `variant`, `minute`,
/// `evaluations`.
pub fn flags(from: Timestamp, to: Timestamp, service: Option<&str>, spans: Option<Sample>) -> String {
    format!(
        "SELECT service, flag, variant, date_trunc('minute', timestamp) AS minute, count(*) AS evaluations\n\
         FROM ({}) AS e\nWHERE flag IS NOT NULL AND variant IS NOT NULL\n\
         GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3 LIMIT {ROWS_MAX}",
        evaluations(from, to, service, (Sample::All, spans)),
    )
}

/// Requests of the services that evaluated these flags, in the traces in which they did, by variant and minute.
/// Columns `service`, `flag`, `variant`, `minute`, `calls`, `errors`.
pub fn flag_requests(from: Timestamp, to: Timestamp, flags: &[String], sample: Sample) -> String {
    let names: Vec<String> = flags.iter().map(|flag| text(flag)).collect();
    let drawn = sample.condition();
    format!(
        "SELECT e.service, e.flag, e.variant, date_trunc('minute', s.timestamp) AS minute,\n  \
         count(*) AS calls, count(*) FILTER (WHERE s.failed) AS errors\n\
         FROM (SELECT DISTINCT service, trace_id, flag, variant FROM ({}) AS given\n  \
         WHERE flag IN ({}) AND trace_id IS NOT NULL) e\n\
         JOIN (SELECT trace_id, service_name, timestamp, {FAILED} AS failed FROM spans\n  \
         WHERE {} AND {ENTRY}{drawn}) s\n  \
         ON s.trace_id = e.trace_id AND s.service_name = e.service\n\
         GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3 LIMIT {ROWS_MAX}",
        evaluations(from, to, None, (sample, Some(sample))),
        names.join(", "),
        within("timestamp", from, to),
    )
}

/// One evaluation a row, from log records that are such events (OpenTelemetry's semantic conventions,
/// `feature_flag.evaluation`) and perhaps from the events of spans that came before them (`feature_flag`); the
/// attribute of the variant had another name before 1.32. Of each the traces that are looked at.
fn evaluations(
    from: Timestamp,
    to: Timestamp,
    service: Option<&str>,
    (logs, spans): (Sample, Option<Sample>),
) -> String {
    let read = "attributes->>'feature_flag.key' AS flag,\n  \
                coalesce(attributes->>'feature_flag.result.variant', attributes->>'feature_flag.variant') AS variant";
    let times = within("timestamp", from, to);
    let mine = of_service("service_name", service);
    let told = format!(
        "SELECT service_name AS service, trace_id, timestamp, {read}\n  \
         FROM logs WHERE {times} AND event_name = 'feature_flag.evaluation' AND {mine}{}",
        logs.condition()
    );
    let Some(spans) = spans else { return told };
    format!(
        "{told}\n  UNION ALL\n  \
         SELECT service, trace_id, timestamp, {read}\n  \
         FROM (SELECT service, trace_id, timestamp, event['name'] AS name, event['attributes'] AS attributes\n    \
         FROM (SELECT service_name AS service, trace_id, timestamp, unnest(events) AS event\n      \
         FROM spans WHERE {times} AND {mine}{} AND cardinality(events) > 0) AS single) AS named\n  \
         WHERE name IN ('feature_flag', 'feature_flag.evaluation')",
        spans.condition()
    )
}

/// Two versions or variants of one service that are held against each other.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// Start of what is counted of the old one.
    pub from: Timestamp,
    /// When the new one arrived: what is counted of it begins here.
    pub arrived: Timestamp,
    /// End of what is counted.
    pub to: Timestamp,
    /// The service.
    pub service: &'a str,
    /// The version or variant before.
    pub old: &'a str,
    /// The one after.
    pub new: &'a str,
}

/// Failed requests of two versions. Columns `version`, `requests`, `failed`, `failed_share`.
pub fn versions_compared(compared: &Compared<'_>) -> String {
    format!(
        "SELECT service_version AS version, {}\nFROM spans\nWHERE {} AND {ENTRY} AND service_name = {}\n  \
         AND (service_version = {} OR (service_version = {} AND timestamp >= TIMESTAMP '{}'))\n\
         GROUP BY 1 ORDER BY min(timestamp)",
        failed_of(FAILED),
        within("timestamp", compared.from, compared.to),
        text(compared.service),
        text(compared.old),
        text(compared.new),
        compared.arrived,
    )
}

/// Failed requests in the traces in which a flag gave one variant or the other. Columns `variant`, `requests`,
/// `failed`, `failed_share`.
pub fn variants_compared(compared: &Compared<'_>, flag: &str) -> String {
    let (old, new) = (text(compared.old), text(compared.new));
    format!(
        "SELECT e.variant, {}\n\
         FROM (SELECT DISTINCT trace_id, variant FROM ({}) AS given\n  \
         WHERE flag = {} AND variant IN ({old}, {new}) AND trace_id IS NOT NULL) e\n\
         JOIN (SELECT trace_id, timestamp, {FAILED} AS failed FROM spans\n  \
         WHERE {} AND {ENTRY} AND service_name = {}) s ON s.trace_id = e.trace_id\n\
         WHERE e.variant = {old} OR s.timestamp >= TIMESTAMP '{}'\nGROUP BY 1 ORDER BY min(s.timestamp)",
        failed_of("s.failed"),
        evaluations(compared.from, compared.to, Some(compared.service), (Sample::All, Some(Sample::All))),
        text(flag),
        within("timestamp", compared.from, compared.to),
        text(compared.service),
        compared.arrived,
    )
}

fn failed_of(failed: &str) -> String {
    format!(
        "count(*) AS requests, count(*) FILTER (WHERE {failed}) AS failed,\n  \
         CAST(count(*) FILTER (WHERE {failed}) AS DOUBLE) / count(*) AS failed_share"
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

/// Log records of a service whose bodies match a pattern, by minute. Columns `minute`, `lines`.
pub fn template_minutes(
    service: &str,
    pattern: &str,
    body_chars: usize,
    (from, to): (Timestamp, Timestamp),
) -> String {
    format!(
        "SELECT date_trunc('minute', timestamp) AS minute, count(*) AS lines\nFROM logs\nWHERE {} AND service_name = {}\n  \
         AND regexp_like(substr(body, 1, {body_chars}), {})\nGROUP BY 1 ORDER BY 1",
        within("timestamp", from, to),
        text(service),
        text(pattern),
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
pub(super) fn text(value: &str) -> String {
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
        let compared = Compared { from: at, arrived: at, to: at, service: "s'", old: "o'", new: "n'" };
        let sql = variants_compared(&compared, "f'");
        assert!(["s", "o", "n", "f"].iter().all(|name| sql.contains(&format!("'{name}'''"))), "{sql}");
    }
}
