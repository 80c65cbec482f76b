//! Incidents from the telemetry alone: when those who enter a system began to be hurt, and when they were well again.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use crate::onset::{LEVEL_KEPT, entry_services};
use crate::{ChangePoint, Indicator, Telemetry, change_points};

/// Bad stretches nearer than this are one incident.
const MERGE_MINUTES: usize = 10;
/// Minutes of calm that end a stretch.
const CALM_MINUTES: usize = 3;
/// A shorter stretch is a blip.
const MINUTES_MIN: usize = 2;
/// Most incidents of one stretch of telemetry.
const DETECTED_MAX: usize = 200;

/// A stretch in which customers were hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// Start of its first bad minute.
    pub opened_at: Timestamp,
    /// End of its last bad minute; `None` while it lasts.
    pub closed_at: Option<Timestamp>,
    /// The services through whose door customers came.
    pub services: Vec<String>,
}

/// Every stretch in which the error rate or the p95 latency of a service that customers enter by stood on a worse
/// level than before, in order of time. Change points are those of the onset, so what is no step is no incident.
/// Pure; looks at the whole telemetry, so what it finds at its end may still change with more of it.
pub fn detect(telemetry: &Telemetry) -> Vec<Detected> {
    let mut bad: Vec<(Range<usize>, String)> = Vec::new();
    for service in entry_services(telemetry) {
        let Some(series) = telemetry.services.get(&service) else { continue };
        for indicator in [Indicator::ErrorShare, Indicator::P95] {
            let values = indicator.series(series);
            for point in change_points(&values) {
                if indicator.is_worse(point.before, point.after)
                    && indicator.is_notable(point.before, point.after)
                {
                    let stretch = point.index..end_of(&values, indicator, &point);
                    if stretch.len() >= MINUTES_MIN {
                        bad.push((stretch, service.clone()));
                    }
                }
            }
        }
    }
    merged(bad)
        .into_iter()
        .take(DETECTED_MAX)
        .map(|(stretch, services)| Detected {
            opened_at: telemetry.minute_at(stretch.start),
            closed_at: (stretch.end < telemetry.minutes()).then(|| telemetry.minute_at(stretch.end)),
            services,
        })
        .collect()
}

/// One past the last bad minute of the level that began at `point`.
fn end_of(values: &[Option<f64>], indicator: Indicator, point: &ChangePoint) -> usize {
    let bound = point.before + LEVEL_KEPT.max(0.5) * (point.after - point.before);
    let mut last_bad = point.index;
    let mut calm = 0;
    for (index, value) in values.iter().enumerate().skip(point.index) {
        let Some(value) = value else { continue };
        if indicator.is_worse(bound, *value) {
            (last_bad, calm) = (index, 0);
        } else {
            calm += 1;
            if calm >= CALM_MINUTES {
                return last_bad + 1;
            }
        }
    }
    if calm > 0 { last_bad + 1 } else { values.len() }
}

/// Stretches that overlap or nearly touch, together.
fn merged(mut bad: Vec<(Range<usize>, String)>) -> Vec<(Range<usize>, Vec<String>)> {
    bad.sort_by(|a, b| (a.0.start, a.0.end, &a.1).cmp(&(b.0.start, b.0.end, &b.1)));
    let mut merged: Vec<(Range<usize>, Vec<String>)> = Vec::new();
    for (stretch, service) in bad {
        match merged.last_mut().filter(|(known, _)| stretch.start <= known.end + MERGE_MINUTES) {
            Some((known, services)) => {
                known.end = known.end.max(stretch.end);
                if !services.contains(&service) {
                    services.push(service);
                }
            }
            None => merged.push((stretch, vec![service])),
        }
    }
    merged
}

/// The whole minutes that telemetry is read in for detection: at most a day at once, with an hour of the day before,
/// so that a level has a past.
pub fn days(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    const DAY: SignedDuration = SignedDuration::from_hours(23);
    const PAST: SignedDuration = SignedDuration::from_hours(1);
    let later = |at: Timestamp, by: SignedDuration| at.saturating_add(by).unwrap_or(to);
    let mut days = Vec::new();
    let mut start = from;
    while start < to {
        let end = later(start, DAY).min(to);
        days.push((later(start, -PAST).max(from), end));
        start = end;
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, minute};

    fn world(share: impl Fn(usize) -> f64) -> World {
        let mut world = World::new(7);
        world.service("web", |_| 200.0, share, |_| 40.0);
        world
    }

    #[test]
    fn a_calm_day_has_no_incident_and_a_bad_half_hour_is_one() {
        assert_eq!(detect(&world(|_| 0.01).telemetry), []);
        let found = detect(&world(|i| if (60..90).contains(&i) { 0.3 } else { 0.01 }).telemetry);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].opened_at, found[0].closed_at), (minute(60), Some(minute(90))));
        assert_eq!(found[0].services, ["web"]);
    }

    #[test]
    fn what_lasts_to_the_end_is_still_open_and_two_far_apart_are_two() {
        let found = detect(&world(|i| if (30..40).contains(&i) || i >= 100 { 0.4 } else { 0.0 }).telemetry);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].opened_at, minute(30));
        assert_eq!((found[1].opened_at, found[1].closed_at), (minute(100), None));
    }

    #[test]
    fn a_long_time_is_read_by_days_that_overlap() {
        let days = days(minute(0), minute(60 * 50));
        assert_eq!(days.len(), 3);
        assert_eq!(days[0].0, minute(0));
        assert_eq!(days[1].0, minute(60 * 22));
        assert_eq!(days[2].1, minute(60 * 50));
    }
}
