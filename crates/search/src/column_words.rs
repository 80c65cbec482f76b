//! The words of one column of a part that is being written, in memory: which documents have each of them.

use std::collections::HashMap;

use foldhash::quality::RandomState;

use crate::term::{is_identifier, number, put_stem};

/// Different words that are kept as they are; further ones are kept as identifiers are. Texts of a language whose
/// words nothing separates would have as many as rows.
pub(crate) const WORDS_MAX: usize = 1 << 16;
/// Identifiers that are remembered, so that one that keeps coming is noted once a document.
const SEEN_MAX: usize = 1024;
/// Memory that a word takes beside its letters and its list, about.
const WORD_BYTES: usize = 96;

/// Words and where they are.
pub(crate) struct ColumnWords {
    words: HashMap<Box<[u8]>, Places, RandomState>,
    words_max: usize,
    /// Each the number of a word and a document, see [`pair`].
    identifiers: Vec<u64>,
    seen: Box<[u64; SEEN_MAX]>,
    stem: Vec<u8>,
    /// Whether a word had to be kept as an identifier that is none.
    is_full: bool,
    words_bytes: usize,
}

/// The documents with a word: each as its distance from the one before, less one, seven bits a byte.
#[derive(Debug, Default)]
pub(crate) struct Places {
    next: u32,
    count: u32,
    distances: Vec<u8>,
}

/// What a column's words are written from.
pub(crate) struct Noted {
    /// Words and stems in their order.
    pub(crate) words: Vec<(Box<[u8]>, Places)>,
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
            words: HashMap::default(),
            words_max,
            identifiers: Vec::new(),
            // A pair that is in the place of another number.
            seen: Box::new(std::array::from_fn(|place| pair(if place == 0 { 1 } else { 0 }, 0))),
            stem: Vec::new(),
            is_full: false,
            words_bytes: 0,
        }
    }

    /// Notes that a document has a word. Documents come in their order.
    pub(crate) fn add(&mut self, document: u32, word: &[u8]) {
        if is_identifier(word) {
            self.add_identifier(document, word);
            let mut stem = std::mem::take(&mut self.stem);
            put_stem(&mut stem, word);
            self.is_full |= !self.add_word(document, &stem);
            self.stem = stem;
        } else if !self.add_word(document, word) {
            self.is_full = true;
            self.add_identifier(document, word);
        }
    }

    fn add_identifier(&mut self, document: u32, word: &[u8]) {
        let number = number(word);
        let pair = pair(number, document);
        let place = &mut self.seen[number as usize % SEEN_MAX];
        if *place != pair {
            *place = pair;
            self.identifiers.push(pair);
        }
    }

    /// Whether there was room.
    fn add_word(&mut self, document: u32, word: &[u8]) -> bool {
        if let Some(places) = self.words.get_mut(word) {
            self.words_bytes += places.add(document);
            return true;
        }
        if self.words.len() >= self.words_max {
            return false;
        }
        let mut places = Places::default();
        self.words_bytes += places.add(document) + word.len() + WORD_BYTES;
        self.words.insert(word.into(), places);
        true
    }

    /// What it takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.words_bytes + self.identifiers.len() * size_of::<u64>()
    }

    pub(crate) fn finish(self) -> Noted {
        let Self { words, mut identifiers, is_full, .. } = self;
        let mut words: Vec<_> = words.into_iter().collect();
        words.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        identifiers.sort_unstable();
        identifiers.dedup();
        Noted { words, identifiers, is_full }
    }
}

impl Places {
    /// Notes a document, if it is not the last one. Bytes it took.
    fn add(&mut self, document: u32) -> usize {
        if document < self.next {
            return 0;
        }
        let before = self.distances.len();
        let mut distance = document - self.next;
        while distance >= 0x80 {
            self.distances.push(distance as u8 | 0x80);
            distance >>= 7;
        }
        self.distances.push(distance as u8);
        self.next = document + 1;
        self.count += 1;
        self.distances.len() - before
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Puts the documents into `documents`.
    pub(crate) fn read(&self, documents: &mut Vec<u64>) {
        documents.clear();
        let (mut next, mut distance, mut bits) = (0, 0, 0);
        for byte in &self.distances {
            distance |= u64::from(byte & 0x7F) << bits;
            bits += 7;
            if *byte < 0x80 {
                documents.push(next + distance);
                next += distance + 1;
                (distance, bits) = (0, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_come_back(documents in proptest::collection::btree_set(0_u32..3_000_000, 0..40)) {
            let (mut places, mut bytes) = (Places::default(), 0);
            for document in &documents {
                bytes += places.add(*document) + places.add(*document);
            }
            let mut read = Vec::new();
            places.read(&mut read);
            prop_assert_eq!(read, documents.iter().map(|document| u64::from(*document)).collect::<Vec<_>>());
            prop_assert_eq!((places.count() as usize, bytes), (documents.len(), places.distances.len()));
        }

        #[test]
        fn every_word_of_every_document_is_noted_in_one_way_or_the_other(
            texts in proptest::collection::vec(proptest::collection::vec("[ab0]{1,6}", 0..8), 0..9), words_max in 0_usize..9,
        ) {
            let mut column = ColumnWords::new(words_max);
            for (document, words) in (0..).zip(&texts) {
                words.iter().for_each(|word| column.add(document, word.as_bytes()));
            }
            let Noted { words, identifiers, is_full } = column.finish();
            prop_assert!(words.len() <= words_max && words.is_sorted_by(|(a, _), (b, _)| a < b));
            prop_assert!(identifiers.is_sorted_by(|a, b| a < b));
            let mut noted = BTreeSet::new();
            for (word, places) in &words {
                let mut documents = Vec::new();
                places.read(&mut documents);
                noted.extend(documents.into_iter().map(|document| (word.to_vec(), document)));
            }
            for (document, text) in (0..).zip(&texts) {
                for word in text {
                    let by_number = identifiers.binary_search(&pair(number(word.as_bytes()), document)).is_ok();
                    let by_word = noted.contains(&(word.as_bytes().to_vec(), u64::from(document)));
                    let is_noted =
                        if is_identifier(word.as_bytes()) { by_number } else { by_word || by_number && is_full };
                    prop_assert!(is_noted, "{}", word);
                    let mut stem = Vec::new();
                    put_stem(&mut stem, word.as_bytes());
                    let by_stem = noted.contains(&(stem, u64::from(document)));
                    prop_assert!(!is_identifier(word.as_bytes()) || by_stem || is_full);
                }
            }
        }
    }
}
