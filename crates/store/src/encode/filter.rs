//! Which ids a chunk has: Parquet's split-block Bloom filter, as large as the distinct ids need.

use arrow::array::StringArray;
use parquet::bloom_filter::Sbbf;

use super::column::valid;

/// Bits for each distinct id. Eight are set for an id, all in one block of 256, which gives 1.3 false answers of a
/// hundred at this density (measured in the tests).
const BITS_PER_ID: usize = 10;
const BLOCK_BITS: usize = 256;
const BLOCK_BYTES: usize = BLOCK_BITS / 8;

/// The ids of a chunk, until all are known.
#[derive(Debug, Default)]
pub(crate) struct IdFilter {
    pages: Vec<StringArray>,
}

impl IdFilter {
    /// Adds the ids of a page.
    pub(crate) fn push(&mut self, ids: StringArray) {
        self.pages.push(ids);
    }

    /// The filter of all ids. Equal ones that lie beside each other are counted once; of others it is found out.
    pub(crate) fn finish(self) -> Sbbf {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter_of(ids: &[String]) -> Sbbf {
        let mut filter = IdFilter::default();
        ids.chunks(300).for_each(|page| filter.push(page.iter().map(Some).collect()));
        filter.finish()
    }

    fn id(number: u64) -> String {
        let mixed = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        format!("{mixed:032x}")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(64)))]

        #[test]
        fn an_id_that_was_put_in_is_never_denied(numbers in prop::collection::vec(0u64..3_000, 0..2_000)) {
            let ids: Vec<String> = numbers.into_iter().map(id).collect();
            let filter = filter_of(&ids);
            prop_assert!(ids.iter().all(|id| filter.check(id.as_str())));
        }
    }

    #[test]
    fn few_of_the_other_ids_are_taken_for_one_of_these() {
        let ids: Vec<String> = (0..100_000).map(id).collect();
        let filter = filter_of(&ids);
        assert_eq!(filter.num_blocks(), (100_000 * BITS_PER_ID).div_ceil(256));
        let wrong = (100_000..200_000).filter(|number| filter.check(id(*number).as_str())).count();
        assert!((500..1_700).contains(&wrong), "{wrong} of 100,000");
    }

    #[test]
    fn ids_that_come_again_take_no_more_room() {
        let once: Vec<String> = (0..20_000).map(id).collect();
        let often: Vec<String> = (0..60_000).map(|number| id(number * 7 % 20_000)).collect();
        let (once, often) = (filter_of(&once).num_blocks(), filter_of(&often).num_blocks());
        assert!(often.abs_diff(once) * 50 < once, "{often} and {once} blocks");
    }

    #[test]
    fn a_few_ids_have_a_block() {
        assert_eq!(filter_of(&[]).num_blocks(), 1);
        assert_eq!(filter_of(&[id(1), id(2)]).num_blocks(), 1);
    }
}
