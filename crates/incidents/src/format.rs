//! Numbers as people read them: few digits, a unit, a space between.

/// `0.141` as `14.1 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent.abs() >= 99.95 {
        format!("{percent:.0} %")
    } else if percent.abs() >= 0.1 {
        format!("{} %", trimmed(format!("{percent:.1}")))
    } else {
        format!("{percent:.2} %")
    }
}

/// A p-value: `p = 0.012`, or `p < 0.001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// Milliseconds as `12 ms` or `1.24 s`.
pub(crate) fn millis(ms: f64) -> String {
    if ms.abs() >= 1_000.0 { format!("{:.2} s", ms / 1_000.0) } else { format!("{} ms", number(ms)) }
}

/// Seconds as whole minutes.
pub(crate) fn minutes(seconds: f64) -> String {
    format!("{:.0} min", seconds / 60.0)
}

/// Requests per minute.
pub(crate) fn per_minute(rate: f64) -> String {
    format!("{} requests/min", number(rate))
}

/// Three significant digits, without an exponent for everyday sizes.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (100.0..1e9).contains(&size) {
        format!("{value:.0}")
    } else if (10.0..100.0).contains(&size) {
        trimmed(format!("{value:.1}"))
    } else if (0.01..10.0).contains(&size) {
        trimmed(format!("{value:.2}"))
    } else {
        format!("{value:.2e}")
    }
}

/// A gauge's change with its UCUM unit said once: `25.5 → 0 backends`, `31 % → 100 %`, `1.2 GiB → 3 GiB`.
pub(crate) fn gauge_change(before: f64, after: f64, unit: &str) -> String {
    let each = |show: &dyn Fn(f64) -> String| format!("{} → {}", show(before), show(after));
    let within = |value: f64| (0.0..=1.0).contains(&value);
    let is_share = within(before) && within(after) && (before.fract() != 0.0 || after.fract() != 0.0);
    match unit {
        "1" if is_share => each(&percent),
        "" | "1" => each(&number),
        "%" => each(&|value| format!("{} %", number(value))),
        "ns" => each(&|value| millis(value / 1e6)),
        "us" => each(&|value| millis(value / 1e3)),
        "ms" => each(&millis),
        "s" => each(&|value| millis(value * 1e3)),
        "By" => each(&bytes),
        // An annotation such as `{connection}` is a noun for what is counted.
        unit => match unit.strip_prefix('{').and_then(|unit| unit.strip_suffix('}')) {
            Some(noun) => format!("{} {}", each(&number), plural(noun, after)),
            None => format!("{} {unit}", each(&number)),
        },
    }
}

/// The English plural, unless there is exactly one.
fn plural(noun: &str, count: f64) -> String {
    let is_plural = noun.ends_with('s') || !noun.ends_with(|c: char| c.is_ascii_alphabetic());
    if count == 1.0 || is_plural { noun.to_owned() } else { format!("{noun}s") }
}

fn bytes(value: f64) -> String {
    let mut size = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size.abs() < 1_024.0 {
            return format!("{} {unit}", number(size));
        }
        size /= 1_024.0;
    }
    format!("{} TiB", number(size))
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_units() {
        assert_eq!(percent(0.141), "14.1 %");
        assert_eq!(percent(0.002), "0.2 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.00012), "0.01 %");
        assert_eq!((p_value(0.0123), p_value(1e-12)), ("p = 0.012".to_owned(), "p < 0.001".to_owned()));
        assert_eq!(millis(1_240.0), "1.24 s");
        assert_eq!(millis(12.04), "12 ms");
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(gauge_change(25.5, 0.0, "{backend}"), "25.5 → 0 backends");
        assert_eq!(gauge_change(0.0, 1.0, "{request}"), "0 → 1 request");
        assert_eq!(gauge_change(0.31, 1.0, "1"), "31 % → 100 %");
        assert_eq!(gauge_change(0.0, 1.0, "1"), "0 → 1", "a count rather than a share");
        assert_eq!(gauge_change(4.0 * 1_048_576.0, 6_442_450_944.0, "By"), "4 MiB → 6 GiB");
        assert_eq!(gauge_change(0.012, 1.5, "s"), "12 ms → 1.50 s");
    }
}
