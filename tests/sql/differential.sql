-- Questions that our SQL and DuckDB understand alike; each must have the same answer from both. Rows are compared in
-- order where there is an ORDER BY, else as a set; answers without one must not depend on the order of rows.
-- Known to differ and left out: a sum of BIGINT beyond 64 bits wraps around in ours and is 128 bits wide in DuckDB;
-- nulls come first in our ORDER BY … DESC, as in PostgreSQL.

-- name: count by service
SELECT service_name, count(*) AS n FROM logs GROUP BY service_name;
-- name: counts of every table
SELECT 'logs' AS t, count(*) AS n FROM logs UNION ALL SELECT 'spans', count(*) FROM spans UNION ALL SELECT 'metrics', count(*) FROM metrics;
-- name: distinct
SELECT count(DISTINCT service_name) AS a, count(DISTINCT body) AS b, count(body) AS c FROM logs;
-- name: first and last
SELECT service_name, min(timestamp) AS a, max(timestamp) AS b, min(timestamp_nanos) AS c FROM logs GROUP BY service_name;
-- name: by hour
SELECT date_trunc('hour', timestamp) AS h, count(*) AS n FROM logs GROUP BY 1;
-- name: by day and date agree
SELECT count(*) AS n FROM logs WHERE CAST(date_trunc('day', timestamp) AS DATE) <> date;
-- name: by date
SELECT date, count(*) AS n FROM spans GROUP BY date ORDER BY date;
-- name: one date
SELECT count(*) AS n FROM logs WHERE date = DATE '2026-11-01' OR date = CAST(TIMESTAMP '2026-11-01 06:00:00' AS DATE);
-- name: hour of day
SELECT extract(hour FROM timestamp) AS h, extract(minute FROM timestamp) AS m, count(*) AS n FROM logs GROUP BY 1, 2;
-- name: interval
SELECT count(*) AS n FROM logs AS l WHERE timestamp > (SELECT max(timestamp) FROM logs) - INTERVAL '3 days';
-- name: severity
SELECT severity, severity_number, count(*) AS n FROM logs WHERE severity_number >= 13 OR severity IS NULL GROUP BY 1, 2;
-- name: empty text is not null
SELECT body = '' AS empty, body IS NULL AS none, count(*) AS n FROM logs GROUP BY 1, 2;
-- name: like
SELECT count(*) AS n FROM logs WHERE body LIKE '%err%' AND body NOT LIKE 'é%';
-- name: like with one sign
SELECT body, count(*) AS n FROM logs WHERE body LIKE '_rror%' GROUP BY body;
-- name: text functions
SELECT body, length(body) AS l, upper(body) AS u, lower(body) AS d, trim(body) AS t, substr(body, 2, 3) AS s, replace(body, 'r', 'x') AS r, reverse(body) AS v FROM logs WHERE service_name = 'shop';
-- name: concatenation
SELECT DISTINCT service_name || ':' || coalesce(body, '-') AS both FROM logs WHERE service_name IS NOT NULL;
-- name: starts with
SELECT starts_with(body, 'e') AS e, count(*) AS n FROM logs GROUP BY 1;
-- name: order and limit
SELECT timestamp, timestamp_nanos, service_name, body FROM logs ORDER BY timestamp DESC, timestamp_nanos DESC, service_name NULLS LAST, body NULLS LAST, span_id NULLS LAST LIMIT 50;
-- name: order and offset
SELECT name, duration_nano FROM spans ORDER BY duration_nano, span_id LIMIT 20 OFFSET 17;
-- name: nulls in order
SELECT DISTINCT body FROM logs ORDER BY body NULLS FIRST;
-- name: finite sums
SELECT metric_name, count(*) AS n, sum(value) AS s, avg(value) AS a, min(value) AS lo, max(value) AS hi FROM metrics WHERE value > -1e300 AND value < 1e300 GROUP BY metric_name;
-- name: not a number
SELECT metric_name, isnan(value) AS nan, count(*) AS n FROM metrics GROUP BY 1, 2;
-- name: infinities
SELECT value, count(*) AS n FROM metrics WHERE value = CAST('Infinity' AS DOUBLE) OR value = CAST('-Infinity' AS DOUBLE) GROUP BY value;
-- name: greater than a number
SELECT count(*) AS n FROM metrics WHERE value > 0 AND NOT isnan(value);
-- name: zero
SELECT count(*) AS n FROM metrics WHERE value = 0;
-- name: between
SELECT count(*) AS n FROM metrics WHERE value BETWEEN -10 AND 10;
-- name: in
SELECT count(*) AS n FROM metrics WHERE value_int IN (0, 1, 7, 9223372036854775807) OR value IN (0.5, 1.5);
-- name: not in
SELECT count(*) AS n FROM logs WHERE service_name NOT IN ('shop', 'cart');
-- name: exact integers
SELECT max(value_int) AS hi, min(value_int) AS lo, count(value_int) AS n FROM metrics;
-- name: rounding
SELECT round(duration_nano / 1000.0, 1) AS r, floor(duration_nano / 7.0) AS f, ceil(duration_nano / 7.0) AS c, abs(duration_nano - 500) AS a FROM spans;
-- name: spread
SELECT service_name, stddev(duration_nano) AS s, var_pop(duration_nano) AS v FROM spans GROUP BY service_name HAVING count(*) > 2;
-- name: errors
SELECT service_name, status_code, count(*) AS n, sum(duration_nano) AS d FROM spans GROUP BY 1, 2 HAVING count(*) > 3;
-- name: filtered aggregates
SELECT service_name, count(*) FILTER (WHERE status_code = 'error') AS e, count(*) AS n, max(duration_nano) FILTER (WHERE kind = 'server') AS d FROM spans GROUP BY 1;
-- name: parents
SELECT child.name AS c, parent.name AS p, count(*) AS n FROM spans AS child JOIN spans AS parent ON child.trace_id = parent.trace_id AND child.parent_span_id = parent.span_id GROUP BY 1, 2;
-- name: left join
SELECT s.trace_id, count(l.body) AS n FROM spans AS s LEFT JOIN logs AS l ON l.trace_id = s.trace_id AND l.severity_number > 9 GROUP BY 1;
-- name: full join
SELECT a.service_name AS a, b.service_name AS b, coalesce(a.n, 0) + coalesce(b.n, 0) AS n FROM (SELECT service_name, count(*) AS n FROM logs GROUP BY 1) AS a FULL JOIN (SELECT service_name, count(*) AS n FROM spans GROUP BY 1) AS b ON a.service_name = b.service_name;
-- name: without children
SELECT count(*) AS n FROM spans AS s WHERE NOT EXISTS (SELECT 1 FROM spans AS c WHERE c.parent_span_id = s.span_id AND c.trace_id = s.trace_id);
-- name: in a subquery
SELECT count(*) AS n FROM logs WHERE trace_id IN (SELECT trace_id FROM spans WHERE status_code = 'error');
-- name: scalar subquery
SELECT service_name, count(*) * 1.0 / (SELECT count(*) FROM logs) AS share FROM logs GROUP BY 1;
-- name: except
SELECT service_name FROM logs EXCEPT SELECT service_name FROM spans WHERE service_name = 'shop';
-- name: intersect
SELECT trace_id FROM logs INTERSECT SELECT trace_id FROM spans;
-- name: union
SELECT service_name FROM logs UNION SELECT service_name FROM metrics UNION SELECT name FROM spans;
-- name: row numbers
SELECT service_name, body, row_number() OVER (PARTITION BY service_name ORDER BY timestamp, timestamp_nanos, span_id NULLS LAST, body NULLS LAST) AS place FROM logs WHERE span_id IS NOT NULL;
-- name: before and after
SELECT span_id, duration_nano - lag(duration_nano) OVER (ORDER BY timestamp, span_id) AS more, lead(name) OVER (ORDER BY timestamp, span_id) AS next FROM spans;
-- name: running sum
SELECT span_id, sum(duration_nano) OVER (PARTITION BY service_name ORDER BY timestamp, span_id ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS s FROM spans;
-- name: ranks
SELECT duration_nano, rank() OVER (ORDER BY duration_nano) AS r, dense_rank() OVER (ORDER BY duration_nano) AS d FROM spans;
-- name: cases
SELECT CASE WHEN severity_number >= 17 THEN 'bad' WHEN severity_number >= 13 THEN 'odd' ELSE 'fine' END AS kind, count(*) AS n FROM logs GROUP BY 1;
-- name: nothing in arithmetic
SELECT count(*) AS n, sum(value_int) AS s, sum(value_int + NULL) AS none, count(nullif(value_int, 7)) AS seven FROM metrics WHERE value_int BETWEEN -1000000 AND 1000000;
-- name: an empty table
SELECT count(*) AS n, max(severity_number) AS m, sum(severity_number) AS s FROM logs WHERE service_name = 'nobody';
-- name: no group of nothing
SELECT service_name, count(*) AS n FROM logs WHERE service_name = 'nobody' GROUP BY 1;
-- name: rollup
SELECT service_name, severity, count(*) AS n FROM logs WHERE service_name IS NOT NULL AND severity IS NOT NULL GROUP BY ROLLUP (service_name, severity);
-- name: common tables
WITH slow AS (SELECT * FROM spans WHERE duration_nano > 400), named AS (SELECT name, count(*) AS n FROM slow GROUP BY name) SELECT name, n FROM named WHERE n > 1;
-- name: lists
SELECT array_length(events) AS n, count(*) AS c FROM spans WHERE array_length(events) > 0 GROUP BY 1;
-- name: matching
SELECT count(*) AS n FROM logs WHERE body ~ '^[eE][a-z]+ [0-9]+$';
-- name: any value
SELECT bool_and(severity_number > 0) AS a, bool_or(severity_number > 20) AS o FROM logs WHERE severity_number IS NOT NULL;
-- name: newest of each service
SELECT service_name, body FROM (SELECT service_name, body, row_number() OVER (PARTITION BY service_name ORDER BY timestamp DESC, timestamp_nanos DESC, span_id) AS place FROM logs WHERE span_id IS NOT NULL) AS ranked WHERE place = 1;
