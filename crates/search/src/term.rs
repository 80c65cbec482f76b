//! How a word is kept: as it is, or as a number that it shares with others. Pure; a part of the format.
//!
//! Words that look like identifiers are as many as there are rows, so that keeping them as they are would cost more
//! than all others. They are kept as 32 bits each, which the query's own look at the rows makes up for.

/// Shorter words are kept as they are whatever they are made of: status codes, parts of addresses, versions.
const IDENTIFIER_BYTES_MIN: usize = 5;
/// Of identifiers it is kept how they begin, up to their first digit and so far, for those who look for a beginning.
const STEM_BYTES_MAX: usize = 4;
/// What ends a stem: no letter and no digit, so that no stem is a word.
const STEM_END: u8 = 1;
/// Bytes of a word that are looked at together.
pub(crate) const FIRST_BYTES: usize = 16;

/// Where the dictionary of a part has its words and stems, and where its buckets.
const WORDS: u8 = 0;
const BUCKETS: u8 = 1;

/// A word as an index keeps it: letters in lower case, digits, no more than so many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    bytes: &'a [u8],
    /// Its first bytes, the first one lowest, zeros after its end.
    first: u128,
}

impl<'a> Word<'a> {
    /// A word, and the bytes from its beginning on, of which some may be another's.
    pub(crate) fn within(bytes: &'a [u8], window: &[u8; FIRST_BYTES]) -> Self {
        Self { bytes, first: u128::from_le_bytes(*window) & low_bytes(bytes.len()) }
    }

    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut window = [0; FIRST_BYTES];
        let length = bytes.len().min(FIRST_BYTES);
        window[..length].copy_from_slice(&bytes[..length]);
        Self { bytes, first: u128::from_le_bytes(window) }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// All of it in one number, for a word that is short enough.
    pub(crate) fn packed(self) -> Option<u128> {
        (self.bytes.len() <= FIRST_BYTES).then_some(self.first)
    }

    /// Whether it is one of very many, as far as one can see.
    pub(crate) fn is_identifier(self) -> bool {
        self.bytes.len() >= IDENTIFIER_BYTES_MIN && self.has_digit()
    }

    fn has_digit(self) -> bool {
        digits(self.first) != 0 || self.bytes.iter().skip(FIRST_BYTES).any(u8::is_ascii_digit)
    }

    /// How many bytes its stem has: those before its first digit, up to a bound.
    fn stem_bytes(self) -> usize {
        let before = digits(self.first).trailing_zeros() as usize / 8;
        before.min(STEM_BYTES_MAX).min(self.bytes.len())
    }

    /// How it begins: up to its first digit, and up to a bound.
    pub(crate) fn stem(self) -> &'a [u8] {
        &self.bytes[..self.stem_bytes()]
    }

    /// What its stem is noted as among the words, packed as they are.
    pub(crate) fn packed_stem(self) -> u128 {
        let bytes = self.stem_bytes();
        self.first & low_bytes(bytes) | u128::from(STEM_END) << (bytes * 8)
    }

    /// The number of the word. Whoever makes up words of one number makes their searches slow, and no more.
    pub(crate) fn number(self) -> u32 {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mix = |mixed: u64, piece: u64| {
            let mixed = (mixed ^ piece).wrapping_mul(ODD);
            mixed ^ mixed >> 32
        };
        let length = self.bytes.len();
        let mut mixed = ODD ^ length as u64;
        if length > 0 {
            mixed = mix(mixed, self.first as u64);
        }
        if length > 8 {
            mixed = mix(mixed, (self.first >> 64) as u64);
        }
        for piece in self.bytes.get(FIRST_BYTES..).unwrap_or_default().chunks(8) {
            let mut padded = [0; 8];
            padded[..piece.len()].copy_from_slice(piece);
            mixed = mix(mixed, u64::from_le_bytes(padded));
        }
        (mixed.wrapping_mul(ODD) >> 32) as u32
    }
}

/// The bytes of a packed word.
pub(crate) fn unpacked(word: u128) -> Vec<u8> {
    let bytes = FIRST_BYTES - word.leading_zeros() as usize / 8;
    word.to_le_bytes()[..bytes].to_vec()
}

fn low_bytes(count: usize) -> u128 {
    if count < FIRST_BYTES { (1 << (count * 8)) - 1 } else { u128::MAX }
}

/// The highest bit of each byte that is a digit: of a word's bytes those alone lack both upper bits.
fn digits(first: u128) -> u128 {
    const HIGHEST: u128 = u128::from_le_bytes([0x80; FIRST_BYTES]);
    let length = low_bytes(FIRST_BYTES - first.leading_zeros() as usize / 8);
    !(first | first << 1) & HIGHEST & length
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

fn prefix(column: usize, kind: u8) -> [u8; 2] {
    [u8::try_from(column).expect("tables have few texts"), kind]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_long_and_have_a_digit() {
        for (word, expected) in [
            ("a1b2c", true),
            ("12345", true),
            ("1234", false),
            ("timeout", false),
            ("", false),
            ("größe1", true),
            ("größe", false),
            ("abcdefghijklmnopqrstu", false),
            ("abcdefghijklmnopqrstu1", true),
        ] {
            assert_eq!(Word::new(word.as_bytes()).is_identifier(), expected, "{word}");
        }
    }

    #[test]
    fn stems_end_at_a_digit_and_are_short() {
        for (word, expected) in
            [("order12", "orde"), ("ab12", "ab"), ("1ab", ""), ("ab", "ab"), ("", ""), ("äb1", "äb")]
        {
            let word = Word::new(word.as_bytes());
            assert_eq!(word.stem(), expected.as_bytes(), "{word:?}");
            assert_eq!(stem_key(7, word.stem())[2..], unpacked(word.packed_stem()));
        }
    }

    proptest! {
        #[test]
        fn a_words_first_bytes_are_its_own(word in "[a-z0-9äß]{0,30}", beside in "[a-z0-9]{16}") {
            let bytes = word.as_bytes();
            let window = [bytes, beside.as_bytes()].concat();
            let within = Word::within(bytes, window.first_chunk().unwrap());
            let alone = Word::new(bytes);
            prop_assert_eq!(within.first, alone.first);
            prop_assert_eq!(alone.packed().is_some(), bytes.len() <= FIRST_BYTES);
            prop_assert!(alone.packed().is_none_or(|packed| unpacked(packed) == bytes));
            let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
            prop_assert_eq!(alone.is_identifier(), has_digit && bytes.len() >= IDENTIFIER_BYTES_MIN);
            let before = bytes.iter().take_while(|byte| !byte.is_ascii_digit()).count();
            prop_assert_eq!(alone.stem(), &bytes[..before.min(STEM_BYTES_MAX)]);
        }
    }

    /// The numbers are written to disk.
    #[test]
    fn numbers_of_words_stay() {
        let found = ["", "12345", "a1b2c3d4", "0123456789abcdef0"];
        let found = found.map(|word| Word::new(word.as_bytes()).number());
        assert_eq!(found, [3745787170, 2377887424, 920862908, 2608787319]);
    }
}
