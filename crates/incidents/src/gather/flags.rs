//! Which variants of feature flags services were given, and how the requests fared in which they were.

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{SqlSource, Tenant};
use jiff::Timestamp;

use super::queries::{self, ROWS_MAX, Sample};
use super::{Asker, first_sample, note, number, over_traces, slot, text, whole_minutes};
use crate::{Change, FlagSeries, Result, Telemetry, VersionSeries, flag_changes};

/// Flags of one stretch that are looked at, each service's apart, and variants of all.
const FLAGS_MAX: usize = 100;
const VARIANTS_MAX: usize = 1_000;

/// The changes of feature flags that a service evaluated in the whole minutes of `[from, to)`, cut to the latest
/// [`MINUTES_MAX`]: a variant's first sight after another, or its return after a silence. In order of time.
///
/// # Errors
/// As [`gather`](super::gather()).
pub async fn gather_flag_changes(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
    service: &str,
) -> Result<Vec<Change>> {
    let mut telemetry = whole_minutes(from, to);
    given(&Asker { sql, tenant }, &mut telemetry, Some(service)).await?;
    Ok(flag_changes(&telemetry))
}

/// Which variants were given when; of one service by log events alone.
pub(super) async fn given(asker: &Asker<'_>, telemetry: &mut Telemetry, service: Option<&str>) -> Result<()> {
    // A mark on a chart is not worth reading the events of a day of spans.
    let spans = service.is_none().then(|| first_sample(telemetry));
    let rows = asker.rows("flags", queries::flags(telemetry.from, telemetry.to, service, spans)).await?;
    if rows.len() >= ROWS_MAX {
        note(telemetry, "feature flags", rows.len());
    }
    let minutes = telemetry.minutes();
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut found: BTreeMap<(&str, &str, &str), FlagSeries> = BTreeMap::new();
    for row in &rows {
        let (Some(service), Some(flag), Some(variant), Some(slot)) =
            (text(row, 0), text(row, 1), text(row, 2), slot(telemetry, row, 3))
        else {
            continue;
        };
        let is_full = known.len() >= FLAGS_MAX && !known.contains(&(service, flag));
        if is_full || (found.len() >= VARIANTS_MAX && !found.contains_key(&(service, flag, variant))) {
            continue;
        }
        known.insert((service, flag));
        let series = found.entry((service, flag, variant)).or_insert_with(|| FlagSeries {
            flag: flag.to_owned(),
            given: VersionSeries {
                service: service.to_owned(),
                version: variant.to_owned(),
                spans: vec![None; minutes],
                calls: vec![None; minutes],
                errors: vec![None; minutes],
            },
        });
        series.given.spans[slot] = number(row, 4);
    }
    telemetry.flags = found.into_values().collect();
    Ok(())
}

/// How the requests fared in which flags were evaluated, of those flags that changed: a join by trace. Its counts are
/// not weighted where traces are drawn: a share is as sure as the requests that were looked at are many.
pub(super) async fn requests(asker: &Asker<'_>, telemetry: &mut Telemetry) -> Result<()> {
    let changed: BTreeSet<String> =
        flag_changes(telemetry).into_iter().filter_map(|change| change.flag).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let changed: Vec<String> = changed.into_iter().collect();
    let (from, to) = (telemetry.from, telemetry.to);
    let query = |sample| queries::flag_requests(from, to, &changed, sample);
    let (rows, sample) = over_traces(asker, "requests by flag", first_sample(telemetry), query).await?;
    let mut places: BTreeMap<[String; 3], usize> = BTreeMap::new();
    for (place, series) in telemetry.flags.iter().enumerate() {
        let given = &series.given;
        places.insert([given.service.clone(), series.flag.clone(), given.version.clone()], place);
    }
    for row in &rows {
        let (Some(service), Some(flag), Some(variant), Some(slot)) =
            (text(row, 0), text(row, 1), text(row, 2), slot(telemetry, row, 3))
        else {
            continue;
        };
        let key = [service, flag, variant].map(str::to_owned);
        if let Some(series) = places.get(&key).and_then(|place| telemetry.flags.get_mut(*place)) {
            series.given.calls[slot] = number(row, 4);
            series.given.errors[slot] = number(row, 5);
        }
    }
    if sample != Sample::All {
        telemetry.gaps.push(format!("flags are compared over one trace in {:.0}", sample.weight()));
    }
    Ok(())
}
