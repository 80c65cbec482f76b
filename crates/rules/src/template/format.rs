/// The shortest usual writing of a number: no needless zeros, at most six digits after the point.
pub(super) fn number(value: f64) -> String {
    trimmed(value, 6)
}

/// A ratio as per cent, with at most `digits` digits after the point.
pub(super) fn percent(ratio: f64, digits: usize) -> String {
    format!("{} %", trimmed(ratio * 100.0, digits))
}

/// Seconds as people say them, in two units at most: `1h 30m`, `2d`, `250ms`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return number(seconds);
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    if seconds < 1.0 {
        return format!("{sign}{}ms", trimmed(seconds * 1_000.0, 1));
    }
    let mut rest = seconds.round();
    let mut words = Vec::new();
    for (unit, length) in [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)] {
        let count = (rest / length).floor();
        rest -= count * length;
        if count > 0.0 {
            words.push(format!("{count:.0}{unit}"));
        }
    }
    words.truncate(2);
    format!("{sign}{}", words.join(" "))
}

/// Bytes with binary units: `1.5 MiB`.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, 1_024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"])
}

/// A number with a metric suffix: `12.3k`.
pub(super) fn humanize(value: f64) -> String {
    scaled(value, 1_000.0, &["", "k", "M", "G", "T", "P"])
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= base && unit + 1 < units.len() && scaled.is_finite() {
        scaled /= base;
        unit += 1;
    }
    format!("{}{}", trimmed(scaled, 2), units[unit])
}

fn trimmed(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
