//! Checksums of many parts of the same bytes, without reading them again for each.
//!
//! A CRC is the remainder of a division of polynomials over GF(2), so the checksum of a whole is that of its first part
//! times x^(8 · length of the rest), plus that of the rest.

use std::ops::Range;

/// A checksum is kept every so many bytes.
const STEP_BYTES: usize = 256;
/// Shorter parts are read: that is as fast as working their checksum out.
const READ_BYTES_MAX: usize = 2 * 1024;
/// The divisor of CRC-32C, its highest power left out; bit 31 is x^0.
const DIVISOR: u32 = 0x82F6_3B78;
/// x^0.
const ONE: u32 = 1 << 31;

/// Bytes whose checksums are asked for. What a client sent may look like a frame every few bytes, each as long as
/// all that follows; reading every one of them to its end would take hours (LIM-1).
#[derive(Debug)]
pub(crate) struct Checksums<'a> {
    bytes: &'a [u8],
    /// CRC-32C of the first 0, 1, 2, … steps; empty until it is needed.
    marks: Vec<u32>,
    /// x^(8 · bytes of 0, 1, 2, … steps), of as many.
    powers: Vec<u32>,
}

impl<'a> Checksums<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, marks: Vec::new(), powers: Vec::new() }
    }

    /// CRC-32C of a part, which must lie within the bytes.
    pub(crate) fn of(&mut self, part: Range<usize>) -> u32 {
        if part.len() <= READ_BYTES_MAX {
            return crc32c::crc32c(&self.bytes[part]);
        }
        if self.marks.is_empty() {
            self.mark();
        }
        // Whole steps in the middle, and less than a step before and after them.
        let (first, last) = (part.start.div_ceil(STEP_BYTES), part.end / STEP_BYTES);
        let before = crc32c::crc32c(&self.bytes[part.start..first * STEP_BYTES]);
        let middle = product(self.powers[last - first], before ^ self.marks[first]) ^ self.marks[last];
        crc32c::crc32c_append(middle, &self.bytes[last * STEP_BYTES..part.end])
    }

    fn mark(&mut self) {
        let (mut mark, mut power) = (0, ONE);
        self.marks.push(mark);
        self.powers.push(power);
        let step_power = power_of_a_step();
        for step in self.bytes.chunks_exact(STEP_BYTES) {
            mark = crc32c::crc32c_append(mark, step);
            power = product(power, step_power);
            self.marks.push(mark);
            self.powers.push(power);
        }
    }
}

/// x^(8 · STEP_BYTES), by squaring x.
fn power_of_a_step() -> u32 {
    let doublings = (8 * STEP_BYTES).ilog2();
    (0..doublings).fold(ONE >> 1, |power, _| product(power, power))
}

/// The product of two remainders.
fn product(a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    for power in 0..u32::BITS {
        if a & (ONE >> power) != 0 {
            sum ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ DIVISOR };
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_part_has_the_checksum_of_its_bytes(
            seed in any::<u32>(),
            length in 0..200_000_usize,
            parts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
        ) {
            let bytes: Vec<u8> = (0..length).map(|at| (at as u32).wrapping_mul(seed).to_le_bytes()[2]).collect();
            let mut checksums = Checksums::new(&bytes);
            for (a, b) in parts {
                let (a, b) = (a.index(length + 1), b.index(length + 1));
                let part = a.min(b)..a.max(b);
                prop_assert_eq!(checksums.of(part.clone()), crc32c::crc32c(&bytes[part]));
            }
        }
    }
}
