use std::time::Duration;

use jiff::Timestamp;

use super::burn::{
    Minutes, WindowSum, budget_consumed, budget_projected, burn_rate, minute_of, minute_start,
    time_to_exhaust,
};
use super::window::BudgetWindow;
use super::{COVERAGE_FLOOR, PROJECTED_FROM, Slo};

/// The window of the burn rate that people are shown.
const HOUR: Duration = Duration::from_secs(3_600);

/// Where an SLO's budget stands: a pure function of its slices.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BudgetReading {
    /// When the budget window began.
    pub(crate) from: Timestamp,
    /// When it ends.
    pub(crate) to: Timestamp,
    /// Its units so far.
    pub(crate) sum: WindowSum,
    /// Share of the budget that is spent.
    pub(crate) consumed: Option<f64>,
    /// Share of it that will be spent when a calendar period ends.
    pub(crate) projected: Option<f64>,
    /// Burn rate of the last hour.
    pub(crate) burn_1h: Option<f64>,
    /// Time until it is spent at that rate.
    pub(crate) exhaust: Option<Duration>,
}

impl BudgetReading {
    /// Length of the budget window.
    pub(crate) fn period(&self) -> Duration {
        self.to.duration_since(self.from).unsigned_abs()
    }

    /// `ok`, `burning`, `exhausted`, or `unknown` when nothing happened or too little was observed.
    pub(crate) fn state(&self, is_alerting: bool) -> &'static str {
        match self.consumed {
            None => "unknown",
            Some(_) if self.sum.coverage() < COVERAGE_FLOOR => "unknown",
            Some(consumed) if consumed >= 1.0 => "exhausted",
            Some(_) if is_alerting || self.burn_1h.is_some_and(|burn| burn > 1.0) => "burning",
            Some(_) => "ok",
        }
    }
}

impl Slo {
    /// Reads the budget window that the minute before `end` belongs to.
    pub(crate) fn reading(&self, minutes: &Minutes, end: i64) -> BudgetReading {
        let now = minute_start(end);
        let (from, to) = self.window.period(now);
        let period = to.duration_since(from).unsigned_abs();
        let rest = to.duration_since(now).unsigned_abs();
        let sum = minutes.between(minute_of(from), end, self.budgeting);
        let burn = |window| burn_rate(&minutes.window(end, window, self.budgeting), self.budget());
        let consumed = budget_consumed(&sum, self.budget(), period);
        let burn_1h = burn(HOUR);
        let is_calendar = matches!(self.window, BudgetWindow::Calendar(_));
        let projected = consumed
            .filter(|_| is_calendar)
            .map(|consumed| budget_projected(consumed, burn(PROJECTED_FROM).unwrap_or(0.0), rest, period));
        let exhaust = consumed.zip(burn_1h).and_then(|(c, burn)| time_to_exhaust(c, period, burn));
        // What outlasts the calendar period is not spent: then the budget is whole again.
        let exhaust = exhaust.filter(|time| !is_calendar || *time < rest);
        BudgetReading { from, to, sum, consumed, projected, burn_1h, exhaust }
    }
}
