//! `numeric` in PostgreSQL's binary form: digits to the base 10,000, as the text has them.

use bytes::{BufMut, BytesMut};

use super::fault::PgFault;

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;

/// Writes a decimal like `-12.340`; anything that is none becomes NaN.
pub(super) fn write(out: &mut BytesMut, text: &str) {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (NEGATIVE, rest),
        None => (POSITIVE, text),
    };
    let (whole, after) = rest.split_once('.').unwrap_or((rest, ""));
    if rest.is_empty() || !whole.bytes().chain(after.bytes()).all(|b| b.is_ascii_digit()) {
        return header(out, 0, 0, NAN, 0);
    }
    let whole = whole.trim_start_matches('0');
    let padded = format!("{whole:0>width$}", width = whole.len().next_multiple_of(4));
    let behind = format!("{after:0<width$}", width = after.len().next_multiple_of(4));
    let mut digits: Vec<u16> = groups(&padded).chain(groups(&behind)).collect();
    let mut weight = i16::try_from(padded.len() / 4).unwrap_or(i16::MAX) - 1;
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    weight = if digits.is_empty() { 0 } else { weight - i16::try_from(zeros).unwrap_or(0) };
    let scale = u16::try_from(after.len()).unwrap_or(u16::MAX);
    header(out, u16::try_from(digits.len()).unwrap_or(u16::MAX), weight, sign, scale);
    digits.iter().for_each(|digit| out.put_u16(*digit));
}

fn groups(digits: &str) -> impl Iterator<Item = u16> + '_ {
    digits.as_bytes().chunks(4).map(|four| four.iter().fold(0, |sum, b| sum * 10 + u16::from(b - b'0')))
}

fn header(out: &mut BytesMut, digits: u16, weight: i16, sign: u16, scale: u16) {
    out.put_u16(digits);
    out.put_i16(weight);
    out.put_u16(sign);
    out.put_u16(scale);
}

/// Reads a parameter back to text.
pub(super) fn read(bytes: &[u8]) -> Result<String, PgFault> {
    let wrong = || PgFault::protocol("a numeric parameter is not in PostgreSQL's binary form");
    let word = |at: usize| {
        let two = bytes.get(at * 2..at * 2 + 2)?;
        Some(u16::from_be_bytes([two[0], two[1]]))
    };
    let (Some(count), Some(weight), Some(sign), Some(scale)) = (word(0), word(1), word(2), word(3)) else {
        return Err(wrong());
    };
    if sign == NAN {
        return Ok("NaN".to_owned());
    }
    let (weight, scale) = (i32::from(weight.cast_signed()), usize::from(scale));
    // Far beyond what a double or a bigint can hold, to which it is read.
    if weight.unsigned_abs() > 100 || scale > 400 || bytes.len() != 8 + 2 * usize::from(count) {
        return Err(wrong());
    }
    let digit = |group: i32| {
        let at = usize::try_from(weight - group).ok().filter(|at| *at < usize::from(count));
        at.and_then(|at| word(4 + at)).unwrap_or(0)
    };
    let mut text = if sign == NEGATIVE { "-".to_owned() } else { String::new() };
    let whole: String = (0..=weight.max(0)).rev().map(|group| format!("{:04}", digit(group))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let groups = i32::try_from(scale.div_ceil(4)).unwrap_or(0);
        let after: String = (1..=groups).map(|group| format!("{:04}", digit(-group))).collect();
        text.push('.');
        text.push_str(after.get(..scale).unwrap_or(&after));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both_ways(text: &str) -> String {
        let mut out = BytesMut::new();
        write(&mut out, text);
        read(&out).unwrap()
    }

    #[test]
    fn decimals_survive_the_binary_form() {
        for text in
            ["0", "1", "-1", "10000", "0.0001", "18446744073709551615", "123456.7800", "-0.05", "0.00"]
        {
            assert_eq!(both_ways(text), text);
        }
        assert_eq!(both_ways("abc"), "NaN");
    }

    proptest! {
        #[test]
        fn properties_of_decimals_in_binary(whole in 0_u64.., after in "[0-9]{0,20}", negative: bool) {
            let sign = if negative { "-" } else { "" };
            let text = if after.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{after}") };
            prop_assert_eq!(both_ways(&text), text);
        }

        #[test]
        fn properties_of_foreign_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
