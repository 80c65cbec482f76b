use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use hindsight_model::{AlertInstance, AlertState, Labels, Outcome, SloSlice, Tenant, TickCommit, Transition};
use jiff::Timestamp;

use crate::error::JournalError;
use crate::journal::Journal;

/// What a backtest keeps of each tick: changes, and the values of active instances.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Recorded>);

#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    pub(super) transitions: Vec<Transition>,
    /// Lowest and highest value of each active instance since it was last inactive, by rule and labels, closed at
    /// the change that ended it.
    running: BTreeMap<(String, Labels), Extremes>,
    /// The same of every episode, by its id.
    pub(super) extremes: BTreeMap<String, Extremes>,
    pub(super) services: BTreeSet<String>,
    pub(super) errors: usize,
}

/// Lowest and highest value seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extremes {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Recorder {
    pub(super) fn take(&self) -> Recorded {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recorded {
    fn add(&mut self, commit: &TickCommit) {
        for evaluation in &commit.evaluations {
            self.services.extend(evaluation.labels.get("service_name").cloned());
            match &evaluation.outcome {
                Outcome::Error(_) => self.errors += usize::from(evaluation.labels.is_empty()),
                Outcome::Value(value) if evaluation.state != AlertState::Inactive => {
                    let key = (evaluation.rule.clone(), evaluation.labels.clone());
                    let extremes = self.running.entry(key).or_insert(Extremes { low: *value, high: *value });
                    extremes.low = extremes.low.min(*value);
                    extremes.high = extremes.high.max(*value);
                }
                _ => {}
            }
        }
        for transition in &commit.transitions {
            let key = (transition.rule.clone(), transition.labels.clone());
            if let Some(extremes) = self.running.get(&key) {
                self.extremes.insert(transition.episode.clone(), *extremes);
            }
            if transition.to == AlertState::Inactive {
                self.running.remove(&key);
            }
        }
        self.transitions.extend(commit.transitions.iter().cloned());
    }

    /// Of an episode that is still open, everything up to the last tick.
    pub(super) fn extremes_of(&self, transition: &Transition) -> Option<Extremes> {
        let open = self.running.get(&(transition.rule.clone(), transition.labels.clone()));
        open.or_else(|| self.extremes.get(&transition.episode)).copied()
    }
}

#[async_trait::async_trait]
impl Journal for Recorder {
    async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<(), JournalError> {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for commit in commits {
            recorded.add(commit);
        }
        Ok(())
    }

    async fn last_ticks(&self, _: &Tenant) -> Result<BTreeMap<String, Timestamp>, JournalError> {
        Ok(BTreeMap::new())
    }

    async fn instances(&self, _: &Tenant) -> Result<Vec<AlertInstance>, JournalError> {
        Ok(Vec::new())
    }

    /// None: the engine that runs holds them itself.
    async fn slices(
        &self,
        _: &Tenant,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<SloSlice>, JournalError> {
        Ok(Vec::new())
    }
}
