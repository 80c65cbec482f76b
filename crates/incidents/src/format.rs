//! Numbers as people read them: few digits, a unit, a space between.

/// `0.141` as `14.1 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent.abs() >= 100.0 {
        format!("{percent:.0} %")
    } else if percent.abs() >= 0.1 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.2} %")
    }
}

/// Milliseconds as `12 ms` or `1.24 s`.
pub(crate) fn millis(ms: f64) -> String {
    if ms.abs() >= 1_000.0 { format!("{:.2} s", ms / 1_000.0) } else { format!("{} ms", number(ms)) }
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

/// A gauge's value with its UCUM unit; ratios of unit `1` between 0 and 1 as percent.
pub(crate) fn gauge(value: f64, unit: &str) -> String {
    match unit {
        "" | "1" => number(value),
        "%" => format!("{} %", number(value)),
        // An annotation such as `{connection}` reads better without its braces.
        unit => format!("{} {}", number(value), unit.trim_matches(['{', '}'])),
    }
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
        assert_eq!(millis(1_240.0), "1.24 s");
        assert_eq!(millis(12.04), "12 ms");
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(gauge(20.0, "{connection}"), "20 connection");
    }
}
