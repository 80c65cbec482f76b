use std::time::Duration;

use hindsight_model::{AlertState, Evaluation, Labels, Outcome, TickCommit};
use jiff::Timestamp;

use super::{Engine, journal_error};
use crate::error::Result;
use crate::machine::{Identity, Reading, advance};
use crate::rule::{Policy, stable_number};
use crate::slo::SLO_INTERVAL;

/// Where a group's ticks lie within its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// At a place that follows from the group's name, so that groups do not all run at once.
    #[default]
    Spread,
    /// At whole multiples of the interval since the epoch: tests and backtests, where times must be foreseen.
    Epoch,
}

/// A tick that waits to be evaluated.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) name: String,
    /// Place in `RuleSet::groups`; `None` for an SLO.
    pub(super) group_index: Option<usize>,
    /// Place in `RuleSet::slos` when it is an SLO.
    pub(super) slo_index: usize,
    interval: Duration,
}

impl Engine {
    /// Finds the next tick of every group that has none yet: after its last committed one, else from the start.
    pub(super) async fn plan_ticks(&mut self, now: Timestamp) -> Result<()> {
        let start = *self.options.start.get_or_insert(now);
        for due in self.schedules() {
            if self.due.contains_key(&due.name) {
                continue;
            }
            let last = match self.last_tick.get(&due.name) {
                Some(last) => Some(*last),
                None => self
                    .journal
                    .last_tick(&self.tenant, &due.name)
                    .await
                    .map_err(|e| journal_error("read the last tick", &due.name, e))?,
            };
            let phase = self.phase(&due);
            // A group that appears while the engine runs starts now, not at the engine's start.
            let begin = if self.planned { start.max(now) } else { start };
            let next = match last {
                Some(last) => tick_after(last, due.interval, phase),
                None => tick_at_or_after(begin, due.interval, phase),
            };
            let next = self.skip_beyond_catch_up(&due, next, now).await?;
            self.due.insert(due.name.clone(), next);
        }
        self.planned = true;
        Ok(())
    }

    pub(super) fn next_due(&self) -> Option<Due> {
        let waiting = self.schedules().into_iter().filter_map(|mut due| {
            due.at = *self.due.get(&due.name)?;
            Some(due)
        });
        waiting.min_by(|a, b| a.at.cmp(&b.at))
    }

    pub(super) fn advance_due(&mut self, due: &Due) {
        self.due.insert(due.name.clone(), tick_after(due.at, due.interval, self.phase(due)));
    }

    fn schedules(&self) -> Vec<Due> {
        let due = |name: String, group_index, slo_index, interval| Due {
            at: Timestamp::UNIX_EPOCH,
            name,
            group_index,
            slo_index,
            interval,
        };
        let rules = &self.loaded.rules;
        let groups = rules.groups.iter().enumerate();
        let groups = groups.map(|(index, group)| due(group.name.clone(), Some(index), 0, group.interval));
        let slos = rules.slos.iter().enumerate();
        groups.chain(slos.map(|(index, slo)| due(slo.group(), None, index, SLO_INTERVAL))).collect()
    }

    fn phase(&self, due: &Due) -> i128 {
        match self.options.alignment {
            Alignment::Epoch => 0,
            Alignment::Spread => phase_of(&due.name, due.interval),
        }
    }

    /// Ticks too old to be evaluated are recorded as one unobserved evaluation of each rule, and the clocks of
    /// its instances stand still over them.
    async fn skip_beyond_catch_up(
        &mut self,
        due: &Due,
        next: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp> {
        let oldest = now.checked_sub(self.options.catch_up_max).unwrap_or(Timestamp::MIN);
        if next >= oldest {
            return Ok(next);
        }
        let first = tick_at_or_after(oldest, due.interval, self.phase(due));
        let skipped = shifted(first, -nanos(due.interval));
        let mut commit = TickCommit {
            tenant: self.tenant.clone(),
            group: due.name.clone(),
            tick: Some(skipped),
            ..TickCommit::default()
        };
        let mut frozen = self.instances.clone();
        for (rule, labels, instance) in frozen.of_group_mut(&due.name) {
            let identity = Identity { rule, labels };
            instance.state =
                advance(&Policy::default(), &identity, &instance.state, Reading::Frozen, skipped).0;
            commit.instances.push(instance.stored(&self.tenant, rule, labels)?);
        }
        for rule in self.rule_ids(due) {
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
        self.commit(&commit).await?;
        self.instances = frozen;
        tracing::warn!(group = due.name, from = %next, to = %first, "skipped ticks older than the catch-up limit");
        Ok(first)
    }

    fn rule_ids(&self, due: &Due) -> Vec<String> {
        match due.group_index {
            Some(index) => self.loaded.rules.groups[index].rules.iter().map(|rule| rule.id.clone()).collect(),
            None => {
                let slo = &self.loaded.rules.slos[due.slo_index];
                slo.tiers.iter().map(|tier| slo.tier_id(tier)).collect()
            }
        }
    }

    /// Writes one tick; in memory nothing has changed yet.
    pub(super) async fn commit(&mut self, commit: &TickCommit) -> Result<()> {
        let written = self.journal.commit_tick(commit).await;
        written.map_err(|e| journal_error("commit a tick", &commit.group, e))?;
        if let Some(tick) = commit.tick {
            self.last_tick.insert(commit.group.clone(), tick);
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
