//! Where the values of one group lie: all of them while they are few, then how many are in each of 64 buckets to an
//! octave, so that an estimate is within a hundredth of the value.
//!
//! The buckets are those of HdrHistogram and of exponential histograms of scale 6: a number's exponent and the first
//! six bits of its mantissa, which order as the numbers do.

use std::cmp::Ordering;

/// So many values are kept as they are, and their percentiles are exact.
pub(super) const EXACT_MAX: usize = 256;
/// So many octaves without a value may lie between others: their empty buckets cost less than looking for an octave.
const GAP_MAX: usize = 16;
const MANTISSA_BITS: u32 = 6;
const BUCKETS: usize = 1 << MANTISSA_BITS;
const DROPPED_BITS: u32 = f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS;

/// Values of one group. NaN counts as greater than all others, as in `ORDER BY`.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    /// Every value; once there are buckets, none.
    values: Vec<f64>,
    /// Once there are buckets, the ends of what they hold.
    ends: [f64; 2],
    /// The first octave and how many there are, where none between them is missing …
    first: i32,
    run: u32,
    /// … in any case which there are, ascending …
    octaves: Vec<i32>,
    /// … and how many values are in the buckets of each. At four thousand million, which no query reaches in its time, a
    /// bucket is full and stays as it is.
    counts: Vec<[u32; BUCKETS]>,
}

impl Sketch {
    /// Adds one value. By how many bytes the sketch has grown on the heap.
    pub(super) fn add(&mut self, value: f64) -> usize {
        let value = canonical(value);
        if self.octaves.is_empty() {
            return self.keep(value);
        }
        self.widen(value);
        self.count(place(value), 1)
    }

    fn keep(&mut self, value: f64) -> usize {
        let before = self.heap_bytes();
        self.values.push(value);
        if self.values.len() > EXACT_MAX {
            self.make_buckets();
        }
        self.heap_bytes().saturating_sub(before)
    }

    /// Adds what another one has seen.
    pub(super) fn merge(&mut self, values: &[f64], places: &[i32], counts: &[i64]) {
        if places.is_empty() {
            for value in values {
                self.add(*value);
            }
            return;
        }
        if self.octaves.is_empty() {
            self.make_buckets();
        }
        for value in values {
            self.widen(canonical(*value));
        }
        for (place, count) in places.iter().zip(counts) {
            self.count(*place, u32::try_from(*count).unwrap_or(u32::MAX));
        }
    }

    /// What [`Sketch::merge`] takes: values, places, counts.
    pub(super) fn parts(&self) -> (&[f64], impl Iterator<Item = (i32, i64)> + '_) {
        let buckets = self.buckets().map(|(place, count)| (place, i64::from(count)));
        (if self.octaves.is_empty() { &self.values } else { &self.ends }, buckets)
    }

    /// The value with the share `q` of all values below it, between neighbours along a straight line. None when
    /// there is no value.
    pub(super) fn percentile(&mut self, q: f64) -> Option<f64> {
        if self.octaves.is_empty() {
            self.values.sort_unstable_by(f64::total_cmp);
            return exact(&self.values, q);
        }
        let [least, greatest] = self.ends;
        let total: u64 = self.buckets().map(|(_, count)| u64::from(count)).sum();
        let rank = q * total.saturating_sub(1) as f64;
        let mut before = 0;
        for (place, count) in self.buckets().map(|(place, count)| (place, u64::from(count))) {
            if ((before + count) as f64) > rank {
                let share = (rank - before as f64 + 0.5) / count as f64;
                let estimate = within(place, share.clamp(0.0, 1.0));
                return Some(smaller(larger(estimate, least), greatest));
            }
            before += count;
        }
        Some(greatest)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.values.capacity() * 8 + self.octaves.capacity() * 4 + self.counts.capacity() * 4 * BUCKETS
    }

    fn make_buckets(&mut self) {
        self.ends = [f64::NAN, f64::NEG_INFINITY];
        for value in std::mem::take(&mut self.values) {
            self.widen(value);
            self.count(place(value), 1);
        }
    }

    #[inline]
    fn widen(&mut self, value: f64) {
        let [least, greatest] = self.ends;
        // Nor is it where one of them is NaN.
        let is_within = value >= least && value <= greatest;
        if !is_within {
            self.ends = [smaller(least, value), larger(greatest, value)];
        }
    }

    /// Counts `more` values of a bucket; by how many bytes the sketch has grown.
    #[inline]
    fn count(&mut self, place: i32, more: u32) -> usize {
        let (octave, bucket) = (place >> MANTISSA_BITS, place.rem_euclid(BUCKETS as i32) as usize);
        // Those of one group mostly lie side by side.
        let at = octave.wrapping_sub(self.first).cast_unsigned();
        if at < self.run {
            let count = &mut self.counts[at as usize][bucket];
            *count = count.saturating_add(more);
            return 0;
        }
        self.count_anywhere(octave, bucket, more)
    }

    fn count_anywhere(&mut self, octave: i32, bucket: usize, more: u32) -> usize {
        let before = self.heap_bytes();
        let at = self.octaves.partition_point(|known| *known < octave);
        let mut place = at;
        if self.octaves.get(at) != Some(&octave) {
            // The octave and those that are missing beside it.
            let after = at.checked_sub(1).map(|previous| self.octaves[previous] + 1);
            let next = self.octaves.get(at).copied();
            let near = |from: i32, to: i32| usize::try_from(to - from).is_ok_and(|gap| gap <= GAP_MAX);
            let from = after.filter(|after| near(*after, octave)).unwrap_or(octave);
            let to = next.filter(|next| near(octave + 1, *next)).unwrap_or(octave + 1);
            place += usize::try_from(octave - from).unwrap_or(0);
            self.octaves.splice(at..at, from..to);
            self.counts.splice(at..at, (from..to).map(|_| [0; BUCKETS]));
        }
        let count = &mut self.counts[place][bucket];
        *count = count.saturating_add(more);
        let (first, last) = (self.octaves.first().copied(), self.octaves.last().copied());
        let (first, last) = (first.unwrap_or(octave), last.unwrap_or(octave));
        let count = u32::try_from(self.octaves.len()).unwrap_or(0);
        let are_neighbours = last.wrapping_sub(first).cast_unsigned().checked_add(1) == Some(count);
        (self.first, self.run) = (first, if are_neighbours { count } else { 0 });
        self.heap_bytes() - before
    }

    /// Buckets with values, ascending.
    fn buckets(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        self.octaves.iter().zip(&self.counts).flat_map(|(octave, counts)| {
            let first = octave << MANTISSA_BITS;
            (first..).zip(counts).filter(|(_, count)| **count > 0).map(|(place, count)| (place, *count))
        })
    }
}

/// One nought and one NaN, so that equal values are one.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

/// The bucket of a value; buckets order as values do.
fn place(value: f64) -> i32 {
    let magnitude = ((value.to_bits() & (u64::MAX >> 1)) >> DROPPED_BITS) as i32;
    if value.is_sign_negative() { -magnitude - 1 } else { magnitude }
}

/// The least magnitude in the bucket of positive numbers at `place`.
fn magnitude(place: i32) -> f64 {
    f64::from_bits(u64::from(place.unsigned_abs()) << DROPPED_BITS)
}

/// The value at a share of a bucket's width.
fn within(place: i32, share: f64) -> f64 {
    let (low, high) = if place < 0 {
        (-magnitude(-place), -magnitude(-place - 1))
    } else {
        (magnitude(place), magnitude(place + 1))
    };
    let width = high - low;
    if width.is_finite() {
        low + width * share
    } else if low.is_finite() {
        high
    } else {
        low
    }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b) == Ordering::Greater { b } else { a }
}

fn larger(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b) == Ordering::Less { b } else { a }
}

/// Of sorted values, as `percentile_cont` has it.
fn exact(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = q * last as f64;
    let (low, high) = (sorted[rank.floor() as usize], sorted[(rank.ceil() as usize).min(last)]);
    // Not by subtraction where both are the same infinity.
    Some(if low == high { low } else { low + (high - low) * rank.fract() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.add(*value);
        }
        sketch
    }

    fn merged(parts: &[Sketch]) -> Sketch {
        let mut all = Sketch::default();
        for part in parts {
            let (values, buckets) = part.parts();
            let (places, counts): (Vec<i32>, Vec<i64>) = buckets.unzip();
            all.merge(values, &places, &counts);
        }
        all
    }

    #[test]
    fn few_values_are_exact() {
        assert_eq!(of(&[]).percentile(0.5), None);
        assert_eq!(of(&[4.0]).percentile(0.99), Some(4.0));
        assert_eq!(of(&[3.0, 1.0, 2.0]).percentile(0.5), Some(2.0));
        assert_eq!(of(&[1.0, 2.0]).percentile(0.25), Some(1.25));
        assert_eq!(of(&[f64::INFINITY, f64::INFINITY]).percentile(0.5), Some(f64::INFINITY));
        assert!(of(&[f64::NAN, 1.0]).percentile(1.0).is_some_and(f64::is_nan));
    }

    #[test]
    fn the_ends_of_many_values_are_exact() {
        let mut many = of(&(0..10_000).map(|n| f64::from(n) * 1.7 - 3_000.0).collect::<Vec<_>>());
        assert_eq!(many.percentile(0.0), Some(-3_000.0));
        assert_eq!(many.percentile(1.0), Some(9_999.0 * 1.7 - 3_000.0));
    }

    #[test]
    fn infinities_and_nan_are_among_many_values() {
        let mut values = vec![f64::NEG_INFINITY; 300];
        values.extend([0.0; 300]);
        values.extend([f64::INFINITY; 300]);
        values.extend([f64::NAN; 100]);
        let mut many = of(&values);
        assert_eq!(many.percentile(0.1), Some(f64::NEG_INFINITY));
        assert!(many.percentile(0.45).is_some_and(|value| value.abs() < 1e-300));
        assert_eq!(many.percentile(0.8), Some(f64::INFINITY));
        assert!(many.percentile(0.99).is_some_and(f64::is_nan));
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (-6.0..12.0_f64).prop_map(|exponent| 10_f64.powf(exponent)),
            2 => (-6.0..12.0_f64).prop_map(|exponent| -(10_f64.powf(exponent))),
            1 => Just(0.0),
            1 => Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn an_estimate_is_within_a_sixty_fourth_of_the_values_around_its_rank(
            values in proptest::collection::vec(value(), 1..2_000),
            cuts in proptest::collection::vec(0..2_000_usize, 0..4),
            q in 0.0..=1.0_f64,
        ) {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % values.len()).chain([0, values.len()]).collect();
            ends.sort_unstable();
            let parts: Vec<Sketch> = ends.windows(2).map(|ends| of(&values[ends[0]..ends[1]])).collect();
            let estimate = merged(&parts).percentile(q).unwrap();
            prop_assert_eq!(merged(&parts).percentile(q), of(&values).percentile(q));
            let mut sorted = values;
            sorted.sort_unstable_by(f64::total_cmp);
            let rank = q * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            let slack = |value: f64| value.abs() / 64.0 + 1e-300;
            prop_assert!(estimate >= low - slack(low) && estimate <= high + slack(high), "{low} {estimate} {high}");
        }

        #[test]
        fn buckets_order_as_numbers_do(a in value(), b in value()) {
            let (a, b) = (canonical(a), canonical(b));
            if a < b {
                prop_assert!(place(a) <= place(b));
            }
            for value in [a, b] {
                let at = place(value);
                prop_assert!(within(at, 0.0) <= value && value <= within(at, 1.0));
            }
        }
    }
}
