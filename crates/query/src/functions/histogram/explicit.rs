//! Histograms with bounds that the sender chose. Pure.

use super::at_most::AtMost;

/// A histogram's counts: one more than there are bounds, the last above all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Explicit {
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<i64>,
}

/// Two histograms that cannot be added.
#[derive(Debug, PartialEq)]
pub(super) struct OtherBounds;

impl Explicit {
    /// Adds the counts. A histogram without buckets adds nothing.
    pub(super) fn add(&mut self, bounds: &[f64], counts: &[i64]) -> Result<(), OtherBounds> {
        if counts.is_empty() {
            return Ok(());
        }
        if self.counts.is_empty() {
            (self.bounds, self.counts) = (bounds.to_vec(), counts.to_vec());
            return Ok(());
        }
        let bounds_differ = self.bounds.iter().zip(bounds).fold(false, |differ, (a, b)| differ | (a != b));
        if bounds_differ || self.bounds.len() != bounds.len() || self.counts.len() != counts.len() {
            return Err(OtherBounds);
        }
        // Negative once a sum does not fit.
        let mut odd = 0;
        for (sum, count) in self.counts.iter_mut().zip(counts) {
            let more = sum.wrapping_add(*count);
            odd |= (*sum ^ more) & (count ^ more);
            *sum = more;
        }
        if odd < 0 {
            for (sum, count) in self.counts.iter_mut().zip(counts) {
                *sum = sum.wrapping_sub(*count).saturating_add(*count);
            }
        }
        Ok(())
    }
}

/// What came between two snapshots of a cumulative histogram; the later one whole when the counts began anew.
pub(super) fn difference(later: &[i64], earlier: &[i64]) -> Vec<i64> {
    let mut between = Vec::with_capacity(later.len());
    push_difference(&mut between, later, earlier);
    between
}

/// Appends what [`difference`] gives.
pub(super) fn push_difference(between: &mut Vec<i64>, later: &[i64], earlier: &[i64]) {
    let held = between.len();
    if later.len() == earlier.len() {
        // Negative once a count fell, or the difference does not fit.
        let mut odd = 0;
        between.extend(later.iter().zip(earlier).map(|(later, earlier)| {
            let more = later.wrapping_sub(*earlier);
            odd |= more | ((later ^ earlier) & (later ^ more));
            more
        }));
        if odd >= 0 {
            return;
        }
        between.truncate(held);
        if later.iter().zip(earlier).all(|(later, earlier)| later >= earlier) {
            between.extend(later.iter().zip(earlier).map(|(later, earlier)| later.saturating_sub(*earlier)));
            return;
        }
    }
    between.extend_from_slice(later);
}

/// The value under which the share `q` of what was counted lies, as Prometheus computes it: straight lines within a
/// bucket, which begins at nought when it is the first and ends above; past the last bound, that bound.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact, and it is an estimate")]
pub(super) fn quantile(q: f64, bounds: &[f64], counts: &[i64]) -> Option<f64> {
    let total: f64 = counts.iter().map(|count| *count as f64).sum();
    if !(0.0..=1.0).contains(&q) || total <= 0.0 || counts.len() != bounds.len() + 1 {
        return None;
    }
    let rank = q * total;
    let mut below = 0.0;
    for (bucket, count) in counts.iter().enumerate() {
        let count = *count as f64;
        if below + count < rank || count <= 0.0 {
            below += count;
            continue;
        }
        let Some(upper) = bounds.get(bucket) else { break };
        let lower = match bucket.checked_sub(1) {
            Some(before) => bounds[before],
            None if *upper > 0.0 => 0.0,
            None => return Some(*upper),
        };
        return Some(lower + (upper - lower) * ((rank - below) / count).clamp(0.0, 1.0));
    }
    bounds.last().copied()
}

/// How many values are at or under `limit`: exact where it is a bound, else the buckets under it are certain and the
/// one around it is not. `None` without buckets.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact")]
pub(super) fn at_most(limit: f64, bounds: &[f64], counts: &[i64]) -> Option<AtMost> {
    // From nought on: the sum of no floats at all is minus nought.
    let sum = |counts: &[i64]| counts.iter().fold(0.0, |sum, count| sum + *count as f64);
    let under = bounds.iter().take_while(|bound| **bound <= limit).count();
    let around = *counts.get(under)? as f64;
    let lower = sum(&counts[..under]);
    let bound_below = under.checked_sub(1).map(|at| bounds[at]);
    let is_bound = bound_below == Some(limit);
    Some(AtMost {
        count: lower,
        lower,
        upper: if is_bound { lower } else { lower + around },
        bound_below,
        bound_above: bounds.get(under).copied(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_lie_on_straight_lines_within_their_bucket() {
        let bounds = [0.1, 0.5, 1.0];
        for (q, counts, expected) in [
            (0.5, [10, 10, 0, 0], Some(0.1)),
            (0.75, [10, 10, 0, 0], Some(0.3)),
            (0.25, [10, 10, 0, 0], Some(0.05)),
            (1.0, [0, 0, 4, 0], Some(1.0)),
            (0.5, [0, 0, 0, 4], Some(1.0)),
            (0.5, [0, 0, 0, 0], None),
            (1.5, [1, 0, 0, 0], None),
            (f64::NAN, [1, 0, 0, 0], None),
        ] {
            let got = quantile(q, &bounds, &counts);
            let close = got.zip(expected).map_or(got == expected, |(got, right)| (got - right).abs() < 1e-12);
            assert!(close, "{q} {counts:?}: {got:?}");
        }
        assert_eq!(quantile(0.5, &[], &[7]), None, "no bound says anything");
        assert_eq!(quantile(0.5, &[1.0], &[7]), None, "too few counts");
        assert_eq!(quantile(0.5, &[-2.0, 5.0], &[4, 0, 0]), Some(-2.0));
    }

    #[test]
    fn only_equal_bounds_add_up() {
        let mut sum = Explicit::default();
        sum.add(&[1.0], &[1, 2]).unwrap();
        sum.add(&[], &[]).unwrap();
        sum.add(&[1.0], &[3, i64::MAX]).unwrap();
        assert_eq!(sum.counts, [4, i64::MAX]);
        assert_eq!(sum.add(&[2.0], &[3, 4]), Err(OtherBounds));
    }

    proptest! {
        #[test]
        fn quantiles_rise_with_the_share_and_stay_within_the_bounds(
            counts in proptest::collection::vec(0_i64..100, 4),
            q in 0.0..1.0_f64, more in 0.0..1.0_f64,
        ) {
            let bounds = [0.5, 1.0, 8.0];
            let (low, high) = (q.min(more), q.max(more));
            match (quantile(low, &bounds, &counts), quantile(high, &bounds, &counts)) {
                (Some(low), Some(high)) => prop_assert!(0.0 <= low && low <= high && high <= 8.0),
                (low, high) => prop_assert!(low.is_none() && high.is_none() && counts.iter().sum::<i64>() == 0),
            }
        }

        #[test]
        fn what_was_added_is_the_difference(
            before in proptest::collection::vec(0_i64..100, 5),
            more in proptest::collection::vec(0_i64..100, 5),
        ) {
            let bounds = [1.0, 2.0, 3.0, 4.0];
            let mut sum = Explicit::default();
            sum.add(&bounds, &before).unwrap();
            sum.add(&bounds, &more).unwrap();
            prop_assert_eq!(difference(&sum.counts, &before), more);
        }

        #[test]
        fn sums_stop_at_the_largest_and_the_smallest(
            pairs in proptest::collection::vec((any::<i64>(), any::<i64>()), 2..5), small in any::<bool>(),
        ) {
            let fit = |n: i64| if small { n >> 2 } else { n };
            let (one, other): (Vec<i64>, Vec<i64>) = pairs.into_iter().map(|(a, b)| (fit(a), fit(b))).unzip();
            let bounds = vec![1.0; one.len() - 1];
            let mut sum = Explicit { bounds: bounds.clone(), counts: one.clone() };
            sum.add(&bounds, &other).unwrap();
            let expected: Vec<i64> = one.iter().zip(&other).map(|(a, b)| a.saturating_add(*b)).collect();
            prop_assert_eq!(sum.counts, expected);
        }

        #[test]
        fn a_count_that_fell_makes_the_later_counts_whole(
            pairs in proptest::collection::vec((-2_i64..5, -2_i64..5), 0..4),
            far in prop_oneof![Just(None), (any::<i64>(), any::<i64>()).prop_map(Some)],
        ) {
            let pairs: Vec<_> = pairs.into_iter().chain(far).collect();
            let (later, earlier): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
            let fell = pairs.iter().any(|(later, earlier)| later < earlier);
            let rose = pairs.iter().map(|(later, earlier)| later.saturating_sub(*earlier)).collect();
            prop_assert_eq!(difference(&later, &earlier), if fell { later.clone() } else { rose });
            prop_assert_eq!(difference(&later, &[&earlier[..], &[0]].concat()), later);
        }
    }
}
