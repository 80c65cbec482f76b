//! Finds a bad trace of an incident and a good one to hold it against: four queries, each bounded by time and LIMIT.

use hindsight_model::{SqlSource, SqlValue, Tenant};
use jiff::{SignedDuration, Timestamp};

use super::comparison_queries::{self as queries, Requests};
use super::{Asker, Row, later, number, text};
use crate::trace_pair::{AlignedSpan, TraceSpan, align};
use crate::{Result, format};

/// How long after the beginning a bad request is looked for.
const BAD_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// How long before the beginning a good one is looked for, and how near to it.
const GOOD_FROM: SignedDuration = SignedDuration::from_mins(60);
const GOOD_UNTIL: SignedDuration = SignedDuration::from_secs(60);
/// How far around its entry the spans of a trace are read.
const TRACE_REACH: SignedDuration = SignedDuration::from_mins(10);
/// Most entries that are tried, and most rows that are kept.
const ENTRIES_MAX: usize = 3;
const ROWS_MAX: usize = 200;

/// A bad trace beside a good one of the same operation.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceComparison {
    /// The service that was asked.
    pub service: String,
    /// What it was asked for.
    pub operation: String,
    /// The first request that failed in the incident, of the operation that failed most; the slowest where none did.
    pub bad: ComparedTrace,
    /// A request before the incident that went well and took about as long as most; `None` where there was none.
    pub good: Option<ComparedTrace>,
    /// Their spans below the entry, at most 200.
    pub rows: Vec<AlignedSpan>,
    /// How many rows more there are.
    pub left_out: usize,
}

/// One request of a [`TraceComparison`].
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedTrace {
    /// Its trace.
    pub trace_id: String,
    /// Its entry span.
    pub span_id: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// Whether it failed.
    pub failed: bool,
}

impl TraceComparison {
    /// The SQL that shows both traces span by span.
    pub fn sql(&self) -> String {
        queries::both(&self.bad.trace_id, self.good.as_ref().map(|good| good.trace_id.as_str()))
    }

    /// What differs, in sentences without full stops, the most telling first.
    pub fn differences(&self) -> Vec<String> {
        self.told(|service, operation| format!("{service} {operation}"), str::to_owned)
    }

    /// The differences with names and messages from telemetry as `named` and `quoted` write them.
    pub fn told(&self, named: impl Fn(&str, &str) -> String, quoted: impl Fn(&str) -> String) -> Vec<String> {
        let mut said = Vec::new();
        if self.good.is_none() {
            return said;
        }
        let name = |row: &AlignedSpan| named(&row.service, &row.operation);
        // The deepest of those that fail anew: what is above it fails because of it.
        if let Some(row) = self.rows.iter().filter(|row| row.fails_anew()).max_by_key(|row| row.depth) {
            let message = row.bad.as_ref().map(|bad| bad.message.trim()).filter(|text| !text.is_empty());
            let message: String = message.map_or_else(String::new, |text| format!(": {}", quoted(text)));
            said.push(format!("{} fails in the bad one only{message}", name(row)));
        }
        let slower = self
            .rows
            .iter()
            .filter(|row| row.good.is_some())
            .max_by(|a, b| a.lost_ms().total_cmp(&b.lost_ms()).then_with(|| b.depth.cmp(&a.depth)));
        if let Some((row, bad, good)) =
            slower.and_then(|row| Some((row, row.bad.as_ref()?, row.good.as_ref()?)))
            && row.is_slower()
        {
            let (bad, good) = (format::millis(bad.own_ms), format::millis(good.own_ms));
            said.push(format!("{} takes {bad} of its own, {good} in the good one", name(row)));
        }
        let only = |is_only: fn(&AlignedSpan) -> bool| self.rows.iter().filter(move |row| is_only(row));
        for (what, rows) in [
            ("only in the bad one", only(|row| row.good.is_none()).collect::<Vec<_>>()),
            ("only in the good one", only(|row| row.bad.is_none()).collect()),
        ] {
            if let Some(first) = rows.first() {
                let more =
                    if rows.len() > 1 { format!(" and {} more", rows.len() - 1) } else { String::new() };
                said.push(format!("{what}: {}{more}", name(first)));
            }
        }
        said
    }
}

/// Looks for a bad request at the entries, the first of them that has one, in the first ten minutes of `[from, to)`, and
/// for a good one in the hour before. `None` where none of the entries was asked for anything.
///
/// # Errors
/// As [`gather`](super::gather()).
pub async fn gather_comparison(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    entries: &[String],
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<TraceComparison>> {
    let asker = Asker { sql, tenant };
    let to = to.min(later(from, BAD_WITHIN)).max(later(from, SignedDuration::from_secs(1)));
    for wanted in [queries::first_failed as fn(&Requests<'_>) -> String, queries::slowest] {
        for entry in entries.iter().take(ENTRIES_MAX) {
            let requests = Requests { from, to, service: entry };
            let rows = asker.rows("a bad request", wanted(&requests)).await?;
            if let Some((operation, bad)) = rows.first().and_then(request) {
                return Ok(Some(beside_a_good_one(&asker, entry, operation, bad, from).await?));
            }
        }
    }
    Ok(None)
}

async fn beside_a_good_one(
    asker: &Asker<'_>,
    service: &str,
    operation: String,
    bad: ComparedTrace,
    began: Timestamp,
) -> Result<TraceComparison> {
    let (from, to) = (later(began, -GOOD_FROM), later(began, -GOOD_UNTIL));
    let rows =
        asker.rows("a good request", queries::usual(&Requests { from, to, service }, &operation)).await?;
    let good = rows.first().and_then(request).map(|(_, good)| good);
    let bad_spans = spans(asker, &bad).await?;
    let good_spans = match &good {
        Some(good) => spans(asker, good).await?,
        None => Vec::new(),
    };
    let good_id = good.as_ref().map_or("", |good| good.span_id.as_str());
    let mut rows = align((&bad_spans, &bad.span_id), (&good_spans, good_id));
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    Ok(TraceComparison { service: service.to_owned(), operation, bad, good, rows, left_out })
}

async fn spans(asker: &Asker<'_>, of: &ComparedTrace) -> Result<Vec<TraceSpan>> {
    let (from, to) = (later(of.at, -TRACE_REACH), later(of.at, TRACE_REACH));
    let rows = asker.rows("the spans of a trace", queries::spans(&of.trace_id, from, to)).await?;
    Ok(rows.iter().filter_map(span).collect())
}

fn request(row: &Row) -> Option<(String, ComparedTrace)> {
    let request = ComparedTrace {
        trace_id: text(row, 0)?.to_owned(),
        span_id: text(row, 1)?.to_owned(),
        at: row.get(3)?.as_time()?,
        ms: millis(row, 4),
        failed: is_true(row, 5),
    };
    Some((text(row, 2)?.to_owned(), request))
}

fn span(row: &Row) -> Option<TraceSpan> {
    Some(TraceSpan {
        id: text(row, 0)?.to_owned(),
        parent: text(row, 1).map(str::to_owned),
        service: text(row, 2).unwrap_or_default().to_owned(),
        operation: text(row, 3).unwrap_or_default().to_owned(),
        at: row.get(4)?.as_time()?,
        ms: millis(row, 5),
        failed: is_true(row, 6),
        message: text(row, 7).unwrap_or_default().to_owned(),
    })
}

fn millis(row: &Row, column: usize) -> f64 {
    (number(row, column).unwrap_or(0.0) / 1e6).max(0.0)
}

fn is_true(row: &Row, column: usize) -> bool {
    matches!(row.get(column), Some(SqlValue::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::minute;
    use crate::trace_pair::Went;

    fn row(
        depth: usize,
        operation: &str,
        bad: Option<(f64, bool)>,
        good: Option<(f64, bool)>,
    ) -> AlignedSpan {
        let went = |(own_ms, failed): (f64, bool)| Went {
            ms: own_ms,
            own_ms,
            failed,
            message: if failed { "no connection".to_owned() } else { String::new() },
        };
        let (service, operation) = ("shop".to_owned(), operation.to_owned());
        AlignedSpan { depth, service, operation, bad: bad.map(went), good: good.map(went) }
    }

    #[test]
    fn the_deepest_failure_and_the_largest_loss_are_told_first() {
        let request = |id: &str| ComparedTrace {
            trace_id: id.into(),
            span_id: id.into(),
            at: minute(0),
            ms: 1.0,
            failed: true,
        };
        let mut comparison = TraceComparison {
            service: "shop".into(),
            operation: "pay".into(),
            bad: request("b'ad"),
            good: Some(request("good")),
            rows: vec![
                row(0, "pay", Some((5.0, true)), Some((4.0, false))),
                row(1, "query", Some((900.0, true)), Some((3.0, false))),
                row(1, "audit", None, Some((1.0, false))),
                row(1, "retry", Some((1.0, false)), None),
                row(1, "retry", Some((1.0, false)), None),
            ],
            left_out: 0,
        };
        assert_eq!(
            comparison.differences(),
            [
                "shop query fails in the bad one only: no connection",
                "shop query takes 900 ms of its own, 3 ms in the good one",
                "only in the bad one: shop retry and 1 more",
                "only in the good one: shop audit",
            ]
        );
        assert!(comparison.sql().contains("trace_tree('b''ad')"), "{}", comparison.sql());
        comparison.good = None;
        assert!(comparison.differences().is_empty(), "nothing differs from nothing");
        assert!(!comparison.sql().contains("UNION"));
    }
}
