//! The words of a text as the index library wants them.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use hindsight_model::{indexed_part, lower_word, split_word};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The name under which indexes know the tokenizer.
pub(crate) const NAME: &str = "words";

/// Words of one document that are remembered, so that the library need not look each repetition up.
const SEEN_MAX: usize = 1024;

/// Words in lower case, cut to what an index keeps of them; those just seen in the same document are left out.
#[derive(Clone)]
pub(crate) struct Words {
    token: Token,
    /// Changes with each document.
    turn: Arc<AtomicU64>,
    hasher: RandomState,
    /// Hashes of words, each with the turn mixed in, at a place that the hash says. The seed is this process's, so
    /// that nobody can make up two words that are taken for one.
    seen: Vec<u64>,
}

impl Words {
    pub(crate) fn new(turn: Arc<AtomicU64>) -> Self {
        Self { token: Token::default(), turn, hasher: RandomState::default(), seen: vec![0; SEEN_MAX] }
    }
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        let turn = self.turn.load(Ordering::Relaxed);
        WordStream { rest: text, turn, words: self }
    }
}

pub(crate) struct WordStream<'a> {
    rest: &'a str,
    turn: u64,
    words: &'a mut Words,
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Words { token, hasher, seen, .. } = &mut *self.words;
        while let Some((word, rest)) = split_word(self.rest) {
            self.rest = rest;
            put(&mut token.text, word);
            let hash = hasher.hash_one((self.turn, token.text.as_str()));
            let place = &mut seen[hash as usize % SEEN_MAX];
            if *place != hash {
                *place = hash;
                token.position = token.position.wrapping_add(1);
                return true;
            }
        }
        false
    }

    fn token(&self) -> &Token {
        &self.words.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.words.token
    }
}

/// Makes `term` what the index has for a word in any case.
pub(crate) fn put(term: &mut String, word: &str) {
    term.clear();
    if word.is_ascii() {
        term.push_str(indexed_part(word));
        term.make_ascii_lowercase();
    } else {
        term.extend(lower_word(word));
        term.truncate(indexed_part(term).len());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_the_words_in_lower_case_without_repetitions(
            texts in proptest::collection::vec("[a-cA-C .ÄßİK]{0,40}|\\PC{0,200}", 1..5), same in any::<bool>(),
        ) {
            let turn = Arc::new(AtomicU64::new(0));
            let mut tokenizer = Words::new(Arc::clone(&turn));
            let mut all = BTreeSet::new();
            for text in &texts {
                if !same {
                    turn.fetch_add(1, Ordering::Relaxed);
                    all.clear();
                }
                let lower = hindsight_model::words(text).map(|word| lower_word(word).collect::<String>());
                let kept: BTreeSet<String> = lower.map(|word| indexed_part(&word).to_owned()).collect();
                let before = all.clone();
                let mut stream = tokenizer.token_stream(text);
                while stream.advance() {
                    prop_assert!(kept.contains(&stream.token().text));
                    all.insert(stream.token().text.clone());
                }
                prop_assert_eq!(&all, &before.union(&kept).cloned().collect());
            }
        }
    }
}
