"""On-call questions, each for us and for DuckDB over our own files.

`{service}`, `{trace}`, `{span_route}`, `{rare}` and `{now}` are taken from the data before the clock starts.
"""

WINDOW = "timestamp >= TIMESTAMP '{now}' - INTERVAL '5 minutes'"


def attribute(key):
    """How DuckDB spells `attributes->>'key'` where a key has dots."""
    return f"json_extract_string(attributes, '$.\"{key}\"')"


# name: (ours, DuckDB's where it differs, whether the order counts, relative tolerance of numbers)
QUESTIONS = {
    "logs: count by service": (
        "SELECT service_name, count(*) AS n FROM logs GROUP BY 1", None, False, 0),
    "logs: errors by service and minute": (
        "SELECT service_name, date_trunc('minute', timestamp) AS m, count(*) AS n FROM logs"
        " WHERE severity_number >= 17 GROUP BY 1, 2", None, False, 0),
    "logs: a word in a few % of lines, newest 100": (
        "SELECT timestamp, body FROM logs WHERE match(body, 'reminded') ORDER BY timestamp DESC, body LIMIT 100",
        "SELECT timestamp, body FROM logs WHERE body LIKE '% reminded %' ORDER BY timestamp DESC, body LIMIT 100",
        True, 0),
    "logs: lines with a substring, count": (
        "SELECT count(*) AS n FROM logs WHERE body LIKE '%found in level 2%'", None, False, 0),
    "logs: a rare word, all hits": (
        "SELECT timestamp, body FROM logs WHERE match(body, '{rare}')",
        "SELECT timestamp, body FROM logs WHERE body LIKE '%{rare}%'", False, 0),
    "logs: a phrase that is not there": (
        "SELECT timestamp, body FROM logs WHERE match(body, '\"kernel panic\"')",
        "SELECT timestamp, body FROM logs WHERE body ILIKE '%kernel panic%'", False, 0),
    "logs: newest 100 of a service": (
        "SELECT timestamp, body FROM logs WHERE service_name = '{service}' ORDER BY timestamp DESC, body LIMIT 100",
        None, True, 0),
    "logs: top 10 of 50 k users, an attribute": (
        "SELECT attributes->>'enduser.id' AS who, count(*) AS n FROM logs GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
        f"SELECT {attribute('enduser.id')} AS who, count(*) AS n FROM logs GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
        True, 0),
    "spans: a trace by its id": (
        "SELECT timestamp, span_id, parent_span_id, service_name, name, duration_nano, attributes FROM spans"
        " WHERE trace_id = '{trace}'", None, False, 0),
    "spans: p95 by service and operation": (
        "SELECT service_name, name, approx_percentile_cont(duration_nano, 0.95) AS p95 FROM spans GROUP BY 1, 2",
        "SELECT service_name, name, quantile_cont(duration_nano, 0.95) AS p95 FROM spans GROUP BY 1, 2",
        False, 0.2),
    "spans: errors by service": (
        "SELECT service_name, count(*) AS n FROM spans WHERE status_code = 'error' GROUP BY 1", None, False, 0),
    "spans: slow ones of a service, newest 20": (
        "SELECT timestamp, span_id, name, duration_nano FROM spans WHERE service_name = '{service}'"
        " AND duration_nano > 100000000 ORDER BY timestamp DESC, span_id LIMIT 20", None, True, 0),
    "spans: one route of a service, newest 100": (
        "SELECT timestamp, span_id FROM spans WHERE service_name = '{service}'"
        " AND attributes->>'http.route' = '/v2/payments' ORDER BY timestamp DESC, span_id LIMIT 100",
        "SELECT timestamp, span_id FROM spans WHERE service_name = '{service}'"
        " AND http_route = '/v2/payments' ORDER BY timestamp DESC, span_id LIMIT 100", True, 0),
    "spans: operations of a service": (
        "SELECT DISTINCT name FROM spans WHERE service_name = '{service}'", None, False, 0),
    "metrics: requests by service and 15 s": (
        "SELECT service_name, time_bucket('15 seconds', timestamp) AS b, sum(more) AS n FROM (SELECT service_name,"
        " timestamp, increment(value, temporality, start_timestamp) OVER (PARTITION BY series_id ORDER BY timestamp)"
        " AS more FROM metrics WHERE metric_name = 'http.server.requests') AS points GROUP BY 1, 2",
        "SELECT service_name, time_bucket(INTERVAL '15 seconds', timestamp) AS b, sum(more) AS n FROM (SELECT"
        " service_name, timestamp, CASE WHEN value < lag(value) OVER w THEN value ELSE value - lag(value) OVER w END"
        " AS more FROM metrics WHERE metric_name = 'http.server.requests'"
        " WINDOW w AS (PARTITION BY series_id ORDER BY timestamp)) AS points GROUP BY 1, 2", False, 1e-9),
    "metrics: a gauge of a service by 15 s": (
        "SELECT time_bucket('15 seconds', timestamp) AS b, avg(value) AS v FROM metrics"
        " WHERE metric_name = 'queue.length' AND service_name = '{service}' GROUP BY 1",
        "SELECT time_bucket(INTERVAL '15 seconds', timestamp) AS b, avg(value) AS v FROM metrics"
        " WHERE metric_name = 'queue.length' AND service_name = '{service}' GROUP BY 1", False, 1e-9),
    "metrics: greatest of a gauge by service, now": (
        f"SELECT service_name, max(value) AS v FROM metrics WHERE metric_name = 'queue.length' AND {WINDOW} GROUP BY 1",
        None, False, 0),
    "metrics: top 10 of a rate, now": (
        "SELECT series_id, increase(value, timestamp, temporality, start_timestamp) AS n FROM metrics"
        f" WHERE metric_name = 'http.server.requests' AND {WINDOW} GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
        "SELECT series_id, max(value) - min(value) AS n FROM metrics"
        f" WHERE metric_name = 'http.server.requests' AND {WINDOW} GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10", True, 1e-9),
    "metrics: all series, count": (
        "SELECT count(DISTINCT series_id) AS n FROM metrics", None, False, 0),
    "metrics: series of a service": (
        "SELECT DISTINCT metric_name, series_id FROM metrics WHERE service_name = '{service}'", None, False, 0),
}
