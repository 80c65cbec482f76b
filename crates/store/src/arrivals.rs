//! How many requests are under way at once, so that the writer knows for how many one sync is worth waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests between arrival and answer.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    inside: AtomicUsize,
    /// The most at once since it was last asked for.
    peak: AtomicUsize,
}

/// Held while a request is under way.
#[derive(Debug)]
pub(crate) struct Inside(Arc<Arrivals>);

impl Arrivals {
    pub(crate) fn enter(self: &Arc<Self>) -> Inside {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(inside, Ordering::Relaxed);
        Inside(Arc::clone(self))
    }

    /// The most requests under way at once since the last call.
    pub(crate) fn take_peak(&self) -> usize {
        self.peak.swap(self.inside.load(Ordering::Relaxed), Ordering::Relaxed)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_of_the_time_since_the_last_question() {
        let arrivals = Arc::new(Arrivals::default());
        let first = arrivals.enter();
        drop(arrivals.enter());
        assert_eq!(arrivals.take_peak(), 2);
        assert_eq!(arrivals.take_peak(), 1, "one is still under way");
        drop(first);
        arrivals.take_peak();
        assert_eq!(arrivals.take_peak(), 0);
    }
}
