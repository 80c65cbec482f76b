//! Histograms whose bounds are powers of a base: `2^(2^-scale)`. Pure.
//!
//! Source: OpenTelemetry metrics data model, "Exponential Histogram".

use super::at_most::AtMost;

/// Most buckets on one side after a merge; beyond it the buckets are made coarser. Twice what senders use.
const BUCKETS_MAX: i64 = 320;

/// One exponential histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exponential {
    pub(super) scale: i32,
    pub(super) zero_count: i64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

/// Counts of neighbouring buckets; bucket `i` holds the values above `base^i` up to `base^(i+1)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    /// The first bucket's index.
    pub(super) offset: i64,
    pub(super) counts: Vec<i64>,
}

impl Exponential {
    /// Adds another histogram, at the coarser of the two scales.
    pub(super) fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        let scale = self.scale.min(other.scale);
        self.coarsen(scale);
        other.coarsen(scale);
        let steps =
            width_steps(&self.positive, &other.positive).max(width_steps(&self.negative, &other.negative));
        let coarser = scale.saturating_sub(steps);
        self.coarsen(coarser);
        other.coarsen(coarser);
        self.positive.add(&other.positive);
        self.negative.add(&other.negative);
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.zero_threshold = self.zero_threshold.max(other.zero_threshold);
    }

    /// What came after an earlier snapshot of the same cumulative histogram, at the coarser of the two scales; all of
    /// it when some count fell, for then it began anew.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let (mut later, mut before) = (self.clone(), earlier.clone());
        let scale = self.scale.min(earlier.scale);
        later.coarsen(scale);
        before.coarsen(scale);
        before.widen_zero(self.zero_threshold);
        let kept = later.positive.holds(&before.positive) && later.negative.holds(&before.negative);
        if !kept || later.zero_count < before.zero_count {
            return self.clone();
        }
        later.positive.take(&before.positive);
        later.negative.take(&before.negative);
        later.zero_count = later.zero_count.saturating_sub(before.zero_count);
        later
    }

    /// A sender whose zero bucket grew has put in it what lay in the buckets below.
    fn widen_zero(&mut self, threshold: f64) {
        let place = self.place(threshold);
        if threshold <= self.zero_threshold || place.is_nan() {
            return;
        }
        for buckets in [&mut self.positive, &mut self.negative] {
            let offset = buckets.offset;
            for (index, count) in (offset..).zip(&mut buckets.counts) {
                if whole(index) + 1.0 <= place {
                    self.zero_count = self.zero_count.saturating_add(std::mem::take(count));
                }
            }
        }
        self.zero_threshold = threshold;
    }

    fn coarsen(&mut self, scale: i32) {
        let steps = i64::from(self.scale) - i64::from(scale);
        let shift = u32::try_from(steps.clamp(0, 63)).unwrap_or(63);
        self.positive.coarsen(shift);
        self.negative.coarsen(shift);
        self.scale = scale;
    }

    /// The value under which the share `q` of what was counted lies, on a logarithmic line within its bucket.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact, and it is an estimate")]
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.negative.total() + self.zero_count as f64 + self.positive.total();
        if !(0.0..=1.0).contains(&q) || total <= 0.0 {
            return None;
        }
        let mut rank = q * total;
        let mut last = None;
        for (index, count) in self.negative.filled().rev() {
            if rank <= count {
                return Some(-self.between(index, 1.0 - rank / count));
            }
            rank -= count;
            last = Some(-self.between(index, 0.0));
        }
        if self.zero_count > 0 {
            let count = self.zero_count as f64;
            if rank <= count {
                let low = if self.negative.total() > 0.0 { -self.zero_threshold } else { 0.0 };
                return Some(low + (self.zero_threshold - low) * rank / count);
            }
            rank -= count;
            last = Some(self.zero_threshold);
        }
        for (index, count) in self.positive.filled() {
            if rank <= count {
                return Some(self.between(index, rank / count));
            }
            rank -= count;
            last = Some(self.between(index, 1.0));
        }
        last
    }

    /// How many values are at or under `limit`: whole buckets, and of the one around it a share along a logarithmic
    /// line (of the zero bucket, along a straight one).
    pub(super) fn at_most(&self, limit: f64) -> AtMost {
        let mut found = AtMost::default();
        let mut add = |count: f64, share: f64| {
            found.count += count * share;
            found.lower += if share >= 1.0 { count } else { 0.0 };
            found.upper += if share > 0.0 { count } else { 0.0 };
        };
        let place = self.place(limit.abs());
        for (index, count) in self.negative.filled() {
            // From −base^(index+1) to −base^index: those further from nought are the smaller ones.
            add(count, if limit >= 0.0 { 1.0 } else { within(whole(index) + 1.0 - place) });
        }
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact, and it is an estimate")]
        add(self.zero_count as f64, self.share_of_zero(limit));
        for (index, count) in self.positive.filled() {
            add(count, if limit > 0.0 { within(place - whole(index)) } else { 0.0 });
        }
        found
    }

    /// Which share of the zero bucket is at or under `limit`.
    fn share_of_zero(&self, limit: f64) -> f64 {
        let low = if self.negative.total() > 0.0 { -self.zero_threshold } else { 0.0 };
        if limit >= self.zero_threshold {
            1.0
        } else if limit < low {
            0.0
        } else {
            ((limit - low) / (self.zero_threshold - low)).clamp(0.0, 1.0)
        }
    }

    /// How many bucket widths a value above nought lies above one. A bound is a whole number, whatever rounding says.
    fn place(&self, value: f64) -> f64 {
        let place = value.log2() * f64::from(self.scale).exp2();
        if (place - place.round()).abs() < 1e-9 { place.round() } else { place }
    }

    /// The value at this share of the way through a bucket.
    #[expect(clippy::cast_precision_loss, reason = "an index is a power's exponent")]
    fn between(&self, index: i64, share: f64) -> f64 {
        ((index as f64 + share) * f64::from(self.scale.saturating_neg()).exp2()).exp2()
    }
}

#[expect(clippy::cast_precision_loss, reason = "an index is a power's exponent")]
fn whole(index: i64) -> f64 {
    index as f64
}

/// A share from nought to one; nought for what is no number.
fn within(share: f64) -> f64 {
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

impl Buckets {
    fn end(&self) -> i64 {
        self.offset.saturating_add(i64::try_from(self.counts.len()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact, and it is an estimate")]
    fn total(&self) -> f64 {
        self.counts.iter().map(|count| *count as f64).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact, and it is an estimate")]
    fn filled(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> {
        let offset = self.offset;
        let buckets = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        buckets.map(move |(place, count)| {
            (offset.saturating_add(i64::try_from(place).unwrap_or(i64::MAX)), *count as f64)
        })
    }

    /// Each `2^shift` buckets become one.
    fn coarsen(&mut self, shift: u32) {
        if shift == 0 || self.counts.is_empty() {
            return;
        }
        let offset = self.offset >> shift;
        let mut counts: Vec<i64> = Vec::new();
        for (place, count) in self.counts.iter().enumerate() {
            let index = self.offset.saturating_add(i64::try_from(place).unwrap_or(i64::MAX)) >> shift;
            let place = usize::try_from(index - offset).unwrap_or(0);
            if place >= counts.len() {
                counts.resize(place + 1, 0);
            }
            counts[place] = counts[place].saturating_add(*count);
        }
        (self.offset, self.counts) = (offset, counts);
    }

    /// Where a bucket of the same scale is among ours.
    fn slot(&self, index: i64) -> Option<usize> {
        let place = usize::try_from(index.checked_sub(self.offset)?).ok()?;
        (place < self.counts.len()).then_some(place)
    }

    /// Whether no bucket of the other has more than ours.
    fn holds(&self, other: &Self) -> bool {
        (other.offset..).zip(&other.counts).all(|(index, count)| {
            *count <= 0 || self.slot(index).is_some_and(|place| self.counts[place] >= *count)
        })
    }

    /// Takes away what the other has, none of it more than ours.
    fn take(&mut self, other: &Self) {
        for (index, count) in (other.offset..).zip(&other.counts) {
            if let Some(place) = self.slot(index) {
                self.counts[place] = self.counts[place].saturating_sub(*count);
            }
        }
    }

    /// Adds buckets of the same scale.
    fn add(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        let offset = self.offset.min(other.offset);
        let len = usize::try_from(width(self, other, 0)).unwrap_or(0);
        let mut counts = vec![0_i64; len];
        for buckets in [&*self, other] {
            let shift = usize::try_from(buckets.offset - offset).unwrap_or(0);
            for (sum, count) in counts[shift..].iter_mut().zip(&buckets.counts) {
                *sum = sum.saturating_add(*count);
            }
        }
        (self.offset, self.counts) = (offset, counts);
    }
}

/// How many buckets the two take together when each `2^shift` have become one. A side without buckets takes none:
/// the other is kept as it came.
fn width(ours: &Buckets, theirs: &Buckets, shift: i32) -> i64 {
    if ours.counts.is_empty() || theirs.counts.is_empty() {
        return 0;
    }
    let first = ours.offset.min(theirs.offset) >> shift;
    let last = ours.end().max(theirs.end()).saturating_sub(1) >> shift;
    last.saturating_sub(first).saturating_add(1)
}

/// How many times the buckets must become half as many to fit.
fn width_steps(ours: &Buckets, theirs: &Buckets) -> i32 {
    (0..63).find(|shift| width(ours, theirs, *shift) <= BUCKETS_MAX).unwrap_or(63)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(scale: i32, offset: i64, counts: &[i64]) -> Exponential {
        let positive = Buckets { offset, counts: counts.to_vec() };
        Exponential { scale, positive, ..Exponential::default() }
    }

    #[test]
    fn quantiles_lie_on_a_logarithmic_line_from_below_nought_to_above() {
        // Base 2: one value in (1, 2], one in (2, 4].
        let mut histogram = of(0, 0, &[1, 1]);
        assert_eq!(histogram.quantile(0.5), Some(2.0));
        assert_eq!(histogram.quantile(1.0), Some(4.0));
        assert!((histogram.quantile(0.25).unwrap() - 2_f64.sqrt()).abs() < 1e-12);
        histogram.negative = Buckets { offset: 1, counts: vec![2] };
        assert_eq!(histogram.quantile(0.0), Some(-4.0));
        assert_eq!(histogram.quantile(0.5), Some(-2.0));
        histogram.zero_count = 4;
        assert_eq!(histogram.quantile(0.5), Some(0.0));
        assert_eq!(Exponential::default().quantile(0.5), None);
    }

    #[test]
    fn counts_at_or_under_a_limit_are_whole_buckets_and_a_share_of_one() {
        // Base 2: four values in (1, 2], eight in (2, 4]; two about nought, sixteen in [−2, −1).
        let mut histogram = of(0, 0, &[4, 8]);
        histogram.zero_count = 2;
        histogram.zero_threshold = 0.5;
        histogram.negative = Buckets { offset: 0, counts: vec![16] };
        for (limit, count, lower, upper) in [
            (4.0, 30.0, 30.0, 30.0),
            (2.0, 22.0, 22.0, 22.0),
            (8_f64.sqrt(), 26.0, 22.0, 30.0),
            (1.0, 18.0, 18.0, 18.0),
            (0.5, 18.0, 18.0, 18.0),
            (0.0, 17.0, 16.0, 18.0),
            (-1.0, 16.0, 16.0, 16.0),
            (-(2_f64.sqrt()), 8.0, 0.0, 16.0),
            (-2.0, 0.0, 0.0, 0.0),
            (f64::INFINITY, 30.0, 30.0, 30.0),
        ] {
            let got = histogram.at_most(limit);
            assert!((got.count - count).abs() < 1e-9, "{limit}: {got:?}");
            assert_eq!((got.lower, got.upper), (lower, upper), "{limit}");
        }
        let extreme = of(i32::MAX, i64::MIN, &[1]);
        assert!(extreme.at_most(1.0).upper <= 1.0);
    }

    #[test]
    fn what_came_between_two_snapshots_is_found_at_any_scale() {
        let earlier = of(1, 0, &[1, 2, 3]);
        assert_eq!(of(1, 0, &[1, 5, 3, 4]).since(&earlier).positive.counts, [0, 3, 0, 4]);
        // The sender halved its buckets: (1, 2] had three and has ten.
        let coarser = of(0, 0, &[10, 3]).since(&earlier);
        assert_eq!((coarser.scale, coarser.positive.counts), (0, vec![7, 0]));
        // It began anew.
        assert_eq!(of(1, 0, &[1, 1]).since(&earlier), of(1, 0, &[1, 1]));
        assert_eq!(of(1, 5, &[9]).since(&earlier), of(1, 5, &[9]));
        // Its zero bucket grew over the first bucket of base 2.
        let mut wider = of(0, 1, &[4]);
        (wider.zero_count, wider.zero_threshold) = (6, 2.0);
        let got = wider.since(&of(0, 0, &[5, 1]));
        assert_eq!((got.zero_count, got.positive.counts), (1, vec![3]));
        let extreme = of(i32::MAX, i64::MAX, &[1, 1]);
        assert_eq!(extreme.since(&of(i32::MIN, i64::MIN, &[1])).positive.counts.iter().sum::<i64>(), 2);
    }

    #[test]
    fn merging_takes_the_coarser_scale_and_bounds_the_buckets() {
        let mut sum = of(1, 0, &[1, 2, 3, 4]);
        sum.add(&of(0, 1, &[10]));
        assert_eq!(sum, of(0, 0, &[3, 17]));
        // What a hostile sender may write must not become a huge list.
        let mut far = of(20, i64::from(i32::MIN), &[1]);
        far.add(&of(20, i64::from(i32::MAX), &[1]));
        assert!(far.positive.counts.len() <= 320, "{}", far.positive.counts.len());
        assert_eq!(far.positive.counts.iter().sum::<i64>(), 2);
        let mut extreme = of(i32::MAX, i64::from(i32::MIN), &[1]);
        extreme.add(&of(i32::MIN, i64::from(i32::MAX), &[1]));
        assert_eq!(extreme.positive.counts.iter().sum::<i64>(), 2);
    }

    proptest! {
        #[test]
        fn merging_loses_no_count_and_does_not_depend_on_the_order(
            parts in proptest::collection::vec(
                (-3_i32..8, -200_i64..200, proptest::collection::vec(0_i64..9, 1..20)), 1..6),
        ) {
            let parts: Vec<Exponential> = parts.iter().map(|(scale, offset, counts)| of(*scale, *offset, counts)).collect();
            let (mut forth, mut back) = (parts[0].clone(), parts[parts.len() - 1].clone());
            parts[1..].iter().for_each(|part| forth.add(part));
            parts[..parts.len() - 1].iter().rev().for_each(|part| back.add(part));
            let count = |one: &Exponential| one.positive.counts.iter().sum::<i64>();
            prop_assert_eq!(count(&forth), parts.iter().map(count).sum::<i64>());
            prop_assert_eq!(count(&forth), count(&back));
            prop_assert_eq!(forth.scale, back.scale);
        }

        /// What is added comes out again, count for count, whatever the scales.
        #[test]
        fn a_sum_since_one_part_is_the_other(
            first in (-3_i32..8, -200_i64..200, proptest::collection::vec(0_i64..9, 1..20)),
            more in (-3_i32..8, -200_i64..200, proptest::collection::vec(0_i64..9, 1..20)),
        ) {
            let first = of(first.0, first.1, &first.2);
            let more = of(more.0, more.1, &more.2);
            let mut sum = first.clone();
            sum.add(&more);
            let since = sum.since(&first);
            let count = |one: &Exponential| one.positive.counts.iter().sum::<i64>();
            prop_assert_eq!(count(&since), count(&more));
            prop_assert_eq!(since.scale, sum.scale);
        }

        /// A quantile is at most one bucket away from the value itself.
        #[test]
        fn a_quantile_is_near_the_true_one(mut values in proptest::collection::vec(0.001..1000.0_f64, 1..50), q in 0.01..1.0_f64) {
            let scale = 3;
            let index = |value: f64| {
                #[expect(clippy::cast_possible_truncation, reason = "small")]
                let index = (value.log2() * 8.0).ceil() as i64 - 1;
                index
            };
            let mut sum = Exponential { scale, ..Exponential::default() };
            for value in &values {
                sum.add(&of(scale, index(*value), &[1]));
            }
            values.sort_by(f64::total_cmp);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
            let place = (((q * values.len() as f64).ceil() as usize).max(1) - 1).min(values.len() - 1);
            let (got, right) = (sum.quantile(q).unwrap(), values[place]);
            prop_assert!((got / right).log2().abs() <= 1.0 / 8.0 + 1e-9, "{} {}", got, right);
        }
    }
}
