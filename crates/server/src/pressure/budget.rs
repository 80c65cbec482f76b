//! Bytes that the bodies of all requests may take at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A body of at most this share of the whole counts as small: the last quarter of the budget is kept for small ones,
/// so that a few large and slow bodies do not shut everybody out.
const SMALL_SHARE: usize = 64;

/// A count of bytes that never exceeds its bound.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

/// There is no room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: AtomicUsize::new(0) }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// A charge of nothing, to be grown.
    pub(crate) fn charge(self: &Arc<Self>) -> Charge {
        Charge { budget: Arc::clone(self), bytes: 0 }
    }

    /// The bound for somebody who would hold `bytes`.
    fn ceiling(&self, bytes: usize) -> usize {
        if bytes <= self.bytes_max / SMALL_SHARE {
            self.bytes_max
        } else {
            self.bytes_max - self.bytes_max / 4
        }
    }
}

/// One request's part of a budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// Holds `bytes` more, or as much as before.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let after = self.bytes.checked_add(bytes).ok_or(Full)?;
        let ceiling = self.budget.ceiling(after);
        let room = |used: usize| used.checked_add(bytes).filter(|used| *used <= ceiling);
        self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| Full)?;
        self.bytes = after;
        Ok(())
    }

    /// Holds at least `bytes`.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        if bytes > self.bytes { self.grow(bytes - self.bytes) } else { Ok(()) }
    }

    /// Holds at most `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.budget.used.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_leave_a_quarter_to_small_ones_and_everything_comes_back() {
        let budget = Arc::new(Budget::new(6_400));
        let mut large = budget.charge();
        assert_eq!(large.grow(4_801), Err(Full));
        assert_eq!(large.grow(4_800), Ok(()));
        assert_eq!(budget.charge().grow(101), Err(Full));
        let mut small: Vec<Charge> = (0..16).map(|_| budget.charge()).collect();
        for charge in &mut small {
            assert_eq!(charge.grow(100), Ok(()));
        }
        assert_eq!(budget.used(), 6_400);
        assert_eq!(budget.charge().grow(1), Err(Full));
        large.shrink_to(10);
        assert_eq!((large.bytes(), budget.used()), (10, 1_610));
        drop((large, small));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn no_number_is_too_large_to_be_refused() {
        let budget = Arc::new(Budget::new(100));
        let mut charge = budget.charge();
        charge.grow(1).unwrap();
        assert_eq!(charge.grow(usize::MAX), Err(Full));
        assert_eq!(charge.grow_to(usize::MAX), Err(Full));
        assert_eq!(charge.grow_to(1), Ok(()));
        assert_eq!(budget.used(), 1);
    }

    #[test]
    fn many_threads_never_hold_more_than_there_is() {
        let budget = Arc::new(Budget::new(1_000));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for bytes in 0..2_000 {
                        let mut charge = budget.charge();
                        if charge.grow(bytes % 200).is_ok() {
                            assert!(budget.used() <= 1_000);
                        }
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
