//! The least and the greatest value of a page, a chunk or a block.

use parquet::data_type::{ByteArray, ByteArrayType, DataType as _};
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::page::Kind;
use crate::StatValue;
use crate::block_stats::{lower_text, upper_text};

/// Longer text bounds are shortened in the file's own statistics.
const BOUND_BYTES_MAX: usize = 64;

/// Bounds that some values have. Numbers, times and booleans (0 and 1) share one variant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Range {
    Number(i64, i64),
    Double(f64, f64),
    Text(Vec<u8>, Vec<u8>),
}

impl Range {
    /// Of numbers as [`super::page::Values`] has them: doubles as their bits. `None` without a value to compare.
    pub(super) fn of_numbers(kind: Kind, numbers: &[i64]) -> Option<Self> {
        if kind == Kind::Double {
            let doubles = numbers.iter().map(|bits| f64::from_bits(bits.cast_unsigned()));
            let (low, high) = doubles
                .filter(|double| !double.is_nan())
                .map(|double| (double, double))
                .reduce(|(low, high), (double, _)| (low.min(double), high.max(double)))?;
            // The two zeros are equal: a bound of zero must cover both.
            let low = if low == 0.0 { -0.0 } else { low };
            return Some(Self::Double(low, if high == 0.0 { 0.0 } else { high }));
        }
        let first = *numbers.first()?;
        let bounds = |(low, high): (i64, i64), number: &i64| (low.min(*number), high.max(*number));
        let (low, high) = numbers.iter().fold((first, first), bounds);
        Some(Self::Number(low, high))
    }

    pub(super) fn of_texts<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let first = texts.next()?;
        let (mut low, mut high) = (first, first);
        for text in texts {
            if text < low {
                low = text;
            } else if text > high {
                high = text;
            }
        }
        Some(Self::Text(low.to_vec(), high.to_vec()))
    }

    /// What covers both.
    pub(super) fn join(earlier: Option<Self>, later: Option<Self>) -> Option<Self> {
        let (Some(earlier), Some(later)) = (earlier.clone(), later.clone()) else { return earlier.or(later) };
        Some(match (earlier, later) {
            (Self::Number(a, b), Self::Number(c, d)) => Self::Number(a.min(c), b.max(d)),
            (Self::Double(a, b), Self::Double(c, d)) => Self::Double(
                if c.total_cmp(&a).is_lt() { c } else { a },
                if d.total_cmp(&b).is_gt() { d } else { b },
            ),
            (Self::Text(a, b), Self::Text(c, d)) => Self::Text(a.min(c), b.max(d)),
            (earlier, _) => earlier,
        })
    }

    /// Whether neither bound of `later` is below this one's.
    pub(super) fn not_above(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Number(a, b), Self::Number(c, d)) => a <= c && b <= d,
            (Self::Double(a, b), Self::Double(c, d)) => a <= c && b <= d,
            (Self::Text(a, b), Self::Text(c, d)) => a <= c && b <= d,
            _ => false,
        }
    }

    /// The bounds as the page index holds them.
    pub(super) fn to_bytes(&self, kind: Kind) -> (Vec<u8>, Vec<u8>) {
        let number = |number: i64| match kind {
            Kind::Bool => vec![number as u8],
            Kind::Int32 => (number as i32).to_le_bytes().to_vec(),
            _ => number.to_le_bytes().to_vec(),
        };
        match self {
            Self::Number(low, high) => (number(*low), number(*high)),
            Self::Double(low, high) => (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()),
            Self::Text(low, high) => {
                (shortened_low(low).to_vec(), shortened_high(high).unwrap_or_else(|| high.clone()))
            }
        }
    }

    /// For the Delta log; timestamps when `micros`.
    pub(super) fn to_stat_values(&self, micros: bool) -> (Option<StatValue>, Option<StatValue>) {
        match self {
            Self::Number(low, high) if micros => {
                (Some(StatValue::Micros(*low)), Some(StatValue::Micros(*high)))
            }
            Self::Number(low, high) => (Some(StatValue::Int(*low)), Some(StatValue::Int(*high))),
            Self::Double(..) => (None, None),
            Self::Text(low, high) => {
                let text = |bytes| std::str::from_utf8(bytes).ok();
                (text(low).map(lower_text), text(high).and_then(upper_text))
            }
        }
    }
}

/// The statistics of a chunk with these bounds.
pub(super) fn statistics(kind: Kind, range: Option<&Range>, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    match (kind, range) {
        (Kind::Bool, Some(Range::Number(low, high))) => {
            Statistics::boolean(Some(*low != 0), Some(*high != 0), None, nulls, false)
        }
        (Kind::Bool, _) => Statistics::boolean(None, None, None, nulls, false),
        (Kind::Int32, Some(Range::Number(low, high))) => {
            Statistics::int32(Some(*low as i32), Some(*high as i32), None, nulls, false)
        }
        (Kind::Int32, _) => Statistics::int32(None, None, None, nulls, false),
        (Kind::Int64, Some(Range::Number(low, high))) => {
            Statistics::int64(Some(*low), Some(*high), None, nulls, false)
        }
        (Kind::Int64, _) => Statistics::int64(None, None, None, nulls, false),
        (Kind::Double, Some(Range::Double(low, high))) => {
            Statistics::double(Some(*low), Some(*high), None, nulls, false)
        }
        (Kind::Double, _) => Statistics::double(None, None, None, nulls, false),
        (Kind::Text, range) => text_statistics(range, nulls),
    }
}

fn text_statistics(range: Option<&Range>, nulls: Option<u64>) -> Statistics {
    let Some(Range::Text(low, high)) = range else {
        return Statistics::byte_array(None, None, None, nulls, false);
    };
    let (least, greatest) = (shortened_low(low), shortened_high(high));
    let exact = greatest.is_none();
    let bound = |bytes: &[u8]| Some(ByteArray::from(bytes.to_vec()));
    let greatest = greatest.unwrap_or_else(|| high.clone());
    let statistics: ValueStatistics<<ByteArrayType as parquet::data_type::DataType>::T> =
        ValueStatistics::new(bound(least), bound(&greatest), None, nulls, false);
    debug_assert_eq!(ByteArrayType::get_physical_type(), parquet::basic::Type::BYTE_ARRAY);
    Statistics::ByteArray(statistics.with_min_is_exact(least.len() == low.len()).with_max_is_exact(exact))
}

/// A prefix is not above the whole.
fn shortened_low(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Ok(text) => &bytes[..text.floor_char_boundary(BOUND_BYTES_MAX)],
        Err(_) => &bytes[..bytes.len().min(BOUND_BYTES_MAX)],
    }
}

/// A short text not below the whole: its prefix with the last character that can grow grown by one. `None` when it
/// is short already or no character can grow.
fn shortened_high(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() <= BOUND_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let mut kept: Vec<char> = text[..text.floor_char_boundary(BOUND_BYTES_MAX)].chars().collect();
    while let Some(last) = kept.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            kept.push(next);
            return Some(kept.into_iter().collect::<String>().into_bytes());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_bounds_stay_bounds() {
        for text in ["ü".repeat(60), "x".repeat(65), "\u{10ffff}".repeat(40), "y".repeat(64), String::new()]
        {
            let bytes = text.as_bytes();
            assert!(shortened_low(bytes) <= bytes);
            if let Some(high) = shortened_high(bytes) {
                assert!(high.as_slice() > bytes && std::str::from_utf8(&high).is_ok());
            }
        }
        assert!(shortened_high("x".repeat(65).as_bytes()).is_some_and(|high| high.len() == 64));
    }

    #[test]
    fn zero_bounds_cover_both_zeros_and_no_bound_is_not_a_number() {
        let bits = |doubles: &[f64]| doubles.iter().map(|d| d.to_bits().cast_signed()).collect::<Vec<_>>();
        let Some(Range::Double(low, high)) = Range::of_numbers(Kind::Double, &bits(&[0.0, f64::NAN])) else {
            panic!("a zero has bounds");
        };
        assert!(low.is_sign_negative() && high.is_sign_positive());
        assert_eq!(Range::of_numbers(Kind::Double, &bits(&[f64::NAN])), None);
    }
}
