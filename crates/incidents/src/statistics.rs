//! The few statistics the crate needs; each total over its input, none panics on empty or constant data.

/// The `q` quantile (0 to 1) by linear interpolation; `None` of nothing.
pub(crate) fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * count(last);
    let below = place.floor();
    let index = (0..=last).find(|i| count(*i) >= below).unwrap_or(last);
    let above = sorted[(index + 1).min(last)];
    Some(sorted[index] + (above - sorted[index]) * (place - below))
}

/// The middle value; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Third minus first quartile; 0 of nothing.
pub(crate) fn iqr(values: &[f64]) -> f64 {
    match (quantile(values, 0.25), quantile(values, 0.75)) {
        (Some(low), Some(high)) => high - low,
        _ => 0.0,
    }
}

/// Arithmetic mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / count(values.len()) }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of minutes and requests stay far below 2^52")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// z of the two-proportion test (pooled): how surely share `bad_b/all_b` exceeds `bad_a/all_a`. 0 without data.
pub(crate) fn two_proportions(bad_a: f64, all_a: f64, bad_b: f64, all_b: f64) -> f64 {
    if all_a <= 0.0 || all_b <= 0.0 {
        return 0.0;
    }
    // Half an event more on either side keeps a baseline of no errors at all from giving infinite certainty.
    let pooled = (bad_a + bad_b + 1.0) / (all_a + all_b + 2.0);
    let spread = (pooled * (1.0 - pooled) * (1.0 / all_a + 1.0 / all_b)).sqrt();
    if spread > 0.0 { (bad_b / all_b - bad_a / all_a) / spread } else { 0.0 }
}

/// Two-sided p of a z: how often chance alone gives a difference at least so large. Right to seven digits (Abramowitz
/// and Stegun, 7.1.26).
pub(crate) fn p_value(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let sum = series.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (sum * (-x * x).exp()).clamp(0.0, 1.0)
}

/// χ² of a 2×2 table with Yates' correction; 0 when a margin is empty.
pub(crate) fn chi_squared(a: f64, b: f64, c: f64, d: f64) -> f64 {
    let margins = (a + b) * (c + d) * (a + c) * (b + d);
    if margins <= 0.0 {
        return 0.0;
    }
    let all = a + b + c + d;
    let gap = ((a * d - b * c).abs() - all / 2.0).max(0.0);
    all * gap * gap / margins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_and_take_nothing_calmly() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0, f64::NAN]), Some(2.0));
        assert_eq!(quantile(&[0.0, 10.0], 0.25), Some(2.5));
        assert!((iqr(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_proportion_test_needs_data_and_a_difference() {
        assert!(two_proportions(1.0, 1000.0, 100.0, 1000.0) > 8.0);
        assert!(two_proportions(50.0, 1000.0, 50.0, 1000.0).abs() < 1e-9);
        assert_eq!(two_proportions(0.0, 0.0, 5.0, 10.0), 0.0);
        assert!(two_proportions(0.0, 1000.0, 1.0, 10.0) < 10.0, "one failure of ten is not certainty");
    }

    #[test]
    fn a_p_value_is_what_the_tables_say() {
        for (z, p) in [(0.0, 1.0), (1.0, 0.317_311), (-1.959_964, 0.05), (3.0, 0.002_700)] {
            assert!((p_value(z) - p).abs() < 1e-6, "z = {z}: {}", p_value(z));
        }
        assert!(p_value(40.0) < 1e-9);
    }

    #[test]
    fn chi_squared_of_the_same_shares_is_small() {
        assert!(chi_squared(50.0, 50.0, 500.0, 500.0) < 0.1);
        assert!(chi_squared(90.0, 10.0, 100.0, 900.0) > 100.0);
        assert_eq!(chi_squared(0.0, 0.0, 5.0, 5.0), 0.0);
    }
}
