//! The convenience views of DESIGN §7, each a query over the signal tables.

/// A view's name, what its row is, and its SQL.
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) sql: &'static str,
}

/// All views. Each reads signal tables only, so their order does not matter.
pub(crate) const VIEWS: [View; 8] = [
    View {
        name: "span_events",
        doc: "one row for each event of a span",
        sql: "SELECT event['timestamp'] AS timestamp, event['timestamp_nanos'] AS timestamp_nanos,
                     service_name, trace_id, span_id, span_name, event['name'] AS name,
                     event['attributes'] AS attributes,
                     event['dropped_attributes_count'] AS dropped_attributes_count
              FROM (SELECT service_name, trace_id, span_id, name AS span_name, unnest(events) AS event
                    FROM spans) AS unnested",
    },
    View {
        name: "span_links",
        doc: "one row for each link of a span",
        sql: "SELECT timestamp, service_name, trace_id, span_id, span_name,
                     link['trace_id'] AS linked_trace_id, link['span_id'] AS linked_span_id,
                     link['trace_state'] AS trace_state, link['attributes'] AS attributes,
                     link['dropped_attributes_count'] AS dropped_attributes_count, link['flags'] AS flags
              FROM (SELECT timestamp, service_name, trace_id, span_id, name AS span_name, unnest(links) AS link
                    FROM spans) AS unnested",
    },
    View {
        name: "exemplars",
        doc: "one row for each exemplar of a metric point",
        sql: "SELECT exemplar['timestamp'] AS timestamp, exemplar['timestamp_nanos'] AS timestamp_nanos,
                     metric_name, service_name, series_id, exemplar['value'] AS value,
                     exemplar['value_int'] AS value_int, exemplar['trace_id'] AS trace_id,
                     exemplar['span_id'] AS span_id, exemplar['filtered_attributes'] AS filtered_attributes
              FROM (SELECT metric_name, service_name, series_id, unnest(exemplars) AS exemplar FROM metrics
                    UNION ALL
                    SELECT metric_name, service_name, series_id, unnest(exemplars) FROM metric_histograms
                    UNION ALL
                    SELECT metric_name, service_name, series_id, unnest(exemplars) FROM metric_exp_histograms
                   ) AS unnested",
    },
    View {
        name: "traces",
        doc: "one row for each trace",
        sql: "SELECT trace_id, min(timestamp) AS timestamp,
                     max(time_unix_nano + duration_nano) - min(time_unix_nano) AS duration_nano,
                     first_value(service_name ORDER BY timestamp, span_id)
                       FILTER (WHERE parent_span_id IS NULL) AS root_service,
                     first_value(name ORDER BY timestamp, span_id)
                       FILTER (WHERE parent_span_id IS NULL) AS root_name,
                     count(*) AS spans, count(*) FILTER (WHERE status_code = 'error') AS errors,
                     count(DISTINCT service_name) AS services
              FROM spans GROUP BY trace_id",
    },
    View {
        name: "services",
        doc: "one row for each service that sent anything",
        sql: "SELECT service_name, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
                     sum(spans) AS spans, sum(errors) AS errors, sum(logs) AS logs,
                     sum(metric_points) AS metric_points
              FROM (SELECT service_name, min(timestamp) AS first_seen, max(timestamp) AS last_seen,
                           count(*) AS spans, count(*) FILTER (WHERE status_code = 'error') AS errors,
                           0 AS logs, 0 AS metric_points FROM spans GROUP BY service_name
                    UNION ALL
                    SELECT service_name, min(timestamp), max(timestamp), 0, 0, count(*), 0
                    FROM logs GROUP BY service_name
                    UNION ALL
                    SELECT service_name, min(timestamp), max(timestamp), 0, 0, 0, count(*)
                    FROM metrics GROUP BY service_name
                    UNION ALL
                    SELECT service_name, min(timestamp), max(timestamp), 0, 0, 0, count(*)
                    FROM metric_histograms GROUP BY service_name
                    UNION ALL
                    SELECT service_name, min(timestamp), max(timestamp), 0, 0, 0, count(*)
                    FROM metric_exp_histograms GROUP BY service_name
                    UNION ALL
                    SELECT service_name, min(timestamp), max(timestamp), 0, 0, 0, count(*)
                    FROM metric_summaries GROUP BY service_name) AS signals
              WHERE service_name IS NOT NULL GROUP BY service_name",
    },
    View {
        name: "service_edges",
        doc: "one row for each pair of services of which one called the other",
        // The callee is the service of the server span below the caller's span, not the address that was
        // dialled, so a proxy that makes no spans does not appear.
        sql: "SELECT caller.service_name AS caller, callee.service_name AS callee, count(*) AS calls,
                     count(*) FILTER (WHERE caller.status_code = 'error' OR callee.status_code = 'error') AS errors
              FROM spans AS caller
              JOIN spans AS callee
                ON callee.trace_id = caller.trace_id AND callee.parent_span_id = caller.span_id
              WHERE caller.kind IN ('client', 'producer') AND callee.kind IN ('server', 'consumer')
              GROUP BY caller.service_name, callee.service_name",
    },
    View {
        name: "red_1m",
        doc: "rate, errors and duration of what each service served, by minute",
        sql: "SELECT service_name, date_trunc('minute', timestamp) AS minute, count(*) AS calls,
                     count(*) FILTER (WHERE status_code = 'error') AS errors,
                     approx_percentile_cont(CAST(duration_nano AS DOUBLE), 0.5) AS p50_nano,
                     approx_percentile_cont(CAST(duration_nano AS DOUBLE), 0.95) AS p95_nano,
                     approx_percentile_cont(CAST(duration_nano AS DOUBLE), 0.99) AS p99_nano
              FROM spans WHERE kind IN ('server', 'consumer')
              GROUP BY service_name, date_trunc('minute', timestamp)",
    },
    View {
        name: "metric_series",
        doc: "one row for each series of each metric",
        sql: "SELECT metric_name, metric_type, unit, service_name, series_id, max(attributes) AS attributes,
                     min(timestamp) AS first_seen, max(timestamp) AS last_seen, count(*) AS points
              FROM (SELECT metric_name, metric_type, unit, service_name, series_id, attributes, timestamp
                    FROM metrics
                    UNION ALL
                    SELECT metric_name, metric_type, unit, service_name, series_id, attributes, timestamp
                    FROM metric_histograms
                    UNION ALL
                    SELECT metric_name, metric_type, unit, service_name, series_id, attributes, timestamp
                    FROM metric_exp_histograms
                    UNION ALL
                    SELECT metric_name, metric_type, unit, service_name, series_id, attributes, timestamp
                    FROM metric_summaries) AS points
              GROUP BY metric_name, metric_type, unit, service_name, series_id",
    },
];
