//! The words of one column of a part that is being written, in memory: which documents have each of them.

use std::collections::HashMap;

use foldhash::quality::RandomState;

use crate::packed_words::PackedWords;
use crate::term::{Word, unpacked};

/// Different words that are kept as they are; further ones are kept as identifiers are. Texts of a language whose
/// words nothing separates would have as many as rows.
pub(crate) const WORDS_MAX: usize = 1 << 16;
/// Identifiers that are remembered, so that one that keeps coming is noted once a document.
const SEEN_MAX: usize = 1024;
/// Memory that a word takes beside its list, about.
const WORD_BYTES: usize = 128;

/// Words and where they are.
pub(crate) struct ColumnWords {
    short: PackedWords,
    long: HashMap<Box<[u8]>, u32, RandomState>,
    /// Of each word; those of short and long ones are mixed.
    places: Vec<Places>,
    words_max: usize,
    /// Each the number of a word and a document, see [`pair`].
    identifiers: Vec<u64>,
    seen: Box<[u64; SEEN_MAX]>,
    /// Whether a word had to be kept as an identifier that is none.
    is_full: bool,
    lists_bytes: usize,
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
    pub(crate) words: Vec<(Vec<u8>, Places)>,
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
            places: Vec::new(),
            words_max,
            identifiers: Vec::new(),
            // A pair that is in the place of another number.
            seen: Box::new(std::array::from_fn(|place| pair(u32::from(place == 0), 0))),
            is_full: false,
            lists_bytes: 0,
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
        let place = match self.short.noted(found) {
            Some(noted) if noted.next > document => return true,
            Some(noted) => {
                noted.next = document + 1;
                noted.place
            }
            None => {
                let Some(place) = self.new_place() else { return false };
                self.short.insert(found, word, place, document + 1);
                place
            }
        };
        self.lists_bytes += self.places[place as usize].add(document);
        true
    }

    /// Whether there was room.
    fn add_long(&mut self, document: u32, word: &[u8]) -> bool {
        let place = match self.long.get(word) {
            Some(place) => *place,
            None => {
                let Some(place) = self.new_place() else { return false };
                self.long.insert(word.into(), place);
                place
            }
        };
        self.lists_bytes += self.places[place as usize].add(document);
        true
    }

    fn new_place(&mut self) -> Option<u32> {
        let place = u32::try_from(self.places.len()).ok().filter(|_| self.places.len() < self.words_max)?;
        self.places.push(Places::default());
        Some(place)
    }

    /// What it takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.lists_bytes + self.places.len() * WORD_BYTES + self.identifiers.len() * size_of::<u64>()
    }

    pub(crate) fn finish(self) -> Noted {
        let Self { short, long, mut places, mut identifiers, is_full, .. } = self;
        let mut take = |place: u32| std::mem::take(&mut places[place as usize]);
        let mut words: Vec<_> = short.words().map(|(word, place)| (unpacked(word), take(place))).collect();
        words.extend(long.into_iter().map(|(word, place)| (word.into_vec(), take(place))));
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
            texts in proptest::collection::vec(proptest::collection::vec("[ab0]{1,6}|[ab]{16,18}0?", 0..8), 0..9), words_max in 0_usize..9,
        ) {
            let mut column = ColumnWords::new(words_max);
            for (document, words) in (0..).zip(&texts) {
                words.iter().for_each(|word| column.add(document, Word::new(word.as_bytes())));
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
                    let term = Word::new(word.as_bytes());
                    let by_number = identifiers.binary_search(&pair(term.number(), document)).is_ok();
                    let by_word = noted.contains(&(word.as_bytes().to_vec(), u64::from(document)));
                    let is_noted =
                        if term.is_identifier() { by_number } else { by_word || by_number && is_full };
                    prop_assert!(is_noted, "{}", word);
                    let by_stem = noted.contains(&(unpacked(term.packed_stem()), u64::from(document)));
                    prop_assert!(!term.is_identifier() || by_stem || is_full);
                }
            }
        }
    }
}
