//! Where a per-minute series changes its level: a penalised least-squares segmentation over a despiked series,
//! each boundary then kept only if the levels on both sides differ clearly.
//!
//! The noise is measured from minute-to-minute differences, so a series that is restless all the time (constant
//! background errors) needs a larger step than a quiet one. Shifting or scaling the series changes nothing.

use std::ops::Range;

use crate::statistics::{count, mean, median, quantile};

/// Fewest minutes on a side of a change.
const SEGMENT_MINUTES_MIN: usize = 2;
/// Longest series that is segmented, two days; the oldest minutes of a longer one are left out.
const SERIES_MINUTES_MAX: usize = 2_880;
/// Cost of one more change, in noise variances per natural logarithm of the length.
const PENALTY: f64 = 5.0;
/// How many standard errors the two levels must be apart.
const STANDARD_ERRORS_MIN: f64 = 5.0;
/// How many make a change plain where there is too little history to know what is rare.
const STANDARD_ERRORS_PLAIN: f64 = 20.0;
/// How many noise deviations the two medians must be apart.
const EFFECT_MIN: f64 = 1.5;
/// A 95 % interval holds every split whose squared error is within this many noise variances of the best.
const INTERVAL_COST: f64 = 3.84;
/// How many accidental runs of extreme minutes one series may hold, on average.
const ACCIDENTS_MAX: f64 = 0.02;
/// Share of the largest differences that may be changes rather than noise.
const DIFFERENCES_TRIMMED: f64 = 0.06;

/// One change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// First minute of the new level.
    pub index: usize,
    /// Earliest minute that the data allows.
    pub low: usize,
    /// Latest minute that the data allows.
    pub high: usize,
    /// Median before, back to the previous change.
    pub before: f64,
    /// Median after, up to the next change.
    pub after: f64,
    /// Distance of the two means in standard errors.
    pub strength: f64,
}

/// Which way a level moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The new level is higher.
    Up,
    /// The new level is lower.
    Down,
}

impl ChangePoint {
    /// Which way the level moved.
    pub fn direction(&self) -> Direction {
        if self.after > self.before { Direction::Up } else { Direction::Down }
    }
}

/// The changes of level in a per-minute series, in order of time; none in a series that is too short, constant,
/// or only noisy. Minutes without a value are skipped; indices are those of the whole series.
pub fn change_points(series: &[Option<f64>]) -> Vec<ChangePoint> {
    let skipped = series.len().saturating_sub(SERIES_MINUTES_MAX);
    let (minutes, values): (Vec<usize>, Vec<f64>) = series
        .iter()
        .enumerate()
        .skip(skipped)
        .filter_map(|(minute, value)| value.filter(|v| v.is_finite()).map(|v| (minute, v)))
        .unzip();
    if values.len() < 2 * SEGMENT_MINUTES_MIN + 1 {
        return Vec::new();
    }
    let Some(noise) = noise(&values) else { return Vec::new() };
    let calm = despiked(&values);
    let mut cuts = segment(&calm, PENALTY * noise * noise * count(values.len()).ln());
    for cut in 0..cuts.len() {
        cuts[cut] = refined(&values, &cuts, cut);
    }
    prune(&values, &mut cuts, noise);
    (0..cuts.len()).map(|i| describe(&values, &minutes, &cuts, i, noise)).collect()
}

/// Standard deviation of the noise, from differences of neighbours with the largest few left out; `None` when the
/// series is constant.
fn noise(values: &[f64]) -> Option<f64> {
    let range = quantile(values, 1.0)? - quantile(values, 0.0)?;
    let magnitude = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    // Below this the "range" is rounding error of the sums that made the values.
    if range <= magnitude * 1e-9 {
        return None;
    }
    let mut squares: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).collect();
    squares.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive share of a length"
    )]
    let trimmed = (count(squares.len()) * DIFFERENCES_TRIMMED).ceil().max(2.0) as usize;
    squares.truncate(squares.len().saturating_sub(trimmed).max(1));
    // A difference of two has twice the variance; the trimmed tail held about a quarter of it.
    let variance = mean(&squares) / 2.0 * 1.35;
    Some(variance.sqrt().max(range * 0.01))
}

/// Each value replaced by the median of itself and its neighbours: lone spikes go, steps stay where they are.
fn despiked(values: &[f64]) -> Vec<f64> {
    let mut calm = values.to_vec();
    for (i, window) in values.windows(3).enumerate() {
        calm[i + 1] = median(window).unwrap_or(window[1]);
    }
    calm
}

/// The cuts of the segmentation with least squared error plus `penalty` per cut (optimal partitioning).
fn segment(values: &[f64], penalty: f64) -> Vec<usize> {
    let sums = Sums::of(values);
    let n = values.len();
    let mut best = vec![f64::INFINITY; n + 1];
    let mut from = vec![0; n + 1];
    best[0] = -penalty;
    for end in SEGMENT_MINUTES_MIN..=n {
        for start in 0..=end - SEGMENT_MINUTES_MIN {
            let cost = best[start] + sums.cost(start..end) + penalty;
            if cost < best[end] {
                (best[end], from[end]) = (cost, start);
            }
        }
    }
    let mut cuts = Vec::new();
    let mut end = from[n];
    while end > 0 {
        cuts.push(end);
        end = from[end];
    }
    cuts.reverse();
    cuts
}

/// Prefix sums, so that a segment's squared error costs nothing to ask.
struct Sums {
    plain: Vec<f64>,
    squared: Vec<f64>,
}

impl Sums {
    fn of(values: &[f64]) -> Self {
        // Centred first, so that the difference of large sums keeps its digits.
        let centre = mean(values);
        let (mut plain, mut squared) = (vec![0.0], vec![0.0]);
        let (mut sum, mut square) = (0.0, 0.0);
        for value in values.iter().map(|value| value - centre) {
            sum += value;
            square += value * value;
            plain.push(sum);
            squared.push(square);
        }
        Self { plain, squared }
    }

    fn cost(&self, range: Range<usize>) -> f64 {
        let sum = self.plain[range.end] - self.plain[range.start];
        let square = self.squared[range.end] - self.squared[range.start];
        (square - sum * sum / count(range.len())).max(0.0)
    }
}

/// The neighbours of cut `i`: where the segment before it starts and the one after it ends.
fn around(cuts: &[usize], i: usize, len: usize) -> (usize, usize) {
    let start = if i == 0 { 0 } else { cuts[i - 1] };
    (start, cuts.get(i + 1).copied().unwrap_or(len))
}

/// Moves a cut by at most two minutes to where the values as they are, spikes included, change most.
fn refined(values: &[f64], cuts: &[usize], i: usize) -> usize {
    let (start, end) = around(cuts, i, values.len());
    let candidates = cuts[i].saturating_sub(2).max(start + 1)..=(cuts[i] + 2).min(end - 1);
    let (Some(before), Some(after)) = (median(&values[start..cuts[i]]), median(&values[cuts[i]..end])) else {
        return cuts[i];
    };
    let misfit = |cut: usize| -> f64 {
        let left: f64 = values[start..cut].iter().map(|v| (v - before).abs()).sum();
        let right: f64 = values[cut..end].iter().map(|v| (v - after).abs()).sum();
        left + right
    };
    candidates.min_by(|a, b| misfit(*a).total_cmp(&misfit(*b))).unwrap_or(cuts[i])
}

/// Removes the weakest cut until every one left is clear.
fn prune(values: &[f64], cuts: &mut Vec<usize>, noise: f64) {
    loop {
        let weakest =
            (0..cuts.len()).map(|i| (i, clarity(values, cuts, i, noise))).min_by(|a, b| a.1.total_cmp(&b.1));
        match weakest {
            Some((i, clarity)) if clarity < 1.0 => drop(cuts.remove(i)),
            _ => return,
        }
    }
}

/// At least 1 when a cut passes both tests: levels apart in standard errors, and medians apart in noise.
fn clarity(values: &[f64], cuts: &[usize], i: usize, noise: f64) -> f64 {
    let (start, end) = around(cuts, i, values.len());
    let (left, right) = (&values[start..cuts[i]], &values[cuts[i]..end]);
    let (Some(before), Some(after)) = (median(left), median(right)) else { return 0.0 };
    let strength = strength(left, right, noise);
    if !stands_apart(left, right, values.len(), strength) {
        return 0.0;
    }
    let errors = strength / STANDARD_ERRORS_MIN;
    let effect = (after - before).abs() / (noise * EFFECT_MIN);
    errors.min(effect)
}

/// Whether the shorter side lies where the longer side hardly ever is: three quarters of its minutes beyond a
/// quantile of the longer one. How rare that must be follows from chance: a run of `L` minutes of which `m` exceed
/// a level that each exceeds with probability p happens by accident about `len · C(L, m) · p^m` times, and that is
/// kept under [`ACCIDENTS_MAX`]. A longer side too short to show such rarity says so only by sheer distance.
fn stands_apart(left: &[f64], right: &[f64], len: usize, strength: f64) -> bool {
    let (short, long) = if left.len() < right.len() { (left, right) } else { (right, left) };
    let (Some(level), Some(usual)) = (median(short), median(long)) else { return false };
    let strays = short.len() / 4;
    let ways: f64 = (0..strays).map(|i| count(short.len() - i) / count(i + 1)).product();
    let rarity =
        (ACCIDENTS_MAX / (count(len) * ways)).powf(1.0 / count(short.len() - strays)).clamp(0.001, 0.25);
    if rarity * count(long.len() + 1) < 1.0 && strength < STANDARD_ERRORS_PLAIN {
        return false;
    }
    let mut sorted = short.to_vec();
    sorted.sort_by(f64::total_cmp);
    if level > usual {
        Some(sorted[strays]) > quantile(long, 1.0 - rarity)
    } else {
        Some(sorted[sorted.len() - 1 - strays]) < quantile(long, rarity)
    }
}

fn strength(left: &[f64], right: &[f64], noise: f64) -> f64 {
    let standard_error = noise * (1.0 / count(left.len()) + 1.0 / count(right.len())).sqrt();
    // The nearer of mean and median distance: one wild minute must not make a step.
    let means = (mean(right) - mean(left)).abs();
    let medians = (median(right).unwrap_or(0.0) - median(left).unwrap_or(0.0)).abs();
    means.min(medians) / standard_error
}

fn describe(values: &[f64], minutes: &[usize], cuts: &[usize], i: usize, noise: f64) -> ChangePoint {
    let (start, end) = around(cuts, i, values.len());
    let (left, right) = (&values[start..cuts[i]], &values[cuts[i]..end]);
    let (low, high) = interval(&values[start..end], cuts[i] - start, noise);
    // A gap before the first changed minute: the change may have come anywhere in it.
    let low_minute = if start + low > 0 { minutes[start + low - 1] + 1 } else { minutes[0] };
    ChangePoint {
        index: minutes[cuts[i]],
        low: low_minute.min(minutes[cuts[i]]),
        high: minutes[(start + high).min(values.len() - 1)],
        before: median(left).unwrap_or(0.0),
        after: median(right).unwrap_or(0.0),
        strength: strength(left, right, noise),
    }
}

/// The splits around `cut` that fit almost as well as it does.
fn interval(values: &[f64], cut: usize, noise: f64) -> (usize, usize) {
    let sums = Sums::of(values);
    let cost = |at: usize| sums.cost(0..at) + sums.cost(at..values.len());
    let bound = cost(cut) + INTERVAL_COST * noise * noise;
    let (mut low, mut high) = (cut, cut);
    while low > 1 && cost(low - 1) <= bound {
        low -= 1;
    }
    while high + 1 < values.len() && cost(high + 1) <= bound {
        high += 1;
    }
    (low, high)
}

#[cfg(test)]
pub(crate) mod tests;
