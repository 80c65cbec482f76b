use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{AlertState, TickCommit, Transition};
use jiff::Timestamp;

use super::Engine;
use super::instance::{META_PREFIX, OfRule, group_of};
use crate::error::Result;
use crate::files::{Level, Problem};
use crate::machine::{Reason, end};

impl Engine {
    /// Ends the episodes of rules that are no longer in any file, and forgets their instances. What may only be
    /// broken is not taken for deleted: a typo must not clear an alert.
    pub(super) async fn end_deleted(&mut self, now: Timestamp) -> Result<Vec<Transition>> {
        let mut ended = Vec::new();
        for (group, rules) in self.orphans() {
            let mut commit =
                TickCommit { tenant: self.tenant.clone(), group, tick: None, ..TickCommit::default() };
            for (rule, instances) in &rules {
                self.end_all(rule, instances, now, &mut commit);
            }
            commit.outbox = (self.options.plan)(&commit.transitions, now);
            self.commit(std::slice::from_ref(&commit)).await?;
            for (rule, _) in rules {
                self.instances.set(&rule, OfRule::new());
                self.last_evaluation.remove(&rule);
                self.last_tick.remove(&rule);
            }
            ended.extend(commit.transitions);
        }
        Ok(ended)
    }

    fn end_all(&self, rule: &str, instances: &OfRule, now: Timestamp, commit: &mut TickCommit) {
        for (labels, instance) in instances {
            commit.forgotten.push((rule.to_owned(), labels.clone()));
            let Some(change) = end(&instance.state, Reason::RuleDeleted) else {
                continue;
            };
            commit.transitions.push(Transition {
                at: now,
                tenant: self.tenant.clone(),
                rule: rule.to_owned(),
                alert: instance.alert.clone(),
                labels: labels.clone(),
                annotations: instance.annotations.clone(),
                from: change.from,
                to: AlertState::Inactive,
                reason: change.reason.as_str().to_owned(),
                value: None,
                active_at: change.active_at,
                episode: change.episode,
                incident: None,
            });
        }
    }

    /// Instances whose rule is not in force, by group.
    fn orphans(&self) -> BTreeMap<String, Vec<(String, OfRule)>> {
        let known: BTreeSet<String> = self.known_rules();
        let mut orphans: BTreeMap<String, Vec<(String, OfRule)>> = BTreeMap::new();
        for (rule, instances) in self.instances.rules() {
            let base = rule.strip_prefix(META_PREFIX).unwrap_or(rule);
            if !known.contains(base) && !self.may_be_broken(base) {
                orphans.entry(group_of(rule).to_owned()).or_default().push((rule.clone(), instances.clone()));
            }
        }
        orphans
    }

    /// Whether an error in the files may be all that keeps a rule from being in force: one of the rule, its group
    /// or its SLO, or one that leaves open what its file holds.
    fn may_be_broken(&self, rule: &str) -> bool {
        let group = group_of(rule);
        let concerns = |problem: &Problem| match &problem.rule {
            None => true,
            Some(named) => named == rule || named == group || is_slo_of(group, named),
        };
        self.loaded.problems.iter().any(|problem| problem.level == Level::Error && concerns(problem))
    }

    fn known_rules(&self) -> BTreeSet<String> {
        let rules = &self.loaded.rules;
        let of_groups = rules.groups.iter().flat_map(|group| group.rules.iter().map(|rule| rule.id.clone()));
        let of_slos = rules.slos.iter().flat_map(|slo| slo.tiers.iter().map(|tier| slo.tier_id(tier)));
        of_groups.chain(of_slos).collect()
    }
}

/// Whether a group is the SLO of a document, or that of one of the document's objectives (`name.objective`).
fn is_slo_of(group: &str, document: &str) -> bool {
    let after = group.strip_prefix("slo/").and_then(|slo| slo.strip_prefix(document));
    after.is_some_and(|after| after.is_empty() || after.starts_with('.'))
}
