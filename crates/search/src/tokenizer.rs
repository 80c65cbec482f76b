//! The words of a text as the index library wants them.

use hindsight_model::{indexed_part, lower_word, split_word};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The name under which indexes know the tokenizer.
pub(crate) const NAME: &str = "words";

/// Words in lower case, cut to what an index keeps of them.
#[derive(Clone, Default)]
pub(crate) struct Words {
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { rest: text, token: &mut self.token }
    }
}

pub(crate) struct WordStream<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((word, rest)) = split_word(self.rest) else { return false };
        self.rest = rest;
        self.token.position = self.token.position.wrapping_add(1);
        put(&mut self.token.text, word);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_the_words_in_lower_case(text in "[a-zA-Z0-9 .ÄßİK]{0,200}|\\PC{0,200}") {
            let mut tokenizer = Words::default();
            let mut stream = tokenizer.token_stream(&text);
            for word in hindsight_model::words(&text) {
                let lower: String = lower_word(word).collect();
                prop_assert!(stream.advance());
                prop_assert_eq!(&stream.token().text, indexed_part(&lower));
            }
            prop_assert!(!stream.advance());
        }
    }
}
