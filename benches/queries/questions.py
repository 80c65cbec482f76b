"""On-call questions, each for us and for DuckDB over our own files.

`{service}`, `{trace}`, `{span_route}`, `{rare}` and `{now}` are taken from the data before the clock starts.
"""

WINDOW = "timestamp >= TIMESTAMP '{now}' - INTERVAL '5 minutes'"


def attribute(key):
    """How DuckDB spells `attributes->>'key'` where a key has dots."""
    return f"json_extract_string(attributes, '$.\"{key}\"')"


# The order is by the first column alone: of rows as old as the last, either side may have chosen others.
NEWEST = "newest"

# name: (ours, DuckDB's where it differs, whether the order counts, relative tolerance of numbers)
QUESTIONS = {
    "logs: count by service": (
        "SELECT service_name, count(*) AS n FROM logs GROUP BY 1", None, False, 0),
    "logs: errors by service and minute": (
        "SELECT service_name, date_trunc('minute', timestamp) AS m, count(*) AS n FROM logs"
        " WHERE severity_number >= 17 GROUP BY 1, 2", None, False, 0),
    "logs: a word in a few % of lines, newest 100": (
        "SELECT timestamp, body FROM logs WHERE match(body, 'reminded') ORDER BY timestamp DESC LIMIT 100",
        "SELECT timestamp, body FROM logs WHERE body LIKE '% reminded %' ORDER BY timestamp DESC LIMIT 100",
        NEWEST, 0),
    "logs: lines with a substring, count": (
        "SELECT count(*) AS n FROM logs WHERE body LIKE '%found in level 2%'", None, False, 0),
    "logs: a rare word, all hits": (
        "SELECT timestamp, body FROM logs WHERE match(body, '{rare}')",
        "SELECT timestamp, body FROM logs WHERE body LIKE '%{rare}%'", False, 0),
    "logs: a phrase that is not there": (
        "SELECT timestamp, body FROM logs WHERE match(body, '\"kernel panic\"')",
        "SELECT timestamp, body FROM logs WHERE body ILIKE '%kernel panic%'", False, 0),
    "logs: newest 100 of a service": (
        "SELECT timestamp, body FROM logs WHERE service_name = '{service}' ORDER BY timestamp DESC LIMIT 100",
        None, NEWEST, 0),
    "logs: top 10 of 50 k users, an attribute": (
        "SELECT attributes->>'enduser.id' AS who, count(*) AS n FROM logs GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
        "SELECT enduser_id AS who, count(*) AS n FROM logs GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
        True, 0),
    "logs: top 10 of an attribute without a column": (
        "SELECT attributes->>'thread.name' AS thread, count(*) AS n FROM logs GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
        f"SELECT {attribute('thread.name')} AS thread, count(*) AS n FROM logs GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10",
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
        " AND duration_nano > 100000000 ORDER BY timestamp DESC LIMIT 20", None, NEWEST, 0),
    "spans: one route of a service, newest 100": (
        "SELECT timestamp, span_id FROM spans WHERE service_name = '{service}'"
        " AND attributes->>'http.route' = '/v2/payments' ORDER BY timestamp DESC LIMIT 100",
        "SELECT timestamp, span_id FROM spans WHERE service_name = '{service}'"
        " AND http_route = '/v2/payments' ORDER BY timestamp DESC LIMIT 100", NEWEST, 0),
    "spans: operations of a service": (
        "SELECT DISTINCT name FROM spans WHERE service_name = '{service}'", None, False, 0),
    "metrics: rate over 5 m by service, in steps of 15 s": (
        "SELECT service_name, b, sum(n) OVER (PARTITION BY service_name ORDER BY b ROWS 19 PRECEDING) / 300 AS rate FROM ("
        " SELECT service_name, time_bucket('15 seconds', timestamp) AS b, sum(more) AS n FROM (SELECT service_name,"
        " timestamp, increment(value, temporality, start_timestamp) OVER (PARTITION BY series_id ORDER BY timestamp)"
        " AS more FROM metrics WHERE metric_name = 'http.server.requests') AS points GROUP BY 1, 2) AS steps",
        "SELECT service_name, b, sum(n) OVER (PARTITION BY service_name ORDER BY b ROWS 19 PRECEDING) / 300 AS rate FROM ("
        " SELECT service_name, time_bucket(INTERVAL '15 seconds', timestamp) AS b, sum(more) AS n FROM (SELECT"
        " service_name, timestamp, CASE WHEN value < lag(value) OVER w THEN value ELSE value - lag(value) OVER w END"
        " AS more FROM metrics WHERE metric_name = 'http.server.requests'"
        " WINDOW w AS (PARTITION BY series_id ORDER BY timestamp)) AS points GROUP BY 1, 2) AS steps", False, 1e-9),
    "metrics: p95 from buckets by service, in steps of 15 s": (
        "SELECT service_name, b, histogram_quantile(0.95, histogram_merge(explicit_bounds, more)) AS p95 FROM (SELECT"
        " service_name, time_bucket('15 seconds', timestamp) AS b, explicit_bounds, histogram_increment(bucket_counts)"
        " OVER (PARTITION BY series_id ORDER BY timestamp) AS more FROM metric_histograms"
        " WHERE metric_name = 'http.server.request.duration') AS points GROUP BY 1, 2 HAVING p95 IS NOT NULL",
        "WITH points AS (SELECT service_name, time_bucket(INTERVAL '15 seconds', timestamp) AS b, explicit_bounds AS"
        " bounds, bucket_counts AS counts, lag(bucket_counts) OVER (PARTITION BY series_id ORDER BY timestamp) AS earlier"
        " FROM metric_histograms WHERE metric_name = 'http.server.request.duration'),"
        " more AS (SELECT service_name, b, bounds, CASE WHEN list_bool_or(list_transform(list_zip(counts, earlier),"
        " lambda pair: pair[1] < pair[2])) THEN counts ELSE list_transform(list_zip(counts, earlier),"
        " lambda pair: pair[1] - pair[2]) END AS more FROM points WHERE earlier IS NOT NULL),"
        " buckets AS (SELECT service_name, b, bounds, i, sum(more[i]) AS n FROM more, range(1, 14) AS places(i)"
        " GROUP BY ALL), sums AS (SELECT *, sum(n) OVER (PARTITION BY service_name, b ORDER BY i) AS upto,"
        " sum(n) OVER (PARTITION BY service_name, b) AS whole FROM buckets)"
        " SELECT service_name, b, arg_min(CASE WHEN i > len(bounds) THEN bounds[len(bounds)] ELSE coalesce(bounds[i - 1], 0)"
        " + (bounds[i] - coalesce(bounds[i - 1], 0)) * (0.95 * whole - (upto - n)) / n END, i)"
        " FILTER (WHERE upto >= 0.95 * whole) AS p95 FROM sums GROUP BY 1, 2", False, 1e-9),
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
        "SELECT series_id, sum(more) AS n FROM (SELECT series_id, CASE WHEN value < lag(value) OVER w"
        " OR start_timestamp > lag(start_timestamp) OVER w THEN value ELSE value - lag(value) OVER w END AS more"
        f" FROM metrics WHERE metric_name = 'http.server.requests' AND {WINDOW}"
        " WINDOW w AS (PARTITION BY series_id ORDER BY timestamp)) AS points"
        " GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 10", True, 1e-9),
    "metrics: all series, count": (
        "SELECT count(DISTINCT series_id) AS n FROM metrics", None, False, 0),
    "metrics: series of a service": (
        "SELECT DISTINCT metric_name, series_id FROM metrics WHERE service_name = '{service}'", None, False, 0),
}
