//! The words of a text as an index keeps them: in lower case, cut to so many bytes.

use hindsight_model::{WORD_BYTES_MAX, indexed_part, lower_word, words};

use crate::term::{FIRST_BYTES, Word};

/// Cuts texts into words; keeps its memory from text to text.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    plain: Vec<u8>,
    word: String,
}

impl Cutter {
    /// Hands over each word of a text, in its order.
    pub(crate) fn each(&mut self, text: &str, mut take: impl FnMut(Word<'_>)) {
        if !text.is_ascii() {
            for word in words(text) {
                put(&mut self.word, word);
                take(Word::new(self.word.as_bytes()));
            }
            return;
        }
        self.plain.clear();
        self.plain.extend(text.bytes().map(plain));
        // A word is looked at together with what follows it.
        self.plain.extend([0; FIRST_BYTES]);
        let mut rest = self.plain.as_slice();
        while let Some(window) = rest.first_chunk() {
            let length = rest.iter().take_while(|byte| **byte != 0).count();
            if length > 0 {
                take(Word::within(&rest[..length.min(WORD_BYTES_MAX)], window));
            }
            rest = &rest[length + 1..];
        }
    }
}

/// Letters in lower case and digits; 0 for what is between words.
fn plain(byte: u8) -> u8 {
    let lower = byte.to_ascii_lowercase();
    if lower.is_ascii_lowercase() || lower.is_ascii_digit() { lower } else { 0 }
}

/// What an index keeps of a word in any case.
pub(crate) fn kept(word: &str) -> Vec<u8> {
    let mut kept = String::new();
    put(&mut kept, word);
    kept.into_bytes()
}

fn put(kept: &mut String, word: &str) {
    kept.clear();
    kept.extend(lower_word(word));
    kept.truncate(indexed_part(kept).len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_those_of_the_text(
            texts in proptest::collection::vec("[a-cA-C0-9 .ÄßİK]{0,40}|\\PC{0,200}|[ -~]{0,200}", 1..4),
        ) {
            let mut cutter = Cutter::default();
            for text in &texts {
                let mut found = Vec::new();
                cutter.each(text, |word| found.push(word.bytes().to_vec()));
                let expected: Vec<_> = words(text).map(kept).collect();
                prop_assert_eq!(&found, &expected);
                let lower = words(text).map(|word| lower_word(word).collect::<String>());
                prop_assert!(lower.zip(&found).all(|(word, kept)| indexed_part(&word).as_bytes() == kept));
            }
        }
    }
}
