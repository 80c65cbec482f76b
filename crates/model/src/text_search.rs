//! What full text means, for those who look at texts and those who keep an index of them: the words of a text, and
//! what a search wants of them.

use std::fmt;

/// Longest word that an index tells from others, in bytes; of longer ones it knows how they begin.
pub const WORD_BYTES_MAX: usize = 64;

/// The words of a text: runs of letters and digits as Unicode knows them, in the order and case of the text.
///
/// ```
/// assert!(hindsight_model::words("user-id=7 größer").eq(["user", "id", "7", "größer"]));
/// ```
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (word, after) = split_word(rest)?;
        rest = after;
        Some(word)
    })
}

/// The first word of a text and what follows it; `None` when there is none.
pub fn split_word(text: &str) -> Option<(&str, &str)> {
    let rest = &text[end_of(text, false)..];
    let (word, after) = rest.split_at(end_of(rest, true));
    (!word.is_empty()).then_some((word, after))
}

/// How far characters go that all are, or all are not, letters and digits.
fn end_of(text: &str, in_word: bool) -> usize {
    let mut at = 0;
    loop {
        let ascii = text.as_bytes()[at..].iter();
        at += ascii.take_while(|byte| byte.is_ascii() && byte.is_ascii_alphanumeric() == in_word).count();
        // Most texts never come to the slow part.
        match text[at..].chars().next() {
            Some(sign) if !sign.is_ascii() && sign.is_alphanumeric() == in_word => at += sign.len_utf8(),
            _ => return at,
        }
    }
}

/// A word as it is compared: each character in lower case.
pub fn lower_word(word: &str) -> impl Iterator<Item = char> {
    word.chars().flat_map(char::to_lowercase)
}

/// The part of a word that an index keeps: all of it up to [`WORD_BYTES_MAX`] bytes, and no half character.
pub fn indexed_part(word: &str) -> &str {
    &word[..word.floor_char_boundary(WORD_BYTES_MAX)]
}

/// What a row must have for a search to want it. An index answers it with rows of which some may turn out wrong, so
/// that parts it cannot answer (order of words, what must not be there) are [`Wanted::Everything`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any row at all.
    Everything,
    /// This word, in lower case, in the text of this column.
    Word {
        /// The column.
        column: String,
        /// The word, see [`lower_word`].
        word: String,
    },
    /// A word that begins with these characters, in lower case.
    Prefix {
        /// The column.
        column: String,
        /// How it begins.
        start: String,
    },
    /// All of these; with none of them, any row.
    All(Vec<Wanted>),
    /// One of these at least; with none of them, no row.
    Any(Vec<Wanted>),
}

impl Wanted {
    /// Whether an index could leave a row out at all.
    pub fn narrows(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::Word { .. } | Self::Prefix { .. } => true,
            Self::All(parts) => parts.iter().any(Self::narrows),
            Self::Any(parts) => parts.iter().all(Self::narrows),
        }
    }
}

/// Some rows of a block by their place in it, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    /// How many rows the block has.
    pub total: u32,
    /// The rows, rising, each once, each below `total`.
    pub rows: Vec<u32>,
}

impl RowSet {
    /// The rows as runs of neighbours: first row and how many.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut rows = self.rows.iter().copied().peekable();
        std::iter::from_fn(move || {
            let first = rows.next()?;
            let mut after = first + 1;
            while rows.next_if_eq(&after).is_some() {
                after += 1;
            }
            Some((first, after - first))
        })
    }
}

/// Indexes of the texts in blocks: which rows of a block are worth looking at.
///
/// They only ever leave out rows that cannot match, so that an answer is the same with and without them. Looking
/// something up may read files, so it is done while a query runs and never while it is planned.
pub trait TextIndex: fmt::Debug + Send + Sync {
    /// The rows of the block at `path` (within the store's object storage) of which some may be wanted; all others
    /// are not. `None`: look at all of them, because the block has no index, or its index would not spare much.
    fn candidates(&self, path: &str, wanted: &Wanted) -> Option<RowSet>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_search_narrows_unless_something_in_it_wants_everything() {
        let word = || Wanted::Word { column: "body".to_owned(), word: "a".to_owned() };
        assert!(Wanted::All(vec![Wanted::Everything, word()]).narrows());
        assert!(!Wanted::Any(vec![Wanted::Everything, word()]).narrows());
        assert!(!Wanted::All(Vec::new()).narrows());
    }

    proptest! {
        #[test]
        fn words_are_what_lies_between_other_signs(text in "[a-z0-9 .,-äßÄ€٣]{0,40}|\\PC{0,40}") {
            let between = text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty());
            prop_assert!(words(&text).eq(between));
        }

        #[test]
        fn the_indexed_part_of_a_word_begins_it_and_is_whole_when_it_fits(word in "\\PC{0,80}") {
            let part = indexed_part(&word);
            prop_assert!(word.starts_with(part) && part.len() <= WORD_BYTES_MAX);
            prop_assert!(part == word || part.len() > WORD_BYTES_MAX - 4);
        }

        #[test]
        fn runs_are_the_rows(rows in proptest::collection::btree_set(0_u32..60, 0..40)) {
            let set = RowSet { total: 60, rows: rows.iter().copied().collect() };
            let again: Vec<u32> = set.runs().flat_map(|(first, count)| first..first + count).collect();
            prop_assert_eq!(again, set.rows.clone());
            let runs: Vec<_> = set.runs().collect();
            prop_assert!(runs.is_sorted_by(|a, b| a.0 + a.1 < b.0));
        }
    }
}
