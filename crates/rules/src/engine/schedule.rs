use std::time::Duration;

use hindsight_model::{AlertState, Evaluation, Labels, Outcome, TickCommit};
use jiff::Timestamp;

use super::{Engine, journal_error};
use crate::error::Result;
use crate::machine::{Identity, Reading, advance};
use crate::rule::{Policy, RuleSet, stable_number};
use crate::slo::SLO_INTERVAL;

/// Where a group's ticks lie within its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// At a place that follows from the group's name, so that groups do not all run at once.
    #[default]
    Spread,
    /// At this instant and whole intervals before and after it: tests, where times must be foreseen.
    At(Timestamp),
}

/// Something with ticks of its own: a rule or an SLO.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// The rule's id or `slo/<name>`: its name in the journal.
    pub(super) name: String,
    pub(super) what: What,
    pub(super) interval: Duration,
    phase: i128,
    /// `None` before it was planned.
    pub(super) next: Option<Timestamp>,
    /// Its query for the next tick is running or waits to be asked.
    pub(super) under_way: bool,
    /// How long its last query took.
    pub(super) took: Duration,
}

/// Which rule or SLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A rule, by its places in `RuleSet::groups` and `RuleGroup::rules`.
    Rule {
        /// Place of its group.
        group: usize,
        /// Place in the group.
        rule: usize,
    },
    /// An SLO, by its place in `RuleSet::slos`.
    Slo(usize),
}

/// Every rule and SLO, in the order of the files; none is planned yet.
pub(super) fn units(rules: &RuleSet, alignment: Alignment) -> Vec<Unit> {
    let unit = |name: String, group: &str, what, interval| Unit {
        phase: match alignment {
            Alignment::At(instant) => instant.as_nanosecond().rem_euclid(nanos(interval).max(1)),
            Alignment::Spread => phase_of(group, interval),
        },
        name,
        what,
        interval,
        next: None,
        under_way: false,
        took: Duration::ZERO,
    };
    let mut units = Vec::new();
    for (group_at, group) in rules.groups.iter().enumerate() {
        for (rule_at, rule) in group.rules.iter().enumerate() {
            let what = What::Rule { group: group_at, rule: rule_at };
            units.push(unit(rule.id.clone(), &group.name, what, group.interval));
        }
    }
    for (at, slo) in rules.slos.iter().enumerate() {
        units.push(unit(slo.group(), &slo.group(), What::Slo(at), SLO_INTERVAL));
    }
    units
}

impl Unit {
    /// Moves on to the tick after this one.
    pub(super) fn ticked(&mut self, at: Timestamp) {
        self.under_way = false;
        self.next = Some(tick_after(at, self.interval, self.phase));
    }
}

impl Engine {
    /// Finds the next tick of every rule and SLO that has none yet: after its last committed one, else from the
    /// start.
    pub(super) async fn plan_ticks(&mut self, now: Timestamp) -> Result<()> {
        let start = *self.options.start.get_or_insert(now);
        // What appears while the engine runs starts now, not at the engine's start.
        let begin = if self.planned { start.max(now) } else { start };
        for at in 0..self.units.len() {
            let unit = &self.units[at];
            if unit.next.is_some() {
                continue;
            }
            let next = match self.last_tick.get(&unit.name) {
                Some(last) => tick_after(*last, unit.interval, unit.phase),
                None => tick_at_or_after(begin, unit.interval, unit.phase),
            };
            let next = self.skip_beyond_catch_up(at, next, now).await?;
            self.units[at].next = Some(next);
        }
        self.planned = true;
        Ok(())
    }

    /// Ticks too old to be evaluated are recorded as one unobserved evaluation, and the clocks of the instances stand
    /// still over them.
    async fn skip_beyond_catch_up(
        &mut self,
        at: usize,
        next: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp> {
        let unit = self.units[at].clone();
        let oldest = now.checked_sub(self.options.catch_up_max).unwrap_or(Timestamp::MIN);
        if next >= oldest {
            return Ok(next);
        }
        let first = tick_at_or_after(oldest, unit.interval, unit.phase);
        let skipped = shifted(first, -nanos(unit.interval));
        let mut commit = TickCommit {
            tenant: self.tenant.clone(),
            group: unit.name.clone(),
            tick: Some(skipped),
            ..TickCommit::default()
        };
        let mut frozen = self.instances.of_unit(&unit.name);
        for (rule, of_rule) in &mut frozen {
            for (labels, instance) in of_rule {
                let identity = Identity { rule, labels };
                instance.state =
                    advance(&Policy::default(), &identity, &instance.state, Reading::Frozen, skipped).0;
                commit.instances.push(instance.stored(&self.tenant, rule, labels)?);
            }
        }
        for rule in self.rule_ids(&unit) {
            commit.evaluations.push(Evaluation {
                at: skipped,
                tenant: self.tenant.clone(),
                rule,
                labels: Labels::new(),
                outcome: Outcome::Unobserved,
                state: AlertState::Inactive,
                watermark: None,
                duration: Duration::ZERO,
            });
        }
        self.commit(&[commit]).await?;
        for (rule, of_rule) in frozen {
            self.instances.set(&rule, of_rule);
        }
        tracing::warn!(unit = unit.name, from = %next, to = %first, "skipped ticks older than the catch-up limit");
        Ok(first)
    }

    fn rule_ids(&self, unit: &Unit) -> Vec<String> {
        match unit.what {
            What::Rule { .. } => vec![unit.name.clone()],
            What::Slo(index) => {
                let slo = &self.loaded.rules.slos[index];
                slo.tiers.iter().map(|tier| slo.tier_id(tier)).collect()
            }
        }
    }

    /// Writes ticks in one transaction; in memory nothing has changed yet.
    pub(super) async fn commit(&mut self, commits: &[TickCommit]) -> Result<()> {
        let Some(first) = commits.first() else { return Ok(()) };
        let written = self.journal.commit_ticks(commits).await;
        written.map_err(|e| journal_error("commit a tick", &first.group, e))?;
        for commit in commits {
            if let Some(tick) = commit.tick {
                self.last_tick.insert(commit.group.clone(), tick);
            }
        }
        Ok(())
    }
}

/// The place of a group's ticks in its interval, in nanoseconds.
pub(super) fn phase_of(name: &str, interval: Duration) -> i128 {
    // Whole milliseconds keep the times readable.
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    i128::from(stable_number(name) % millis) * 1_000_000
}

/// The first tick at or after `at`.
pub(super) fn tick_at_or_after(at: Timestamp, interval: Duration, phase: i128) -> Timestamp {
    let interval = nanos(interval).max(1);
    let past = (at.as_nanosecond() - phase).rem_euclid(interval);
    if past == 0 { at } else { shifted(at, interval - past) }
}

/// The first tick after `at`.
pub(super) fn tick_after(at: Timestamp, interval: Duration, phase: i128) -> Timestamp {
    tick_at_or_after(shifted(at, 1), interval, phase)
}

fn nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).unwrap_or(i128::MAX / 4)
}

/// `at` moved by nanoseconds; stays within the years jiff knows.
fn shifted(at: Timestamp, by: i128) -> Timestamp {
    let to = at.as_nanosecond().saturating_add(by);
    Timestamp::from_nanosecond(to).unwrap_or(if by < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_aligned_and_each_follows_the_last() {
        let interval = Duration::from_secs(30);
        let at: Timestamp = "2026-01-01T00:00:07Z".parse().unwrap();
        let phase = phase_of("checkout-db", interval);
        let first = tick_at_or_after(at, interval, phase);
        assert!(first >= at && first.duration_since(at).as_secs() < 30);
        assert_eq!(tick_at_or_after(first, interval, phase), first);
        assert_eq!(tick_after(first, interval, phase).duration_since(first).as_secs(), 30);
        assert_eq!(tick_at_or_after(at, interval, 0), "2026-01-01T00:00:30Z".parse().unwrap());
    }
}
