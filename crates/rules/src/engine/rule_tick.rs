use std::time::Duration;

use hindsight_model::{SqlParam, SqlRequest, TickCommit, Transition};
use jiff::Timestamp;

use super::evaluate::{RuleTick, evaluate, evaluate_meta};
use super::instance::{META_PREFIX, OfRule};
use super::reading::{Found, RuleReading, found};
use super::{Engine, EvaluationView};
use crate::error::Result;
use crate::rule::{CheckedRule, RuleGroup};

/// Longest a rule's query may take; a rule that needs longer is an error of that tick.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// Evaluates every rule of a group at tick `t` and commits the whole.
    pub(super) async fn group_tick(
        &mut self,
        index: usize,
        t: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Transition>> {
        let group = self.loaded.rules.groups[index].clone();
        let mut commit = TickCommit {
            tenant: self.tenant.clone(),
            group: group.name.clone(),
            tick: Some(t),
            ..TickCommit::default()
        };
        let mut after: Vec<(String, OfRule)> = Vec::new();
        let mut views = Vec::new();
        for rule in &group.rules {
            let prior = self.instances.of_rule(&rule.id);
            let reading = self.read(&group, rule, prior.len(), t).await;
            let tick = evaluate(rule, &self.tenant, &prior, &reading, t);
            views.push((rule.id.clone(), EvaluationView::of(&reading, t)));
            self.stage(&mut commit, &rule.id, tick, &mut after)?;
            let meta = format!("{META_PREFIX}{}", rule.id);
            if let Some(tick) = evaluate_meta(rule, &self.tenant, &self.instances.of_rule(&meta), &reading, t)
            {
                self.stage(&mut commit, &meta, tick, &mut after)?;
            }
        }
        commit.outbox = (self.options.plan)(&commit.transitions, now);
        self.commit(&commit).await?;
        for (rule, instances) in after {
            self.instances.set(&rule, instances);
        }
        self.last_evaluation.extend(views);
        Ok(commit.transitions)
    }

    fn stage(
        &self,
        commit: &mut TickCommit,
        rule: &str,
        tick: RuleTick,
        after: &mut Vec<(String, OfRule)>,
    ) -> Result<()> {
        for (labels, instance) in &tick.instances {
            commit.instances.push(instance.stored(&self.tenant, rule, labels)?);
        }
        commit.forgotten.extend(tick.forgotten.into_iter().map(|labels| (rule.to_owned(), labels)));
        commit.transitions.extend(tick.transitions);
        commit.evaluations.extend(tick.evaluations);
        after.push((rule.to_owned(), tick.instances));
        Ok(())
    }

    /// Asks the rule's question about the window that ends `query_offset` before the tick.
    async fn read(&self, group: &RuleGroup, rule: &CheckedRule, tracked: usize, t: Timestamp) -> RuleReading {
        let window_end = t.checked_sub(group.query_offset).unwrap_or(Timestamp::MIN);
        let watermark = (self.options.watermark)();
        if rule.require_watermark && is_behind(watermark, window_end, group.interval) {
            return RuleReading { found: Found::Unobserved, watermark, duration: Duration::ZERO };
        }
        let answer = self.sql.sql(self.request(rule, window_end, group.interval)).await;
        let duration = answer.as_ref().map_or(Duration::ZERO, |answer| answer.stats.elapsed);
        let found = found(rule, group.limit, tracked, answer.as_ref());
        if let Found::Error(message) = &found {
            tracing::warn!(rule = rule.id, tick = %t, error = message, "a rule could not be evaluated");
        }
        RuleReading { found, watermark, duration }
    }

    fn request(&self, rule: &CheckedRule, window_end: Timestamp, interval: Duration) -> SqlRequest {
        let mut request = SqlRequest::new(rule.sql.as_str()).tenant(self.tenant.clone());
        // Only what the text names: engines may refuse parameters that nobody reads.
        if rule.sql.contains("$now") {
            request = request.param("now", window_end);
        }
        if rule.sql.contains("$interval") {
            request = request.param("interval", SqlParam::Interval(interval));
        }
        request.timeout = Some(QUERY_TIMEOUT);
        request
    }
}

/// Whether the data ends more than an interval before the window does, or nobody knows where it ends.
fn is_behind(watermark: Option<Timestamp>, window_end: Timestamp, interval: Duration) -> bool {
    let needed = window_end.checked_sub(interval).unwrap_or(Timestamp::MIN);
    watermark.is_none_or(|watermark| watermark < needed)
}
