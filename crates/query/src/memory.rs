//! The memory bound of QRY-2: each query has a share of its own, the rest goes to whoever asks first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// What all queries of an engine may use together.
#[derive(Debug)]
pub(crate) struct EngineMemory {
    limit: usize,
    share: usize,
    common: usize,
    common_used: AtomicUsize,
}

impl EngineMemory {
    /// `limit` bytes for up to `concurrency` queries at once.
    pub(crate) fn new(limit: usize, concurrency: usize) -> Arc<Self> {
        let share = limit / 2 / concurrency;
        Arc::new(Self { limit, share, common: limit - share * concurrency, common_used: AtomicUsize::new(0) })
    }

    /// What each query may have whatever the others do.
    pub(crate) fn share(&self) -> usize {
        self.share
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The pool of one query.
    pub(crate) fn query_pool(self: &Arc<Self>) -> Arc<QueryMemory> {
        Arc::new(QueryMemory {
            engine: Arc::clone(self),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        })
    }

    fn beyond_share(&self, used: usize) -> usize {
        used.saturating_sub(self.share)
    }
}

/// What one query uses: first its own share, then the common half.
#[derive(Debug)]
pub(crate) struct QueryMemory {
    engine: Arc<EngineMemory>,
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl QueryMemory {
    /// The most bytes held at a time so far.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn held(&self, bytes: usize) {
        self.peak.fetch_max(bytes, Ordering::Relaxed);
    }

    fn take(&self, additional: usize) -> usize {
        let before = self.used.fetch_add(additional, Ordering::AcqRel);
        self.engine.beyond_share(before.saturating_add(additional)) - self.engine.beyond_share(before)
    }

    fn give_back(&self, bytes: usize) -> usize {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        self.engine.beyond_share(before) - self.engine.beyond_share(before.saturating_sub(bytes))
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        let common = self.take(additional);
        self.engine.common_used.fetch_add(common, Ordering::AcqRel);
        self.held(self.reserved());
    }

    fn shrink(&self, _: &MemoryReservation, bytes: usize) {
        let common = self.give_back(bytes);
        self.engine.common_used.fetch_sub(common, Ordering::AcqRel);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let common = self.take(additional);
        let room = |used: usize| used.checked_add(common).filter(|after| *after <= self.engine.common);
        if common == 0
            || self.engine.common_used.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
        {
            self.held(self.reserved());
            return Ok(());
        }
        self.give_back(additional);
        let who = reservation.consumer().name();
        Err(DataFusionError::ResourcesExhausted(format!("{who} asked for {additional} more bytes")))
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.engine.share + self.engine.common)
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query memory, {} bytes used", self.reserved())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;

    #[test]
    fn a_greedy_query_leaves_the_others_their_share() {
        let engine = EngineMemory::new(1_000, 5);
        let greedy: Arc<dyn MemoryPool> = engine.query_pool();
        let modest: Arc<dyn MemoryPool> = engine.query_pool();
        let hog = MemoryConsumer::new("hog").register(&greedy);
        hog.try_grow(600).unwrap();
        assert!(hog.try_grow(1).is_err());
        let small = MemoryConsumer::new("small").register(&modest);
        small.try_grow(100).unwrap();
        assert!(small.try_grow(1).is_err());
        hog.free();
        small.try_grow(500).unwrap();
        drop((hog, small));
        assert_eq!(engine.common_used.load(Ordering::Acquire), 0);
    }
}
