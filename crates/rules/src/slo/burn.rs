use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::SloSlice;
use jiff::Timestamp;

use super::SLICE;
use super::budgeting::Budgeting;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowSum {
    /// Good budget units: events, or time slices.
    pub good: f64,
    /// All budget units.
    pub total: f64,
    /// Bad events, whatever the unit is.
    pub bad_events: f64,
    /// Slices that were computed, empty ones too.
    pub observed: u32,
    /// Slices that the window has since the SLO's first one.
    pub expected: u32,
}

impl WindowSum {
    /// Bad budget units, never below zero.
    pub fn bad(&self) -> f64 {
        (self.total - self.good).max(0.0)
    }

    /// Observed by expected slices; 0 when none is expected, since then nothing is known.
    pub fn coverage(&self) -> f64 {
        if self.expected == 0 { 0.0 } else { f64::from(self.observed) / f64::from(self.expected) }
    }
}

/// `e(W) / B`: how many times faster than planned the budget is spent. `None` when nothing happened in the
/// window: that is not 100 % success, and not failure either.
pub fn burn_rate(sum: &WindowSum, budget: f64) -> Option<f64> {
    (sum.total > 0.0).then(|| sum.bad() / sum.total / budget)
}

/// Share of the period's budget that is spent, above 1 when overspent; `None` when nothing happened.
///
/// `consumed = burn(observed) · observed / P`, where `observed` is the time since the SLO's first slice, at most the
/// period P. The budget is for a whole period, so an SLO younger than that has spent only what its short life cost:
/// the months before it was watched are not taken for months without traffic.
pub fn budget_consumed(sum: &WindowSum, budget: f64, period: Duration) -> Option<f64> {
    let observed = SLICE.as_secs_f64() * f64::from(sum.expected) / period.as_secs_f64();
    burn_rate(sum, budget).map(|burn| burn * observed.min(1.0))
}

/// Time until the budget is spent at the present rate; `None` while nothing burns or when it is spent already.
pub fn time_to_exhaust(consumed: f64, period: Duration, burn_1h: f64) -> Option<Duration> {
    let remaining = 1.0 - consumed;
    if remaining <= 0.0 || burn_1h <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(remaining * period.as_secs_f64() / burn_1h).ok()
}

/// What will be spent at the end of a calendar period if the rest of it goes as the last day did: of a whole
/// budget, above 1 when it will be overspent. `burn` is the burn rate of that day.
pub fn budget_projected(consumed: f64, burn: f64, rest: Duration, period: Duration) -> f64 {
    consumed + burn * rest.as_secs_f64() / period.as_secs_f64()
}

/// The slices of one SLO, by minute since the epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minutes {
    slices: BTreeMap<i64, Counts>,
    /// The first minute that is remembered, whether it has a slice or not.
    from: i64,
    /// The last minute that was looked at, whether anything was found or not.
    searched: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Counts {
    good: f64,
    total: f64,
    revision: u32,
}

impl Minutes {
    pub(crate) fn load(slices: &[SloSlice]) -> Self {
        let mut minutes = Self::default();
        for slice in slices {
            minutes.set(slice);
        }
        minutes
    }

    /// The revision that these counts would have: `None` when they change nothing.
    pub(crate) fn revision_of(&self, minute: i64, good: f64, total: f64) -> Option<u32> {
        match self.slices.get(&minute) {
            None => Some(0),
            Some(old) if old.good == good && old.total == total => None,
            Some(old) => Some(old.revision.saturating_add(1)),
        }
    }

    pub(crate) fn set(&mut self, slice: &SloSlice) {
        let minute = minute_of(slice.minute);
        let counts = Counts { good: slice.good, total: slice.total, revision: slice.revision };
        self.slices.insert(minute, counts);
    }

    /// The minute with which the SLO's life began, as far as it is remembered.
    pub(crate) fn first(&self) -> Option<i64> {
        self.slices.first_key_value().map(|(minute, _)| *minute)
    }

    /// The last minute that was computed or found empty; `None` before anything was looked at.
    pub(crate) fn last(&self) -> Option<i64> {
        self.slices.last_key_value().map(|(minute, _)| *minute).or(self.searched)
    }

    /// Notes that every minute before `end` was looked at.
    pub(crate) fn searched_to(&mut self, end: i64) {
        self.searched = Some(end - 1);
    }

    /// The slices that the journal has from this minute on.
    pub(crate) fn load_from(from: i64, slices: &[SloSlice]) -> Self {
        Self { from, ..Self::load(slices) }
    }

    /// Forgets slices before this minute. False when they would be too few: an SLO that was given a longer window
    /// needs older ones than are remembered.
    pub(crate) fn drop_before(&mut self, minute: i64) -> bool {
        if minute < self.from {
            return false;
        }
        self.slices = self.slices.split_off(&minute);
        self.from = minute;
        true
    }

    /// The window of this length that ends (exclusively) at minute `end`.
    pub(crate) fn window(&self, end: i64, length: Duration, budgeting: Budgeting) -> WindowSum {
        self.between(end.saturating_sub(minutes_in(length)), end, budgeting)
    }

    /// The slices of `start <= minute < end`, as far as they were computed before `end`.
    pub(crate) fn between(&self, start: i64, end: i64, budgeting: Budgeting) -> WindowSum {
        let since = self.first().map_or(end, |first| first.max(start)).min(end);
        let mut sum = WindowSum { expected: u32::try_from(end - since).unwrap_or(0), ..WindowSum::default() };
        // A window may begin within a time slice, whose verdict needs the minutes before as well.
        let mut open = TimeSlice::default();
        for (minute, counts) in self.slices.range(budgeting.slice_of(since)..end.max(since)) {
            let start = budgeting.slice_of(*minute);
            if start != open.start {
                open.close(budgeting, &mut sum);
                open = TimeSlice { start, ..TimeSlice::default() };
            }
            open.good += counts.good;
            open.total += counts.total;
            if *minute >= since {
                open.minutes += 1.0;
                sum.observed += 1;
                sum.bad_events += (counts.total - counts.good).max(0.0);
            }
        }
        open.close(budgeting, &mut sum);
        sum
    }
}

/// The events of one time slice, and how many of its minutes lie in the window.
#[derive(Debug, Default)]
struct TimeSlice {
    start: i64,
    good: f64,
    total: f64,
    minutes: f64,
}

impl TimeSlice {
    /// Adds its units to the sum.
    fn close(&self, budgeting: Budgeting, sum: &mut WindowSum) {
        if budgeting == Budgeting::Occurrences {
            sum.good += self.good;
            sum.total += self.total;
        } else if let Some(good) = budgeting.verdict(self.good, self.total) {
            #[expect(clippy::cast_precision_loss, reason = "minutes of a time slice, at most a day's")]
            let share = self.minutes / budgeting.minutes() as f64;
            sum.good += good * share;
            sum.total += share;
        }
    }
}

/// How many slices a span of time has.
pub(crate) fn minutes_in(span: Duration) -> i64 {
    i64::try_from(span.as_secs() / SLICE.as_secs()).unwrap_or(i64::MAX / 4)
}

/// The minute since the epoch that holds this instant.
pub(crate) fn minute_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

/// The instant at which a minute begins.
pub(crate) fn minute_start(minute: i64) -> Timestamp {
    let clamped = minute.clamp(Timestamp::MIN.as_second() / 60 + 1, Timestamp::MAX.as_second() / 60 - 1);
    Timestamp::from_second(clamped * 60).expect("clamped to jiff's range")
}
