//! Numbers as runs and packed bits, the way Parquet writes dictionary keys and levels.

/// Fewer equal numbers than this cost less packed than as a run.
const RUN_MIN: usize = 8;

/// How many bits the largest number needs.
pub(super) fn width_of(largest: u32) -> u8 {
    u8::try_from(u32::BITS - largest.leading_zeros()).expect("at most 32")
}

/// Appends `number`, seven bits a byte, low bits first.
pub(super) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends `numbers` as the hybrid of runs and bit-packed groups of eight, `width` bits each.
pub(super) fn put_hybrid(numbers: &[u32], width: u8, out: &mut Vec<u8>) {
    let (mut packed_from, mut at) = (0, 0);
    while at < numbers.len() {
        let run = run_length(&numbers[at..]);
        // Packed groups hold eight: the run lends what completes the group before it.
        let lent = (at - packed_from).next_multiple_of(RUN_MIN) - (at - packed_from);
        if run >= RUN_MIN + lent {
            put_packed(&numbers[packed_from..at + lent], width, out);
            put_run(numbers[at], run - lent, width, out);
            packed_from = at + run;
        }
        at += run;
    }
    put_packed(&numbers[packed_from..], width, out);
}

fn run_length(numbers: &[u32]) -> usize {
    let first = numbers[0];
    numbers.iter().position(|number| *number != first).unwrap_or(numbers.len())
}

/// Appends a run of `count` times `number`.
pub(super) fn put_run(number: u32, count: usize, width: u8, out: &mut Vec<u8>) {
    put_varint((count as u64) << 1, out);
    out.extend_from_slice(&number.to_le_bytes()[..usize::from(width).div_ceil(8)]);
}

fn put_packed(numbers: &[u32], width: u8, out: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(8);
    put_varint(((groups as u64) << 1) | 1, out);
    let padding = groups * 8 - numbers.len();
    let all = numbers.iter().copied().chain(std::iter::repeat_n(0, padding));
    pack(all.map(u64::from), width, out);
}

/// Appends the low `width` bits of each number, without gaps, and zero bits up to a whole byte.
pub(super) fn pack(numbers: impl Iterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    let (mut held, mut held_bits) = (0u128, 0u32);
    for number in numbers {
        held |= u128::from(number) << held_bits;
        held_bits += u32::from(width);
        if held_bits >= u64::BITS {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= u64::BITS;
            held_bits -= u64::BITS;
        }
    }
    out.extend_from_slice(&(held as u64).to_le_bytes()[..held_bits.div_ceil(8) as usize]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The inverse, after the Parquet specification.
    fn hybrid(bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let (mut numbers, mut at) = (Vec::new(), 0);
        while numbers.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                header |= u64::from(bytes[at] & 0x7f) << shift;
                shift += 7;
                at += 1;
                if bytes[at - 1] < 0x80 {
                    break;
                }
            }
            let bit = |index: usize| u32::from(bytes[index / 8] >> (index % 8) & 1);
            let number = |from: usize| (0..usize::from(width)).map(|i| bit(from + i) << i).sum::<u32>();
            if header & 1 == 1 {
                let values = (header >> 1) as usize * 8;
                numbers.extend((0..values).map(|value| number(at * 8 + value * usize::from(width))));
                at += values * usize::from(width) / 8;
            } else {
                numbers.extend(std::iter::repeat_n(number(at * 8), (header >> 1) as usize));
                at += usize::from(width).div_ceil(8);
            }
        }
        assert_eq!(at, bytes.len());
        numbers.truncate(count);
        numbers
    }

    proptest! {
        #[test]
        fn numbers_come_back_from_runs_and_packed_groups(
            runs in prop::collection::vec((0u32..300, 1usize..40), 0..40),
            wide in any::<bool>(),
        ) {
            let scale = if wide { 14_000_000 } else { 1 };
            let numbers: Vec<u32> = runs.iter().flat_map(|(n, count)| vec![n * scale; *count]).collect();
            let width = width_of(numbers.iter().copied().max().unwrap_or(0));
            let mut bytes = Vec::new();
            put_hybrid(&numbers, width, &mut bytes);
            prop_assert_eq!(hybrid(&bytes, width, numbers.len()), numbers);
        }
    }

    #[test]
    fn a_long_run_costs_a_few_bytes() {
        let mut bytes = Vec::new();
        put_hybrid(&[7; 20_000], 3, &mut bytes);
        assert!(bytes.len() <= 4);
    }
}
