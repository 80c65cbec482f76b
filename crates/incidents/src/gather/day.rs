//! Asks SQL for the minutes that a [`Detector`](crate::Detector) follows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hindsight_model::{SqlSource, SqlValue, Tenant};
use jiff::{SignedDuration, Timestamp};

use super::moment::{POINTS_MAX, SERIES_MAX, owner};
use super::{Asker, Row, moment_queries, number, text};
use crate::series::{floor_minute, minutes_between, plus_minutes};
use crate::{Fact, Meaning, Measure, Minute, Result};

/// How long before the minutes the last point of a counter is looked for.
const BEFORE: SignedDuration = SignedDuration::from_mins(16);

/// Reads a long time as minutes, a part at a time, in order.
#[derive(Debug, Default)]
pub struct Minutes {
    /// Every service so far, by its name in lower case.
    known: BTreeMap<String, String>,
    /// Services that have spans of requests; of the others any span is looked at.
    serving: BTreeSet<String>,
}

impl Minutes {
    /// Knows no service yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole minutes of `[from, to)` in which anything was seen, in order. Memory is as much as the part has
    /// services and series in its minutes, so parts of half an hour are large enough.
    ///
    /// # Errors
    /// [`Error::Sql`](crate::Error::Sql) when a query fails, [`Error::Answer`](crate::Error::Answer) when its rows
    /// cannot be read.
    pub async fn read(
        &mut self,
        sql: &dyn SqlSource,
        tenant: &Tenant,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Minute>> {
        let (from, to) = (floor_minute(from), floor_minute(to));
        let asker = Asker { sql, tenant };
        let mut minutes: BTreeMap<Timestamp, Vec<Fact>> = BTreeMap::new();
        self.spans(&asker, &mut minutes, from, to).await?;
        self.records(&asker, &mut minutes, from, to).await?;
        let names: BTreeSet<String> = self.known.values().cloned().collect();
        let mut series = Collected { from, to, known: &self.known, found: BTreeMap::new() };
        numbers(&asker, &mut series, &names).await?;
        histograms(&asker, &mut series, &names).await?;
        let found = std::mem::take(&mut series.found);
        for ((service, metric, kind), by_minute) in found {
            self.known.entry(service.to_lowercase()).or_insert_with(|| service.clone());
            for (at, (sum, n)) in by_minute {
                let metric = metric.clone();
                let measure = match kind {
                    (meaning, true) => Measure::Amount { metric, meaning, times: sum },
                    (meaning, false) => Measure::Level { metric, meaning, value: sum / n },
                };
                minutes.entry(at).or_default().push(Fact { service: service.clone(), measure });
            }
        }
        Ok(minutes.into_iter().map(|(at, facts)| Minute { at, facts }).collect())
    }

    async fn spans(
        &mut self,
        asker: &Asker<'_>,
        minutes: &mut BTreeMap<Timestamp, Vec<Fact>>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<()> {
        let rows = asker.rows("spans by minute", moment_queries::span_minutes(from, to)).await?;
        let is_entry = |row: &Row| matches!(row.get(2), Some(SqlValue::Bool(true)));
        for row in rows.iter().filter(|row| is_entry(row)) {
            self.serving.extend(text(row, 0).map(str::to_owned));
        }
        for row in &rows {
            let (Some(service), Some(at)) = (text(row, 0), row.get(1).and_then(SqlValue::as_time)) else {
                continue;
            };
            self.known.entry(service.to_lowercase()).or_insert_with(|| service.to_owned());
            if !is_entry(row) && self.serving.contains(service) {
                continue;
            }
            let value = |column: usize| number(row, column).unwrap_or(0.0);
            let measure =
                Measure::Requests { all: value(3), failed: value(4), usual_ms: value(5), p95_ms: value(6) };
            minutes.entry(at).or_default().push(Fact { service: service.to_owned(), measure });
        }
        Ok(())
    }

    async fn records(
        &mut self,
        asker: &Asker<'_>,
        minutes: &mut BTreeMap<Timestamp, Vec<Fact>>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<()> {
        for row in &asker.rows("log records by minute", moment_queries::log_minutes(from, to)).await? {
            let (Some(service), Some(at)) = (text(row, 0), row.get(1).and_then(SqlValue::as_time)) else {
                continue;
            };
            self.known.entry(service.to_lowercase()).or_insert_with(|| service.to_owned());
            let value = |column: usize| number(row, column).unwrap_or(0.0);
            let measure = Measure::Records { all: value(2), errors: value(3), warnings: value(4) };
            minutes.entry(at).or_default().push(Fact { service: service.to_owned(), measure });
        }
        Ok(())
    }
}

/// Meaning, and whether it is an amount.
type Kind = (Meaning, bool);
/// By minute the sum of values, and how many they are.
type Sums = BTreeMap<Timestamp, (f64, f64)>;

/// Series of one service, metric and kind together, by minute: sum and number.
struct Collected<'a> {
    from: Timestamp,
    to: Timestamp,
    known: &'a BTreeMap<String, String>,
    found: BTreeMap<(String, String, Kind), Sums>,
}

impl Collected<'_> {
    fn before(&self) -> Timestamp {
        self.from.saturating_sub(BEFORE).unwrap_or(self.from)
    }

    fn add(
        &mut self,
        service: &str,
        metric: &str,
        kind: Kind,
        points: impl Iterator<Item = (Timestamp, f64)>,
    ) {
        let service = self.known.get(&service.to_lowercase()).map_or(service, String::as_str).to_owned();
        let by_minute = self.found.entry((service, metric.to_owned(), kind)).or_default();
        for (at, value) in points.filter(|(at, value)| *at >= self.from && *at < self.to && value.is_finite())
        {
            let known = by_minute.entry(at).or_default();
            *known = (known.0 + value, known.1 + 1.0);
        }
    }
}

/// What a counter counted from one point to the next; one that starts anew counts from 0.
fn rises(points: &[(Timestamp, f64)]) -> impl Iterator<Item = (Timestamp, f64)> {
    points.windows(2).map(|pair| {
        let rise = pair[1].1 - pair[0].1;
        (pair[1].0, if rise < 0.0 { pair[1].1 } else { rise })
    })
}

fn by_series(rows: &[Row]) -> HashMap<i64, Vec<&Row>> {
    let mut by_series: HashMap<i64, Vec<&Row>> = HashMap::new();
    for row in rows {
        if let Some(SqlValue::Int(id)) = row.first() {
            by_series.entry(*id).or_default().push(row);
        }
    }
    by_series
}

fn timed(rows: &[&Row], column: usize) -> Vec<(Timestamp, f64)> {
    rows.iter().filter_map(|row| Some((row.get(1)?.as_time()?, number(row, column)?))).collect()
}

async fn numbers(asker: &Asker<'_>, to: &mut Collected<'_>, names: &BTreeSet<String>) -> Result<()> {
    let (from, until) = (to.before(), to.to);
    let series = moment_queries::series("metrics", from, until, SERIES_MAX);
    let catalogue = asker.rows("metric series", series).await?;
    let points = asker.rows("metric points", moment_queries::points(from, until, POINTS_MAX)).await?;
    let by_series = by_series(&points);
    for row in &catalogue {
        let Some(SqlValue::Int(id)) = row.first() else { continue };
        let (Some(rows), Some(service)) = (by_series.get(id), owner(row, names)) else { continue };
        let name = text(row, 1).unwrap_or_default();
        let meaning =
            Meaning::of_series(name, text(row, 5).unwrap_or_default(), text(row, 6).unwrap_or_default());
        let is_counter = text(row, 2) == Some("sum") && matches!(row.get(4), Some(SqlValue::Bool(true)));
        match (is_counter, text(row, 3)) {
            (true, Some("delta")) => to.add(&service, name, (meaning, true), timed(rows, 5).into_iter()),
            (true, _) => to.add(&service, name, (meaning, true), rises(&timed(rows, 3))),
            _ => to.add(&service, name, (meaning, false), timed(rows, 3).into_iter()),
        }
    }
    Ok(())
}

/// Of every histogram its mean; how many values came where they are failures.
async fn histograms(asker: &Asker<'_>, to: &mut Collected<'_>, names: &BTreeSet<String>) -> Result<()> {
    let (from, until) = (to.before(), to.to);
    for table in moment_queries::HISTOGRAMS {
        let series = moment_queries::series(table, from, until, SERIES_MAX);
        let catalogue = asker.rows("histogram series", series).await?;
        if catalogue.is_empty() {
            continue;
        }
        let points =
            asker.rows("histograms", moment_queries::histograms(table, from, until, POINTS_MAX)).await?;
        let by_series = by_series(&points);
        for row in &catalogue {
            let Some(SqlValue::Int(id)) = row.first() else { continue };
            let (Some(rows), Some(service)) = (by_series.get(id), owner(row, names)) else { continue };
            let name = text(row, 1).unwrap_or_default();
            let (unit, attributes) = (text(row, 5).unwrap_or_default(), text(row, 6).unwrap_or_default());
            let of_counts = Meaning::of_series(&format!("{name} (requests)"), unit, attributes);
            let (counts, sums): (Vec<_>, Vec<_>) = if text(row, 3) == Some("delta") {
                (timed(rows, 5), timed(rows, 6))
            } else {
                (rises(&timed(rows, 3)).collect(), rises(&timed(rows, 4)).collect())
            };
            let means =
                counts.iter().zip(&sums).filter(|(n, _)| n.1 > 0.0).map(|(n, sum)| (n.0, sum.1 / n.1));
            if of_counts == Meaning::Failure {
                to.add(&service, name, (of_counts, true), counts.into_iter());
            } else {
                to.add(&service, name, (Meaning::of(name, unit), false), means);
            }
        }
    }
    Ok(())
}

/// The parts of `[from, to)` that [`Minutes::read`] is asked for.
pub fn parts(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    const PART_MINUTES: i64 = 30;
    let all = minutes_between(floor_minute(from), to);
    let starts = (0..=all / PART_MINUTES).map(|part| plus_minutes(floor_minute(from), part * PART_MINUTES));
    starts.map(|start| (start, plus_minutes(start, PART_MINUTES).min(to))).filter(|(a, b)| a < b).collect()
}
