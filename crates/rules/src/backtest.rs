//! Backtests: what rules would have done over stored history, as written and with other numbers.
//!
//! The engine that runs live runs here (RUL-1), with the same ticks, over the same SQL; only the journal is another.
//! Variants of a rule ask the same questions, so each answer is asked for once and shared.

mod against;
mod episodes;
mod recorder;
mod shared;
#[cfg(test)]
mod tests;
mod variant;

use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{SqlSource, Tenant, Transition};
use jiff::Timestamp;

pub use against::{Detection, KnownIncident, Verdict, against};
use episodes::episodes;
pub use episodes::{Episode, pages_a_week, time_firing};
pub use variant::{Change as SetChange, Variant, VariantError, variant};

use crate::engine::{Engine, Options};
use crate::error::Result;
use crate::files::Loaded;
use crate::rule::RuleSet;
use recorder::Recorder;
use shared::Shared;

/// Logical time between two reports of progress.
const STEP: Duration = Duration::from_secs(3_600);

/// What the rules of one variant did.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// The variant's name: `as written`, or its settings.
    pub name: String,
    /// Every change of state within the range.
    pub transitions: Vec<Transition>,
    /// Episodes that fired within the range, by start.
    pub episodes: Vec<Episode>,
    /// Services that the rules returned an instance for.
    pub services: Vec<String>,
    /// Ticks that were evaluated.
    pub ticks: usize,
    /// Evaluations whose query failed; what they would have found is not known.
    pub errors: usize,
}

/// Runs every variant over `from <= tick < to`. `progress` hears how far it is, now and then.
///
/// Each rule begins earlier than `from` by as long as its clocks can look back, so that an episode that was under way
/// at `from` is known; its beginning may lie before `from`, then.
///
/// # Errors
/// [`Error::Machine`](crate::Error::Machine) when a state cannot be kept. A query that fails is counted.
pub async fn backtest(
    sql: Arc<dyn SqlSource>,
    variants: &[Variant],
    from: Timestamp,
    to: Timestamp,
    mut progress: impl FnMut(Timestamp),
) -> Result<Vec<Backtest>> {
    let shared = Arc::new(Shared::new(sql));
    let mut running: Vec<(String, Arc<Recorder>, Engine)> = Vec::new();
    for variant in variants {
        let recorder = Arc::new(Recorder::default());
        let start = from.checked_sub(look_back(&variant.rules)).unwrap_or(Timestamp::MIN);
        // The ticks of the live engine are the ticks here; a backtest must not skip what is long ago.
        let options = Options { start: Some(start), catch_up_max: Duration::MAX, ..Options::default() };
        let loaded = Loaded { rules: variant.rules.clone(), problems: Vec::new() };
        let source = Arc::<Shared>::clone(&shared);
        let journal = Arc::<Recorder>::clone(&recorder);
        let engine = Engine::with_rules(source, journal, loaded, Tenant::default(), options);
        running.push((variant.name.clone(), recorder, engine));
    }
    let begin = variants.iter().map(|variant| look_back(&variant.rules)).max().unwrap_or_default();
    let mut at = from.checked_sub(begin).unwrap_or(Timestamp::MIN);
    // The tick at `to` itself belongs to the time after.
    let last = to.checked_sub(Duration::from_nanos(1)).unwrap_or(to);
    let mut ticks = vec![0; running.len()];
    while at < last {
        at = at.checked_add(STEP).unwrap_or(last).min(last);
        for ((_, _, engine), ticks) in running.iter_mut().zip(&mut ticks) {
            *ticks += engine.run_until(at).await?.evaluated;
        }
        shared.forget();
        progress(at);
    }
    let results = running.into_iter().zip(ticks).map(|((name, recorder, _), ticks)| {
        let recorded = recorder.take();
        let episodes = episodes(&recorded, from, to);
        let transitions = recorded.transitions.into_iter().filter(|tr| tr.at >= from).collect();
        let services = recorded.services.into_iter().collect();
        Backtest { name, transitions, episodes, services, ticks, errors: recorded.errors }
    });
    Ok(results.collect())
}

/// How long before the range the slowest clock of these rules may have begun to run.
fn look_back(rules: &RuleSet) -> Duration {
    let of_rules = rules.groups.iter().flat_map(|group| {
        group.rules.iter().map(|rule| {
            let flapping = rule.policy.flapping.map_or(0, |flapping| u32::from(flapping.window));
            let ticks = flapping.max(rule.policy.on_missing.after).saturating_add(2);
            let clocks = rule.policy.for_.saturating_add(rule.policy.keep_firing_for);
            clocks.saturating_add(group.interval.saturating_mul(ticks))
        })
    });
    let of_slos = rules.slos.iter().map(|slo| {
        let after = slo.tiers.iter().map(|tier| tier.alert_after).max().unwrap_or_default();
        slo.keep_firing_for.saturating_add(after).saturating_add(Duration::from_secs(120))
    });
    of_rules.chain(of_slos).max().unwrap_or_default()
}
