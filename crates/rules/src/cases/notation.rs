//! The notation of series in Prometheus' unit tests (its documentation, "Unit testing for rules", `<series>`):
//! `a`, `_` for no value, `axn` for a and n more, `a+bxn` and `a-bxn` for n more steps of b, `_xn` for n without.

use super::VALUES_MAX;

/// Reads a line of values, one for each interval.
///
/// # Errors
/// A sentence that names the word that cannot be read.
pub(crate) fn series(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    for word in text.split_whitespace() {
        let (first, step, more) = read(word).ok_or_else(|| {
            format!("`{word}` is no value; write 1.5, 1.5x3 (and three more), 1+2x3 (three steps of 2), or _ (none)")
        })?;
        let count = match first {
            Some(_) => more.saturating_add(1),
            None => more.max(1),
        };
        if values.len().saturating_add(count) > VALUES_MAX {
            return Err(format!("`{word}` makes more than {VALUES_MAX} values; use a longer interval"));
        }
        for index in 0..count {
            #[expect(clippy::cast_precision_loss, reason = "at most VALUES_MAX")]
            values.push(first.map(|first| first + step * index as f64));
        }
    }
    Ok(values)
}

/// First value, step, and how many more.
fn read(word: &str) -> Option<(Option<f64>, f64, usize)> {
    let (values, more) = match word.rsplit_once('x') {
        Some((values, more)) => (values, more.parse().ok()?),
        None => (word, 0),
    };
    if values == "_" {
        return Some((None, 0.0, more));
    }
    if values == "stale" && more == 0 {
        return Some((None, 0.0, 0));
    }
    if let Some(value) = number(values) {
        return Some((Some(value), 0.0, more));
    }
    // The sign that parts value and step is the last one that is neither the first character nor an exponent's.
    let sign = values.char_indices().rev().find(|(at, c)| {
        matches!(c, '+' | '-') && *at > 0 && !values[..*at].ends_with(['e', 'E', '+', '-'])
    })?;
    let value = number(&values[..sign.0])?;
    let step = number(&values[sign.0 + 1..])?;
    Some((Some(value), if sign.1 == '-' { -step } else { step }, more))
}

fn number(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    match digits {
        "Inf" | "NaN" => text.parse().ok(),
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_notation_is_read() {
        let read = |text: &str| {
            let values = series(text).unwrap();
            values.iter().map(|v| v.map_or("_".to_owned(), |v| v.to_string())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read("1 _ 2.5"), "1 _ 2.5");
        assert_eq!(read("0.60x4"), "0.6 0.6 0.6 0.6 0.6");
        assert_eq!(read("1+2x3"), "1 3 5 7");
        assert_eq!(read("-2-4x2 -1+-1x1"), "-2 -6 -10 -1 -2");
        assert_eq!(read("_x3 1"), "_ _ _ 1");
        assert_eq!(read("1e3-5e-1x1"), "1000 999.5");
        assert_eq!(read("stale NaN -Inf"), "_ NaN -inf");
        assert_eq!(read(""), "");
    }

    #[test]
    fn what_is_no_value_is_named() {
        for word in ["abc", "1x", "x3", "1+x2", "1x-1", "infinity", "--", "1_000"] {
            let error = series(&format!("1 {word}")).unwrap_err();
            assert!(error.contains(&format!("`{word}`")), "{error}");
        }
        assert!(series("1x4000000000").unwrap_err().contains("more than"));
    }
}
