/// Most steps of the continued fraction; it needs about the square root of the number of trials.
const STEPS_MAX: u32 = 200_000;
const SMALLEST: f64 = 1e-300;
const PRECISION: f64 = 1e-14;

/// P(X ≥ k) for X ~ Binomial(n, p): how likely chance alone brings this many failures.
///
/// Computed as the regularised incomplete beta function I_p(k, n − k + 1), which neither overflows nor loses the
/// tail as a sum of terms would. Counts may be fractional (weighted samples).
pub(super) fn tail(k: f64, n: f64, p: f64) -> f64 {
    if k <= 0.0 {
        return 1.0;
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    incomplete_beta(k, n - k + 1.0, p).clamp(0.0, 1.0)
}

fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges fast on one side of the mean; the other side is its mirror.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(a, b, x) / a
    } else {
        1.0 - front * continued_fraction(b, a, 1.0 - x) / b
    }
}

/// Lentz's evaluation of the fraction of the incomplete beta function (DLMF 8.17.22).
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let keep = |v: f64| if v.abs() < SMALLEST { SMALLEST } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / keep(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..=STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / keep(1.0 + even * d);
        c = keep(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / keep(1.0 + odd * d);
        c = keep(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < PRECISION {
            break;
        }
    }
    fraction
}

/// ln Γ(x) for x > 0: Stirling's series, after the recurrence has carried x far enough up for it.
fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut below = 0.0;
    while x < 15.0 {
        below += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1_260.0 - square / 1_680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of terms, good enough for small n.
    fn summed(k: u32, n: u32, p: f64) -> f64 {
        let mut term = (1.0 - p).powi(i32::try_from(n).unwrap());
        let mut below = 0.0;
        for i in 0..k {
            below += term;
            term *= f64::from(n - i) / f64::from(i + 1) * p / (1.0 - p);
        }
        1.0 - below
    }

    #[test]
    fn the_tail_agrees_with_the_sum_of_its_terms() {
        for n in [1, 5, 60, 300] {
            for p in [0.0144, 0.1, 0.5, 0.9] {
                for k in 1..=n {
                    let (got, want) = (tail(k.into(), n.into(), p), summed(k, n, p));
                    assert!((got - want).abs() < 1e-9, "P(X >= {k} | {n}, {p}) is {want}, got {got}");
                }
            }
        }
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(tail(0.0, 10.0, 0.1), 1.0);
        assert_eq!(tail(11.0, 10.0, 0.1), 0.0);
        assert_eq!(tail(1.0, 10.0, 0.0), 0.0);
        assert!((tail(10.0, 10.0, 0.5) - 0.5_f64.powi(10)).abs() < 1e-15);
    }

    #[test]
    fn far_tails_of_huge_counts_are_small_but_not_lost() {
        let (n, p) = (2.6e8, 0.001);
        let half = tail(n * p, n, p);
        assert!((half - 0.5).abs() < 0.001, "at the mean it is about a half, got {half}");
        let sigma = (n * p * (1.0 - p)).sqrt();
        let six_sigma = tail(n * p + 6.0 * sigma, n, p);
        assert!(six_sigma > 0.5e-9 && six_sigma < 2e-9, "{six_sigma}");
    }
}
