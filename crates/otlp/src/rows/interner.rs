//! Resources, scopes, metrics and series that came before: looked up by their bytes instead of being read again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use std::hash::BuildHasher;

use hindsight_model::Table;

use super::owner::{Group, Resource};
use super::points::{Metric, Series};

/// Locks that lookups are spread over.
const SHARDS: usize = 16;
/// Bytes that one kind may hold in one generation; there are two generations of four kinds.
const GENERATION_BYTES_MAX: usize = 40 << 20;
/// What an entry takes beside its key and text, roughly.
const ENTRY_BYTES: usize = 300;

/// What [`crate::decode`] has read before: resources, scopes, metrics and series, which senders repeat in every
/// request. One for a store; memory is bounded, and what has not been seen for long is forgotten.
///
/// It changes nothing in what decoding gives: only that rows of one series share one [`hindsight_model::Owner`].
#[derive(Debug, Default)]
pub struct Interner {
    next_id: AtomicU64,
    pub(super) resources: Cache<Resource>,
    pub(super) groups: Cache<Group>,
    pub(super) metrics: Cache<Metric>,
    pub(super) series: Cache<Series>,
    /// Bytes of the groups' scripts.
    pub(super) script_bytes: Arc<AtomicUsize>,
    /// Rows of each table in the last request that had any.
    last_rows: [AtomicUsize; Table::ALL.len()],
}

impl Interner {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn last_rows(&self, table: Table) -> usize {
        self.last_rows[table.index()].load(Ordering::Relaxed)
    }

    pub(super) fn note_rows(&self, table: Table, rows: usize) {
        self.last_rows[table.index()].store(rows, Ordering::Relaxed);
    }

    /// A number that no other entry has.
    pub(super) fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// Entries by their bytes, in two generations: a full one becomes the old one, and what is still used moves up.
#[derive(Debug)]
pub(super) struct Cache<T> {
    hasher: RandomState,
    shards: Box<[Mutex<Shard<T>>]>,
}

#[derive(Debug)]
struct Shard<T> {
    young: Generation<T>,
    old: Generation<T>,
}

#[derive(Debug)]
struct Generation<T> {
    entries: HashMap<Box<[u8]>, Arc<T>, RandomState>,
    bytes: usize,
}

impl<T> Default for Generation<T> {
    fn default() -> Self {
        Self { entries: HashMap::default(), bytes: 0 }
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        let shard = || Mutex::new(Shard { young: Generation::default(), old: Generation::default() });
        Self { hasher: RandomState::default(), shards: (0..SHARDS).map(|_| shard()).collect() }
    }
}

impl<T> Cache<T> {
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<T>> {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.young.entries.get(key) {
            return Some(Arc::clone(entry));
        }
        let (key, entry) = shard.old.entries.remove_entry(key)?;
        shard.add(key, Arc::clone(&entry));
        Some(entry)
    }

    pub(super) fn add(&self, key: &[u8], entry: &Arc<T>) {
        self.shard(key).add(key.into(), Arc::clone(entry));
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard<T>> {
        let shard = (self.hasher.hash_one(key) >> 57) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shard<T> {
    fn add(&mut self, key: Box<[u8]>, entry: Arc<T>) {
        // The text that was read from the key is about as long as the key.
        let bytes = 2 * key.len() + ENTRY_BYTES;
        if self.young.bytes + bytes > GENERATION_BYTES_MAX / SHARDS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        self.young.entries.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let cache = Cache::default();
        cache.add(b"used", &Arc::new(0));
        cache.add(b"once", &Arc::new(1));
        for number in 0..600_000_u32 {
            cache.add(&number.to_le_bytes(), &Arc::new(number));
            assert!(cache.get(b"used").is_some());
        }
        assert!(cache.get(b"once").is_none());
        let held: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().young.bytes).sum();
        assert!(held <= GENERATION_BYTES_MAX);
    }
}
