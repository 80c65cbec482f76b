//! Short words, each a number of its own, and what is known of each beside the word, so that one that keeps coming
//! costs one look at memory.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

const SLOTS_MIN: usize = 1024;

/// A table of words, not half full. No word is 0.
#[derive(Debug)]
pub(crate) struct PackedWords {
    slots: Vec<Slot>,
    count: usize,
    /// Seeded by chance, so that nobody can make up words that meet.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    word: u128,
    noted: Noted,
}

/// What is known of a word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    /// Which word it is, in the order in which words were met.
    pub(crate) place: u32,
    /// The document after the last one that has it.
    pub(crate) next: u32,
    /// How many documents have it.
    pub(crate) count: u32,
}

impl Default for PackedWords {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); SLOTS_MIN], count: 0, hasher: RandomState::default() }
    }
}

impl PackedWords {
    /// The slot of a word, whether it is there or not.
    pub(crate) fn find(&self, word: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(word) as usize & mask;
        // Half of the slots are free.
        while self.slots[slot].word != word && self.slots[slot].word != 0 {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// What is known of the word in a slot that was found for it.
    pub(crate) fn noted(&mut self, slot: usize) -> Option<&mut Noted> {
        let slot = &mut self.slots[slot];
        (slot.word != 0).then_some(&mut slot.noted)
    }

    /// Puts a word into the slot that was found for it.
    pub(crate) fn insert(&mut self, slot: usize, word: u128, noted: Noted) {
        self.slots[slot] = Slot { word, noted };
        self.count += 1;
        if self.count * 2 > self.slots.len() {
            let twice = vec![Slot::default(); self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, twice) {
                if slot.word != 0 {
                    let at = self.find(slot.word);
                    self.slots[at] = slot;
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// All words with what is known of them, in no order.
    pub(crate) fn words(&self) -> impl Iterator<Item = (u128, Noted)> {
        self.slots.iter().filter(|slot| slot.word != 0).map(|slot| (slot.word, slot.noted))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn words_stay_where_they_were_put() {
        let mut words = PackedWords::default();
        let mut expected = BTreeMap::new();
        for number in 0_u32..5000 {
            let word = u128::from(number % 3001 + 1) << (number % 3001 % 90);
            let slot = words.find(word);
            match (words.noted(slot).map(|noted| noted.place), expected.get(&word)) {
                (Some(found), Some(place)) => assert_eq!(found, *place),
                (None, None) => {
                    words.insert(slot, word, Noted { place: number, ..Noted::default() });
                    expected.insert(word, number);
                }
                (found, place) => panic!("{word} {found:?} {place:?}"),
            }
        }
        assert_eq!(
            words.words().map(|(word, noted)| (word, noted.place)).collect::<BTreeMap<_, _>>(),
            expected
        );
        assert_eq!(words.len(), expected.len());
    }
}
