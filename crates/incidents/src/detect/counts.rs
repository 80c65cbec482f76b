//! Counts by minute, of all and of the bad ones: whether a share or an amount rose, or fell to nothing, beyond chance.

use std::collections::VecDeque;

/// Minutes of the past that are compared.
const PAST: usize = 120;
/// Latest minutes that are no past yet: a fault must not become its own past.
const LAG: usize = 9;
/// Lengths in minutes of what is compared with the past.
const WINDOWS: [usize; 4] = [2, 3, 5, 8];
/// Fewest minutes of the past.
const PAST_MIN: usize = 5;
/// z that makes an incident by itself: among a thousand series chance brings it once in years.
const FULL: f64 = 6.0;
/// Fewest bad events in a window.
const BAD_MIN: f64 = 4.0;
/// Least rise of a share.
const RISE_MIN: f64 = 0.01;
/// Least factor by which a share or an amount rose.
const FACTOR_MIN: f64 = 2.0;
/// A fall below this share of what is usual is a silence.
const SILENT: f64 = 0.1;
/// Minutes after which what lasts is the new past.
const ACCEPTED: usize = 180;

/// A minute's count: bad ones among all. Amounts without a whole have as many of all in every minute.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counted {
    minute: i64,
    bad: f64,
    all: f64,
    /// Whether it is on the bad side by itself.
    is_bad: bool,
}

/// What counts are looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looking {
    /// The share of bad ones among all rises.
    Share,
    /// The amount of bad ones rises, and their share too.
    ShareAndAmount,
    /// The amount rises.
    Rise,
    /// The amount falls to nothing, beside all that there is.
    Silence,
}

/// The counts of one series.
#[derive(Debug)]
pub(super) struct Counts {
    looking: Looking,
    recent: VecDeque<Counted>,
    past: VecDeque<Counted>,
    /// Bad minutes of which it is not yet known whether they are a fault or how the series is.
    pending: Vec<Counted>,
    was_hot: bool,
    hot_minutes: usize,
    pub(super) score: f64,
    /// Whether the latest minute is bad by itself.
    pub(super) is_bad: bool,
    /// The minute since which it is bad without a break.
    pub(super) since: Option<i64>,
}

impl Counts {
    pub(super) fn new(looking: Looking) -> Self {
        Self {
            looking,
            recent: VecDeque::new(),
            past: VecDeque::new(),
            pending: Vec::new(),
            was_hot: false,
            hot_minutes: 0,
            score: 0.0,
            is_bad: false,
            since: None,
        }
    }

    /// Takes the next minute in and judges it by those before.
    pub(super) fn add(&mut self, minute: i64, bad: f64, all: f64) {
        let is_hot = self.score >= 0.5;
        self.hot_minutes = if is_hot { self.hot_minutes + 1 } else { 0 };
        if self.hot_minutes >= ACCEPTED {
            self.past.clear();
            self.past.extend(self.recent.drain(..));
            self.pending.clear();
            self.hot_minutes = 0;
        }
        while self.recent.len() >= LAG {
            match self.recent.pop_front() {
                Some(old) if old.is_bad => self.pending.push(old),
                Some(old) => self.past.push_back(old),
                None => break,
            }
        }
        while self.past.len() > PAST {
            self.past.pop_front();
        }
        let past = Past::of(&self.past, self.looking);
        self.is_bad = past.as_ref().is_some_and(|past| past.is_bad(self.looking, bad, all));
        self.recent.push_back(Counted { minute, bad, all, is_bad: self.is_bad });
        self.score = past.as_ref().map_or(0.0, |past| self.judged(past));
        self.was_hot |= self.score >= 0.5;
        if self.is_bad && self.since.is_none() {
            self.since = Some(minute);
        } else if !self.is_bad && self.score < 0.3 && self.since.is_some() {
            self.calm_again();
        }
    }

    /// What was bad is left out of the past where it was a fault; else it is how the series is.
    fn calm_again(&mut self) {
        if self.was_hot {
            self.recent.retain(|counted| !counted.is_bad);
        } else {
            self.past.extend(self.pending.iter().copied());
        }
        self.pending.clear();
        (self.since, self.was_hot) = (None, false);
    }

    /// What a minute without any count says: nothing.
    pub(super) fn pass(&mut self, minute: i64) {
        if self.recent.back().is_some_and(|last| minute - last.minute > 5) {
            (self.score, self.is_bad) = (0.0, false);
            self.calm_again();
        }
    }

    fn judged(&self, past: &Past) -> f64 {
        WINDOWS.into_iter().filter_map(|length| self.window(past, length)).fold(0.0, f64::max)
    }

    fn window(&self, past: &Past, length: usize) -> Option<f64> {
        let start = self.recent.len().checked_sub(length)?;
        let window: Vec<Counted> = self.recent.iter().skip(start).copied().collect();
        let (first, last) = (window.first()?.minute, window.last()?.minute);
        if last - first > i64::try_from(length).ok()? + 2 {
            return None;
        }
        // A lone spike is no incident: most minutes must be bad by themselves.
        let bad_minutes = window.iter().filter(|counted| counted.is_bad).count();
        if bad_minutes < 2 || bad_minutes * 5 < length * 3 {
            return None;
        }
        let (bad, all) = window.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.bad, sum.1 + c.all));
        let minutes = crate::statistics::count(length);
        let z = match self.looking {
            Looking::Share => past.share_z(bad, all),
            Looking::ShareAndAmount => past.share_z(bad, all).min(past.amount_z(bad, minutes)),
            Looking::Rise => past.amount_z(bad, minutes),
            Looking::Silence => past.silence_z(bad, all),
        };
        Some((z / FULL).clamp(0.0, 2.0))
    }
}

/// What is usual.
struct Past {
    bad: f64,
    all: f64,
    minutes: f64,
    /// How much more the past scatters than chance alone would.
    dispersion: f64,
}

impl Past {
    fn of(past: &VecDeque<Counted>, looking: Looking) -> Option<Self> {
        if past.len() < PAST_MIN {
            return None;
        }
        let (bad, all) = past.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.bad, sum.1 + c.all));
        let minutes = crate::statistics::count(past.len());
        let expected = |c: &Counted| match looking {
            Looking::Share | Looking::ShareAndAmount | Looking::Silence if all > 0.0 => bad / all * c.all,
            _ => bad / minutes,
        };
        let scatter: f64 = past
            .iter()
            .map(|c| (c.bad - expected(c), expected(c)))
            .filter(|(_, expected)| *expected > 0.0)
            // Half an event more keeps rare events from looking scattered.
            .map(|(off, expected)| off * off / (expected + 0.5))
            .sum();
        Some(Self { bad, all, minutes, dispersion: (scatter / minutes).max(1.0) })
    }

    /// Whether one minute is on the bad side by itself.
    fn is_bad(&self, looking: Looking, bad: f64, all: f64) -> bool {
        let usual = self.bad / self.minutes;
        let share = if self.all > 0.0 { self.bad / self.all } else { 0.0 };
        let is_share = all > 0.0 && bad >= 1.0 && bad / all >= (1.5 * share).max(share + RISE_MIN);
        match looking {
            Looking::Share => is_share,
            Looking::ShareAndAmount => is_share && bad >= 1.5 * usual,
            Looking::Rise => bad >= 1.0 && bad >= 1.5 * usual,
            Looking::Silence => all > 0.0 && bad <= 2.0 * SILENT * share * all,
        }
    }

    /// Root of twice the log-likelihood ratio of two shares (G-test), for a rise that matters.
    fn share_z(&self, bad: f64, all: f64) -> f64 {
        if all <= 0.0 || self.all <= 0.0 || bad < BAD_MIN {
            return 0.0;
        }
        let (now, before) = (bad / all, self.bad / self.all);
        if now < before + RISE_MIN || now < FACTOR_MIN * before {
            return 0.0;
        }
        let pooled = (bad + self.bad) / (all + self.all);
        let part = |seen: f64, expected: f64| if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
        let g = part(bad, all * pooled)
            + part(all - bad, all * (1.0 - pooled))
            + part(self.bad, self.all * pooled)
            + part(self.all - self.bad, self.all * (1.0 - pooled));
        (2.0 * g.max(0.0) / self.dispersion).sqrt()
    }

    /// The same of two rates, for a rise that matters.
    fn amount_z(&self, bad: f64, minutes: f64) -> f64 {
        let usual = self.bad / self.minutes;
        if bad < BAD_MIN || bad / minutes < FACTOR_MIN * usual {
            return 0.0;
        }
        let pooled = (bad + self.bad) / (minutes + self.minutes);
        let part = |seen: f64, expected: f64| if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
        let g = part(bad, pooled * minutes) + part(self.bad, pooled * self.minutes);
        (2.0 * g.max(0.0) / self.dispersion).sqrt()
    }

    fn silence_z(&self, seen: f64, all: f64) -> f64 {
        let expected = if self.all > 0.0 { self.bad / self.all * all } else { 0.0 };
        if expected <= 0.0 || seen > SILENT * expected {
            return 0.0;
        }
        let g = expected - seen + if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
        (2.0 * g.max(0.0) / self.dispersion).sqrt()
    }
}
