//! Which ids a chunk has: Parquet's split-block Bloom filter, as large as the distinct ids need.

use arrow::array::StringArray;
use parquet::bloom_filter::Sbbf;

use super::column::valid;

/// Bits for each distinct id. Eight are set for an id, all in one block of 256, which gives about three false answers
/// of a hundred at this density.
const BITS_PER_ID: usize = 8;
const BLOCK_BITS: usize = 256;
const BLOCK_BYTES: usize = BLOCK_BITS / 8;

/// The ids of a chunk, until all are known.
#[derive(Debug, Default)]
pub(super) struct IdFilter {
    pages: Vec<StringArray>,
}

impl IdFilter {
    /// Adds the ids of a page.
    pub(super) fn push(&mut self, ids: StringArray) {
        self.pages.push(ids);
    }

    /// The filter of all ids. Equal ones that lie beside each other are counted once; of others it is found out.
    pub(super) fn finish(self) -> Sbbf {
        let ids = || {
            let mut last = None;
            self.pages.iter().flat_map(valid).filter(move |id| last.replace(*id) != Some(*id))
        };
        let most = ids().count();
        let filter = of(most, ids());
        let distinct = distinct_ids(&filter).min(most);
        if blocks_for(distinct) * 8 < filter.num_blocks() * 7 { of(distinct, ids()) } else { filter }
    }
}

/// The filter of `ids`, of which `distinct` are not equal.
pub(super) fn of<'a>(distinct: usize, ids: impl Iterator<Item = &'a [u8]>) -> Sbbf {
    let mut filter = Sbbf::new(&vec![0; blocks_for(distinct) * BLOCK_BYTES]);
    ids.for_each(|id| filter.insert(id));
    filter
}

fn blocks_for(distinct: usize) -> usize {
    (distinct * BITS_PER_ID).div_ceil(BLOCK_BITS).max(1)
}

/// About how many ids were put in, judged by the bits that are set: each id sets one in each 32 of a block.
fn distinct_ids(filter: &Sbbf) -> usize {
    let mut bits = Vec::with_capacity(filter.num_blocks() * BLOCK_BYTES);
    if filter.write_bitset(&mut bits).is_err() {
        return usize::MAX;
    }
    let set: u64 = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
    let clear = 1.0 - set as f64 / (bits.len() * 8) as f64;
    (filter.num_blocks() as f64 * clear.ln() / (31.0f64 / 32.0).ln()).ceil() as usize
}
