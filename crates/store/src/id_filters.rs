//! Which trace and span ids each block may hold, in memory, so that a look-up by id opens next to no files.
//!
//! Derived and bounded: a block without a filter may hold any id, and the newest blocks have the first claim on
//! the memory. Reading order: `block_filter` (one block), this file (all blocks), `rebuild` (after a restart).

mod block_filter;
mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hindsight_model::Table;
use jiff::Timestamp;
use object_store::path::Path;

pub(crate) use block_filter::BlockFilter;
pub(crate) use rebuild::keep_filled;

use crate::BlockFile;

/// The columns that have filters: what people paste into a search.
pub(crate) fn id_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Spans | Table::Logs => &["trace_id", "span_id"],
        _ => &[],
    }
}

/// The filters of all blocks, bounded in memory (LIM-1). Never wrong about a row that is there; about one that is
/// not, in about one of a hundred questions.
#[derive(Debug)]
pub struct IdFilters {
    bytes_max: usize,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<Path, BlockFilter>,
    /// What goes first when memory runs out: the blocks by the time of their newest row.
    by_age: BTreeSet<(Timestamp, Path)>,
    bytes: usize,
    /// Blocks whose newest row is not above this had no room, or could not be read.
    not_above: Option<(Timestamp, Path)>,
    /// Blocks that could not be read; they are not tried again.
    unreadable: HashSet<Path>,
}

impl Default for IdFilters {
    /// No filters, and no room for any: every block may hold every id.
    fn default() -> Self {
        Self::new(0)
    }
}

impl IdFilters {
    /// Room for `bytes_max` bytes of filters.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: RwLock::default() }
    }

    /// False when no row of `block` has `value` in `column`; true when one may have, also when there is no filter.
    pub fn may_contain(&self, block: &BlockFile, column: &str, value: &str) -> bool {
        self.read().blocks.get(&block.path).is_none_or(|filter| filter.may_contain(column, value))
    }

    /// Whether `column` of `table` has filters at all.
    pub fn covers(&self, table: Table, column: &str) -> bool {
        self.bytes_max > 0 && id_columns(table).contains(&column)
    }

    /// How many blocks have filters now, and how many bytes these take.
    pub fn size(&self) -> (u64, u64) {
        let state = self.read();
        (state.blocks.len() as u64, state.bytes as u64)
    }

    /// Keeps a block's filter, at the price of those with the oldest rows when there is no room.
    pub(crate) fn insert(&self, block: &BlockFile, filter: BlockFilter) {
        let mut state = self.write();
        state.remove(block);
        state.bytes += filter.bytes();
        state.blocks.insert(block.path.clone(), filter);
        state.by_age.insert(age(block));
        state.shrink(self.bytes_max);
    }

    /// Whether a filter for this block would be new and would find room.
    pub(crate) fn wants(&self, block: &BlockFile) -> bool {
        let state = self.read();
        !id_columns(block.table).is_empty()
            && self.bytes_max > 0
            && !state.blocks.contains_key(&block.path)
            && !state.unreadable.contains(&block.path)
            && state.not_above.as_ref().is_none_or(|bound| age(block) > *bound)
    }

    fn give_up(&self, block: &BlockFile) {
        self.write().unreadable.insert(block.path.clone());
    }

    /// Lets go of the filters of blocks that are no longer there.
    fn retain(&self, current: &HashSet<&Path>) {
        let mut state = self.write();
        let State { blocks, by_age, bytes, not_above, unreadable } = &mut *state;
        let before = blocks.len();
        blocks.retain(|path, filter| {
            let stays = current.contains(path);
            *bytes -= if stays { 0 } else { filter.bytes() };
            stays
        });
        by_age.retain(|(_, path)| current.contains(path));
        unreadable.retain(|path| current.contains(path));
        if blocks.len() < before {
            *not_above = None; // there is room again
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, block: &BlockFile) {
        if let Some(filter) = self.blocks.remove(&block.path) {
            self.bytes -= filter.bytes();
            self.by_age.remove(&age(block));
        }
    }

    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(oldest) = self.by_age.pop_first() else { return };
            if let Some(filter) = self.blocks.remove(&oldest.1) {
                self.bytes -= filter.bytes();
            }
            self.not_above = self.not_above.take().max(Some(oldest));
        }
    }
}

fn age(block: &BlockFile) -> (Timestamp, Path) {
    (block.max_timestamp.unwrap_or(Timestamp::MIN), block.path.clone())
}
