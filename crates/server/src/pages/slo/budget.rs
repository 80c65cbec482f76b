//! The figures of an SLO's charts, from its minutes.

use std::collections::BTreeMap;

use hindsight_model::{Evaluation, Outcome, SloSlice, timestamp_from_micros, to_micros};
use jiff::{SignedDuration, Timestamp};

use super::super::range::Range;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Ticks of a tier are a minute apart; more than two of them missing is a gap.
const TICKS_APART: SignedDuration = SignedDuration::from_secs(150);

/// Events of some minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bucket {
    pub(super) good: f64,
    pub(super) total: f64,
}

/// What was left at the end of each minute, where `consumed` is the share of the budget that all of the window's bad
/// events spent together. Each bad event spends the same, so the line ends at `1 − consumed`. Minutes that were never
/// observed are a gap.
pub(super) fn burn_down(slices: &[SloSlice], consumed: f64) -> Vec<(Timestamp, Option<f64>)> {
    let bad = |slice: &SloSlice| (slice.total - slice.good).max(0.0);
    let all: f64 = slices.iter().map(bad).sum();
    let mut points = Vec::with_capacity(slices.len() + 1);
    let mut spent = 0.0;
    let mut last: Option<Timestamp> = None;
    for slice in slices {
        if last != Some(slice.minute) {
            points.extend(last.map(|end| (end, None)));
            points.push((slice.minute, Some(left(spent, all, consumed))));
        }
        spent += bad(slice);
        let end = slice.minute.checked_add(MINUTE).unwrap_or(slice.minute);
        points.push((end, Some(left(spent, all, consumed))));
        last = Some(end);
    }
    points
}

fn left(spent: f64, all: f64, consumed: f64) -> f64 {
    if all > 0.0 { 1.0 - consumed * spent / all } else { 1.0 - consumed }
}

/// The range in buckets of a width that can be seen; one in which no minute was observed is `None`.
pub(super) fn buckets(slices: &[SloSlice], range: &Range) -> Vec<(Timestamp, Option<Bucket>)> {
    let step = range.bucket_minutes() * 60_000_000;
    let mut seen: BTreeMap<i64, Bucket> = BTreeMap::new();
    for slice in slices {
        let bucket = seen.entry(to_micros(slice.minute).div_euclid(step)).or_default();
        bucket.good += slice.good;
        bucket.total += slice.total;
    }
    let first = to_micros(range.from).div_euclid(step);
    let last = (to_micros(range.to) - 1).div_euclid(step);
    let at = |index: i64| timestamp_from_micros(index * step);
    (first..=last).filter_map(|index| Some((at(index)?, seen.get(&index).copied()))).collect()
}

/// The burn rates that a tier read; absences and stops are gaps.
pub(super) fn burn_points(evaluations: &[Evaluation]) -> Vec<(Timestamp, Option<f64>)> {
    let mut points = Vec::with_capacity(evaluations.len());
    let mut last: Option<Timestamp> = None;
    for evaluation in evaluations {
        if let Some(last) = last
            && evaluation.at.duration_since(last) > TICKS_APART
        {
            points.push((last.checked_add(MINUTE).unwrap_or(last), None));
        }
        let burn = match evaluation.outcome {
            Outcome::Value(burn) => Some(burn),
            _ => None,
        };
        points.push((evaluation.at, burn));
        last = Some(evaluation.at);
    }
    points
}

#[cfg(test)]
mod tests {
    use hindsight_model::Tenant;

    use super::super::super::range::RangeQuery;
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_777_903_200 + 60 * minute).unwrap()
    }

    fn slice(minute: i64, bad: f64) -> SloSlice {
        SloSlice {
            tenant: Tenant::default(),
            slo: "s".to_owned(),
            minute: at(minute),
            good: 10.0 - bad,
            total: 10.0,
            revision: 0,
        }
    }

    #[test]
    fn the_burn_down_ends_where_the_status_stands_and_breaks_where_nobody_looked() {
        let points = burn_down(&[slice(0, 0.0), slice(1, 1.0), slice(5, 3.0)], 1.2);
        let want = [
            (at(0), Some(1.0)),
            (at(1), Some(1.0)),
            (at(2), Some(0.7)),
            (at(2), None),
            (at(5), Some(0.7)),
            (at(6), Some(-0.2)),
        ];
        assert_eq!(points.len(), want.len(), "{points:?}");
        for ((at, value), (want_at, want)) in points.iter().zip(want) {
            assert_eq!(*at, want_at);
            assert!(match (value, want) {
                (Some(value), Some(want)) => (value - want).abs() < 1e-9,
                (value, want) => value.is_none() && want.is_none(),
            });
        }
        let calm = burn_down(&[slice(0, 0.0)], 0.0);
        assert_eq!(calm.last().unwrap().1, Some(1.0));
        assert!(burn_down(&[], 0.0).is_empty());
    }

    #[test]
    fn a_bucket_without_an_observed_minute_is_unknown_and_not_zero() {
        let query = RangeQuery { from: Some(at(0).to_string()), to: Some(at(4).to_string()), tz: None };
        let range = Range::parse(&query, at(9)).unwrap();
        let found: Vec<_> = buckets(&[slice(0, 0.0), slice(2, 4.0)], &range);
        let totals: Vec<Option<f64>> = found.iter().map(|(_, b)| b.map(|b| b.total - b.good)).collect();
        assert_eq!(totals, [Some(0.0), None, Some(4.0), None]);
    }
}
