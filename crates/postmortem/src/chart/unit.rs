use serde::{Deserialize, Serialize};

/// What a number measures, and so how people say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A bare number.
    #[default]
    None,
    /// Events per second.
    PerSecond,
    /// A share; the value is a ratio from 0 to 1.
    Percent,
    /// A duration in seconds.
    Seconds,
    /// A duration in nanoseconds.
    Nanoseconds,
    /// A size in bytes.
    Bytes,
    /// How many.
    Count,
}

const SIGNIFICANT: i32 = 3;

impl Unit {
    /// The value as a person says it: three significant digits and the unit (`14.3 %`, `240 ms`, `1.5 GiB`).
    /// A value that is not finite is `unknown`.
    pub fn format(self, value: f64) -> String {
        if !value.is_finite() {
            return "unknown".to_owned();
        }
        match self {
            Self::None | Self::Count => scaled(value, 1_000.0, &["", "k", "M", "G", "T", "P"]),
            Self::PerSecond => format!("{}/s", scaled(value, 1_000.0, &["", "k", "M", "G", "T", "P"])),
            Self::Percent => percent(value),
            Self::Seconds => people_duration(value),
            Self::Nanoseconds => people_duration(value / 1e9),
            Self::Bytes => bytes(value),
        }
    }

    /// What to write beside the axis and in table headers (`requests/s` knows better; this is the bare unit).
    pub fn axis_name(self) -> &'static str {
        match self {
            Self::None => "value",
            Self::PerSecond => "per second",
            Self::Percent => "percent",
            Self::Seconds | Self::Nanoseconds => "duration",
            Self::Bytes => "bytes",
            Self::Count => "count",
        }
    }
}

/// The number with all its digits and thousands kept apart by a narrow space (`23 412`, `0.0312`).
pub fn exact(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    let text = format!("{}", (value * 1e9).round() / 1e9);
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// Seconds as people say them: `240 ms`, `1.3 s`, `44 min`, `1 h 5 min`, `2 d 3 h`.
pub fn people_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "unknown".to_owned();
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let size = seconds.abs();
    let text = match size {
        0.0 => "0 s".to_owned(),
        s if s < 0.999_5e-6 => format!("{} ns", significant(s * 1e9)),
        s if s < 0.999_5e-3 => format!("{} µs", significant(s * 1e6)),
        s if s < 0.999_5 => format!("{} ms", significant(s * 1e3)),
        s if s < 59.95 => format!("{} s", significant(s)),
        s => long_duration(s),
    };
    format!("{sign}{text}")
}

/// From a minute on: the two largest parts that are not zero.
fn long_duration(seconds: f64) -> String {
    let parts: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let first = parts.iter().position(|(size, _)| seconds.round() >= *size).unwrap_or(parts.len() - 1);
    let (size, word) = parts[first];
    let Some((small, small_word)) = parts.get(first + 1) else {
        return format!("{} {word}", seconds.round());
    };
    let units = (seconds / small).round();
    let per = size / small;
    let (large, rest) = ((units / per).floor(), units % per);
    if rest == 0.0 { format!("{large} {word}") } else { format!("{large} {word} {rest} {small_word}") }
}

/// Near 100 % three digits would lie (99.95 is not 100), so the distance to 100 keeps one digit of its own.
fn percent(ratio: f64) -> String {
    let value = ratio * 100.0;
    let missing = (100.0 - value).abs();
    if missing > 1e-9 && missing < 0.5 {
        let decimals = usize::try_from((-missing.log10()).ceil() as i64).unwrap_or(1).clamp(1, 6);
        return format!("{} %", trim(&format!("{value:.decimals$}")));
    }
    format!("{} %", significant(value))
}

fn bytes(value: f64) -> String {
    if value.abs() < 1_024.0 {
        return format!("{} B", significant(value));
    }
    scaled(value, 1_024.0, &["", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

fn scaled(value: f64, base: f64, names: &[&str]) -> String {
    let mut size = value;
    let mut step = 0;
    while size.abs() >= base * 0.999_5 && step + 1 < names.len() {
        size /= base;
        step += 1;
    }
    let number = significant(size);
    match names[step] {
        "" => number,
        name if base > 1_000.0 => format!("{number} {name}"),
        name => format!("{number}{name}"),
    }
}

/// Three significant digits without trailing zeros; very small numbers keep an exponent.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if magnitude < -4 {
        return format!("{value:.2e}");
    }
    let decimals = usize::try_from(SIGNIFICANT - 1 - magnitude).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

fn trim(text: &str) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_say_them() {
        for (unit, value, text) in [
            (Unit::None, 0.0, "0"),
            (Unit::None, 1234.5, "1.23k"),
            (Unit::Count, 23_000.0, "23k"),
            (Unit::Count, 999_600.0, "1M"),
            (Unit::PerSecond, 12.34, "12.3/s"),
            (Unit::Percent, 0.143_21, "14.3 %"),
            (Unit::Percent, 1.0, "100 %"),
            (Unit::Percent, 0.999_5, "99.95 %"),
            (Unit::Percent, 0.0, "0 %"),
            (Unit::Seconds, 0.24, "240 ms"),
            (Unit::Seconds, 1.3, "1.3 s"),
            (Unit::Seconds, 59.99, "1 min"),
            (Unit::Seconds, 80.0, "1 min 20 s"),
            (Unit::Seconds, 2_640.0, "44 min"),
            (Unit::Seconds, 3_900.0, "1 h 5 min"),
            (Unit::Seconds, 183_600.0, "2 d 3 h"),
            (Unit::Seconds, -5.0, "-5 s"),
            (Unit::Nanoseconds, 240_000_000.0, "240 ms"),
            (Unit::Nanoseconds, 1_500.0, "1.5 µs"),
            (Unit::Bytes, 512.0, "512 B"),
            (Unit::Bytes, 1_610_612_736.0, "1.5 GiB"),
            (Unit::Seconds, f64::NAN, "unknown"),
        ] {
            assert_eq!(unit.format(value), text, "{unit:?} {value}");
        }
    }

    #[test]
    fn exact_numbers_keep_their_digits() {
        assert_eq!(exact(23_412.0), "23\u{202f}412");
        assert_eq!(exact(-1_234_567.5), "-1\u{202f}234\u{202f}567.5");
        assert_eq!(exact(0.0312), "0.0312");
        assert_eq!(exact(999.0), "999");
    }
}
