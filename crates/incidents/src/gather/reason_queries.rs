//! The SQL that shows a person the two levels of a reason: one row `before` and one `after` the split that the ranking
//! found, with the counts that the levels are made of. Times are literal, so that a text can be run as it is, and
//! frozen as evidence.

use jiff::Timestamp;

use super::queries::{FAILED, Sample, text, within};
use crate::{MetricSource, Reading};

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Start of the past.
    pub from: Timestamp,
    /// Where before ends and after begins.
    pub split: Timestamp,
    /// End of what is compared.
    pub end: Timestamp,
    /// End of what is looked at to see what became of it: children of a span begin later than it does.
    pub until: Timestamp,
    /// Which traces joins look at.
    pub sample: Sample,
}

/// Service and name of calls that are known to be answered.
pub type Answerers<'a> = Vec<(&'a str, &'a str)>;

/// Log lines of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Template<'a> {
    /// Whose lines.
    pub service: &'a str,
    /// A regular expression that they match.
    pub pattern: &'a str,
    /// How much of a body is looked at, in characters.
    pub body_chars: usize,
    /// Severity number from which a line complains.
    pub complaints_from: i64,
    /// Whether these do.
    pub complains: bool,
}

/// What log lines are counted beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The requests that the service was sent.
    OfRequests,
    /// All lines of the service.
    OfLines,
}

impl Stretch {
    fn part(&self, column: &str) -> String {
        format!("CASE WHEN {column} < TIMESTAMP '{}' THEN 'before' ELSE 'after' END AS part", self.split)
    }

    fn compared(&self) -> String {
        within("timestamp", self.from, self.end)
    }

    /// Spans of a service, with the parts of a condition on them.
    fn own(&self, columns: &str, condition: &str) -> String {
        let drawn = self.sample.condition();
        format!("SELECT {columns} FROM spans WHERE {} AND {condition}{drawn}", self.compared())
    }

    /// Spans that have a parent.
    fn children(&self, columns: &str, condition: &str) -> String {
        format!(
            "SELECT {columns} FROM spans WHERE {}\n    AND parent_span_id IS NOT NULL AND service_name IS NOT NULL{condition}{}",
            within("timestamp", self.from, self.until),
            self.sample.condition()
        )
    }
}

/// Median of the time that an operation takes beside its children, of runs that call no other service. Columns `part`,
/// `runs`, `own_ms`.
pub fn own_time(stretch: &Stretch, service: &str, operation: &str, is_answered: bool) -> String {
    let service = text(service);
    let answered = if is_answered {
        "\n    AND (count(c.service_name) > 0 OR max(p.kind) NOT IN ('client', 'producer'))"
    } else {
        ""
    };
    format!(
        "SELECT {}, count(*) AS runs, median(own_ms) AS own_ms\n\
         FROM (SELECT p.trace_id, p.span_id, min(p.timestamp) AS timestamp,\n    \
         greatest((max(p.duration_nano) - coalesce(sum(c.duration_nano), 0)) / 1e6, 0) AS own_ms\n  \
         FROM ({}) p\n  LEFT JOIN ({}) c\n  ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id\n  \
         GROUP BY 1, 2\n  HAVING count(*) FILTER (WHERE c.service_name <> {service}) = 0{answered}) AS runs\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        stretch.own(
            "trace_id, span_id, kind, timestamp, duration_nano",
            &format!("service_name = {service} AND name = {}", text(operation))
        ),
        stretch.children("trace_id, parent_span_id, service_name, duration_nano", ""),
    )
}

/// Median of the time that calls from one service to another take beyond what the other says. Columns `part`, `calls`,
/// `lost_ms`.
pub fn on_the_way(stretch: &Stretch, caller: &str, callee: &str, answered: &Answerers<'_>) -> String {
    let (caller, callee) = (text(caller), text(callee));
    format!(
        "SELECT {}, count(*) AS calls, median(lost_ms) AS lost_ms\n\
         FROM (SELECT p.trace_id, p.span_id, min(p.timestamp) AS timestamp,\n    \
         greatest((max(p.duration_nano)\n      \
         - coalesce(max(c.duration_nano) FILTER (WHERE c.service_name <> {caller}), 0)) / 1e6, 0) AS lost_ms\n  \
         FROM ({}) p\n  LEFT JOIN ({}) c\n  ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id\n  \
         GROUP BY 1, 2\n  HAVING (count(*) FILTER (WHERE c.service_name <> {caller}) = 1\n    \
         AND max(c.service_name) FILTER (WHERE c.service_name <> {caller}) = {callee}){}) AS calls\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        stretch.own(
            "trace_id, span_id, name, kind, timestamp, duration_nano",
            &format!("service_name = {caller}")
        ),
        stretch.children("trace_id, parent_span_id, service_name, duration_nano", ""),
        or_unanswered("max(p.name)", answered),
    )
}

/// Calls to a service and those of them without a server span. Columns `part`, `calls`, `unanswered`,
/// `unanswered_share`.
pub fn unanswered(stretch: &Stretch, callee: &str, answered: &Answerers<'_>) -> String {
    let callee = text(callee);
    let mut callers: Vec<String> = answered.iter().map(|(service, _)| text(service)).collect();
    callers.dedup();
    format!(
        "SELECT {}, count(*) AS calls, count(*) FILTER (WHERE answers = 0) AS unanswered,\n  \
         CAST(count(*) FILTER (WHERE answers = 0) AS DOUBLE) / count(*) AS unanswered_share\n\
         FROM (SELECT p.trace_id, p.span_id, min(p.timestamp) AS timestamp, count(c.service_name) AS answers\n  \
         FROM ({}) p\n  LEFT JOIN ({}) c\n  ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id\n  \
         GROUP BY 1, 2\n  HAVING (count(*) FILTER (WHERE c.service_name <> p.service_name) = 1\n    \
         AND max(c.service_name) FILTER (WHERE c.service_name <> p.service_name) = {callee}){}) AS calls\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        stretch.own(
            "trace_id, span_id, service_name, name, kind, timestamp",
            &format!("service_name IN ({})", callers.join(", "))
        ),
        stretch.children("trace_id, parent_span_id, service_name", ""),
        or_unanswered("max(p.name)", answered),
    )
}

/// A calling span without any child, of these names.
fn or_unanswered(name: &str, answered: &Answerers<'_>) -> String {
    if answered.is_empty() {
        return String::new();
    }
    let names: Vec<String> = answered.iter().map(|(_, name)| text(name)).collect();
    format!(
        "\n    OR (count(c.service_name) = 0 AND max(p.kind) IN ('client', 'producer') AND {name} IN ({}))",
        names.join(", ")
    )
}

/// Requests of a service, and its spans that failed with no failing child; a call that an answering service left
/// unanswered counts against that one. Columns `part`, `requests`, `failed_by_itself`, `failed_share`.
pub fn failures(stretch: &Stretch, service: &str, answered: &Answerers<'_>) -> String {
    let names: Vec<String> = answered.iter().map(|(_, name)| text(name)).collect();
    let left_alone = if names.is_empty() {
        String::new()
    } else {
        format!(
            "\n    AND NOT (kind IN ('client', 'producer') AND children = 0 AND name IN ({}))",
            names.join(", ")
        )
    };
    format!(
        "SELECT {}, count(*) FILTER (WHERE is_request) AS requests,\n  \
         count(*) FILTER (WHERE by_itself) AS failed_by_itself,\n  \
         CAST(count(*) FILTER (WHERE by_itself) AS DOUBLE)\n    \
         / greatest(count(*) FILTER (WHERE is_request), count(*) FILTER (WHERE by_itself), 1) AS failed_share\n\
         FROM (SELECT timestamp, is_request, failed AND failed_children = 0{left_alone} AS by_itself\n  \
         FROM (SELECT o.trace_id, o.span_id, min(o.timestamp) AS timestamp, max(o.kind) AS kind, max(o.name) AS name,\n    \
         bool_or(o.failed) AS failed, bool_or(n.span_id IS NULL) AS is_request,\n    \
         count(c.parent_span_id) AS children, count(*) FILTER (WHERE c.failed) AS failed_children\n  \
         FROM ({own}) o\n  LEFT JOIN ({nested}) n ON n.trace_id = o.trace_id AND n.span_id = o.span_id\n  \
         LEFT JOIN ({}) c\n  ON c.trace_id = o.trace_id AND c.parent_span_id = o.span_id AND o.failed\n  \
         GROUP BY 1, 2) AS spans) AS judged\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        stretch.children(&format!("trace_id, parent_span_id, {FAILED} AS failed"), ""),
        own = stretch.own(
            &format!("trace_id, span_id, name, kind, timestamp, {FAILED} AS failed"),
            &format!("service_name = {}", text(service))
        ),
        nested = nested(stretch, service),
    )
}

/// Spans of a service whose parent is its own too: all others are requests that it was sent.
fn nested(stretch: &Stretch, service: &str) -> String {
    let mine = format!("service_name = {}", text(service));
    format!(
        "SELECT DISTINCT k.trace_id, k.span_id\n    FROM ({}) k\n    JOIN ({}) m\n    \
         ON m.trace_id = k.trace_id AND m.span_id = k.parent_span_id",
        stretch.own("trace_id, span_id, parent_span_id", &mine),
        stretch.own("trace_id, span_id", &mine),
    )
}

/// Runs of an operation, and how many of them took a step how often. Columns `part`, `runs`, `runs_with_step`,
/// `with_step_share`, `without_step_share`, `steps_per_run`.
pub fn step(stretch: &Stretch, operation: (&str, &str), step: (&str, &str)) -> String {
    format!(
        "SELECT {}, count(*) AS runs, count(*) FILTER (WHERE steps > 0) AS runs_with_step,\n  \
         CAST(count(*) FILTER (WHERE steps > 0) AS DOUBLE) / count(*) AS with_step_share,\n  \
         CAST(count(*) FILTER (WHERE steps = 0) AS DOUBLE) / count(*) AS without_step_share,\n  \
         CAST(sum(steps) AS DOUBLE) / count(*) AS steps_per_run\n\
         FROM (SELECT p.trace_id, p.span_id, min(p.timestamp) AS timestamp, count(c.parent_span_id) AS steps\n  \
         FROM ({}) p\n  LEFT JOIN ({}) c\n  ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id\n  \
         GROUP BY 1, 2) AS runs\nGROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        stretch.own(
            "trace_id, span_id, timestamp",
            &format!("service_name = {} AND name = {}", text(operation.0), text(operation.1))
        ),
        stretch.children(
            "trace_id, parent_span_id",
            &format!(" AND service_name = {} AND name = {}", text(step.0), text(step.1))
        ),
    )
}

/// Requests that come from outside, over the ten seconds each in which anything was seen: traces may be recorded in
/// slices only. Columns `part`, `requests`, `seconds`, `requests_per_minute`.
pub fn load(stretch: &Stretch, at: Timestamp, service: &str) -> String {
    format!(
        "SELECT part, sum(outside) AS requests, count(DISTINCT tick) * 10 AS seconds,\n  \
         60.0 * sum(outside) / (count(DISTINCT tick) * 10) AS requests_per_minute\n\
         FROM (SELECT {}, date_bin(INTERVAL '10 seconds', timestamp, TIMESTAMP '{at}') AS tick,\n    \
         CASE WHEN service_name = {} AND parent_span_id IS NULL THEN 1 ELSE 0 END AS outside\n  \
         FROM spans WHERE {} AND service_name IS NOT NULL) AS seen\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        text(service),
        stretch.compared(),
    )
}

/// Log lines of a template beside requests or all lines. Columns `part`, `lines`, `requests` (or `all_lines`),
/// `share`.
pub fn log_lines(stretch: &Stretch, template: &Template<'_>, share: Share) -> String {
    let mine = format!("service_name = {}", text(template.service));
    let complains = if template.complains {
        format!("severity_number >= {}", template.complaints_from)
    } else {
        format!("coalesce(severity_number, 0) < {}", template.complaints_from)
    };
    let is_such = format!(
        "{complains} AND regexp_like(substr(body, 1, {}), {})",
        template.body_chars,
        text(template.pattern)
    );
    let (all, whole) = match share {
        Share::OfLines => ("all_lines", String::new()),
        Share::OfRequests => (
            "requests",
            format!(
                "\n  UNION ALL\n  SELECT o.timestamp, 0 AS line, 1 AS whole\n  FROM ({}) o\n  \
                 LEFT JOIN ({}) n ON n.trace_id = o.trace_id AND n.span_id = o.span_id\n  WHERE n.span_id IS NULL",
                stretch.own("trace_id, span_id, timestamp", &mine),
                nested(stretch, template.service)
            ),
        ),
    };
    let (of_line, drawn) = match share {
        Share::OfLines => ("1", ""),
        // Requests and lines of the same traces; a line without a trace counts where none are drawn.
        Share::OfRequests => ("0", stretch.sample.condition()),
    };
    format!(
        "SELECT {}, sum(line) AS lines, sum(whole) AS {all},\n  \
         least(CAST(sum(line) AS DOUBLE) / greatest(sum(whole), 1), 1) AS share\n\
         FROM (SELECT timestamp, CASE WHEN {is_such} THEN 1 ELSE 0 END AS line, {of_line} AS whole\n  \
         FROM logs WHERE {} AND {mine}{drawn}{whole}) AS counted\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("timestamp"),
        stretch.compared(),
    )
}

/// The level of a series, instances averaged: its median, and the furthest levels up and down that two neighbouring
/// points share, which is how `after` is told. Columns `part`, `points`, `median`, `highest_of_two`, `lowest_of_two`.
pub fn metric(stretch: &Stretch, source: &MetricSource) -> String {
    let ids: Vec<String> = source.series.iter().map(ToString::to_string).collect();
    // A rise needs the point before: the first one lies up to two steps of a coarse series earlier.
    let reach = jiff::SignedDuration::from_mins(12);
    let from = stretch.from.saturating_sub(reach).unwrap_or(stretch.from);
    let of = format!("{} AND series_id IN ({})", within("timestamp", from, stretch.end), ids.join(", "));
    let number = "coalesce(value, CAST(value_int AS DOUBLE))";
    let minute = |table: &str, columns: &str| {
        format!(
            "SELECT series_id, date_trunc('minute', timestamp) AS minute, min(timestamp) AS at, {columns}\n      \
             FROM {table} WHERE {of} GROUP BY 1, 2"
        )
    };
    // A counter that starts anew rises from 0.
    let rise = |column: &str| {
        let last = format!("lag({column}) OVER (PARTITION BY series_id ORDER BY minute)");
        format!(
            "CASE WHEN {column} >= {last} THEN {column} - {last} WHEN {last} IS NOT NULL THEN {column} END"
        )
    };
    let seconds = "(date_part('epoch', at) - date_part('epoch', lag(at) OVER (PARTITION BY series_id ORDER BY minute)))";
    let valued =
        |value: String, points: String| format!("SELECT at, minute, {value} AS value FROM ({points}) AS raw");
    let counts = "CAST(max(count) AS DOUBLE) AS most, max(sum) AS most_sum";
    let values = match source.reading {
        Reading::Level => valued("v".into(), minute("metrics", &format!("avg({number}) AS v"))),
        Reading::Amount => valued("v".into(), minute("metrics", &format!("sum({number}) AS v"))),
        Reading::Rise => valued(
            format!("{} / {seconds}", rise("most")),
            minute("metrics", &format!("max({number}) AS most")),
        ),
        Reading::HistogramMean { is_delta: true } => valued(
            "v".into(),
            minute("metric_histograms", "sum(sum) / nullif(CAST(sum(count) AS DOUBLE), 0) AS v"),
        ),
        Reading::HistogramMean { is_delta: false } => valued(
            format!("({}) / nullif({}, 0)", rise("most_sum"), rise("most")),
            minute("metric_histograms", counts),
        ),
        Reading::HistogramCount { is_delta: true } => {
            valued("v".into(), minute("metric_histograms", "CAST(sum(count) AS DOUBLE) AS v"))
        }
        Reading::HistogramCount { is_delta: false } => {
            valued(format!("({}) / {seconds}", rise("most")), minute("metric_histograms", counts))
        }
    };
    format!(
        "SELECT part, count(*) AS points, median(value) AS median,\n  \
         max(CASE WHEN last IS NOT NULL THEN least(value, last) END) AS highest_of_two,\n  \
         min(CASE WHEN last IS NOT NULL THEN greatest(value, last) END) AS lowest_of_two\n\
         FROM (SELECT part, value, lag(value) OVER (PARTITION BY part ORDER BY at) AS last\n  \
         FROM (SELECT {}, at, value\n    \
         FROM (SELECT minute, min(at) AS at, avg(value) AS value FROM ({values}) AS each GROUP BY 1) AS joined\n    \
         WHERE value IS NOT NULL AND at >= TIMESTAMP '{}') AS parted) AS paired\n\
         GROUP BY 1 ORDER BY 1 DESC",
        stretch.part("at"),
        stretch.from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_telemetry_cannot_leave_their_quotes() {
        let at = Timestamp::UNIX_EPOCH;
        let stretch = Stretch { from: at, split: at, end: at, until: at, sample: Sample::Eighth };
        let (a, b) = ("a' OR '1'='1", "b' --");
        let calls = vec![(a, b)];
        let template =
            Template { service: a, pattern: b, body_chars: 300, complaints_from: 13, complains: true };
        for sql in [
            own_time(&stretch, a, b, true),
            on_the_way(&stretch, a, b, &calls),
            unanswered(&stretch, b, &calls),
            failures(&stretch, a, &calls),
            step(&stretch, (a, b), (a, b)),
            load(&stretch, at, a),
            log_lines(&stretch, &template, Share::OfRequests),
            log_lines(&stretch, &template, Share::OfLines),
        ] {
            let rest = sql.replace("'a'' OR ''1''=''1'", "").replace("'b'' --'", "");
            assert!(!rest.contains("OR '1'") && !rest.contains("--"), "{sql}");
            assert_eq!(rest.matches('\'').count() % 2, 0, "{sql}");
        }
    }
}
