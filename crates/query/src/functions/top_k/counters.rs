//! Counts of the most frequent of many values in bounded memory.
//!
//! J. Misra and D. Gries, "Finding repeated elements" (1982), in the form that takes as much off all counts as leaves the
//! wanted number of them; two are merged as in P. K. Agarwal et al., "Mergeable summaries" (2012). What was taken off is
//! at most the number of all values by the number of counts, and no more is missing of any value.

use std::collections::HashMap;

/// What a count takes beside its value.
const ENTRY_BYTES: usize = size_of::<(Box<[u8]>, u64)>() + 1;

#[derive(Debug)]
pub(super) struct Counters {
    /// As many are left where some are left out.
    kept: usize,
    counts: HashMap<Box<[u8]>, u64, foldhash::fast::RandomState>,
    /// The bytes of the values.
    bytes: usize,
    missed: u64,
}

impl Counters {
    /// Exact up to twice as many values as are `kept`.
    pub(super) fn new(kept: usize) -> Self {
        Self { kept, counts: HashMap::default(), bytes: 0, missed: 0 }
    }

    /// The value came so many times.
    pub(super) fn add(&mut self, value: &[u8], times: u64) {
        if let Some(count) = self.counts.get_mut(value) {
            *count += times;
            return;
        }
        self.bytes += value.len();
        self.counts.insert(value.into(), times);
        if self.counts.len() > self.kept.saturating_mul(2) {
            self.shrink();
        }
    }

    /// How often any value may have come beyond its count, and those without a count at all.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Others' counts that are added have missed so much.
    pub(super) fn miss(&mut self, times: u64) {
        self.missed += times;
    }

    /// The most frequent with their counts, those that came most often first and equals in order.
    pub(super) fn top(&self, count: usize) -> Vec<(&[u8], u64)> {
        let mut top: Vec<(&[u8], u64)> =
            self.counts.iter().map(|(value, count)| (value.as_ref(), *count)).collect();
        top.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        top.truncate(count);
        top
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.counts.capacity() * ENTRY_BYTES + self.bytes
    }

    /// Takes the greatest count that is too much off all, and forgets those of which nothing is left.
    fn shrink(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, off, _) = counts.select_nth_unstable_by(self.kept, |a, b| b.cmp(a));
        let off = *off;
        self.missed += off;
        let mut bytes = 0;
        self.counts.retain(|value, count| {
            *count = count.saturating_sub(off);
            bytes += if *count > 0 { value.len() } else { 0 };
            *count > 0
        });
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_right_within_what_was_missed(
            parts in prop::collection::vec(
                prop::collection::vec((prop_oneof![3 => 0..4_u8, 1 => 0..60_u8], 1..5_u64), 0..120), 1..4,
            ),
            kept in 1..12_usize,
        ) {
            let mut truth: BTreeMap<u8, u64> = BTreeMap::new();
            let mut whole = Counters::new(kept);
            for part in &parts {
                let mut counters = Counters::new(kept);
                for (value, times) in part {
                    *truth.entry(*value).or_default() += times;
                    counters.add(&[*value], *times);
                }
                prop_assert!(counters.counts.len() <= 2 * kept);
                counters.top(usize::MAX).into_iter().for_each(|(value, count)| whole.add(value, count));
                whole.miss(counters.missed());
            }
            let all: u64 = truth.values().sum();
            prop_assert!(whole.missed() * (kept as u64 + 1) <= all);
            if truth.len() <= 2 * kept && parts.len() == 1 {
                prop_assert_eq!(whole.missed(), 0);
            }
            for (value, times) in &truth {
                let count = whole.counts.get(&[*value][..]).copied().unwrap_or(0);
                prop_assert!(count <= *times && *times <= count + whole.missed(), "{} {} {}", value, count, times);
            }
            let bytes: usize = whole.counts.keys().map(|value| value.len()).sum();
            prop_assert_eq!(whole.bytes, bytes);
            let top = whole.top(3);
            prop_assert!(top.is_sorted_by_key(|(value, count)| (std::cmp::Reverse(*count), value.to_vec())));
        }
    }
}
