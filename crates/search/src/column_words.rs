//! The words of one column of a part that is being written, in memory: which documents have each of them.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::quality::RandomState;

use crate::packed_words::{Noted, PackedWords};
use crate::term::{Word, unpacked};

/// Different words that are kept as they are; further ones are kept as identifiers are. Texts of a language whose
/// words nothing separates would have as many as rows.
pub(crate) const WORDS_MAX: usize = 1 << 16;
/// Identifiers that are remembered, so that one that keeps coming is noted once a document.
const SEEN_MAX: usize = 1024;
/// Memory that a word takes, about.
const WORD_BYTES: usize = 128;

/// Words and where they are.
///
/// That a document has a word is noted at the end of one list, whatever the word: lists of their own would be one
/// place in memory each, and going to all those places costs more than putting the notes in order in the end.
pub(crate) struct ColumnWords {
    short: PackedWords,
    long: HashMap<Box<[u8]>, Noted, RandomState>,
    words_max: usize,
    /// The words of the documents, document by document, each by the place it was given when it was first met.
    notes: Vec<u32>,
    /// The documents with words, each with where its notes end.
    ends: Vec<(u32, usize)>,
    /// Each the number of a word and a document, see [`pair`].
    identifiers: Vec<u64>,
    seen: Box<[u64; SEEN_MAX]>,
    /// Whether a word had to be kept as an identifier that is none.
    is_full: bool,
}

/// What a column's words are written from.
pub(crate) struct Finished {
    /// Words and stems in their order.
    pub(crate) words: Vec<(Vec<u8>, Range<usize>)>,
    /// The documents of each word, rising, where its range says.
    pub(crate) documents: Vec<u32>,
    /// Numbers of words with a document each, in their order, each once.
    pub(crate) identifiers: Vec<u64>,
    pub(crate) is_full: bool,
}

/// A word's number and one of its documents; their order is that of the numbers.
pub(crate) fn pair(number: u32, document: u32) -> u64 {
    u64::from(number) << 32 | u64::from(document)
}

impl ColumnWords {
    pub(crate) fn new(words_max: usize) -> Self {
        Self {
            short: PackedWords::default(),
            long: HashMap::default(),
            words_max,
            notes: Vec::new(),
            ends: Vec::new(),
            identifiers: Vec::new(),
            // A pair that is in the place of another number.
            seen: Box::new(std::array::from_fn(|place| pair(u32::from(place == 0), 0))),
            is_full: false,
        }
    }

    /// Notes that a document has a word. Documents come in their order.
    pub(crate) fn add(&mut self, document: u32, word: Word<'_>) {
        if word.is_identifier() {
            self.add_identifier(document, word);
            self.is_full |= !self.add_short(document, word.packed_stem());
            return;
        }
        let is_noted = match word.packed() {
            Some(packed) => self.add_short(document, packed),
            None => self.add_long(document, word.bytes()),
        };
        if !is_noted {
            self.is_full = true;
            self.add_identifier(document, word);
        }
    }

    fn add_identifier(&mut self, document: u32, word: Word<'_>) {
        let number = word.number();
        let pair = pair(number, document);
        let place = &mut self.seen[number as usize % SEEN_MAX];
        if *place != pair {
            *place = pair;
            self.identifiers.push(pair);
        }
    }

    /// Whether there was room.
    fn add_short(&mut self, document: u32, word: u128) -> bool {
        let found = self.short.find(word);
        match self.short.noted(found) {
            Some(noted) => note(noted, document, &mut self.notes, &mut self.ends),
            None => {
                let Some(mut noted) = self.new_word() else { return false };
                note(&mut noted, document, &mut self.notes, &mut self.ends);
                self.short.insert(found, word, noted);
            }
        }
        true
    }

    /// Whether there was room.
    fn add_long(&mut self, document: u32, word: &[u8]) -> bool {
        if let Some(noted) = self.long.get_mut(word) {
            note(noted, document, &mut self.notes, &mut self.ends);
            return true;
        }
        let Some(mut noted) = self.new_word() else { return false };
        note(&mut noted, document, &mut self.notes, &mut self.ends);
        self.long.insert(word.into(), noted);
        true
    }

    fn words(&self) -> usize {
        self.short.len() + self.long.len()
    }

    fn new_word(&self) -> Option<Noted> {
        let place = u32::try_from(self.words()).ok().filter(|_| self.words() < self.words_max)?;
        Some(Noted { place, next: 0, count: 0 })
    }

    /// What it takes in memory, about; putting the notes in order takes as much again for those.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&self.notes[..])
            + size_of_val(&self.ends[..])
            + size_of_val(&self.identifiers[..])
            + self.words() * WORD_BYTES
    }

    pub(crate) fn finish(self) -> Finished {
        let count = self.words();
        let Self { short, long, notes, ends, mut identifiers, is_full, .. } = self;
        let mut words: Vec<_> = short.words().map(|(word, noted)| (unpacked(word), noted)).collect();
        words.extend(long.into_iter().map(|(word, noted)| (word.into_vec(), noted)));
        words.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        // Where the next document of each word goes, by the word's place.
        let (mut next, mut end) = (vec![0; count], 0);
        let mut ranges = Vec::with_capacity(count);
        for (word, noted) in words {
            let start = end;
            end += noted.count as usize;
            next[noted.place as usize] = start;
            ranges.push((word, start..end));
        }
        let (mut documents, mut start) = (vec![0; notes.len()], 0);
        for (document, end) in ends {
            for place in &notes[start..end] {
                let at = &mut next[*place as usize];
                documents[*at] = document;
                *at += 1;
            }
            start = end;
        }
        identifiers.sort_unstable();
        identifiers.dedup();
        Finished { words: ranges, documents, identifiers, is_full }
    }
}

/// Notes that a document has a word, if it was not noted before.
fn note(word: &mut Noted, document: u32, notes: &mut Vec<u32>, ends: &mut Vec<(u32, usize)>) {
    if word.next > document {
        return;
    }
    word.next = document + 1;
    word.count += 1;
    notes.push(word.place);
    match ends.last_mut() {
        Some((last, end)) if *last == document => *end = notes.len(),
        _ => ends.push((document, notes.len())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_word_of_every_document_is_noted_in_one_way_or_the_other(
            texts in proptest::collection::vec(proptest::collection::vec("[ab0]{1,6}|[ab]{16,18}0?", 0..8), 0..9), words_max in 0_usize..9,
        ) {
            let mut column = ColumnWords::new(words_max);
            for (document, words) in (0..).zip(&texts) {
                words.iter().for_each(|word| column.add(document, Word::new(word.as_bytes())));
            }
            let Finished { words, documents, identifiers, is_full } = column.finish();
            prop_assert!(words.len() <= words_max && words.is_sorted_by(|(a, _), (b, _)| a < b));
            prop_assert!(identifiers.is_sorted_by(|a, b| a < b));
            let mut noted = BTreeSet::new();
            for (word, range) in &words {
                let documents = &documents[range.clone()];
                prop_assert!(!documents.is_empty() && documents.is_sorted_by(|a, b| a < b));
                noted.extend(documents.iter().map(|document| (word.clone(), *document)));
            }
            for (document, text) in (0..).zip(&texts) {
                for word in text {
                    let term = Word::new(word.as_bytes());
                    let by_number = identifiers.binary_search(&pair(term.number(), document)).is_ok();
                    let by_word = noted.contains(&(word.as_bytes().to_vec(), document));
                    let is_noted =
                        if term.is_identifier() { by_number } else { by_word || by_number && is_full };
                    prop_assert!(is_noted, "{}", word);
                    let by_stem = noted.contains(&(unpacked(term.packed_stem()), document));
                    prop_assert!(!term.is_identifier() || by_stem || is_full);
                }
            }
        }
    }
}
