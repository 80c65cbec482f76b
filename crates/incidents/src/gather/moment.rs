//! Asks SQL for the [`Observations`] around a moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hindsight_model::{SqlSource, SqlValue, Tenant};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Asker, Row, later, moment_queries, number, text, whole};
use crate::evidence::templates::Templates;
use crate::{MetricPoints, MetricSource, Observations, ObservedSpan, Reading, Result};

/// Most spans compared; of more, whole traces are drawn.
pub const SPANS_MAX: u64 = 250_000;
/// Most log records compared; of more, one of every so many.
pub const LOGS_MAX: u64 = 200_000;
/// Most series and points read.
pub(super) const SERIES_MAX: usize = 50_000;
pub(super) const POINTS_MAX: usize = 1_000_000;
/// How long before the moment is compared.
const PAST: SignedDuration = SignedDuration::from_mins(60);
/// How long before it metrics are read that come rarely.
const PAST_OF_COARSE: SignedDuration = SignedDuration::from_hours(12);
/// The same after the moment.
const AFTER: SignedDuration = SignedDuration::from_mins(25);
/// A past that ended longer ago than this is not looked for.
const OLD: SignedDuration = SignedDuration::from_hours(24);
/// Time before the moment that may be tainted.
const TAINTED: SignedDuration = SignedDuration::from_secs(90);
/// How much of an older past is read.
const OLD_PAST: SignedDuration = SignedDuration::from_mins(10);
/// Points of a series before the moment that are enough.
const PAST_POINTS: usize = 20;
/// Severity number of a warning.
const WARNING: i64 = 13;

/// Reads what happened around `at` up to `until`: an hour before, up to 25 minutes after. A signal that is missing in
/// that hour is read from the last ten minutes in which it was there, up to a day back.
///
/// # Errors
/// [`Error::Sql`](crate::Error::Sql) when a query fails, [`Error::Answer`](crate::Error::Answer) when its rows
/// cannot be read.
pub async fn gather_observations(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    at: Timestamp,
    until: Timestamp,
) -> Result<Observations> {
    let asker = Asker { sql, tenant };
    let mut seen = Observations::empty(at);
    let to = until.min(later(at, AFTER));
    seen.until_s = seconds(at, to);
    for (from, to) in stretches(&asker, "spans", at, to).await? {
        spans(&asker, &mut seen, from, to).await?;
    }
    let mut templates = Templates::default();
    for (from, to) in stretches(&asker, "logs", at, to).await? {
        logs(&asker, &mut seen, &mut templates, from, to).await?;
    }
    seen.templates = templates.texts();
    metrics(&asker, &mut seen, to).await?;
    one_name_each(&mut seen);
    Ok(seen)
}

/// What is read of one signal: the hour before to the end, and an older past where the hour has none.
async fn stretches(
    asker: &Asker<'_>,
    table: &'static str,
    at: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, Timestamp)>> {
    let from = later(at, -PAST);
    let mut stretches = vec![(from, to)];
    if newest(asker, table, from, later(at, -TAINTED)).await?.is_none()
        && let Some(last) = newest(asker, table, later(at, -OLD), from).await?
    {
        stretches.insert(0, (later(last, -OLD_PAST), from.min(later(last, SignedDuration::from_secs(1)))));
    }
    Ok(stretches)
}

async fn newest(
    asker: &Asker<'_>,
    table: &'static str,
    from: Timestamp,
    before: Timestamp,
) -> Result<Option<Timestamp>> {
    let rows = asker.rows("the newest row", moment_queries::newest(table, from, before)).await?;
    Ok(rows.first().and_then(|row| row.first()).and_then(SqlValue::as_time))
}

async fn spans(asker: &Asker<'_>, seen: &mut Observations, from: Timestamp, to: Timestamp) -> Result<()> {
    let rows = asker.rows("the number of spans", moment_queries::span_count(from, to)).await?;
    let all = rows.first().map_or(0, |row| whole(row, 0));
    let limit = usize::try_from(2 * SPANS_MAX).unwrap_or(usize::MAX);
    let rows = asker.rows("spans", moment_queries::spans(from, to, share(all), limit)).await?;
    let first = seen.spans.len();
    let mut places: HashMap<(&str, &str), usize> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (Some(trace), Some(id), Some(service), Some(begun)) =
            (text(row, 0), text(row, 1), text(row, 3), row.get(6).and_then(SqlValue::as_time))
        else {
            continue;
        };
        places.insert((trace, id), seen.spans.len());
        let span = ObservedSpan {
            service: seen.names.id(service),
            name: seen.names.id(text(row, 4).unwrap_or_default()),
            at_s: seconds(seen.at, begun),
            ms: (number(row, 7).unwrap_or(0.0) / 1e6).max(0.0),
            parent: None,
            has_parent: text(row, 2).is_some(),
            is_call: matches!(text(row, 5), Some("client" | "producer")),
            failed: matches!(row.get(8), Some(SqlValue::Bool(true))),
        };
        seen.spans.push(span);
    }
    for row in &rows {
        let (Some(trace), Some(id), Some(parent)) = (text(row, 0), text(row, 1), text(row, 2)) else {
            continue;
        };
        if let (Some(own), Some(parent)) = (places.get(&(trace, id)), places.get(&(trace, parent)))
            && own != parent
            && *own >= first
        {
            seen.spans[*own].parent = Some(*parent);
        }
    }
    Ok(())
}

/// The share of all traces that is compared.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(all: u64) -> f64 {
    SPANS_MAX as f64 / all.max(SPANS_MAX) as f64
}

async fn logs(
    asker: &Asker<'_>,
    seen: &mut Observations,
    templates: &mut Templates,
    from: Timestamp,
    to: Timestamp,
) -> Result<()> {
    let rows = asker.rows("the number of logs", moment_queries::log_count(from, to)).await?;
    let every = rows.first().map_or(0, |row| whole(row, 0)).div_ceil(LOGS_MAX);
    let limit = usize::try_from(2 * LOGS_MAX).unwrap_or(usize::MAX);
    for row in asker.rows("log records", moment_queries::logs(from, to, every, limit)).await? {
        let (Some(service), Some(at)) = (text(&row, 0), row.get(1).and_then(SqlValue::as_time)) else {
            continue;
        };
        let severity = match row.get(2) {
            Some(SqlValue::Int(severity)) => *severity,
            _ => 0,
        };
        let service = seen.names.id(service);
        let template = templates.id(service, severity >= WARNING, text(&row, 3).unwrap_or_default());
        let at_s = seconds(seen.at, at);
        seen.logs.push(crate::LogEvent { service, template, at_s, severity });
    }
    Ok(())
}

async fn metrics(asker: &Asker<'_>, seen: &mut Observations, to: Timestamp) -> Result<()> {
    let known: BTreeSet<String> = seen.services().into_iter().map(str::to_owned).collect();
    let near = later(seen.at, -PAST);
    numbers(asker, seen, &known, near, to).await?;
    histograms(asker, seen, &known, near, to).await?;
    let past: Vec<f64> = seen
        .metrics
        .iter()
        .map(|series| crate::statistics::count(series.points.iter().filter(|(at, _)| *at < 0.0).count()))
        .collect();
    let usual = crate::statistics::median(&past).unwrap_or(0.0);
    if usual < crate::statistics::count(PAST_POINTS) {
        seen.metrics.clear();
        numbers(asker, seen, &known, later(seen.at, -PAST_OF_COARSE), to).await?;
        histograms(asker, seen, &known, later(seen.at, -PAST_OF_COARSE), to).await?;
    }
    Ok(())
}

async fn numbers(
    asker: &Asker<'_>,
    seen: &mut Observations,
    known: &BTreeSet<String>,
    from: Timestamp,
    to: Timestamp,
) -> Result<()> {
    let catalogue =
        asker.rows("metric series", moment_queries::series("metrics", from, to, SERIES_MAX)).await?;
    let points = asker.rows("metric points", moment_queries::points(from, to, POINTS_MAX)).await?;
    let by_series = by_series(&points);
    let mut found: BTreeMap<(String, String, String), MetricPoints> = BTreeMap::new();
    for row in &catalogue {
        let Some(SqlValue::Int(id)) = row.first() else { continue };
        let (Some(rows), Some(service)) = (by_series.get(id), owner(row, known)) else { continue };
        let is_counter = text(row, 2) == Some("sum") && matches!(row.get(4), Some(SqlValue::Bool(true)));
        let reading = match (is_counter, text(row, 3)) {
            (true, Some("delta")) => Reading::Amount,
            (true, _) => Reading::Rise,
            _ => Reading::Level,
        };
        let column = match reading {
            Reading::Rise => 4,
            Reading::Amount => 5,
            _ => 3,
        };
        let values: Vec<(f64, f64)> = rows.iter().filter_map(|row| timed(seen.at, row, column)).collect();
        let values = if reading == Reading::Rise { rises(&values) } else { values };
        let metric = text(row, 1).unwrap_or_default().to_owned();
        add(&mut found, row, service, metric, values, MetricSource { series: vec![*id], reading });
    }
    seen.metrics.extend(found.into_values());
    Ok(())
}

/// The rows of each series, which begin with its id.
fn by_series(points: &[Row]) -> HashMap<i64, Vec<&Row>> {
    let mut found: HashMap<i64, Vec<&Row>> = HashMap::new();
    for row in points {
        if let Some(SqlValue::Int(id)) = row.first() {
            found.entry(*id).or_default().push(row);
        }
    }
    found
}

/// Of every histogram its mean, and how many values came.
async fn histograms(
    asker: &Asker<'_>,
    seen: &mut Observations,
    known: &BTreeSet<String>,
    from: Timestamp,
    to: Timestamp,
) -> Result<()> {
    let mut found: BTreeMap<(String, String, String), MetricPoints> = BTreeMap::new();
    for table in moment_queries::HISTOGRAMS {
        let catalogue =
            asker.rows("histogram series", moment_queries::series(table, from, to, SERIES_MAX)).await?;
        if catalogue.is_empty() {
            continue;
        }
        let points =
            asker.rows("histograms", moment_queries::histograms(table, from, to, POINTS_MAX)).await?;
        let by_series = by_series(&points);
        for row in &catalogue {
            let Some(SqlValue::Int(id)) = row.first() else { continue };
            let (Some(rows), Some(service)) = (by_series.get(id), owner(row, known)) else { continue };
            let name = text(row, 1).unwrap_or_default();
            let is_delta = text(row, 3) == Some("delta");
            let read = |column: usize| -> Vec<(f64, f64)> {
                let values: Vec<(f64, f64)> =
                    rows.iter().filter_map(|row| timed(seen.at, row, column)).collect();
                if is_delta { values } else { rises(&values) }
            };
            let (counts, sums) = if is_delta { (read(5), read(6)) } else { (read(3), read(4)) };
            let means =
                counts.iter().zip(&sums).filter(|(n, _)| n.1 > 0.0).map(|(n, sum)| (n.0, sum.1 / n.1));
            let of = |reading| MetricSource { series: vec![*id], reading };
            let mean = of(Reading::HistogramMean { table, is_delta });
            add(&mut found, row, service.clone(), name.to_owned(), means.collect(), mean);
            let count = of(Reading::HistogramCount { table, is_delta });
            add(&mut found, row, service, format!("{name} (requests)"), counts, count);
        }
    }
    seen.metrics.extend(found.into_values());
    Ok(())
}

/// Instances of one service are told apart by their service only: their values are averaged moment by moment.
fn add(
    found: &mut BTreeMap<(String, String, String), MetricPoints>,
    row: &Row,
    service: String,
    metric: String,
    points: Vec<(f64, f64)>,
    source: MetricSource,
) {
    let attributes = text(row, 6).unwrap_or_default().to_owned();
    let unit = text(row, 5).unwrap_or_default().to_owned();
    match found.entry((service.clone(), metric.clone(), attributes.clone())) {
        std::collections::btree_map::Entry::Vacant(place) => {
            let source = Some(source);
            place.insert(MetricPoints { service, metric, attributes, unit, points, source });
        }
        std::collections::btree_map::Entry::Occupied(mut place) => {
            // The worst instance is what hurts; but the mean is what is steady. Points interleave.
            let place = place.get_mut();
            if let Some(known) = &mut place.source {
                known.series.extend(source.series);
            }
            let known = &mut place.points;
            known.extend(points);
            known.sort_by(|a, b| a.0.total_cmp(&b.0));
            *known = by_minute(known);
        }
    }
}

fn by_minute(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut minutes: Vec<(f64, Vec<f64>)> = Vec::new();
    for (at, value) in points {
        match minutes.last_mut().filter(|(first, _)| at - first < 45.0) {
            Some((_, values)) => values.push(*value),
            None => minutes.push((*at, vec![*value])),
        }
    }
    minutes.into_iter().map(|(at, values)| (at, crate::statistics::mean(&values))).collect()
}

fn timed(at: Timestamp, row: &Row, column: usize) -> Option<(f64, f64)> {
    Some((seconds(at, row.get(2)?.as_time()?), number(row, column)?))
}

/// Rise per second between neighbours; a counter that starts anew rises from 0.
fn rises(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .windows(2)
        .filter(|pair| pair[1].0 > pair[0].0)
        .map(|pair| {
            let rise = if pair[1].1 >= pair[0].1 { pair[1].1 - pair[0].1 } else { pair[1].1 };
            (pair[1].0, rise / (pair[1].0 - pair[0].0))
        })
        .collect()
}

/// Whose series it is: the service that a pod, container or instance among its attributes belongs to, else the one
/// that sent it, else the name that such an attribute gives.
pub(super) fn owner(row: &Row, known: &BTreeSet<String>) -> Option<String> {
    const PLACES: [&str; 6] = ["container", "deployment", "workload", "pod", "instance", "app"];
    let of_json = |column: usize| -> BTreeMap<String, Value> {
        text(row, column).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    };
    let (attributes, resource) = (of_json(6), of_json(9));
    let named = |of: &BTreeMap<String, Value>, words: &[&str]| -> Vec<String> {
        let has = |key: &str| words.iter().any(|word| key.to_lowercase().contains(word));
        of.iter().filter(|(key, _)| has(key)).filter_map(|(_, v)| v.as_str().map(str::to_owned)).collect()
    };
    let service = text(row, 7).filter(|name| !name.is_empty() && !name.starts_with("unknown_service"));
    let places = named(&attributes, &PLACES);
    if let Some(found) = places.iter().find_map(|place| service_of(place, known)) {
        return Some(found);
    }
    if let Some(service) = service {
        return Some(service.to_owned());
    }
    let mut others = named(&attributes, &["service", "job"]);
    others.extend(named(&resource, &PLACES));
    others.extend(named(&resource, &["service", "job"]));
    others.extend(text(row, 8).map(str::to_owned));
    let found = others.iter().find_map(|name| service_of(name, known));
    found.or_else(|| places.iter().chain(&others).map(|name| without_suffix(name).to_owned()).next())
}

/// The known service that a pod's or container's name begins with; the longest.
fn service_of(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let bare = without_suffix(name);
    let begins = |service: &&String| {
        bare == service.as_str()
            || name
                .strip_prefix(service.as_str())
                .is_some_and(|rest| rest.starts_with(['-', '.', '_', '/', ':']))
    };
    known.iter().filter(begins).max_by_key(|service| service.len()).cloned()
}

/// A pod's name without what its replica set and its draw added.
fn without_suffix(name: &str) -> &str {
    let is_drawn = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        plain && (part.bytes().any(|b| b.is_ascii_digit()) || part.len() == 5)
    };
    let mut left = name;
    for _ in 0..2 {
        match left.rsplit_once('-') {
            Some((rest, part)) if !part.is_empty() && is_drawn(part) => left = rest,
            _ => break,
        }
    }
    left
}

/// A service that metrics spell in another case than spans is the same one.
fn one_name_each(seen: &mut Observations) {
    let ids: BTreeSet<u32> =
        seen.spans.iter().map(|s| s.service).chain(seen.logs.iter().map(|l| l.service)).collect();
    let names: BTreeMap<String, String> = ids
        .into_iter()
        .map(|id| (seen.names.text(id).to_lowercase(), seen.names.text(id).to_owned()))
        .collect();
    let mut of_metrics: BTreeMap<String, String> = BTreeMap::new();
    for series in &seen.metrics {
        let name = of_metrics.entry(series.service.to_lowercase()).or_insert_with(|| series.service.clone());
        // Of two spellings the one without capitals.
        if series.service > *name {
            *name = series.service.clone();
        }
    }
    for series in &mut seen.metrics {
        let lower = series.service.to_lowercase();
        if let Some(name) = names.get(&lower).or_else(|| of_metrics.get(&lower)) {
            series.service.clone_from(name);
        }
    }
}

fn seconds(at: Timestamp, then: Timestamp) -> f64 {
    then.duration_since(at).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_belongs_to_the_service_that_its_name_begins_with() {
        let known: BTreeSet<String> = ["cart", "cart-db", "travel2"].map(str::to_owned).into();
        for (name, service) in [
            ("cart-6f59d8bb9c-x2k4v", Some("cart")),
            ("cart-db-0", Some("cart-db")),
            ("cart", Some("cart")),
            ("travel2-5f44b9c7d-abcde", Some("travel2")),
            ("cartography-1", None),
        ] {
            assert_eq!(service_of(name, &known).as_deref(), service, "{name}");
        }
        assert_eq!(without_suffix("payment-gateway-7b598fc7d-lmggd"), "payment-gateway");
        assert_eq!(without_suffix("payment-gateway"), "payment-gateway");
    }

    #[test]
    fn counters_become_rates_and_survive_a_restart() {
        assert_eq!(rises(&[(0.0, 100.0), (60.0, 160.0), (120.0, 30.0)]), [(60.0, 1.0), (120.0, 0.5)]);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "shares of exact halves")]
    fn a_draw_of_traces_is_as_large_as_was_asked_for() {
        assert_eq!(share(SPANS_MAX), 1.0);
        assert_eq!(share(2 * SPANS_MAX), 0.5);
    }
}
