//! The SQL behind an indicator. It is text here: the engine that runs it is another crate's.
//!
//! Every query answers for `$from <= minute < $to` with the columns `minute` and `value`, or `minute`, `part` and
//! `total`. Conditions from files stand on lines of their own, so that a trailing comment ends with its line.

use std::fmt::Write as _;

use super::indicator::{Indicator, Part, Ratio, Source};
use crate::condition::Op;

/// How far before `$from` the point is looked for that a counter's first point is compared with. A series that was
/// silent for longer begins anew: what it counted meanwhile is not seen.
const COUNTER_REACH: &str = "INTERVAL '1 hour'";
const MINUTE: &str = "date_bin(INTERVAL '1 minute', timestamp) AS minute";
const IN_RANGE: &str = "timestamp >= $from AND timestamp < $to";
const SERIES: &str = "OVER (PARTITION BY series_id ORDER BY timestamp)";
/// A span that was sampled stands for others.
const WEIGHT: &str = "span_weight(trace_state)";

/// What a query's `value`-like columns count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Columns `part` and `total` of one query.
    Both,
    /// `value` is the part.
    Part,
    /// `value` is the total.
    Total,
}

/// The queries of an indicator: one when a single pass gives both counts.
pub(super) fn texts(indicator: &Indicator) -> Vec<(Counts, String)> {
    match indicator {
        Indicator::Ratio(Ratio { part, part_source, total_source }) => match (part_source, total_source) {
            (Source::Spans { .. }, Source::Spans { .. }) => {
                vec![(Counts::Both, both_from_spans(*part, part_source, total_source))]
            }
            _ => vec![
                (Counts::Part, count(part_source, *part)),
                (Counts::Total, count(total_source, Part::Good)),
            ],
        },
        Indicator::Threshold { source, op, value } => vec![(Counts::Both, threshold(source, *op, *value))],
        Indicator::Raw { source, .. } => vec![(Counts::Both, raw(source))],
    }
}

/// `value`: the good or bad events of the source.
fn count(source: &Source, part: Part) -> String {
    match source {
        Source::Sql(sql) => sql.clone(),
        Source::Spans { .. } => {
            let condition = span_condition(source, part);
            format!(
                "SELECT {MINUTE}, sum({WEIGHT}) AS value FROM spans WHERE {IN_RANGE} AND ({condition}) GROUP BY 1"
            )
        }
        Source::Metric { metric, condition, counter } => {
            let more = match counter {
                Some(true) => increment("value"),
                // What the metric says of itself wins over a file that takes a running total for a count.
                Some(false) => format!(
                    "CASE WHEN temporality = 'cumulative' AND is_monotonic THEN {} ELSE value END",
                    increment("value")
                ),
                None => format!("CASE WHEN temporality IS NULL THEN value ELSE {} END", increment("value")),
            };
            let points =
                format!("{} AND NOT isnan(value)", metric_rows("metrics", metric, condition.as_deref()));
            format!(
                "SELECT {MINUTE}, sum(more) AS value FROM (SELECT timestamp, {more} AS more {points}) AS points \
                 WHERE timestamp >= $from GROUP BY 1"
            )
        }
        Source::Histogram { threshold: None, .. } => {
            let (table, metric, condition) = histogram(source);
            let points = metric_rows(table, metric, condition);
            format!(
                "SELECT {MINUTE}, sum(more) AS value FROM (SELECT timestamp, {} AS more {points}) AS points \
                 WHERE timestamp >= $from GROUP BY 1",
                increment("CAST(count AS DOUBLE)")
            )
        }
        Source::Histogram { threshold: Some(threshold), .. } => {
            let counted = match part {
                Part::Good => "least(lower, more)",
                Part::Bad => "greatest(more - lower, 0)",
            };
            format!(
                "SELECT {MINUTE}, sum({counted}) AS value{} FROM ({}) AS points WHERE timestamp >= $from GROUP BY 1",
                interval(source, *threshold),
                within(source, *threshold)
            )
        }
    }
}

fn both_from_spans(part: Part, part_source: &Source, total_source: &Source) -> String {
    let (part, total) = (span_condition(part_source, part), span_condition(total_source, Part::Good));
    format!(
        "SELECT {MINUTE}, sum(CASE WHEN ({part}) THEN {WEIGHT} ELSE 0 END) AS part, \
         sum(CASE WHEN ({total}) THEN {WEIGHT} ELSE 0 END) AS total \
         FROM spans WHERE {IN_RANGE} AND (({part}) OR ({total})) GROUP BY 1"
    )
}

/// Which spans count: the condition, and on which side of the threshold they must lie.
fn span_condition(source: &Source, part: Part) -> String {
    let Source::Spans { condition, threshold, .. } = source else {
        return String::new();
    };
    match threshold {
        None => format!("\n{condition}\n"),
        Some(threshold) => {
            let op = if part == Part::Good { "<=" } else { ">" };
            format!("(\n{condition}\n) AND duration_nano {op} {}", threshold.as_nanos())
        }
    }
}

/// `part` and `total`: the points that satisfy the comparison, and all of them.
fn threshold(source: &Source, op: Op, limit: f64) -> String {
    let (symbol, value) = (op.symbol(), number(limit));
    let each = |weight: &str, expression: &str| {
        format!(
            "sum(CASE WHEN {expression} {symbol} {value} THEN {weight} ELSE 0 END) AS part, \
             sum(CASE WHEN {expression} IS NOT NULL THEN {weight} ELSE 0 END) AS total"
        )
    };
    match source {
        Source::Spans { condition, value, .. } => {
            let expression =
                value.as_ref().map_or("(duration_nano / 1e9)".to_owned(), |text| format!("(\n{text}\n)"));
            let sums = each(WEIGHT, &expression);
            format!("SELECT {MINUTE}, {sums} FROM spans WHERE {IN_RANGE} AND (\n{condition}\n) GROUP BY 1")
        }
        Source::Metric { metric, condition, .. } => {
            let points = plain_rows(metric, condition.as_deref());
            format!("SELECT {MINUTE}, {} {points} GROUP BY 1", each("1", "value"))
        }
        Source::Histogram { .. } => {
            // Of the two ends of the interval the one that calls fewer events good.
            let part = if op.is_upward() { "greatest(more - upper, 0)" } else { "least(lower, more)" };
            format!(
                "SELECT {MINUTE}, sum({part}) AS part, sum(more) AS total{} FROM ({}) AS points \
                 WHERE timestamp >= $from GROUP BY 1",
                interval(source, limit),
                within(source, limit)
            )
        }
        Source::Sql(sql) => {
            format!("SELECT minute, {} FROM ({}) AS points GROUP BY 1", each("1", "value"), inner(sql))
        }
    }
}

/// `part` and `total` of ratios: each is one event.
fn raw(source: &Source) -> String {
    let sums = "sum(least(greatest(value, 0), 1)) AS part, count(value) AS total";
    match source {
        Source::Sql(sql) => format!("SELECT minute, {sums} FROM ({}) AS points GROUP BY 1", inner(sql)),
        Source::Metric { metric, condition, .. } => {
            format!("SELECT {MINUTE}, {sums} {} GROUP BY 1", plain_rows(metric, condition.as_deref()))
        }
        Source::Spans { condition, value, .. } => {
            let value = value.as_deref().unwrap_or("NULL");
            format!(
                "SELECT minute, {sums} FROM (SELECT {MINUTE}, CAST((\n{value}\n) AS DOUBLE) AS value FROM spans \
                 WHERE {IN_RANGE} AND (\n{condition}\n)) AS points GROUP BY 1"
            )
        }
        // The loader refuses it: a histogram holds no ratio.
        Source::Histogram { .. } => String::new(),
    }
}

/// Rows `timestamp, more, lower, upper, bound_below, bound_above`: what each point adds to all events, and between
/// which numbers it adds to those at or under the threshold.
///
/// The counts at or under a threshold rise with the counter itself, so their increments are differences too; where
/// the counter began anew (`more` is all that it holds) they count whole. They are never less than nothing nor, by
/// their reader, more than `more`, whatever a change of bounds or of scale does.
fn within(source: &Source, threshold: f64) -> String {
    let (table, metric, condition) = histogram(source);
    // Within an exponential bucket the count is estimated, and that is what counts: no interval is asked for.
    let (columns, upper) = if is_exponential(source) {
        (
            "scale, zero_count, zero_threshold, positive_offset, positive_counts, negative_offset, negative_counts",
            "count",
        )
    } else {
        ("explicit_bounds, bucket_counts", "upper")
    };
    let more = increment("held");
    let points = metric_rows(table, metric, condition);
    let since = |name: &str| {
        format!("CASE WHEN more = held THEN {name} ELSE greatest({name} - {name}_before, 0) END AS {name}")
    };
    let mut sql = String::new();
    let _ = write!(
        sql,
        "SELECT timestamp, more, {}, {}, bound_below, bound_above FROM (\
         SELECT timestamp, held, {more} AS more, lower, lag(lower) {SERIES} AS lower_before, \
         upper, lag(upper) {SERIES} AS upper_before, bound_below, bound_above FROM (\
         SELECT timestamp, series_id, temporality, start_timestamp, held, found['count'] AS lower, \
         found['{upper}'] AS upper, found['bound_below'] AS bound_below, found['bound_above'] AS bound_above \
         FROM (SELECT timestamp, series_id, temporality, start_timestamp, CAST(count AS DOUBLE) AS held, \
         histogram_at_most({}, {columns}) AS found {points}) AS points) AS series) AS increments \
         WHERE more IS NOT NULL",
        since("lower"),
        since("upper"),
        number(threshold),
    );
    sql
}

/// Further columns that tell whether a threshold lies between two explicit bounds, and what that leaves open.
fn interval(source: &Source, threshold: f64) -> String {
    if is_exponential(source) {
        return String::new();
    }
    let threshold = number(threshold);
    let open = |column: &str| format!("CASE WHEN bound_below IS DISTINCT FROM {threshold} THEN {column} END");
    format!(
        ", sum({}) AS at_least, sum({}) AS at_most, sum({}) AS of_all, max({}) AS bound_below, min({}) AS bound_above",
        open("least(lower, more)"),
        open("least(upper, more)"),
        open("more"),
        open("bound_below"),
        open("bound_above"),
    )
}

fn is_exponential(source: &Source) -> bool {
    matches!(source, Source::Histogram { exponential: true, .. })
}

fn histogram(source: &Source) -> (&'static str, &str, Option<&str>) {
    match source {
        Source::Histogram { exponential, metric, condition, .. } => {
            let table = if *exponential { "metric_exp_histograms" } else { "metric_histograms" };
            (table, metric, condition.as_deref())
        }
        _ => ("metric_histograms", "", None),
    }
}

/// What a counter's point adds to the point before it, which must not be older than the reach: so the answer for a
/// minute does not depend on how far back the query happens to begin.
fn increment(column: &str) -> String {
    format!(
        "CASE WHEN temporality = 'delta' OR lag(timestamp) {SERIES} >= timestamp - {COUNTER_REACH} \
         THEN increment({column}, temporality, start_timestamp) {SERIES} END"
    )
}

/// The points of a counter, those before the range with which its first is compared included.
fn metric_rows(table: &str, metric: &str, condition: Option<&str>) -> String {
    format!(
        "FROM {table} WHERE timestamp >= $from - {COUNTER_REACH} AND timestamp < $to AND {}",
        of_metric(metric, condition)
    )
}

/// The points of a gauge in the range.
fn plain_rows(metric: &str, condition: Option<&str>) -> String {
    format!("FROM metrics WHERE {IN_RANGE} AND NOT isnan(value) AND {}", of_metric(metric, condition))
}

fn of_metric(metric: &str, condition: Option<&str>) -> String {
    // The lowest flag says that nothing was recorded; such a point has zeros that would read as a reset.
    let mut text =
        format!("metric_name = '{}' AND (flags IS NULL OR flags % 2 = 0)", metric.replace('\'', "''"));
    if let Some(condition) = condition {
        let _ = write!(text, " AND (\n{condition}\n)");
    }
    text
}

/// A query from a file as a part of another one.
fn inner(sql: &str) -> String {
    format!("\n{}\n", sql.trim().trim_end_matches(';'))
}

/// A number as SQL writes doubles.
fn number(value: f64) -> String {
    format!("{value:e}")
}
