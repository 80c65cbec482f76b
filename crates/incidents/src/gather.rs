//! Asks SQL for the [`Telemetry`] of a stretch of time: a handful of bounded queries.

mod comparison;
pub mod comparison_queries;
mod day;
mod flags;
mod moment;
pub mod moment_queries;
pub mod queries;
pub mod reason_queries;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{SqlError, SqlRequest, SqlSource, SqlValue, Tenant};
use jiff::{SignedDuration, Timestamp};

use crate::gather::queries::{GaugeGrain, ROWS_MAX, Sample};
use crate::series::{Series, floor_minute, minutes_between, plus_minutes};
use crate::{
    AttributeCount, CloseUp, Edge, Error, GaugeSeries, Result, ServiceGraph, ServiceSeries, Telemetry,
    VersionSeries,
};

pub use comparison::{ComparedTrace, TraceComparison, gather_comparison};
pub use day::{Minutes, parts};
pub use flags::gather_flag_changes;
pub use moment::{LOGS_MAX, SPANS_MAX, gather_observations};
pub(crate) use sources::{About, gather_sources};

/// Longest stretch gathered at once; of a longer one the latest part is taken.
pub const MINUTES_MAX: i64 = 24 * 60;
/// Requests up to which the calls between services are those of all traces; beyond, of one trace in 8.
const WHOLE_REQUESTS_MAX: f64 = 400_000.0;
/// And beyond so many, of one trace in 64.
const EIGHTH_REQUESTS_MAX: f64 = 8.0 * WHOLE_REQUESTS_MAX;
/// Columns of `spans` whose values may tell who is affected.
const AFFECTED_COLUMNS: [&str; 7] = [
    "http_route",
    "rpc_method",
    "service_version",
    "service_instance_id",
    "host_name",
    "k8s_pod_name",
    "deployment_environment_name",
];

/// Reads what `spans`, `logs` and `metrics` say about the whole minutes of `[from, to)`, cut to the latest
/// [`MINUTES_MAX`]. A minute that has only begun at `to` is left out: half a minute looks like a loss of traffic.
/// Missing signals leave their part empty and a sentence in `gaps`.
///
/// # Errors
/// [`Error::Sql`] when a query fails, [`Error::Answer`] when its rows cannot be read.
pub async fn gather(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
) -> Result<Telemetry> {
    let mut telemetry = whole_minutes(from, to);
    let asker = Asker { sql, tenant };
    requests(&asker, &mut telemetry).await?;
    log_errors(&asker, &mut telemetry).await?;
    versions(&asker, &mut telemetry, None).await?;
    flags::given(&asker, &mut telemetry, None).await?;
    flags::requests(&asker, &mut telemetry).await?;
    edges(&asker, &mut telemetry).await?;
    gauges(&asker, &mut telemetry).await?;
    Ok(telemetry)
}

/// Adds who is affected: the requests of `service` in `[from, to)` by attribute value.
///
/// # Errors
/// As [`gather()`].
pub async fn gather_attributes(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    telemetry: &mut Telemetry,
    service: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<()> {
    let asker = Asker { sql, tenant };
    for column in AFFECTED_COLUMNS {
        let rows = asker.rows("who is affected", queries::attribute(from, to, service, column)).await?;
        telemetry.attributes.extend(rows.iter().filter_map(|row| {
            Some(AttributeCount {
                service: service.to_owned(),
                attribute: column.to_owned(),
                value: text(row, 0)?.to_owned(),
                bad: whole(row, 1),
                good: whole(row, 2),
            })
        }));
    }
    Ok(())
}

/// Adds what happened to `service` around these minutes, in buckets of ten seconds.
///
/// # Errors
/// As [`gather()`].
pub async fn gather_close_ups(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    telemetry: &mut Telemetry,
    service: &str,
    around: &[Timestamp],
) -> Result<()> {
    let asker = Asker { sql, tenant };
    for at in around {
        let mut close = CloseUp::empty(service, *at);
        let rows = asker.rows("requests closely", queries::close_up(close.from, close.to(), service)).await?;
        for row in &rows {
            let Some(index) = row.first().and_then(SqlValue::as_time).and_then(|at| close.index(at)) else {
                continue;
            };
            close.calls[index] = number(row, 1).unwrap_or(0.0);
            close.errors[index] = number(row, 2).unwrap_or(0.0);
        }
        telemetry.close_ups.retain(|known| known.service != service || known.from != close.from);
        telemetry.close_ups.push(close);
    }
    Ok(())
}

/// The service graph of `[from, to)` alone: what joining alerts by distance needs.
///
/// # Errors
/// As [`gather()`].
pub async fn gather_graph(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
) -> Result<ServiceGraph> {
    let asker = Asker { sql, tenant };
    let edges = |sample| queries::edges(from, to, None, sample);
    let (rows, _) = over_traces(&asker, "calls between services", Sample::All, edges).await?;
    let mut graph = ServiceGraph::default();
    for row in &rows {
        if let (Some(caller), Some(callee)) = (text(row, 0), text(row, 1)) {
            graph.add(caller, callee);
        }
    }
    Ok(graph)
}

/// The versions of one service alone: what marks its deploys.
///
/// # Errors
/// As [`gather()`].
pub async fn gather_versions(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
    service: &str,
) -> Result<Telemetry> {
    let mut telemetry = whole_minutes(from, to);
    versions(&Asker { sql, tenant }, &mut telemetry, Some(service)).await?;
    Ok(telemetry)
}

/// Nothing yet, about the whole minutes of `[from, to)`, cut to the latest [`MINUTES_MAX`].
fn whole_minutes(from: Timestamp, to: Timestamp) -> Telemetry {
    let to = floor_minute(to);
    let from = floor_minute(from).max(plus_minutes(to, -MINUTES_MAX)).min(to);
    Telemetry::empty(from, to)
}

type Row = Vec<SqlValue>;

struct Asker<'a> {
    sql: &'a dyn SqlSource,
    tenant: &'a Tenant,
}

impl Asker<'_> {
    async fn rows(&self, what: &'static str, sql: String) -> Result<Vec<Row>> {
        let request = SqlRequest::new(sql).tenant(self.tenant.clone());
        let answer = self.sql.sql(request).await.map_err(|source| Error::Sql { what, source })?;
        answer.rows().map_err(|source| Error::Answer { what, source })
    }
}

/// A time by so much later, or earlier; itself at the end of the calendar.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

async fn requests(asker: &Asker<'_>, telemetry: &mut Telemetry) -> Result<()> {
    let rows = asker.rows("requests", queries::requests(telemetry.from, telemetry.to, None)).await?;
    note(telemetry, "spans of requests", rows.len());
    let minutes = telemetry.minutes();
    for row in &rows {
        let (Some(service), Some(slot)) = (text(row, 0), slot(telemetry, row, 1)) else { continue };
        let series =
            telemetry.services.entry(service.to_owned()).or_insert_with(|| ServiceSeries::empty(minutes));
        series.calls[slot] = number(row, 2);
        series.errors[slot] = number(row, 3);
        series.p50_ms[slot] = number(row, 4);
        series.p95_ms[slot] = number(row, 5);
    }
    let alive: Vec<bool> =
        (0..minutes).map(|slot| telemetry.services.values().any(|s| s.calls[slot].is_some())).collect();
    for series in telemetry.services.values_mut() {
        fill_silence(&mut series.calls, &alive);
        fill_silence(&mut series.errors, &alive);
    }
    Ok(())
}

/// A known service that is not seen in a minute in which others are received nothing in it. A minute in which
/// nobody is seen stays a gap: then it is the telemetry that is missing.
fn fill_silence(series: &mut Series, alive: &[bool]) {
    let first = series.iter().position(Option::is_some).unwrap_or(series.len());
    for (slot, alive) in series.iter_mut().zip(alive).skip(first) {
        if *alive {
            *slot = Some(slot.unwrap_or(0.0));
        }
    }
}

async fn log_errors(asker: &Asker<'_>, telemetry: &mut Telemetry) -> Result<()> {
    let minutes = telemetry.minutes();
    let sending = asker.rows("logs", queries::logging_services(telemetry.from, telemetry.to)).await?;
    note(telemetry, "logs", sending.len());
    // Where logs come at all, a minute without an error record is a zero rather than a gap.
    for service in sending.iter().filter_map(|row| text(row, 0)) {
        let series =
            telemetry.services.entry(service.to_owned()).or_insert_with(|| ServiceSeries::empty(minutes));
        series.log_errors.fill(Some(0.0));
    }
    let rows = asker.rows("error logs", queries::log_errors(telemetry.from, telemetry.to, None)).await?;
    for row in &rows {
        let (Some(service), Some(slot)) = (text(row, 0), slot(telemetry, row, 1)) else { continue };
        if let Some(series) = telemetry.services.get_mut(service) {
            series.log_errors[slot] = number(row, 2);
        }
    }
    Ok(())
}

async fn versions(asker: &Asker<'_>, telemetry: &mut Telemetry, service: Option<&str>) -> Result<()> {
    let rows = asker.rows("versions", queries::versions(telemetry.from, telemetry.to, service)).await?;
    note(telemetry, "`service.version`", rows.len());
    let minutes = telemetry.minutes();
    let mut found: BTreeMap<(String, String), VersionSeries> = BTreeMap::new();
    for row in &rows {
        let (Some(service), Some(version), Some(slot)) =
            (text(row, 0), text(row, 1), slot(telemetry, row, 2))
        else {
            continue;
        };
        let series = found.entry((service.to_owned(), version.to_owned())).or_insert_with(|| VersionSeries {
            service: service.to_owned(),
            version: version.to_owned(),
            spans: vec![None; minutes],
            calls: vec![None; minutes],
            errors: vec![None; minutes],
        });
        series.spans[slot] = number(row, 3);
        series.calls[slot] = number(row, 4);
        series.errors[slot] = number(row, 5);
    }
    telemetry.versions = found.into_values().collect();
    Ok(())
}

async fn edges(asker: &Asker<'_>, telemetry: &mut Telemetry) -> Result<()> {
    let (from, to) = (telemetry.from, telemetry.to);
    let mut found: BTreeMap<(String, String), Edge> = BTreeMap::new();
    let first = first_sample(telemetry);
    let edges = |sample| queries::edges(from, to, None, sample);
    let (between, sample) = over_traces(asker, "calls between services", first, edges).await?;
    note(telemetry, "calls between services", between.len());
    add_edges(telemetry, &mut found, &between, true, sample.weight());
    let peers = |sample| queries::peers(from, to, None, sample);
    let (peers, sample) = over_traces(asker, "calls to peers", sample, peers).await?;
    if peers.len() >= ROWS_MAX {
        note(telemetry, "calls to peers", peers.len());
    }
    add_edges(telemetry, &mut found, &peers, false, sample.weight());
    // A peer by the name of a service whose own spans are seen is that service.
    let known: BTreeSet<&str> = telemetry.services.keys().map(String::as_str).collect();
    for edge in found.values_mut() {
        edge.resolved = edge.resolved || known.contains(edge.callee.as_str());
    }
    telemetry.edges = found.into_values().collect();
    Ok(())
}

/// How many traces a join over spans begins with, by how many requests there are.
fn first_sample(telemetry: &Telemetry) -> Sample {
    let requests: f64 = telemetry.services.values().flat_map(|service| &service.calls).flatten().sum();
    match requests {
        ..WHOLE_REQUESTS_MAX => Sample::All,
        ..EIGHTH_REQUESTS_MAX => Sample::Eighth,
        _ => Sample::SixtyFourth,
    }
}

/// A join over the spans of whole traces: of a sample from `first` on, smaller ones where memory is short.
async fn over_traces(
    asker: &Asker<'_>,
    what: &'static str,
    first: Sample,
    query: impl Fn(Sample) -> String,
) -> Result<(Vec<Row>, Sample)> {
    let mut sample = first;
    loop {
        match (asker.rows(what, query(sample)).await, sample.smaller()) {
            (Err(Error::Sql { source: SqlError::Limit { .. }, .. }), Some(smaller)) => sample = smaller,
            (rows, _) => return Ok((rows?, sample)),
        }
    }
}

/// Adds calls, each counted `weight` times.
fn add_edges(
    telemetry: &Telemetry,
    found: &mut BTreeMap<(String, String), Edge>,
    rows: &[Row],
    resolved: bool,
    weight: f64,
) {
    let minutes = telemetry.minutes();
    for row in rows {
        let (Some(caller), Some(callee), Some(slot)) = (text(row, 0), text(row, 1), slot(telemetry, row, 2))
        else {
            continue;
        };
        let edge = found.entry((caller.to_owned(), callee.to_owned())).or_insert_with(|| Edge {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
            resolved,
            calls: vec![None; minutes],
            errors: vec![None; minutes],
            p95_ms: vec![None; minutes],
        });
        edge.resolved |= resolved;
        let counted = |column: usize| number(row, column).unwrap_or(0.0) * weight;
        edge.calls[slot] = Some(edge.calls[slot].unwrap_or(0.0) + counted(3));
        edge.errors[slot] = Some(edge.errors[slot].unwrap_or(0.0) + counted(4));
        edge.p95_ms[slot] = number(row, 5);
    }
}

async fn gauges(asker: &Asker<'_>, telemetry: &mut Telemetry) -> Result<()> {
    let (from, to) = (telemetry.from, telemetry.to);
    let mut rows = asker.rows("gauges", queries::gauges(from, to, GaugeGrain::Attributes)).await?;
    if rows.len() >= ROWS_MAX {
        // Too many series to tell apart: one per metric says less, but about all the time.
        rows = asker.rows("gauges", queries::gauges(from, to, GaugeGrain::Metric)).await?;
    }
    note(telemetry, "gauges", rows.len());
    let minutes = telemetry.minutes();
    let mut found: BTreeMap<[String; 3], GaugeSeries> = BTreeMap::new();
    for row in &rows {
        let (Some(service), Some(metric), Some(slot)) = (text(row, 0), text(row, 1), slot(telemetry, row, 4))
        else {
            continue;
        };
        // Without attributes the canonical text is `{}`, which merges nothing.
        let attributes = text(row, 2).unwrap_or_default();
        let key = [service.to_owned(), metric.to_owned(), attributes.to_owned()];
        let series = found.entry(key).or_insert_with(|| GaugeSeries {
            service: service.to_owned(),
            metric: metric.to_owned(),
            attributes: attributes.to_owned(),
            unit: text(row, 3).unwrap_or_default().to_owned(),
            values: vec![None; minutes],
        });
        series.values[slot] = number(row, 5);
    }
    telemetry.gauges = found.into_values().collect();
    Ok(())
}

/// Remembers that a signal is missing or was cut.
fn note(telemetry: &mut Telemetry, what: &str, rows: usize) {
    if rows == 0 {
        telemetry.gaps.push(format!("no {what} between {} and {}", telemetry.from, telemetry.to));
    } else if rows >= ROWS_MAX {
        telemetry.gaps.push(format!("only the first {ROWS_MAX} rows about {what} were read"));
    }
}

fn slot(telemetry: &Telemetry, row: &Row, column: usize) -> Option<usize> {
    let at = row.get(column)?.as_time()?;
    usize::try_from(minutes_between(telemetry.from, at)).ok().filter(|slot| *slot < telemetry.minutes())
}

fn text(row: &Row, column: usize) -> Option<&str> {
    row.get(column)?.as_str()
}

fn number(row: &Row, column: usize) -> Option<f64> {
    row.get(column)?.as_f64().filter(|value| value.is_finite())
}

fn whole(row: &Row, column: usize) -> u64 {
    match row.get(column) {
        Some(SqlValue::Int(count)) => u64::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow::array::StringArray;
    use arrow::datatypes::{DataType, Field, Schema};
    use arrow::record_batch::RecordBatch;
    use hindsight_model::SqlAnswer;

    use super::*;
    use crate::testing::minute;

    /// Has memory for one trace in 64 alone; remembers what it was asked.
    #[derive(Default)]
    struct Small(Mutex<Vec<String>>);

    #[async_trait::async_trait]
    impl SqlSource for Small {
        async fn sql(&self, request: SqlRequest) -> std::result::Result<SqlAnswer, SqlError> {
            let has_room = request.sql.contains("<= '03ffffff'");
            self.0.lock().unwrap().push(request.sql);
            if !has_room {
                return Err(SqlError::Limit { limit: "memory", message: "too much".to_owned() });
            }
            let fields = vec![
                Field::new("caller", DataType::Utf8, false),
                Field::new("callee", DataType::Utf8, false),
            ];
            let schema = Arc::new(Schema::new(fields));
            let column = |name: &str| Arc::new(StringArray::from(vec![name]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column("a"), column("b")]).unwrap();
            Ok(SqlAnswer::new(schema, vec![batch]))
        }
    }

    #[tokio::test]
    async fn where_memory_is_short_fewer_traces_are_joined() {
        let small = Small::default();
        let graph = gather_graph(&small, &Tenant::default(), minute(0), minute(30)).await.unwrap();
        assert_eq!(graph.distance("a", "b", 2), Some(1));
        let asked = small.0.into_inner().unwrap();
        let drawn: Vec<usize> =
            asked.iter().map(|sql| sql.matches("substr(trace_id, 25, 8)").count()).collect();
        assert_eq!(drawn, [0, 2, 2], "all, an eighth, a sixty-fourth; caller and callee of the same traces");
    }
}
