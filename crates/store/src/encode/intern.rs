//! Numbering distinct values of a column in the order they first come.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// How far a value is looked for among others; beyond it the column is not worth a dictionary, or someone chose
/// values to collide.
const PROBES_MAX: usize = 256;

/// Finds numbers by hash. The values themselves are kept by the caller.
#[derive(Debug)]
struct Slots {
    /// Number plus one; 0 where free. Its length is a power of two.
    table: Vec<u32>,
    hashes: Vec<u64>,
}

impl Slots {
    fn new() -> Self {
        Self { table: vec![0; 64], hashes: Vec::new() }
    }

    /// The number of the value with this hash, or where it would go; `None` after too many probes.
    fn find(&self, hash: u64, same: impl Fn(usize) -> bool) -> Option<Result<u32, usize>> {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        for _ in 0..PROBES_MAX {
            let Some(number) = self.table[at].checked_sub(1) else { return Some(Err(at)) };
            if self.hashes[number as usize] == hash && same(number as usize) {
                return Some(Ok(number));
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn put(&mut self, at: usize, hash: u64) -> u32 {
        self.hashes.push(hash);
        let number = u32::try_from(self.hashes.len()).expect("fewer values than rows of a row group");
        self.table[at] = number;
        if self.hashes.len() * 2 > self.table.len() {
            self.grow();
        }
        number - 1
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 4 - 1;
        let mut table = vec![0; mask + 1];
        for (number, hash) in self.hashes.iter().enumerate() {
            let mut at = *hash as usize & mask;
            while table[at] != 0 {
                at = (at + 1) & mask;
            }
            table[at] = number as u32 + 1;
        }
        self.table = table;
    }
}

/// Distinct numbers (or bits of doubles).
#[derive(Debug)]
pub(super) struct Numbers {
    slots: Slots,
    pub(super) values: Vec<i64>,
}

impl Numbers {
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(), values: Vec::new() }
    }

    /// The place of `value`; `None` when the dictionary is no use.
    pub(super) fn number(&mut self, value: i64) -> Option<u32> {
        let hash = mix(seed() ^ value.cast_unsigned(), MULTIPLIER);
        let values = &self.values;
        match self.slots.find(hash, |number| values[number] == value)? {
            Ok(number) => Some(number),
            Err(free) => {
                self.values.push(value);
                Some(self.slots.put(free, hash))
            }
        }
    }
}

/// Distinct texts.
#[derive(Debug)]
pub(super) struct Texts {
    slots: Slots,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(), ends: Vec::new(), bytes: Vec::new() }
    }

    /// The place of `text`; `None` when the dictionary is no use.
    pub(super) fn number(&mut self, text: &[u8]) -> Option<u32> {
        let hash = hash_of(text);
        match self.slots.find(hash, |number| self.get(number) == text)? {
            Ok(number) => Some(number),
            Err(free) => {
                self.bytes.extend_from_slice(text);
                self.ends.push(self.bytes.len());
                Some(self.slots.put(free, hash))
            }
        }
    }

    pub(super) fn get(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Another one for each process, so that no sender can choose values that collide.
fn seed() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(MULTIPLIER));
    *SEED
}

fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

fn hash_of(text: &[u8]) -> u64 {
    let seed = seed();
    let mut hash = mix(seed ^ text.len() as u64, MULTIPLIER);
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        hash = mix(hash ^ word, seed | 1);
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(hash ^ u64::from_le_bytes(last), MULTIPLIER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_get_the_same_number_in_order_of_first_sight() {
        let mut numbers = Numbers::new();
        let values: Vec<i64> = (0..10_000).map(|i| (i * 7919) % 1_009 - 500).collect();
        let found: Vec<u32> = values.iter().map(|value| numbers.number(*value).unwrap()).collect();
        assert_eq!(numbers.values.len(), 1_009);
        for (value, number) in values.iter().zip(found) {
            assert_eq!(numbers.values[number as usize], *value);
        }
        let mut texts = Texts::new();
        let words: Vec<String> = (0..5_000).map(|i| "x".repeat(i % 300)).collect();
        for word in &words {
            let number = texts.number(word.as_bytes()).unwrap();
            assert_eq!(texts.get(number as usize), word.as_bytes());
        }
        assert_eq!(texts.len(), 300);
        assert_eq!(texts.bytes(), (0..300).sum::<usize>());
    }
}
