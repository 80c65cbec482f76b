//! Phrases in texts of ASCII signs alone, found without cutting the text into words.

use super::query::Query;

/// The signs of texts, the most common first.
const BY_FREQUENCY: &[u8] = b"etaoinsrhld0123456789cumfpgwybvkxjqz";

/// A query, ready to be looked for in many texts.
#[derive(Debug)]
pub(super) enum Look<'a> {
    Phrase(Phrase<'a>),
    All(Vec<Look<'a>>),
    Any(Vec<Look<'a>>),
    Not(Box<Look<'a>>),
}

impl<'a> Look<'a> {
    pub(super) fn of(query: &'a Query) -> Self {
        let each = |parts: &'a [Query]| parts.iter().map(Self::of).collect();
        match query {
            Query::Phrase { words, is_prefix } => Self::Phrase(Phrase::of(words, *is_prefix)),
            Query::All(parts) => Self::All(each(parts)),
            Query::Any(parts) => Self::Any(each(parts)),
            Query::Not(part) => Self::Not(Box::new(Self::of(part))),
        }
    }

    /// Whether a text, which must be ASCII, holds what is wanted.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Phrase(phrase) => phrase.is_in(text),
            Self::All(parts) => parts.iter().all(|part| part.is_in(text)),
            Self::Any(parts) => parts.iter().any(|part| part.is_in(text)),
            Self::Not(part) => !part.is_in(text),
        }
    }
}

#[derive(Debug)]
pub(super) struct Phrase<'a> {
    /// In lower case.
    words: &'a [String],
    /// Whether the last word need only begin so.
    is_prefix: bool,
    /// The rarest sign of the first word, in both cases, and where in it that is.
    rare: [u8; 2],
    place: usize,
}

impl<'a> Phrase<'a> {
    fn of(words: &'a [String], is_prefix: bool) -> Self {
        let first = words.first().map_or(&[][..], |word| word.as_bytes());
        let rank = |sign: &u8| BY_FREQUENCY.iter().position(|known| known == sign).unwrap_or(usize::MAX);
        let rarest = first.iter().enumerate().max_by_key(|(_, sign)| rank(sign));
        let (place, sign) = rarest.map_or((0, 0), |(place, sign)| (place, *sign));
        Self { words, is_prefix, rare: [sign, sign.to_ascii_uppercase()], place }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let [lower, upper] = self.rare;
        let starts = memchr::memchr2_iter(lower, upper, text).filter_map(|at| at.checked_sub(self.place));
        starts.into_iter().any(|start| is_start(text, start) && self.is_at(text, start))
    }

    /// Whether the words stand there, one after the other, each whole.
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        let mut at = start;
        for (number, word) in self.words.iter().enumerate() {
            if number > 0 {
                at += text[at..].iter().take_while(|sign| !sign.is_ascii_alphanumeric()).count();
            }
            let end = at + word.len();
            if !text.get(at..end).is_some_and(|there| there.eq_ignore_ascii_case(word.as_bytes())) {
                return false;
            }
            let may_go_on = self.is_prefix && number + 1 == self.words.len();
            if !may_go_on && text.get(end).is_some_and(u8::is_ascii_alphanumeric) {
                return false;
            }
            at = end;
        }
        true
    }
}

/// Whether a word may begin there.
fn is_start(text: &[u8], at: usize) -> bool {
    at == 0 || !text[at - 1].is_ascii_alphanumeric()
}
