//! Whole numbers as differences (Parquet's `DELTA_BINARY_PACKED`).

use super::bits::{pack, put_varint};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Appends `numbers` of a 64-bit column.
pub(super) fn put_delta(numbers: &[i64], out: &mut Vec<u8>) {
    put(numbers, i64::wrapping_sub, |delta, least| delta.wrapping_sub(least).cast_unsigned(), out);
}

/// Appends `numbers` of a 32-bit column; each fits 32 bits.
pub(super) fn put_delta_32(numbers: &[i64], out: &mut Vec<u8>) {
    let narrow = |a: i64, b: i64| (a as i32).wrapping_sub(b as i32);
    put(
        numbers,
        |later, earlier| i64::from(narrow(later, earlier)),
        |delta, least| u64::from(narrow(delta, least).cast_unsigned()),
        out,
    );
}

fn put(
    numbers: &[i64],
    difference: impl Fn(i64, i64) -> i64,
    above: impl Fn(i64, i64) -> u64,
    out: &mut Vec<u8>,
) {
    for header in [BLOCK, MINIBLOCKS, numbers.len()] {
        put_varint(header as u64, out);
    }
    put_varint(zigzag(numbers.first().copied().unwrap_or(0)), out);
    let mut deltas = [0i64; BLOCK];
    let mut earlier = numbers.first().copied().unwrap_or(0);
    for block in numbers.get(1..).unwrap_or(&[]).chunks(BLOCK) {
        for (delta, number) in deltas.iter_mut().zip(block) {
            *delta = difference(*number, earlier);
            earlier = *number;
        }
        put_block(&deltas[..block.len()], &above, out);
    }
}

fn put_block(deltas: &[i64], above: &impl Fn(i64, i64) -> u64, out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    put_varint(zigzag(least), out);
    let widths_at = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    for (index, miniblock) in deltas.chunks(MINIBLOCK).enumerate() {
        let bits = miniblock.iter().fold(0, |bits, delta| bits | above(*delta, least));
        let width = u8::try_from(u64::BITS - bits.leading_zeros()).expect("at most 64");
        out[widths_at + index] = width;
        let padding = std::iter::repeat_n(0, MINIBLOCK - miniblock.len());
        pack(miniblock.iter().map(|delta| above(*delta, least)).chain(padding), width, out);
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // That whole columns read back is checked against the Parquet reader, in `encode/tests.rs`.
    #[test]
    fn steady_numbers_cost_almost_nothing() {
        let numbers: Vec<i64> = (0..20_000).map(|i| 1_777_905_119_000_000 + i * 14_400_000).collect();
        let mut bytes = Vec::new();
        put_delta(&numbers, &mut bytes);
        assert!(bytes.len() < 2_000, "{}", bytes.len());
    }
}
