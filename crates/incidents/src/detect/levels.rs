//! Levels by minute or more seldom: whether one left what it usually is, by its own past.

use std::collections::VecDeque;

use crate::Meaning;
use crate::statistics::{count, median, quantile};

/// Points of the near past, and every how many of them one is kept for the long past.
const PAST: usize = 120;
const LONG_EVERY: usize = 10;
const LONG: usize = 144;
/// Fewest points of the near past, and of the long one.
const PAST_MIN: usize = 6;
const LONG_MIN: usize = 24;
/// Latest points that are no past yet.
const LAG: usize = 12;
/// Points between two looks at the past.
const REFRESH: usize = 5;
/// Restlessness assumed of a series of which little is known, as its logarithm; counts as so many points.
const ASSUMED: f64 = 0.3;
const ASSUMED_POINTS: f64 = 6.0;
/// Restlessness below which nothing is taken to be known.
const FLOOR: f64 = 0.08;
/// Factor beyond the level of the long past that is a creeping fault, and in scales.
const CREPT: f64 = 2.5;
const CREPT_SCALES: f64 = 8.0;
/// How many of how many latest points must be beyond so many scales: what lasts longer may be less.
const PERSISTENCE: [(usize, usize, f64); 5] =
    [(2, 2, 9.0), (3, 4, 6.0), (5, 6, 4.5), (6, 8, 3.5), (9, 12, 2.8)];
/// Scales from which a point is bad by itself.
const BAD_SCALES: f64 = 2.5;
/// Points after which what lasts is the new past.
const ACCEPTED: usize = 180;

/// One series of levels.
#[derive(Debug)]
pub(super) struct Levels {
    meaning: Meaning,
    /// The latest points, and whether each is on the bad side by itself.
    recent: VecDeque<(i64, f64, bool)>,
    past: VecDeque<f64>,
    /// Bad points of which it is not yet known whether they are a fault or how the series is.
    pending: Vec<f64>,
    was_hot: bool,
    long: VecDeque<f64>,
    kept: usize,
    usual: Option<Usual>,
    best: f64,
    hot_points: usize,
    step: i64,
    pub(super) score: f64,
    /// Whether the latest point is bad by itself.
    pub(super) is_bad: bool,
    /// The minute since which it is bad without a break.
    pub(super) since: Option<i64>,
}

/// What is usual; of placed values.
#[derive(Clone, Copy, Debug)]
struct Usual {
    unit: f64,
    middle: f64,
    scale: f64,
    /// Middle and scale of the long past.
    long: Option<(f64, f64)>,
}

impl Levels {
    pub(super) fn new(meaning: Meaning) -> Self {
        Self {
            meaning,
            recent: VecDeque::new(),
            past: VecDeque::new(),
            pending: Vec::new(),
            was_hot: false,
            long: VecDeque::new(),
            kept: 0,
            usual: None,
            best: 0.0,
            hot_points: 0,
            step: 1,
            score: 0.0,
            is_bad: false,
            since: None,
        }
    }

    /// Takes the next point in and judges it by those before.
    pub(super) fn add(&mut self, minute: i64, value: f64) {
        if !value.is_finite() || (self.meaning == Meaning::Slowness && value <= 0.0) {
            return;
        }
        if let Some((last, _, _)) = self.recent.back() {
            self.step = (minute - last).clamp(1, 15);
        }
        let is_hot = self.score >= 0.5;
        self.hot_points = if is_hot { self.hot_points + 1 } else { 0 };
        if self.hot_points >= ACCEPTED {
            self.past = self.recent.drain(..).map(|(_, value, _)| value).collect();
            self.pending.clear();
            self.long.clear();
            (self.usual, self.hot_points, self.kept) = (None, 0, 0);
        }
        self.best = self.best.max(value);
        while self.recent.len() >= LAG {
            match self.recent.pop_front() {
                Some((_, old, true)) => self.pending.push(old),
                Some((_, old, false)) => self.keep(old),
                None => break,
            }
        }
        self.is_bad = self.usual.is_some_and(|usual| self.distance(&usual, value) >= BAD_SCALES);
        self.recent.push_back((minute, value, self.is_bad));
        self.score = self.judged();
        self.was_hot |= self.score >= 0.5;
        if self.is_bad && self.since.is_none() {
            self.since = Some(minute);
        } else if !self.is_bad && self.score < 0.3 && self.since.is_some() {
            self.calm_again();
        }
    }

    /// What was bad is left out of the past where it was a fault; else it is how the series is.
    fn calm_again(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if self.was_hot {
            self.recent.retain(|(_, _, is_bad)| !is_bad);
        } else {
            pending.into_iter().for_each(|value| self.keep(value));
        }
        (self.since, self.was_hot) = (None, false);
    }

    /// What a minute without a point says: nothing, once points are overdue.
    pub(super) fn pass(&mut self, minute: i64) {
        if self.recent.back().is_some_and(|(last, _, _)| minute - last > 2 * self.step + 3) {
            (self.score, self.is_bad) = (0.0, false);
            self.calm_again();
        }
    }

    fn keep(&mut self, value: f64) {
        self.past.push_back(value);
        if self.past.len() > PAST {
            self.past.pop_front();
        }
        if self.kept.is_multiple_of(LONG_EVERY) {
            self.long.push_back(value);
            if self.long.len() > LONG {
                self.long.pop_front();
            }
        }
        if self.kept.is_multiple_of(REFRESH) || self.usual.is_none() {
            self.usual = self.look();
        }
        self.kept += 1;
    }

    fn look(&self) -> Option<Usual> {
        if self.past.len() < PAST_MIN {
            return None;
        }
        let past: Vec<f64> = self.past.iter().copied().collect();
        let unit = match self.meaning {
            Meaning::Success => self.best.abs().max(1e-9),
            _ => {
                let mean = past.iter().map(|value| value.abs()).sum::<f64>() / count(past.len());
                mean.max(0.02 * self.best.abs()).max(1e-9)
            }
        };
        let placed: Vec<f64> = past.iter().map(|value| self.place(unit, *value)).collect();
        let middle = median(&placed)?;
        let away: Vec<f64> = placed.iter().map(|value| (value - middle).abs()).collect();
        let tails = quantile(&away, 0.95).unwrap_or(0.0) / 1.96;
        let own = (1.4826 * median(&away)?).max(tails);
        let n = count(placed.len());
        let scale = ((n * own * own + ASSUMED_POINTS * ASSUMED * ASSUMED) / (n + ASSUMED_POINTS)).sqrt();
        let long = (self.long.len() >= LONG_MIN).then(|| {
            let placed: Vec<f64> = self.long.iter().map(|value| self.place(unit, *value)).collect();
            let middle = median(&placed).unwrap_or(0.0);
            let away: Vec<f64> = placed.iter().map(|value| (value - middle).abs()).collect();
            (middle, (1.4826 * median(&away).unwrap_or(0.0)).max(FLOOR))
        });
        Some(Usual { unit, middle, scale: scale.max(FLOOR), long })
    }

    /// Shares of success by what is missing to the best, all else by its logarithm.
    fn place(&self, unit: f64, value: f64) -> f64 {
        match self.meaning {
            Meaning::Success => ((self.best - value) / unit / 0.05).max(0.0).ln_1p(),
            _ => value.signum() * (value.abs() / (0.1 * unit)).ln_1p(),
        }
    }

    /// Least move that is worth telling.
    fn notable(&self) -> f64 {
        match self.meaning {
            Meaning::Success | Meaning::Failure => 0.6,
            Meaning::Slowness => 0.3,
            Meaning::Load | Meaning::Level => 0.4,
        }
    }

    /// How far a value is on the bad side, in scales; 0 for what is not worth telling.
    fn distance(&self, usual: &Usual, value: f64) -> f64 {
        let place = self.place(usual.unit, value);
        let shift = self.meaning.bad(place - usual.middle).abs();
        let near = if shift < self.notable() { 0.0 } else { shift / usual.scale };
        let crept = usual.long.map_or(0.0, |(middle, scale)| {
            let shift = self.meaning.bad(place - middle).abs();
            let is_one_way = matches!(self.meaning, Meaning::Failure | Meaning::Slowness);
            if is_one_way && shift >= CREPT.ln() && shift >= CREPT_SCALES * scale {
                shift / scale
            } else {
                0.0
            }
        });
        near.max(crept)
    }

    fn judged(&self) -> f64 {
        let Some(usual) = &self.usual else { return 0.0 };
        let distances: Vec<f64> =
            self.recent.iter().rev().map(|(_, value, _)| self.distance(usual, *value)).collect();
        PERSISTENCE
            .into_iter()
            .filter(|(_, of, _)| distances.len() >= *of)
            .filter_map(|(needed, of, scales)| {
                let mut latest: Vec<f64> = distances[..of].to_vec();
                latest.sort_by(|a, b| b.total_cmp(a));
                latest.get(needed - 1).map(|distance| distance / scales)
            })
            .fold(0.0, f64::max)
            .min(2.0)
    }
}
