//! Identifiers by their numbers: a bucket holds, for each of its words, a few bits of its number and a document.
//! Pure; a part of the format.

/// Bits of a number beyond those that tell as many pairs apart as there are: so seldom (as a power of two) is an
/// identifier that is nowhere taken for another.
const SPARE_BITS: u32 = 2;
/// Bits of a number that are kept in a bucket, where there are so many; the upper bits choose the bucket.
const TAG_BITS: u32 = 11;
/// Bits of a number.
const NUMBER_BITS: u32 = u32::BITS;

/// The shape of a part's buckets of one column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets {
    bucket_bits: u32,
    tag_bits: u32,
    document_bits: u32,
}

/// How many bits of a number choose the bucket, and how many are kept in it, for so many pairs of number and document.
pub(crate) fn bits(pairs: usize) -> (u32, u32) {
    let kept = (usize::BITS - pairs.leading_zeros() + SPARE_BITS).min(NUMBER_BITS);
    let bucket_bits = kept.saturating_sub(TAG_BITS);
    (bucket_bits, kept - bucket_bits)
}

impl Buckets {
    /// With so many bits of a number as [`bits`] says, in a part of so many documents; `None` for other bits.
    pub(crate) fn new((bucket_bits, tag_bits): (u32, u32), documents: u32) -> Option<Self> {
        let document_bits = u32::BITS - documents.saturating_sub(1).leading_zeros();
        let fits = tag_bits <= TAG_BITS && bucket_bits <= NUMBER_BITS - tag_bits;
        fits.then_some(Self { bucket_bits, tag_bits, document_bits })
    }

    /// The bucket of a word.
    pub(crate) fn bucket(self, number: u32) -> u32 {
        top_bits(number, self.bucket_bits)
    }

    /// What the bucket has for a word in a document.
    pub(crate) fn entry(self, number: u32, document: u32) -> u64 {
        self.tag(number) << self.document_bits | u64::from(document)
    }

    /// All entries are below.
    pub(crate) fn reach(self) -> u64 {
        1 << (self.tag_bits + self.document_bits)
    }

    /// How an entry compares with those of a word, and its document.
    pub(crate) fn compare(self, entry: u64, number: u32) -> (std::cmp::Ordering, u32) {
        let document = entry & ((1 << self.document_bits) - 1);
        ((entry >> self.document_bits).cmp(&self.tag(number)), document as u32)
    }

    fn tag(self, number: u32) -> u64 {
        let kept = top_bits(number, self.bucket_bits + self.tag_bits);
        u64::from(kept) & ((1 << self.tag_bits) - 1)
    }
}

fn top_bits(number: u32, bits: u32) -> u32 {
    number.checked_shr(NUMBER_BITS - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_is_found_in_its_bucket(number: u32, other: u32, pairs in 0_usize..1 << 33, documents in 1_u32.., at: prop::sample::Index) {
            let (bucket_bits, tag_bits) = bits(pairs);
            prop_assert!(bucket_bits + tag_bits == 32 || 1_u64 << (bucket_bits + tag_bits) > pairs as u64);
            let buckets = Buckets::new((bucket_bits, tag_bits), documents).unwrap();
            let document = u32::try_from(at.index(documents as usize)).unwrap();
            let entry = buckets.entry(number, document);
            prop_assert!(entry < buckets.reach());
            prop_assert_eq!(buckets.compare(entry, number), (Ordering::Equal, document));
            // Buckets and their entries lie in the order of the numbers.
            let (a, b) = (number.min(other), number.max(other));
            let place = |number| (buckets.bucket(number), buckets.entry(number, 0));
            prop_assert!(place(a) <= place(b));
        }
    }
}
