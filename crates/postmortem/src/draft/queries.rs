//! The SQL of a draft. Each text stands alone: it is shown in the report and can be run again as it is.

/// Spans that answer somebody: what a service's requests are.
const REQUESTS: &str = "kind IN ('server', 'consumer')";

/// `service_name IN ($service_1, …)` for this many services.
pub(super) fn in_services(count: usize) -> String {
    let names: Vec<String> = (1..=count.max(1)).map(|number| format!("$service_{number}")).collect();
    format!("service_name IN ({})", names.join(", "))
}

pub(super) fn blast_radius() -> String {
    format!(
        "SELECT service_name,
  count(*) FILTER (WHERE timestamp < $impact_start) AS requests_before,
  count(*) FILTER (WHERE timestamp < $impact_start AND status_code = 'error') AS failed_before,
  count(*) FILTER (WHERE timestamp >= $impact_start) AS requests,
  count(*) FILTER (WHERE timestamp >= $impact_start AND status_code = 'error') AS failed
FROM spans
WHERE {REQUESTS} AND service_name IS NOT NULL AND timestamp >= $from AND timestamp < $impact_end
GROUP BY service_name
ORDER BY failed DESC, service_name
LIMIT 200"
    )
}

pub(super) fn error_rate(services: usize) -> String {
    format!(
        "SELECT date_trunc('minute', timestamp) AS minute, service_name,
  count(*) AS requests,
  count(*) FILTER (WHERE status_code = 'error') AS failed,
  CAST(count(*) FILTER (WHERE status_code = 'error') AS DOUBLE) / count(*) AS error_rate
FROM spans
WHERE {REQUESTS} AND {} AND timestamp >= $from AND timestamp < $until
GROUP BY 1, 2
ORDER BY 1, 2",
        in_services(services)
    )
}

pub(super) fn request_rate(services: usize) -> String {
    format!(
        "SELECT date_trunc('minute', timestamp) AS minute, service_name, count(*) / 60.0 AS requests_per_second
FROM spans
WHERE {REQUESTS} AND {} AND timestamp >= $from AND timestamp < $until
GROUP BY 1, 2
ORDER BY 1, 2",
        in_services(services)
    )
}

pub(super) fn latency() -> String {
    format!(
        "SELECT date_trunc('minute', timestamp) AS minute,
  approx_percentile_cont(0.50) WITHIN GROUP (ORDER BY duration_nano) AS p50,
  approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95,
  approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_nano) AS p99
FROM spans
WHERE {REQUESTS} AND service_name = $service AND timestamp >= $from AND timestamp < $until
GROUP BY 1
ORDER BY 1"
    )
}

pub(super) fn gauges(services: usize) -> String {
    format!(
        "SELECT metric_name, service_name, attributes, max(unit) AS unit,
  avg(v) FILTER (WHERE timestamp < $quiet_until) AS mean_before,
  stddev(v) FILTER (WHERE timestamp < $quiet_until) AS spread_before,
  avg(v) FILTER (WHERE timestamp >= $impact_start) AS mean_during,
  max(v) FILTER (WHERE timestamp >= $impact_start) AS peak_during
FROM (
  SELECT metric_name, service_name, attributes, unit, timestamp, coalesce(value, CAST(value_int AS DOUBLE)) AS v
  FROM metrics
  WHERE (metric_type = 'gauge' OR (metric_type = 'sum' AND NOT is_monotonic))
    AND {} AND timestamp >= $from AND timestamp < $impact_end
) AS points
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT 500",
        in_services(services)
    )
}

pub(super) fn gauge() -> String {
    "SELECT date_trunc('minute', timestamp) AS minute, service_name,
  max(coalesce(value, CAST(value_int AS DOUBLE))) AS peak
FROM metrics
WHERE metric_name = $metric AND service_name = $service AND attributes = $attributes
  AND timestamp >= $from AND timestamp < $until
GROUP BY 1, 2
ORDER BY 1, 2"
        .to_owned()
}

pub(super) fn error_rate_by_version() -> String {
    format!(
        "SELECT date_trunc('minute', timestamp) AS minute, coalesce(service_version, '(none)') AS version,
  count(*) AS requests,
  CAST(count(*) FILTER (WHERE status_code = 'error') AS DOUBLE) / count(*) AS error_rate
FROM spans
WHERE {REQUESTS} AND service_name = $service AND timestamp >= $from AND timestamp < $until
GROUP BY 1, 2
ORDER BY 1, 2"
    )
}

pub(super) fn work_by_version() -> String {
    format!(
        "SELECT coalesce(service_version, '(none)') AS version,
  min(timestamp) AS first_seen, max(timestamp) AS last_seen,
  count(*) FILTER (WHERE {REQUESTS}) AS requests,
  CAST(count(*) FILTER (WHERE {REQUESTS} AND status_code = 'error') AS DOUBLE)
    / nullif(count(*) FILTER (WHERE {REQUESTS}), 0) AS error_rate,
  CAST(count(*) FILTER (WHERE kind = 'client') AS DOUBLE)
    / nullif(count(*) FILTER (WHERE {REQUESTS}), 0) AS calls_per_request,
  CAST(count(*) FILTER (WHERE kind = 'client' AND db_system_name IS NOT NULL) AS DOUBLE)
    / nullif(count(*) FILTER (WHERE {REQUESTS}), 0) AS database_calls_per_request
FROM spans
WHERE service_name = $service AND timestamp >= $from AND timestamp < $until
GROUP BY 1
ORDER BY first_seen, version"
    )
}

pub(super) fn errors(services: usize) -> String {
    format!(
        "SELECT service_name, coalesce(error_type, '(not given)') AS error_type,
  coalesce(status_message, '') AS message, count(*) AS failed, min(timestamp) AS first_seen
FROM spans
WHERE status_code = 'error' AND {} AND timestamp >= $impact_start AND timestamp < $impact_end
GROUP BY 1, 2, 3
ORDER BY failed DESC, 1, 2, 3
LIMIT 30",
        in_services(services)
    )
}

pub(super) fn alerts() -> String {
    "SELECT timestamp, alert, labels, from_state, to_state, reason, value
FROM alert_transitions
WHERE timestamp >= $from AND timestamp < $to
ORDER BY timestamp, alert, labels
LIMIT 500"
        .to_owned()
}

/// What the incident cost: its bad events as a share of those that the budget allows in a whole window, where the
/// window's traffic is what was observed of it, taken for all of it. Minutes that the impact touches count whole.
pub(super) fn slo_budget() -> String {
    "SELECT s.slo, t.service_name, t.objective, t.window_s / 86400.0 AS window_days,
  sum(s.total) AS requests, sum(s.total - s.good) AS bad,
  min(f.observed_s) / 86400.0 AS observed_days,
  sum(s.total - s.good) / (t.total * (1.0 - t.objective)) * min(f.observed_s) / t.window_s AS budget_spent
FROM slo_slices AS s
JOIN slo_status AS t ON s.slo = t.slo
JOIN (
  SELECT p.slo, least(
    date_part('epoch', max(p.minute)) + 60 - date_part('epoch', min(p.minute)), max(u.window_s)
  ) AS observed_s
  FROM slo_slices AS p JOIN slo_status AS u ON p.slo = u.slo
  GROUP BY p.slo
) AS f ON f.slo = s.slo
WHERE s.minute >= date_trunc('minute', $impact_start) AND s.minute < $impact_end AND t.total > 0
GROUP BY s.slo, t.service_name, t.objective, t.window_s, t.total
ORDER BY budget_spent DESC, s.slo
LIMIT 50"
        .to_owned()
}

pub(super) fn service_map() -> String {
    "SELECT caller, callee, sum(calls) AS calls, sum(failed) AS failed
FROM (
  SELECT p.service_name AS caller, c.service_name AS callee, count(*) AS calls,
    count(*) FILTER (WHERE c.status_code = 'error') AS failed
  FROM spans AS c JOIN spans AS p ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id
  WHERE c.kind IN ('server', 'consumer') AND c.service_name <> p.service_name
    AND c.timestamp >= $impact_start AND c.timestamp < $impact_end
    AND p.timestamp >= $from AND p.timestamp < $impact_end
  GROUP BY 1, 2
  UNION ALL
  SELECT service_name AS caller, coalesce(db_namespace, server_address, db_system_name) AS callee,
    count(*) AS calls, count(*) FILTER (WHERE status_code = 'error') AS failed
  FROM spans
  WHERE kind = 'client' AND db_system_name IS NOT NULL AND service_name IS NOT NULL
    AND timestamp >= $impact_start AND timestamp < $impact_end
  GROUP BY 1, 2
) AS edges
GROUP BY 1, 2
ORDER BY 1, 2
LIMIT 200"
        .to_owned()
}
