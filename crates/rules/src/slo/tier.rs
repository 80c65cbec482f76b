use std::time::Duration;

use super::COVERAGE_FLOOR;
use super::binomial;
use super::budgeting::Budgeting;
use super::burn::{Minutes, WindowSum, burn_rate};
use crate::condition::Op;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How urgently a tier calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody is woken.
    Page,
    /// Somebody looks on a working day.
    Ticket,
}

impl Severity {
    /// `page` or `ticket`: the alert's `severity` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// One burn-rate alert: two windows and the factor that both must exceed.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// `page-1h`, `page-6h`, `ticket-1d` or `ticket-3d`, or the name of an alert condition; the last part of the
    /// rule's id.
    pub name: String,
    /// How urgent it is.
    pub severity: Severity,
    /// The window that measures the damage.
    pub long: Duration,
    /// The window that tells whether it is still going on.
    pub short: Duration,
    /// `budget_share · P / long`, or as written.
    pub factor: f64,
    /// How a burn rate exceeds it: above, or above or equal.
    pub op: Op,
    /// How long both windows must exceed it before the alert fires.
    pub alert_after: Duration,
}

/// The four tiers of Google's SRE workbook for a budget window of `period`; with 30 days the factors are 14.4, 6,
/// 3 and 1.
pub fn google_30d(period: Duration) -> [Tier; 4] {
    let tier = |name: &str, severity, long: Duration, short, budget_share: f64| Tier {
        name: name.to_owned(),
        severity,
        long,
        short,
        factor: budget_share * period.as_secs_f64() / long.as_secs_f64(),
        op: Op::Gt,
        alert_after: Duration::ZERO,
    };
    [
        tier("page-1h", Severity::Page, HOUR, 5 * MINUTE, 0.02),
        tier("page-6h", Severity::Page, 6 * HOUR, 30 * MINUTE, 0.05),
        tier("ticket-1d", Severity::Ticket, DAY, 2 * HOUR, 0.10),
        tier("ticket-3d", Severity::Ticket, 3 * DAY, 6 * HOUR, 0.10),
    ]
}

/// The short window of a tier of which only the long one is written: a twelfth of it in whole minutes, as in
/// [`google_30d`], and one minute at least.
pub fn short_window(long: Duration) -> Duration {
    MINUTE * u32::try_from(long.as_secs() / 12 / 60).unwrap_or(u32::MAX).max(1)
}

/// What keeps a handful of failures from waking somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// Fewest bad events in the long window.
    pub min_failures: f64,
    /// Largest probability that chance alone, at just the tier's burn rate, brings that many.
    pub alpha: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self { min_failures: 5.0, alpha: 0.05 }
    }
}

impl Guard {
    /// Whether these failures are more than chance around `f · B`. Time slices weigh a quiet hour like a busy one, so
    /// what chance brings is not reckoned from their events together: there, enough of them must be bad.
    pub fn admits(&self, long: &WindowSum, rate: f64, budgeting: Budgeting) -> bool {
        let enough = long.bad_events >= self.min_failures;
        let by_chance = || binomial::tail(long.bad().floor(), long.total.round(), rate) > self.alpha;
        enough && (budgeting != Budgeting::Occurrences || !by_chance())
    }
}

/// What one tier reads at one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierReading {
    /// Burn rate of the long window, if anything happened in it.
    pub burn_long: Option<f64>,
    /// Burn rate of the short window, if anything happened in it.
    pub burn_short: Option<f64>,
    /// Smaller coverage of the two windows.
    pub coverage: f64,
    /// `None`: unobserved, the state is frozen. Else whether the tier fires, and whether it stays firing.
    pub verdict: Option<TierVerdict>,
}

/// See [`TierReading::verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierVerdict {
    /// Both windows burn faster than the factor, and not by chance.
    pub fires: bool,
    /// The short window still does.
    pub holds: bool,
}

impl Tier {
    /// Its two windows as `1h/5m`.
    pub fn windows(&self) -> String {
        let short = |window: Duration| match window.as_secs() {
            s if s % 86_400 == 0 => format!("{}d", s / 86_400),
            s if s % 3_600 == 0 => format!("{}h", s / 3_600),
            s if s % 60 == 0 => format!("{}m", s / 60),
            s => format!("{s}s"),
        };
        format!("{}/{}", short(self.long), short(self.short))
    }

    /// Reads the windows that end before minute `end`.
    pub(crate) fn read(
        &self,
        minutes: &Minutes,
        end: i64,
        budgeting: Budgeting,
        budget: f64,
        guard: &Guard,
    ) -> TierReading {
        let long = minutes.window(end, self.long, budgeting);
        let short = minutes.window(end, self.short, budgeting);
        let (burn_long, burn_short) = (burn_rate(&long, budget), burn_rate(&short, budget));
        let coverage = long.coverage().min(short.coverage());
        let verdict = match (burn_long, burn_short) {
            (Some(burn_long), Some(burn_short)) if coverage >= COVERAGE_FLOOR => {
                let exceeds = |burn: f64| self.op.holds(burn, self.factor);
                let holds = exceeds(burn_short);
                let fires =
                    holds && exceeds(burn_long) && guard.admits(&long, self.factor * budget, budgeting);
                Some(TierVerdict { fires, holds })
            }
            _ => None,
        };
        TierReading { burn_long, burn_short, coverage, verdict }
    }
}
