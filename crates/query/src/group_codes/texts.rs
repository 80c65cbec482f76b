//! Texts, numbered in the order in which they first came.
//!
//! Where they are many, a look-up waits for memory: for the place in the table, then for what is kept there. Rows are
//! therefore looked up together, step by step, so that one row's wait is also the next one's; and a text's beginning and
//! end are kept with its number, which is all there is of a short one.

use std::hash::{BuildHasher as _, Hasher as _};

use arrow::array::{Array as _, ArrayRef, StringViewArray, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use foldhash::fast::RandomState;

/// No text has this number: they end far below.
pub(super) const NONE: u32 = u32::MAX;
/// Rows that are looked up together.
const TOGETHER: usize = 1 << 10;
/// A place of the table without a text.
const EMPTY: u64 = u64::MAX;
const PLACES_MIN: usize = 1 << 8;

/// Different texts, and null, each with a number.
#[derive(Debug, Default)]
pub(super) struct Texts {
    state: RandomState,
    /// For each text the upper half of its hash and its number, in the place that the lower half says, or in one soon
    /// after it. A power of two many, of which at most half are taken.
    places: Vec<u64>,
    all: Vec<Text>,
    /// The texts, one after the other.
    texts: String,
    null: Option<u32>,
    /// Of rows that are looked up together.
    hashes: Vec<u64>,
    /// What is in the place where each of them is looked for first.
    found: Vec<u64>,
}

/// One text, or null, which no text equals.
#[derive(Clone, Copy, Debug)]
struct Text {
    ends: Ends,
    start: usize,
}

/// How long a text is, with its first and its last bytes: eight each, or what there is. Texts of up to sixteen bytes are
/// equal when their ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    len: usize,
}

impl Ends {
    /// Of what is null.
    const NULL: Self = Self { first: 0, last: 0, len: usize::MAX };
    /// More than this is not told by its ends.
    const WHOLE: usize = 2 * size_of::<u64>();

    #[inline]
    fn of(text: &[u8]) -> Self {
        let len = text.len();
        let (first, last) = match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (text.first_chunk(), text.last_chunk()) {
                (Some(first), Some(last)) => {
                    (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
                }
                _ => (text.iter().fold(0, |all, byte| all << u8::BITS | u64::from(*byte)), 0),
            },
        };
        Self { first, last, len }
    }
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes that this takes.
    pub(super) fn bytes(&self) -> usize {
        let words = self.places.capacity() + self.hashes.capacity() + self.found.capacity();
        words * size_of::<u64>() + self.all.capacity() * size_of::<Text>() + self.texts.capacity()
    }

    /// The number of null.
    pub(super) fn null(&mut self) -> u32 {
        let next = self.next();
        *self.null.get_or_insert_with(|| {
            self.all.push(Text { ends: Ends::NULL, start: 0 });
            next
        })
    }

    /// The number of one text.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        self.reserve(1);
        self.look_up(text, self.hash(text))
    }

    /// The number of each row's text, behind those that `rows` has; nulls get [`NONE`].
    pub(super) fn numbers(&mut self, column: &StringViewArray, rows: &mut Vec<u32>) {
        let text = |row| if column.is_valid(row) { column.value(row) } else { "" };
        let (mut hashes, mut found) = (std::mem::take(&mut self.hashes), std::mem::take(&mut self.found));
        for from in (0..column.len()).step_by(TOGETHER) {
            let together = from..column.len().min(from + TOGETHER);
            self.reserve(together.len());
            let mask = self.places.len() - 1;
            hashes.clear();
            hashes.extend(together.clone().map(|row| self.hash(text(row))));
            found.clear();
            found.extend(hashes.iter().map(|hash| self.places[*hash as usize & mask]));
            rows.extend(together.zip(&hashes).zip(&found).map(|((row, hash), found)| {
                if column.is_null(row) {
                    NONE
                } else if self.is(*found, *hash, text(row)) {
                    number_in(*found)
                } else {
                    self.look_up(text(row), *hash)
                }
            }));
        }
        (self.hashes, self.found) = (hashes, found);
    }

    /// The texts with these numbers.
    pub(super) fn of(&self, numbers: &UInt32Array) -> Result<ArrayRef, ArrowError> {
        let text = |text: &Text| (text.ends != Ends::NULL).then(|| self.text(text));
        let all: StringViewArray = self.all.iter().map(text).collect();
        take(&all, numbers, None)
    }

    fn text(&self, text: &Text) -> &str {
        &self.texts[text.start..text.start + text.ends.len]
    }

    fn next(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(NONE)
    }

    #[inline]
    fn hash(&self, text: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// Whether a place of the table is that of the text.
    #[inline]
    fn is(&self, place: u64, hash: u64, text: &str) -> bool {
        if place >> u32::BITS != hash >> u32::BITS {
            return false;
        }
        let ends = Ends::of(text.as_bytes());
        let known = self.all.get(number_in(place) as usize).filter(|known| known.ends == ends);
        known.is_some_and(|known| ends.len <= Ends::WHOLE || self.text(known) == text)
    }

    /// The number of a text, which is new where it is in no place; there is one left.
    fn look_up(&mut self, text: &str, hash: u64) -> u32 {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at] != EMPTY {
            if self.is(self.places[at], hash, text) {
                return number_in(self.places[at]);
            }
            at = (at + 1) & mask;
        }
        let number = self.next();
        self.places[at] = (hash >> u32::BITS) << u32::BITS | u64::from(number);
        self.all.push(Text { ends: Ends::of(text.as_bytes()), start: self.texts.len() });
        self.texts.push_str(text);
        number
    }

    /// Makes room for so many more texts.
    fn reserve(&mut self, more: usize) {
        let wanted = ((self.all.len() + more) * 2).next_power_of_two().max(PLACES_MIN);
        if wanted <= self.places.len() {
            return;
        }
        let (mask, mut places) = (wanted - 1, vec![EMPTY; wanted]);
        for place in self.places.iter().filter(|place| **place != EMPTY) {
            let Some(text) = self.all.get(number_in(*place) as usize) else { continue };
            let mut at = self.hash(self.text(text)) as usize & mask;
            while places[at] != EMPTY {
                at = (at + 1) & mask;
            }
            places[at] = *place;
        }
        self.places = places;
    }
}

/// The lower half of a place.
fn number_in(place: u64) -> u32 {
    place as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::AsArray as _;
    use proptest::prelude::*;

    use super::*;

    /// Texts of all lengths that are told apart in another way, often with the same ends or one the beginning of another.
    fn text() -> impl Strategy<Value = Option<String>> {
        let long =
            ("[ab]{0,2}", "x{0,20}", "[ab]{0,2}").prop_map(|(start, middle, end)| start + &middle + &end);
        prop_oneof![
            1 => Just(None),
            3 => "[\0ab]{0,9}".prop_map(Some),
            6 => long.prop_map(Some),
            1 => (0..4_000_u32).prop_map(|number| Some(format!("customer-{number:05}"))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn texts_have_one_number_each(batches in prop::collection::vec(
            (prop::collection::vec(text(), 0..1_200), any::<bool>()), 1..4,
        )) {
            let mut texts = Texts::default();
            let (mut all, mut rows) = (Vec::new(), Vec::new());
            for (batch, is_together) in batches {
                if is_together {
                    texts.numbers(&batch.iter().map(Option::as_deref).collect(), &mut rows);
                } else {
                    rows.extend(batch.iter().map(|text| text.as_ref().map_or(NONE, |text| texts.number(text))));
                }
                all.extend(batch);
            }
            rows.iter_mut().filter(|number| **number == NONE).for_each(|number| *number = texts.null());
            let numbers: Vec<u32> = (0..texts.len() as u32).collect();
            let known = texts.of(&numbers.into()).unwrap();
            let known: Vec<_> = known.as_string_view().iter().collect();
            let found: Vec<_> = rows.iter().map(|number| known[*number as usize]).collect();
            prop_assert_eq!(found, all.iter().map(Option::as_deref).collect::<Vec<_>>());
            prop_assert_eq!(known.iter().collect::<HashSet<_>>().len(), known.len());
        }
    }

    #[test]
    fn memory_is_told_with_the_table_and_the_texts() {
        let mut texts = Texts::default();
        let empty = texts.bytes();
        for number in 0..10_000 {
            texts.number(&format!("a text of thirty-two bytes {number:05}"));
        }
        assert_eq!((empty, texts.len()), (0, 10_000));
        // At most half of the places are taken, and a text is kept once.
        assert!(texts.bytes() > 10_000 * (2 * 8 + 32 + 32), "{}", texts.bytes());
    }
}
