//! Rising numbers, each coded as its distance from the one before (Rice's code). Pure.
//!
//! A distance, less one, is written as its upper part in zeros ended by a one, then its lower bits. How many bits are
//! lower follows from how many numbers there are and how far they reach, which the reader knows too. Where numbers
//! are spread evenly this takes half a bit a number more than could be at all.

/// Lower bits when `count` numbers lie below `reach`.
fn lower_bits(count: u64, reach: u64) -> u32 {
    // The mean distance times the logarithm of 2, about: where a zero is as likely as a one.
    (reach / 10 * 7 / count.max(1)).max(1).ilog2()
}

/// Appends `numbers`, which rise and lie below `reach`.
pub(crate) fn encode(numbers: &[u64], reach: u64, bytes: &mut Vec<u8>) {
    let lower = lower_bits(numbers.len() as u64, reach);
    let mut bits = Bits { bytes, held: 0, count: 0 };
    let mut next = 0;
    for &number in numbers {
        let distance = number - next;
        next = number + 1;
        let mut zeros = distance >> lower;
        while zeros >= 32 {
            bits.put(0, 32);
            zeros -= 32;
        }
        bits.put(1 << zeros, zeros as u32 + 1);
        let rest = distance & ((1 << lower) - 1);
        bits.put(rest & u64::from(u32::MAX), lower.min(32));
        bits.put(rest >> 32, lower.saturating_sub(32));
    }
    bits.end();
}

/// Bits on their way into bytes.
struct Bits<'a> {
    bytes: &'a mut Vec<u8>,
    held: u64,
    /// Bits that are held, fewer than 32.
    count: u32,
}

impl Bits<'_> {
    /// Appends the lowest `count` bits, 32 at most, above which there are only zeros.
    fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&self.held.to_le_bytes()[..4]);
            self.held >>= 32;
            self.count -= 32;
        }
    }

    fn end(self) {
        self.bytes.extend_from_slice(&self.held.to_le_bytes()[..self.count.div_ceil(8) as usize]);
    }
}

/// Gives back `count` numbers that were written with this reach, or fewer: it ends when `each` says so.
/// `None` when the bytes end before.
pub(crate) fn decode(bytes: &[u8], count: u32, reach: u64, mut each: impl FnMut(u64) -> bool) -> Option<()> {
    let lower = lower_bits(u64::from(count), reach);
    let mask = (1_u64 << lower) - 1;
    let (mut at, mut next) = (0, 0_u64);
    let end = bytes.len() * 8;
    for _ in 0..count {
        let mut upper = 0;
        loop {
            let zeros = peek(bytes, at).trailing_zeros().min(PEEKED_BITS);
            at += zeros as usize;
            upper += u64::from(zeros);
            if zeros < PEEKED_BITS {
                break;
            }
            if at >= end {
                return None;
            }
        }
        at += 1;
        let bits = match lower {
            0 => 0,
            1..=PEEKED_BITS => peek(bytes, at) & mask,
            _ => return None,
        };
        at += lower as usize;
        if at > end {
            return None;
        }
        let number = next.checked_add(upper << lower | bits)?;
        if !each(number) {
            return Some(());
        }
        next = number.checked_add(1)?;
    }
    Some(())
}

/// Bits that [`peek`] shows for sure.
const PEEKED_BITS: u32 = 57;

/// The bits from `at` on, zeros after the end.
fn peek(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at / 8..).unwrap_or_default();
    let bits = match rest.first_chunk() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => {
            let mut whole = [0; 8];
            whole[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(whole)
        }
    };
    bits >> (at % 8)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], count: usize, reach: u64) -> Option<Vec<u64>> {
        let mut numbers = Vec::new();
        decode(bytes, u32::try_from(count).unwrap(), reach, |number| {
            numbers.push(number);
            true
        })?;
        Some(numbers)
    }

    fn some_numbers() -> impl Strategy<Value = (u64, BTreeSet<u64>)> {
        (0_u32..33, 0_u64..99).prop_flat_map(|(bits, more)| {
            let reach = (1_u64 << bits) + more;
            (Just(reach), proptest::collection::btree_set(0..reach, 0..100))
        })
    }

    proptest! {
        #[test]
        fn numbers_come_back((reach, numbers) in some_numbers(), before in proptest::collection::vec(0_u8.., 0..3)) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let mut bytes = before.clone();
            encode(&numbers, reach, &mut bytes);
            prop_assert!(bytes.starts_with(&before));
            let coded = &bytes[before.len()..];
            prop_assert_eq!(all(coded, numbers.len(), reach), Some(numbers.clone()));
            // What is cut off is missed.
            if !coded.is_empty() {
                prop_assert_eq!(all(&coded[..coded.len() - 1], numbers.len(), reach), None);
            }
            // Four bits for each beside what its place takes.
            let place = (reach / numbers.len().max(1) as u64).max(1).ilog2() as usize;
            prop_assert!(coded.len() <= (numbers.len() * (place + 4)).div_ceil(8) + 1, "{} {}", coded.len(), place);
        }

        #[test]
        fn foreign_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(0_u8.., 0..64), count in 0_u32..99, bits in 0_u32..63,
        ) {
            decode(&bytes, count, 1 << bits, |_| true);
        }

        #[test]
        fn reading_ends_when_it_is_told_to((reach, numbers) in some_numbers(), limit in 0_usize..9) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let mut bytes = Vec::new();
            encode(&numbers, reach, &mut bytes);
            let mut seen = Vec::new();
            let ended = decode(&bytes, u32::try_from(numbers.len()).unwrap(), reach, |number| {
                seen.push(number);
                seen.len() < limit
            });
            prop_assert_eq!(ended, Some(()));
            prop_assert_eq!(&seen[..], &numbers[..numbers.len().min(limit.max(1))]);
        }
    }
}
