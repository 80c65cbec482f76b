//! The blocks of one table and tenant in the order of time, shared by the catalogue and every snapshot of it.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

use crate::BlockFile;

/// Blocks in the order of their earliest `timestamp`, then of their path. A clone shares the list.
///
/// A block without statistics may hold any time, so it stands first and is in every range.
#[derive(Clone, Debug, Default)]
pub struct BlockList {
    sorted: Arc<Sorted>,
}

#[derive(Clone, Debug, Default)]
struct Sorted {
    blocks: Vec<Arc<BlockFile>>,
    /// The latest `timestamp` in `blocks[..=i]`: it never falls, so the first block of a range is searched for.
    latest: Vec<Timestamp>,
}

impl BlockList {
    /// The blocks that may hold a row from `from` to `to`, both ends included; `None` is no bound.
    /// Searches for both ends of the range instead of looking at every block.
    pub fn overlapping(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> impl Iterator<Item = &Arc<BlockFile>> {
        let from = from.unwrap_or(Timestamp::MIN);
        let to = to.unwrap_or(Timestamp::MAX);
        let start = self.sorted.latest.partition_point(|latest| *latest < from);
        let end = self.sorted.blocks.partition_point(|block| earliest(block) <= to).max(start);
        self.sorted.blocks[start..end].iter().filter(move |block| latest(block) >= from)
    }

    /// Adds blocks; copies the list only while a snapshot shares it.
    pub(crate) fn add(&mut self, blocks: impl IntoIterator<Item = Arc<BlockFile>>) {
        let sorted = Arc::make_mut(&mut self.sorted);
        let untouched = sorted.blocks.len();
        sorted.blocks.extend(blocks);
        // Seals come in the order of time, so most often the new blocks belong where they are.
        if !sorted.blocks[untouched.saturating_sub(1)..].is_sorted_by(|a, b| key(a) <= key(b)) {
            sorted.blocks.sort_by(|a, b| key(a).cmp(&key(b)));
            sorted.latest.clear();
        }
        sorted.measure();
    }

    /// Takes out the blocks at these places; places without a block are passed over.
    pub(crate) fn remove(&mut self, blocks: &[&BlockFile]) {
        let sorted = Arc::make_mut(&mut self.sorted);
        for block in blocks {
            if let Ok(at) = sorted.blocks.binary_search_by(|probe| key(probe).cmp(&key(block))) {
                sorted.blocks.remove(at);
                sorted.latest.truncate(at);
            }
        }
        sorted.measure();
    }
}

impl Sorted {
    /// Fills in the end of `latest`.
    fn measure(&mut self) {
        let mut highest = self.latest.last().copied().unwrap_or(Timestamp::MIN);
        for block in &self.blocks[self.latest.len()..] {
            highest = highest.max(latest(block));
            self.latest.push(highest);
        }
        debug_assert_eq!(self.latest.len(), self.blocks.len());
    }
}

impl Deref for BlockList {
    type Target = [Arc<BlockFile>];

    fn deref(&self) -> &Self::Target {
        &self.sorted.blocks
    }
}

impl<'a> IntoIterator for &'a BlockList {
    type Item = &'a Arc<BlockFile>;
    type IntoIter = std::slice::Iter<'a, Arc<BlockFile>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Arc<BlockFile>> for BlockList {
    fn from_iter<I: IntoIterator<Item = Arc<BlockFile>>>(blocks: I) -> Self {
        let mut list = Self::default();
        list.add(blocks);
        list
    }
}

fn key(block: &BlockFile) -> (Timestamp, &str) {
    (earliest(block), block.path.as_ref())
}

fn earliest(block: &BlockFile) -> Timestamp {
    block.min_timestamp.unwrap_or(Timestamp::MIN)
}

fn latest(block: &BlockFile) -> Timestamp {
    block.max_timestamp.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
