//! One step of one instance: a pure function of (policy, prior state, outcome, logical time) (RUL-1).
//!
//! The four absences are never "resolved" by themselves (RUL-3): an error and an unobserved window freeze the
//! state, and what missing and no data mean is the rule author's choice.

mod flapping;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hindsight_model::{AlertState, Labels, Outcome};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rule::{Absence, CheckedRule, Policy, stable_hash};

/// What the machine knows about one instance; survives a restart as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceState {
    /// The state that people are told. While flapping it is the worse of what it was and what `inner` is.
    pub state: AlertState,
    /// Since when `state` is what it is.
    pub since: Option<Timestamp>,
    /// When the breach of the present episode was first seen. Never moved, unlike the clocks below.
    pub active_at: Option<Timestamp>,
    /// The present episode, empty when inactive.
    pub episode: String,
    /// Whether the state is held because it comes and goes.
    pub flapping: bool,
    /// Where the machine would stand without flapping detection.
    inner: AlertState,
    /// The clock of `for`: the start of the breach, moved by every gap in which nothing was learned.
    active_clock: Option<Timestamp>,
    /// The clock of `keep_firing_for`, moved likewise.
    keep_since: Option<Timestamp>,
    /// Time of the last step.
    last_at: Option<Timestamp>,
    /// Ticks since the series was last returned, others being returned.
    missing_ticks: u32,
    /// The breach is that there was no data: the episode ends when there is some.
    began_without_data: bool,
    /// Whether it was alerting, one bit per judged tick, the newest lowest.
    history: u32,
}

/// Why a state changed: [`Transition::reason`](hindsight_model::Transition::reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The condition holds, or holds again.
    Breach,
    /// It no longer holds.
    Recovered,
    /// The series was gone for as long as `on_missing` allows.
    MissingSeries,
    /// Nothing was returned, and `on_no_data` says what that means.
    NoData,
    /// It began to come and go so often that its state is held from now on.
    Flapping,
    /// The rule asks another question than before.
    Updated,
    /// The rule is gone.
    RuleDeleted,
}

impl Reason {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Breach => "breach",
            Self::Recovered => "recovered",
            Self::MissingSeries => "missing_series",
            Self::NoData => "no_data",
            Self::Flapping => "flapping",
            Self::Updated => "updated",
            Self::RuleDeleted => "rule_deleted",
        }
    }
}

/// A change of state that people are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// State before.
    pub from: AlertState,
    /// State after; equal to `from` only for the notice that flapping began.
    pub to: AlertState,
    /// Why.
    pub reason: Reason,
    /// The episode that it belongs to.
    pub episode: String,
    /// When that episode's breach was first seen.
    pub active_at: Option<Timestamp>,
}

/// What a tick says about an instance, the condition already applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It was seen.
    Seen {
        /// It begins a breach.
        fires: bool,
        /// It keeps up a breach that has begun.
        holds: bool,
    },
    /// Others were returned, this one was not.
    Missing,
    /// Nothing was returned.
    NoData,
    /// Nothing was learned: the query failed, or the window is not complete.
    Frozen,
}

/// One step of one instance of an alerting rule.
pub fn step(
    rule: &CheckedRule,
    labels: &Labels,
    prior: &InstanceState,
    outcome: &Outcome,
    t: Timestamp,
) -> (InstanceState, Option<Change>) {
    let reading = match (outcome, &rule.condition) {
        // NaN is a value that nobody measured; it must neither fire nor clear.
        (Outcome::Value(value), _) if value.is_nan() => Reading::Missing,
        (Outcome::Value(value), Some(condition)) => {
            Reading::Seen { fires: condition.fires(*value), holds: condition.holds(*value) }
        }
        (Outcome::Value(_), None) => Reading::Seen { fires: true, holds: true },
        (Outcome::Missing, _) => Reading::Missing,
        (Outcome::NoData, _) => Reading::NoData,
        (Outcome::Error(_) | Outcome::Unobserved, _) => Reading::Frozen,
    };
    advance(&rule.policy, &Identity { rule: &rule.id, labels }, prior, reading, t)
}

/// Who an instance is: what its episodes are named after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// The rule's id.
    pub rule: &'a str,
    /// All labels of the instance.
    pub labels: &'a Labels,
}

impl Identity<'_> {
    /// The same for the same rule, labels and start of the breach, on every machine (RUL-2).
    fn episode(&self, active_at: Timestamp) -> String {
        let mut text = self.rule.to_owned();
        for (name, value) in self.labels {
            text.push_str(&format!("\u{1f}{name}\u{1e}{value}"));
        }
        text.push_str(&format!("\u{1f}{}", active_at.as_nanosecond()));
        stable_hash(&text)
    }
}

/// One step from a reading: the whole table of ALERTING §1.
pub(crate) fn advance(
    policy: &Policy,
    identity: &Identity<'_>,
    prior: &InstanceState,
    reading: Reading,
    t: Timestamp,
) -> (InstanceState, Option<Change>) {
    let mut next = prior.clone();
    next.last_at = Some(t);
    match reading {
        Reading::Seen { .. } => next.missing_ticks = 0,
        Reading::Missing => next.missing_ticks = prior.missing_ticks.saturating_add(1),
        Reading::NoData | Reading::Frozen => {}
    }
    let verdict = judge(policy, &next, reading);
    if verdict == Verdict::Unknown {
        next.stop_clocks(prior.last_at, t);
        return (next, None);
    }
    match reading {
        Reading::Seen { .. } => next.began_without_data = false,
        Reading::NoData if !is_active(prior.inner) => next.began_without_data = true,
        _ => {}
    }
    let reason = next.enter(policy, identity, verdict, t);
    let flapping_begins = flapping::observe(policy.flapping.as_ref(), &mut next);
    next.show(prior, if flapping_begins { Reason::Flapping } else { reason }, flapping_begins, t)
}

/// Ends whatever episode there is, for a reason outside the readings. `None` when there is none.
pub(crate) fn end(prior: &InstanceState, reason: Reason) -> Option<Change> {
    is_active(prior.state).then(|| Change {
        from: prior.state,
        to: AlertState::Inactive,
        reason,
        episode: prior.episode.clone(),
        active_at: prior.active_at,
    })
}

/// What a reading means in the present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Breach(Reason),
    Clear,
    End(Reason),
    Unknown,
}

fn judge(policy: &Policy, state: &InstanceState, reading: Reading) -> Verdict {
    let absent = |meaning, reason| match meaning {
        Absence::Keep => Verdict::Unknown,
        Absence::Resolve => Verdict::End(reason),
        Absence::Fire => Verdict::Breach(reason),
        Absence::NoBreach => Verdict::Clear,
    };
    match reading {
        Reading::Seen { fires, holds } => {
            let breach = if is_alerting(state.inner) { holds } else { fires };
            if breach { Verdict::Breach(Reason::Breach) } else { Verdict::Clear }
        }
        // The breach was "no data at all"; others are returned again, so it is over.
        Reading::Missing if state.began_without_data => Verdict::Clear,
        Reading::Missing if state.missing_ticks < policy.on_missing.after => Verdict::Unknown,
        Reading::Missing => absent(policy.on_missing.then, Reason::MissingSeries),
        Reading::NoData => absent(policy.on_no_data, Reason::NoData),
        Reading::Frozen => Verdict::Unknown,
    }
}

impl InstanceState {
    /// A state made from what everybody may know of it; clocks run from the start of the breach or of the state.
    pub(crate) fn rebuilt(
        state: AlertState,
        since: Timestamp,
        active_at: Option<Timestamp>,
        episode: &str,
    ) -> Self {
        Self {
            state,
            since: Some(since),
            active_at,
            episode: episode.to_owned(),
            inner: state,
            active_clock: active_at,
            keep_since: (state == AlertState::Recovering).then_some(since),
            history: u32::from(is_alerting(state)),
            ..Self::default()
        }
    }

    /// Where the machine stands when flapping is left aside, and whether it may be forgotten: it is inactive and
    /// was not returned for `ticks` ticks.
    pub fn is_forgettable(&self, ticks: u32) -> bool {
        self.state == AlertState::Inactive
            && self.inner == AlertState::Inactive
            && self.missing_ticks >= ticks
    }

    /// Time in which nothing was learned counts neither for `for` nor for `keep_firing_for`.
    fn stop_clocks(&mut self, last_at: Option<Timestamp>, t: Timestamp) {
        let gap = last_at.map_or(Duration::ZERO, |last| elapsed(last, t));
        for clock in [&mut self.active_clock, &mut self.keep_since] {
            *clock = clock.map(|at| at.checked_add(gap).unwrap_or(t));
        }
    }

    fn enter(&mut self, policy: &Policy, identity: &Identity<'_>, verdict: Verdict, t: Timestamp) -> Reason {
        match (self.inner, verdict) {
            (AlertState::Inactive, Verdict::Breach(reason)) => {
                self.begin(identity, t);
                self.inner = if policy.for_.is_zero() { AlertState::Firing } else { AlertState::Pending };
                reason
            }
            (AlertState::Pending, Verdict::Breach(reason)) => {
                if has_lasted(self.active_clock, policy.for_, t) {
                    self.inner = AlertState::Firing;
                }
                reason
            }
            (AlertState::Firing | AlertState::Recovering, Verdict::Breach(reason)) => {
                self.keep_since = None;
                self.inner = AlertState::Firing;
                reason
            }
            (AlertState::Firing, Verdict::Clear) if !policy.keep_firing_for.is_zero() => {
                self.keep_since = Some(t);
                self.inner = AlertState::Recovering;
                Reason::Recovered
            }
            (AlertState::Recovering, Verdict::Clear)
                if !has_lasted(self.keep_since, policy.keep_firing_for, t) =>
            {
                Reason::Recovered
            }
            (_, Verdict::Clear | Verdict::Unknown) => {
                self.inner = AlertState::Inactive;
                Reason::Recovered
            }
            (_, Verdict::End(reason)) => {
                self.inner = AlertState::Inactive;
                reason
            }
        }
    }

    fn begin(&mut self, identity: &Identity<'_>, t: Timestamp) {
        self.active_clock = Some(t);
        // While flapping, people are still in the episode that they were told of.
        if self.episode.is_empty() {
            self.active_at = Some(t);
            self.episode = identity.episode(t);
        }
    }

    fn show(mut self, prior: &Self, reason: Reason, notice: bool, t: Timestamp) -> (Self, Option<Change>) {
        // Flapping may end while a new breach is pending. People still see the old one firing; telling them
        // "pending" would leave the receivers with an alert that nobody resolves.
        let held = self.flapping || (self.inner == AlertState::Pending && is_alerting(prior.state));
        self.state = if held { worse(prior.state, self.inner) } else { self.inner };
        let change = Change {
            from: prior.state,
            to: self.state,
            reason,
            episode: self.episode.clone(),
            active_at: self.active_at,
        };
        if self.inner == AlertState::Inactive {
            (self.active_clock, self.keep_since) = (None, None);
            self.began_without_data = false;
        }
        if self.state == AlertState::Inactive {
            self.active_at = None;
            self.episode.clear();
        }
        let changed = change.from != change.to;
        if changed || self.since.is_none() {
            self.since = Some(t);
        }
        (self, (changed || notice).then_some(change))
    }
}

fn has_lasted(since: Option<Timestamp>, at_least: Duration, t: Timestamp) -> bool {
    since.is_some_and(|since| elapsed(since, t) >= at_least)
}

/// Time from `from` to `to`; zero when `to` is earlier.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

fn is_active(state: AlertState) -> bool {
    state != AlertState::Inactive
}

fn is_alerting(state: AlertState) -> bool {
    matches!(state, AlertState::Firing | AlertState::Recovering)
}

fn worse(a: AlertState, b: AlertState) -> AlertState {
    let rank = |state| match state {
        AlertState::Inactive => 0,
        AlertState::Pending => 1,
        AlertState::Recovering => 2,
        AlertState::Firing => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}
