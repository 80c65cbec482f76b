//! Service level objectives: what OpenSLO says of one, its minutes, and the burn rates that follow.
//!
//! Let T be the objective, B = 1 − T the budget, P the period. `e(W) = bad / total` over a window W, unknown when
//! nothing happened, and `burn(W) = e(W) / B`.

mod binomial;
mod budgeting;
mod burn;
mod collect;
mod indicator;
mod ledger;
#[cfg(test)]
mod outages;
mod source_sql;
mod standing;
#[cfg(test)]
mod tests;
mod tier;
mod window;

use std::path::PathBuf;
use std::time::Duration;

use hindsight_model::Labels;

pub use budgeting::Budgeting;
pub(crate) use burn::{Minutes, minute_of, minute_start, minutes_in};
pub use burn::{WindowSum, budget_consumed, budget_projected, burn_rate, time_to_exhaust};
pub(crate) use collect::{Minute, minutes_of, note_of, queries};
pub use indicator::{Indicator, Part, Ratio, Source};
pub use ledger::{LEDGER_REACH, LedgerEntry, LedgerEvent, LedgerKind, ledger};
pub use tier::{Guard, Severity, Tier, TierReading, TierVerdict, google_30d, short_window};
pub use window::{BudgetWindow, Calendar, CalendarUnit};

/// Length of a slice.
pub(crate) const SLICE: Duration = Duration::from_secs(60);
/// Time between the ticks of an SLO.
pub(crate) const SLO_INTERVAL: Duration = Duration::from_secs(60);
/// How long before the tick the newest slice must have ended: late spans get their chance.
pub(crate) const SLO_QUERY_OFFSET: Duration = Duration::from_secs(30);
/// Slices recomputed at each tick for data that came later still.
pub(crate) const LATE_SLICES: u32 = 5;
/// The time whose burn rate a projection goes on with.
pub(crate) const PROJECTED_FROM: Duration = Duration::from_secs(86_400);
/// Share of a window's slices that must have been observed, else its state is frozen.
pub(crate) const COVERAGE_FLOOR: f64 = 0.9;

/// One SLO that passed every check.
#[derive(Clone, Debug)]
pub struct Slo {
    /// `metadata.name`, unique in the workspace.
    pub name: String,
    /// `metadata.displayName`, or the name.
    pub display_name: String,
    /// What it promises, in words; may be empty.
    pub description: String,
    /// Relative to the workspace.
    pub file: PathBuf,
    /// Line of the document in its file, from 1.
    pub line: u64,
    /// The service that it speaks for.
    pub service: String,
    /// Objective as a ratio, 0.999 for 99.9 %.
    pub objective: f64,
    /// Over which time the budget is given.
    pub window: BudgetWindow,
    /// How events become budget units.
    pub budgeting: Budgeting,
    /// Where good and total come from.
    pub indicator: Indicator,
    /// What the alerts of all tiers are called; each adds its windows, see [`Slo::tier_alert`].
    pub alert: String,
    /// `metadata.labels`, put on every alert.
    pub labels: Labels,
    /// The burn-rate alerts; none without a burn policy.
    pub tiers: Vec<Tier>,
    /// When so few things happen that a burn rate means little.
    pub guard: Guard,
    /// How long the short window must stay under the factor before a tier resolves.
    pub keep_firing_for: Duration,
}

impl Slo {
    /// The error budget as a ratio: 0.001 for 99.9 %.
    pub fn budget(&self) -> f64 {
        1.0 - self.objective
    }

    /// The first minute whose slices are still needed at minute `end`: of the budget window, of every tier, and of
    /// the day that a projection looks at, with what late data may change.
    pub(crate) fn remembers_from(&self, end: i64) -> i64 {
        let tiers = self.tiers.iter().map(|tier| tier.long).max().unwrap_or_default();
        let longest = self.window.longest().max(tiers).max(PROJECTED_FROM);
        end - minutes_in(longest) - i64::from(LATE_SLICES) - self.budgeting.minutes()
    }

    /// The rule id of one of its tiers.
    pub fn tier_id(&self, tier: &Tier) -> String {
        format!("slo/{}/{}", self.name, tier.name)
    }

    /// The alert name of one of its tiers: two tiers that fire at once must be told apart
    /// (`Orders are taken budget burn 1h/5m`).
    pub fn tier_alert(&self, tier: &Tier) -> String {
        format!("{} {}", self.alert, tier.windows())
    }

    /// The name of its ticks in the journal.
    pub fn group(&self) -> String {
        format!("slo/{}", self.name)
    }
}
