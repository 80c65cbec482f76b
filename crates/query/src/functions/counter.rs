//! What a counter's points say. Pure; the SQL functions around it gather the points.
//!
//! Agreed with the service level objectives: increments are exact, from consecutive points; a drop or a changed
//! start time is a reset, after which the new value counts whole; nothing is extrapolated.

/// One point of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// When, in microseconds.
    pub(super) at: i64,
    pub(super) value: f64,
    /// From when on it counts, where the sender says so.
    pub(super) start: Option<i64>,
    /// Whether the value is what came since the point before, not since the start.
    pub(super) is_delta: bool,
}

/// What one point adds to the one before it; `None` for the first of a cumulative counter.
pub(super) fn increment(before: Option<&Point>, point: &Point) -> Option<f64> {
    if point.is_delta {
        return Some(point.value);
    }
    let before = before?;
    let restarted = before.start.is_some() && point.start.is_some() && before.start != point.start;
    Some(if restarted || point.value < before.value { point.value } else { point.value - before.value })
}

/// The increase that the points show, which must be in time order. `None` when they show none: no point at all, or
/// a single one of a cumulative counter.
pub(super) fn increase(points: &[Point]) -> Option<f64> {
    total(&each(points)).map(|seen| seen.amount)
}

/// The increase for each second of the time that the points cover: from the first point, or the start of what it
/// counted where that is known and it is a delta, to the last.
pub(super) fn rate(points: &[Point]) -> Option<f64> {
    let points = each(points);
    let covered = match points.first()? {
        // What the first delta counts began at an unknown time: it opens the time, but adds nothing.
        first if first.is_delta && first.start.is_none() => covering(first.at, points.get(1..)?)?,
        first if first.is_delta => covering(first.start?, &points)?,
        _ => total(&points)?,
    };
    covered.per_second()
}

/// The same from the last two points only.
pub(super) fn instant_rate(points: &[Point]) -> Option<f64> {
    let points = each(points);
    let last = points.last()?;
    let before = points.len().checked_sub(2).map(|at| &points[at]);
    let from = match last.start {
        Some(start) if last.is_delta => start,
        _ => before?.at,
    };
    Seen { amount: increment(before, last)?, from, to: last.at }.per_second()
}

/// The last value less the first: for gauges, and for sums that may fall.
pub(super) fn difference(points: &[Point]) -> Option<f64> {
    let (first, rest) = points.split_first()?;
    Some(rest.last()?.value - first.value)
}

struct Seen {
    amount: f64,
    from: i64,
    to: i64,
}

impl Seen {
    #[expect(clippy::cast_precision_loss, reason = "a length of time, not an id")]
    fn per_second(&self) -> Option<f64> {
        let micros = self.to.checked_sub(self.from).filter(|micros| *micros > 0)?;
        Some(self.amount / (micros as f64 / 1e6))
    }
}

fn total(points: &[Point]) -> Option<Seen> {
    covering(points.first()?.at, points)
}

fn covering(from: i64, points: &[Point]) -> Option<Seen> {
    let mut amount = None;
    let mut before = None;
    for point in points {
        if let Some(more) = increment(before, point) {
            amount = Some(amount.unwrap_or(0.0) + more);
        }
        before = Some(point);
    }
    Some(Seen { amount: amount?, from, to: points.last()?.at })
}

/// A cumulative point that came twice counts once, the larger of the two.
fn each(points: &[Point]) -> Vec<Point> {
    let mut once: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        match once.last_mut() {
            Some(last) if last.at == point.at && !point.is_delta => {
                if point.value > last.value {
                    *last = *point;
                }
            }
            _ => once.push(*point),
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cumulative(values: &[(i64, f64)]) -> Vec<Point> {
        values
            .iter()
            .map(|(second, value)| Point {
                at: second * 1_000_000,
                value: *value,
                start: None,
                is_delta: false,
            })
            .collect()
    }

    #[test]
    fn a_drop_and_a_changed_start_are_resets() {
        let mut points = cumulative(&[(0, 10.0), (10, 14.0), (20, 3.0), (30, 5.0)]);
        assert_eq!(increase(&points), Some(4.0 + 3.0 + 2.0));
        assert_eq!(rate(&points), Some(9.0 / 30.0));
        assert_eq!(instant_rate(&points), Some(0.2));
        assert_eq!(difference(&points), Some(-5.0));
        // Restarted and already past the old value: only the start time tells.
        points = cumulative(&[(0, 10.0), (10, 14.0)]);
        points[0].start = Some(-50);
        points[1].start = Some(5_000_000);
        assert_eq!(increase(&points), Some(14.0));
        points[1].start = None;
        assert_eq!(increase(&points), Some(4.0));
    }

    #[test]
    fn deltas_are_summed_over_the_time_they_count() {
        let mut points = cumulative(&[(10, 5.0), (20, 7.0)]);
        for point in &mut points {
            point.is_delta = true;
        }
        assert_eq!(increase(&points), Some(12.0));
        assert_eq!(rate(&points), Some(0.7), "the first delta's own time is unknown");
        assert_eq!(rate(&points[..1]), None);
        for point in &mut points {
            point.start = Some(point.at - 10_000_000);
        }
        assert_eq!(rate(&points), Some(0.6));
        assert_eq!(rate(&points[..1]), Some(0.5));
        assert_eq!(instant_rate(&points), Some(0.7));
    }

    #[test]
    fn what_shows_no_increase_gives_none() {
        assert_eq!(increase(&[]), None);
        let one = cumulative(&[(0, 5.0)]);
        assert_eq!(
            (increase(&one), rate(&one), instant_rate(&one), difference(&one)),
            (None, None, None, None)
        );
        let twice = cumulative(&[(0, 5.0), (0, 5.0)]);
        assert_eq!((increase(&twice), rate(&twice)), (None, None));
    }

    proptest! {
        /// However the process restarts, what was counted is what the points show.
        #[test]
        fn restarts_lose_nothing(steps in proptest::collection::vec((0_u32..50, any::<bool>()), 1..40)) {
            let (mut value, mut counted, mut start, mut at) = (0_u32, 0_u32, 0_i64, 0_i64);
            let mut points = vec![Point { at, value: 0.0, start: Some(start), is_delta: false }];
            let mut deltas = Vec::new();
            for (more, restart) in steps {
                let before = at;
                at += 1_000_000;
                if restart {
                    value = 0;
                    start = at - 1;
                }
                value += more;
                counted += more;
                points.push(Point { at, value: f64::from(value), start: Some(start), is_delta: false });
                deltas.push(Point { at, value: f64::from(more), start: Some(before), is_delta: true });
            }
            prop_assert_eq!(increase(&points), Some(f64::from(counted)));
            prop_assert_eq!(increase(&deltas), Some(f64::from(counted)));
            prop_assert_eq!(rate(&points), rate(&deltas));
        }
    }
}
