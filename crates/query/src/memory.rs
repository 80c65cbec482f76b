//! The memory bound of QRY-2: each query has a share of its own, the rest goes to whoever asks first. Within a query
//! those that can do with less divide most of it evenly, so that nobody is left without room to begin.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// Of what a query can get, this much is divided among the merges of spilled runs.
const MERGES_PART: (usize, usize) = (1, 2);
/// Of what those leave, this much is divided among the sorts of series, which have all rows in memory or give way to one
/// that spills.
const SERIES_PART: (usize, usize) = (1, 2);
/// What sorts of series leave to each consumer that can spill: room for some batches.
const SPILLER_BYTES_MIN: usize = 4 << 20;
/// Of what those leave, this much is divided among the other consumers that can spill.
const SPILLERS_PART: (usize, usize) = (3, 4);
/// How DataFusion's sort begins the name of the consumer that merges its spilled runs: refused, it merges fewer at a
/// time, though nothing says that it can; unrefused, it takes all there is.
const MERGE_NAME: &str = "ExternalSorterMerge";

/// How a sort of series begins its name.
pub(crate) const SERIES_NAME: &str = "SeriesSort";

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

    /// The pool of one query; `can_spill` when there is somewhere to spill to.
    pub(crate) fn query_pool(self: &Arc<Self>, can_spill: bool) -> Arc<QueryMemory> {
        Arc::new(QueryMemory { engine: Arc::clone(self), can_spill, held: Mutex::default() })
    }

    fn beyond_share(&self, used: usize) -> usize {
        used.saturating_sub(self.share)
    }
}

/// What one query uses: first its own share, then the common half.
#[derive(Debug)]
pub(crate) struct QueryMemory {
    engine: Arc<EngineMemory>,
    can_spill: bool,
    /// The engine's `common_used` has what this is beyond the share whenever it is not locked.
    held: Mutex<Held>,
}

/// What the consumers of a query hold.
#[derive(Debug, Default)]
struct Held {
    spillers: Kind,
    merges: Kind,
    series: Kind,
    rest: Kind,
    used: usize,
    peak: usize,
}

/// Consumers that are treated alike.
#[derive(Debug, Default)]
struct Kind {
    count: usize,
    used: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Spillers,
    Merges,
    Series,
    Rest,
}

impl Kind {
    /// The fair part of one of them.
    fn share(&self, room: usize, (part, whole): (usize, usize)) -> usize {
        room / whole * part / self.count.max(1)
    }
}

impl Held {
    fn of(&mut self, name: Name) -> &mut Kind {
        match name {
            Name::Spillers => &mut self.spillers,
            Name::Merges => &mut self.merges,
            Name::Series => &mut self.series,
            Name::Rest => &mut self.rest,
        }
    }

    fn grow(&mut self, name: Name, bytes: usize) {
        self.of(name).used += bytes;
        self.used += bytes;
        self.peak = self.peak.max(self.used);
    }

    /// What a consumer may hold of `room`.
    fn bound(&self, name: Name, room: usize) -> usize {
        if name == Name::Rest {
            return room;
        }
        let room = room.saturating_sub(self.rest.used);
        if name == Name::Merges {
            return self.merges.share(room.saturating_sub(self.series.used), MERGES_PART);
        }
        let room = room.saturating_sub(self.merges.used);
        if name == Name::Series {
            let (part, whole) = SPILLERS_PART;
            let spillers = self.spillers.count * SPILLER_BYTES_MIN / part * whole;
            let left = self.series.share(room.saturating_sub(spillers), (1, 1));
            return self.series.share(room, SERIES_PART).min(left);
        }
        self.spillers.share(room.saturating_sub(self.series.used), SPILLERS_PART)
    }
}

impl QueryMemory {
    /// The most bytes held at a time so far.
    pub(crate) fn peak(&self) -> usize {
        self.held().peak
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name_of(&self, consumer: &MemoryConsumer) -> Name {
        match consumer {
            _ if !self.can_spill => Name::Rest,
            consumer if consumer.name().starts_with(MERGE_NAME) => Name::Merges,
            consumer if consumer.name().starts_with(SERIES_NAME) => Name::Series,
            consumer if consumer.can_spill() => Name::Spillers,
            _ => Name::Rest,
        }
    }

    /// What of the common half `additional` bytes more take.
    fn common(&self, held: &Held, additional: usize) -> usize {
        self.engine.beyond_share(held.used.saturating_add(additional)) - self.engine.beyond_share(held.used)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.held().of(self.name_of(consumer)).count += 1;
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.held().of(self.name_of(consumer)).count -= 1;
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut held = self.held();
        self.engine.common_used.fetch_add(self.common(&held, additional), Ordering::AcqRel);
        held.grow(self.name_of(reservation.consumer()), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        let mut held = self.held();
        held.of(self.name_of(reservation.consumer())).used -= bytes;
        held.used -= bytes;
        self.engine.common_used.fetch_sub(self.common(&held, bytes), Ordering::AcqRel);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let name = self.name_of(reservation.consumer());
        let mut held = self.held();
        let engine = &self.engine;
        let others =
            engine.common_used.load(Ordering::Acquire).saturating_sub(engine.beyond_share(held.used));
        let bound = held.bound(name, (engine.share + engine.common).saturating_sub(others));
        let common = self.common(&held, additional);
        let room = |used: usize| used.checked_add(common).filter(|after| *after <= engine.common);
        if reservation.size().saturating_add(additional) <= bound
            && (common == 0
                || engine.common_used.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok())
        {
            held.grow(name, additional);
            return Ok(());
        }
        let who = reservation.consumer().name();
        Err(DataFusionError::ResourcesExhausted(format!("{who} asked for {additional} more bytes")))
    }

    fn reserved(&self) -> usize {
        self.held().used
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
    use super::*;

    #[test]
    fn a_greedy_query_leaves_the_others_their_share() {
        let engine = EngineMemory::new(1_000, 5);
        let greedy: Arc<dyn MemoryPool> = engine.query_pool(false);
        let modest: Arc<dyn MemoryPool> = engine.query_pool(false);
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

    #[test]
    fn sorts_of_series_get_half_of_what_is_left_and_leave_the_rest_to_the_others() {
        const MB: usize = 1 << 20;
        let engine = EngineMemory::new(1_200 * MB, 1);
        let pool: Arc<dyn MemoryPool> = engine.query_pool(true);
        let consumer = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let series = [consumer("SeriesSort[0]"), consumer("SeriesSort[1]")];
        let others = [consumer("other"), consumer("another")];
        for sort in &series {
            sort.try_grow(300 * MB).unwrap();
            assert!(sort.try_grow(1).is_err());
        }
        assert!(others[0].try_grow(225 * MB + 1).is_err());
        others[0].try_grow(225 * MB).unwrap();
        series[0].free();
        others[1].try_grow(337 * MB).unwrap();
    }

    #[test]
    fn sorts_of_series_give_way_where_there_is_little() {
        let engine = EngineMemory::new(32 << 20, 1);
        let pool: Arc<dyn MemoryPool> = engine.query_pool(true);
        let consumer = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let series = consumer("SeriesSort[0]");
        let others: [_; 5] = std::array::from_fn(|number| consumer(&format!("other {number}")));
        while series.try_grow(1 << 18).is_ok() {}
        for other in others {
            other.try_grow(SPILLER_BYTES_MIN).unwrap();
        }
    }

    #[test]
    fn what_many_take_and_give_back_at_once_adds_up() {
        let engine = EngineMemory::new(1_000, 5);
        let pool: Arc<dyn MemoryPool> = engine.query_pool(false);
        std::thread::scope(|threads| {
            for bytes in [60, 90, 130, 170] {
                let ours = MemoryConsumer::new("one of many").register(&pool);
                threads.spawn(move || {
                    for _ in 0..100_000 {
                        ours.try_grow(bytes).unwrap();
                        ours.free();
                    }
                });
            }
        });
        assert_eq!((pool.reserved(), engine.common_used.load(Ordering::Acquire)), (0, 0));
    }

    #[test]
    fn those_that_can_do_with_less_leave_each_other_and_the_rest_their_room() {
        let engine = EngineMemory::new(1_000, 1);
        let pool: Arc<dyn MemoryPool> = engine.query_pool(true);
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let first = spiller("first");
        first.try_grow(750).unwrap();
        assert!(first.try_grow(1).is_err());
        let second = spiller("second");
        assert!(second.try_grow(376).is_err());
        assert!(first.try_grow(0).is_err(), "it has to spill now that there are two");
        first.free();
        second.try_grow(375).unwrap();
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        assert!(merge.try_grow(501).is_err());
        merge.try_grow(500).unwrap();
        assert!(first.try_grow(188).is_err(), "the merge's room is not theirs");
        let rest = MemoryConsumer::new("rest").register(&pool);
        rest.try_grow(125).unwrap();
        assert!(rest.try_grow(1).is_err());
        drop((first, second, merge));
        rest.try_grow(875).unwrap();
        drop(rest);
        assert_eq!((pool.reserved(), engine.common_used.load(Ordering::Acquire)), (0, 0));
    }
}
