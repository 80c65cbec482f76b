use std::collections::BTreeSet;
use std::ops::Range;

use hindsight_model::Incident;
use jiff::Timestamp;

use crate::close_up;
use crate::gather::queries;
use crate::series::{Series, plus_minutes};
use crate::{ChangePoint, ServiceSeries, Telemetry, change_points, format};

/// How long before its detection an incident may have begun.
pub(crate) const LOOKBACK_MINUTES: i64 = 60;
/// How long after the first alert the change may still appear: 2 because minutes are coarse and clocks differ,
/// longer only when nothing was found, for an alert that warned before customers were hurt.
const AFTER_DETECTION_MINUTES: [i64; 3] = [2, 15, 60];
/// A level that kept this share of the rise counts as the same outage, below it as the time before.
pub(crate) const LEVEL_KEPT: f64 = 0.2;
/// Minutes of calm that must follow before an outage counts as mitigated.
const CALM_MINUTES: usize = 3;

/// What was violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Indicator {
    /// Share of requests that failed.
    ErrorShare,
    /// 95th percentile of the duration.
    P95,
    /// Requests received.
    Traffic,
}

impl Indicator {
    /// Every indicator, what hurts customers most first.
    pub const ALL: [Self; 3] = [Self::ErrorShare, Self::P95, Self::Traffic];

    /// `error rate`, `p95 latency` or `traffic`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ErrorShare => "error rate",
            Self::P95 => "p95 latency",
            Self::Traffic => "traffic",
        }
    }

    /// A value of this indicator with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::ErrorShare => format::percent(value),
            Self::P95 => format::millis(value),
            Self::Traffic => format::per_minute(value),
        }
    }

    /// This indicator of one service.
    pub fn series(self, service: &ServiceSeries) -> Series {
        match self {
            Self::ErrorShare => service.error_share(),
            Self::P95 => service.p95_ms.clone(),
            Self::Traffic => service.calls.clone(),
        }
    }

    /// Whether a change from `before` to `after` hurts: traffic by falling, the others by rising.
    pub(crate) fn is_worse(self, before: f64, after: f64) -> bool {
        match self {
            Self::ErrorShare | Self::P95 => after > before,
            Self::Traffic => after < before,
        }
    }

    /// The smallest change worth telling a person about.
    pub(crate) fn is_notable(self, before: f64, after: f64) -> bool {
        let change = (after - before).abs();
        match self {
            Self::ErrorShare => change >= 0.005,
            Self::P95 => change >= (0.25 * before.abs().min(after.abs())).max(1.0),
            Self::Traffic => change >= 0.25 * before.abs().max(after.abs()),
        }
    }
}

/// When customers began to be hurt: the change point of the violated indicator.
#[derive(Clone, Debug, PartialEq)]
pub struct Onset {
    /// When it began: to ten seconds where it was seen closely, else the start of the first bad minute.
    pub at: Timestamp,
    /// Start of the first bad minute of the per-minute series.
    pub minute: Timestamp,
    /// The earliest the data allows.
    pub low: Timestamp,
    /// The latest the data allows.
    pub high: Timestamp,
    /// Whose indicator.
    pub service: String,
    /// Which.
    pub indicator: Indicator,
    /// Level before, in the indicator's unit (share, milliseconds, requests per minute).
    pub before: f64,
    /// Level after.
    pub after: f64,
    /// The SQL that shows it.
    pub sql: String,
}

/// The onset of `incident`: first on the services its alerts name, then on those customers enter by.
pub(crate) fn find(telemetry: &Telemetry, incident: &Incident) -> Option<Onset> {
    let detected = incident.times.detected.unwrap_or(incident.opened_at);
    let named: BTreeSet<&str> = incident.services.iter().map(String::as_str).collect();
    let callers: BTreeSet<String> = callers_of(telemetry, &named);
    let entries = entry_services(telemetry);
    let groups = [
        named.iter().copied().collect::<Vec<_>>(),
        callers.iter().map(String::as_str).collect(),
        entries.iter().map(String::as_str).collect(),
    ];
    let onset = AFTER_DETECTION_MINUTES.into_iter().find_map(|after| {
        let window = plus_minutes(detected, -LOOKBACK_MINUTES)..plus_minutes(detected, after);
        groups.iter().find_map(|services| strongest(telemetry, services, &window))
    })?;
    Some(match close_up::onset_at(telemetry, &onset) {
        Some(at) => Onset { at, low: at, high: at, ..onset },
        None => onset,
    })
}

/// Everything upstream of the named services.
fn callers_of(telemetry: &Telemetry, named: &BTreeSet<&str>) -> BTreeSet<String> {
    let graph = telemetry.graph();
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut rest: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    while let Some(name) = rest.pop() {
        for caller in graph.callers(&name) {
            if found.insert(caller.to_owned()) {
                rest.push(caller.to_owned());
            }
        }
    }
    found
}

/// Services that receive requests while no other service was seen calling them; all services in a cycle.
pub(crate) fn entry_services(telemetry: &Telemetry) -> Vec<String> {
    let graph = telemetry.graph();
    let serving =
        |name: &&String| telemetry.services.get(*name).is_some_and(|s| s.calls.iter().any(Option::is_some));
    let called_by_server = |name: &str| graph.callers(name).any(|caller| serving(&&caller.to_owned()));
    let all: Vec<&String> = telemetry.services.keys().filter(serving).collect();
    let roots: Vec<String> = all.iter().filter(|n| !called_by_server(n)).map(|n| (*n).clone()).collect();
    if roots.is_empty() { all.into_iter().cloned().collect() } else { roots }
}

/// Errors before latency before traffic; within one indicator the largest change relative to its level.
fn strongest(telemetry: &Telemetry, services: &[&str], window: &Range<Timestamp>) -> Option<Onset> {
    Indicator::ALL.into_iter().find_map(|indicator| {
        services
            .iter()
            .filter_map(|service| of_service(telemetry, service, indicator, window))
            .max_by(|a, b| size(a).total_cmp(&size(b)))
    })
}

fn size(onset: &Onset) -> f64 {
    let change = (onset.after - onset.before).abs();
    match onset.indicator {
        Indicator::ErrorShare => change,
        _ => change / onset.before.abs().max(f64::MIN_POSITIVE),
    }
}

fn of_service(
    telemetry: &Telemetry,
    service: &str,
    indicator: Indicator,
    window: &Range<Timestamp>,
) -> Option<Onset> {
    let series = indicator.series(telemetry.services.get(service)?);
    let start = telemetry.index_of(window.start);
    let latest = telemetry.index_of(window.end);
    let points = change_points(series.get(start..)?);
    let point = first_of_the_outage(&points, indicator, latest.saturating_sub(start))?;
    let minute = |index: usize| telemetry.minute_at(start + index);
    let at = minute(point.index);
    Some(Onset {
        at,
        minute: at,
        low: minute(point.low),
        high: minute(point.high),
        service: service.to_owned(),
        indicator,
        before: point.before,
        after: point.after,
        sql: queries::requests(plus_minutes(at, -30), plus_minutes(at, 30), Some(service)),
    })
}

/// The change that began the bad level standing at `latest`: of a climb in several steps, its first. `after` is
/// the worst level of the climb.
fn first_of_the_outage(points: &[ChangePoint], indicator: Indicator, latest: usize) -> Option<ChangePoint> {
    let until: Vec<&ChangePoint> = points.iter().filter(|p| p.index <= latest).collect();
    let last = until.iter().rposition(|p| indicator.is_worse(p.before, p.after))?;
    let mut first = last;
    let peak = until[last].after;
    // Going back: earlier steps belong to the climb while the level between them kept part of the rise.
    while first > 0 {
        let earlier = until[first - 1];
        let base = earlier.before;
        let kept = (earlier.after - base) / (peak - base);
        if !indicator.is_worse(earlier.before, earlier.after) || !kept.is_finite() || kept < LEVEL_KEPT {
            break;
        }
        first -= 1;
    }
    let point = ChangePoint { after: peak, ..*until[first] };
    indicator.is_notable(point.before, point.after).then_some(point)
}

/// When the indicator came back to where it was and stayed there, to ten seconds where it was seen closely; `None`
/// while it has not.
pub(crate) fn mitigated_at(telemetry: &Telemetry, onset: &Onset) -> Option<Timestamp> {
    let minute = calm_minute(telemetry, onset)?;
    Some(close_up::end_at(telemetry, onset, minute).map_or(minute, |end| end.max(onset.at)))
}

/// The first minute at which the indicator is back and stays.
pub(crate) fn calm_minute(telemetry: &Telemetry, onset: &Onset) -> Option<Timestamp> {
    let series = onset.indicator.series(telemetry.services.get(&onset.service)?);
    let start = telemetry.index_of(onset.minute);
    let bound = onset.before + LEVEL_KEPT * (onset.after - onset.before);
    let hurt = |index: &usize| {
        // A minute counts as bad when it or its whole neighbourhood is; one lone bad minute is noise.
        let bad =
            |i: usize| series.get(i).copied().flatten().is_some_and(|v| onset.indicator.is_worse(bound, v));
        bad(*index) && (bad(index + 1) || index.checked_sub(1).is_some_and(bad))
    };
    let last_bad = (start..series.len()).rfind(hurt)?;
    let calm = series[last_bad + 1..].iter().flatten().count();
    let next = (last_bad + 1..series.len()).find(|i| series[*i].is_some())?;
    (calm >= CALM_MINUTES).then(|| telemetry.minute_at(next))
}
