//! How a word is kept: as it is, or as a number that it shares with others. Pure; a part of the format.
//!
//! Words that look like identifiers are as many as there are rows, so that keeping them as they are would cost more
//! than all others. They are kept as 32 bits each, which the query's own look at the rows makes up for.

/// Shorter words are kept as they are whatever they are made of: status codes, parts of addresses, versions.
const IDENTIFIER_BYTES_MIN: usize = 5;
/// Of identifiers it is kept how they begin, up to their first digit and so far, for those who look for a beginning.
const STEM_BYTES_MAX: usize = 4;
/// What ends a stem: no letter and no digit, so that no stem is a word.
const STEM_END: u8 = 0;

/// Where the dictionary of a part has its words and stems, and where its buckets.
const WORDS: u8 = 0;
const BUCKETS: u8 = 1;

/// Whether a word, as an index keeps it, is one of very many, as far as one can see.
pub(crate) fn is_identifier(word: &[u8]) -> bool {
    word.len() >= IDENTIFIER_BYTES_MIN && word.iter().any(u8::is_ascii_digit)
}

/// How a word begins: up to its first digit, and up to a bound.
pub(crate) fn stem(word: &[u8]) -> &[u8] {
    let end = word.iter().take(STEM_BYTES_MAX).take_while(|byte| !byte.is_ascii_digit()).count();
    &word[..end]
}

/// The number of a word. Whoever makes up words of one number makes their searches slow, and no more.
pub(crate) fn number(word: &[u8]) -> u32 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut mixed = ODD ^ word.len() as u64;
    for piece in word.chunks(8) {
        let mut padded = [0; 8];
        padded[..piece.len()].copy_from_slice(piece);
        mixed = (mixed ^ u64::from_le_bytes(padded)).wrapping_mul(ODD);
        mixed ^= mixed >> 32;
    }
    (mixed.wrapping_mul(ODD) >> 32) as u32
}

/// The key of a word, or of all words that begin like this.
pub(crate) fn word_key(column: usize, word: &[u8]) -> Vec<u8> {
    [&prefix(column, WORDS), word].concat()
}

/// The key of a stem.
pub(crate) fn stem_key(column: usize, stem: &[u8]) -> Vec<u8> {
    [&prefix(column, WORDS), stem, &[STEM_END]].concat()
}

/// The key of a bucket.
pub(crate) fn bucket_key(column: usize, bucket: u32) -> Vec<u8> {
    [&prefix(column, BUCKETS)[..], &bucket.to_be_bytes()].concat()
}

/// Makes `key` what a stem is noted as among the words of a column.
pub(crate) fn put_stem(key: &mut Vec<u8>, word: &[u8]) {
    key.clear();
    key.extend_from_slice(stem(word));
    key.push(STEM_END);
}

fn prefix(column: usize, kind: u8) -> [u8; 2] {
    [u8::try_from(column).expect("tables have few texts"), kind]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_long_and_have_a_digit() {
        for (word, expected) in
            [("a1b2c", true), ("12345", true), ("1234", false), ("timeout", false), ("", false), ("größe1", true)]
        {
            assert_eq!(is_identifier(word.as_bytes()), expected, "{word}");
        }
    }

    #[test]
    fn stems_end_at_a_digit_and_are_short() {
        for (word, expected) in [("order12", "orde"), ("ab12", "ab"), ("1ab", ""), ("ab", "ab"), ("", "")] {
            assert_eq!(stem(word.as_bytes()), expected.as_bytes(), "{word}");
        }
    }

    /// The numbers are written to disk.
    #[test]
    fn numbers_of_words_stay() {
        let found = ["", "12345", "a1b2c3d4", "0123456789abcdef0"].map(|word| number(word.as_bytes()));
        assert_eq!(found, [3745787170, 2377887424, 920862908, 2608787319]);
    }
}
