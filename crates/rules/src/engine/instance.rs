use std::collections::BTreeMap;

use hindsight_model::{AlertInstance, AlertState, Labels, Tenant};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::machine::InstanceState;

/// One alert instance as the engine holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Instance {
    pub(super) alert: String,
    pub(super) state: InstanceState,
    /// [`CheckedRule::condition_hash`](crate::CheckedRule::condition_hash) of the rule that made the state.
    pub(super) hash: String,
    /// Last value seen.
    pub(super) value: Option<f64>,
    /// As last rendered.
    pub(super) annotations: Labels,
}

/// What `AlertInstance::machine` holds.
#[derive(Serialize, Deserialize)]
struct Machine {
    hash: String,
    state: InstanceState,
}

impl Instance {
    /// The row of the journal.
    pub(super) fn stored(&self, tenant: &Tenant, rule: &str, labels: &Labels) -> Result<AlertInstance> {
        let machine = Machine { hash: self.hash.clone(), state: self.state.clone() };
        let machine = serde_json::to_string(&machine)
            .map_err(|source| Error::Machine { rule: rule.to_owned(), source })?;
        Ok(AlertInstance {
            tenant: tenant.clone(),
            rule: rule.to_owned(),
            alert: self.alert.clone(),
            labels: labels.clone(),
            annotations: self.annotations.clone(),
            state: self.state.state,
            since: self.state.since.unwrap_or(Timestamp::UNIX_EPOCH),
            active_at: self.state.active_at,
            value: self.value,
            episode: self.state.episode.clone(),
            machine,
        })
    }

    /// From the row of the journal. A machine state that cannot be read (written by another version) is made
    /// anew from the row's own columns, so that an open episode is neither lost nor told twice.
    fn restore(row: &AlertInstance) -> Self {
        let machine: Machine = serde_json::from_str(&row.machine).unwrap_or_else(|error| {
            tracing::warn!(rule = row.rule, %error, "could not read a stored machine state, rebuilding it");
            let state = InstanceState::rebuilt(row.state, row.since, row.active_at, &row.episode);
            Machine { hash: String::new(), state }
        });
        Self {
            alert: row.alert.clone(),
            state: machine.state,
            hash: machine.hash,
            value: row.value,
            annotations: row.annotations.clone(),
        }
    }
}

pub(super) type OfRule = BTreeMap<Labels, Instance>;

/// All instances, by rule id and labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances(BTreeMap<String, OfRule>);

impl Instances {
    pub(super) fn restore(rows: Vec<AlertInstance>) -> Self {
        let mut instances = Self::default();
        for row in rows {
            let instance = Instance::restore(&row);
            instances.0.entry(row.rule).or_default().insert(row.labels, instance);
        }
        instances
    }

    pub(super) fn of_rule(&self, rule: &str) -> OfRule {
        self.0.get(rule).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, rule: &str, instances: OfRule) {
        if instances.is_empty() {
            self.0.remove(rule);
        } else {
            self.0.insert(rule.to_owned(), instances);
        }
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (&String, &OfRule)> {
        self.0.iter()
    }

    /// The instances of a rule and its meta-alert, or of the tiers of an SLO, by rule id.
    pub(super) fn of_unit(&self, unit: &str) -> Vec<(String, OfRule)> {
        let of_unit = self.0.iter().filter(|(rule, _)| {
            let rule = rule.strip_prefix(META_PREFIX).unwrap_or(rule);
            rule == unit || (rule.starts_with("slo/") && group_of(rule) == unit)
        });
        of_unit.map(|(rule, of_rule)| (rule.clone(), of_rule.clone())).collect()
    }

    /// The worst state of a rule's instances.
    pub(super) fn worst(&self, rule: &str) -> AlertState {
        let rank = |state: &AlertState| match state {
            AlertState::Inactive => 0,
            AlertState::Pending => 1,
            AlertState::Recovering => 2,
            AlertState::Firing => 3,
        };
        let states = self.0.get(rule).into_iter().flat_map(BTreeMap::values).map(|i| i.state.state);
        states.max_by_key(rank).unwrap_or_default()
    }
}

/// The group of a rule id: `checkout-db` of `checkout-db/DbPoolSaturated` and of its meta-alert, `slo/x` of
/// `slo/x/page-1h`.
pub(super) fn group_of(rule: &str) -> &str {
    let rule = rule.strip_prefix(META_PREFIX).unwrap_or(rule);
    let parts = if rule.starts_with("slo/") { 2 } else { 1 };
    match rule.match_indices('/').nth(parts - 1) {
        Some((at, _)) => &rule[..at],
        None => rule,
    }
}

/// Before the id of a rule, the id of the meta-alert that speaks of its failing.
pub(super) const META_PREFIX: &str = "meta/";
