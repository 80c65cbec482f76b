use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hindsight_model::TickCommit;
use jiff::Timestamp;
use tokio::time::Instant;

use super::evaluate::{RuleTick, evaluate, evaluate_meta};
use super::instance::{META_PREFIX, OfRule};
use super::reading::{Found, RuleReading, found, instance_labels};
use super::wave::{Answer, Answered, Judged};
use super::{Engine, EvaluationView};
use crate::error::Result;
use crate::rule::{CheckedRule, Measure};

/// Longest a rule's query may take; a rule that needs longer is an error of that tick.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// Asks a rule's question about the window that ends `query_offset` before the tick. `live` is the time by the
    /// clock when the engine runs beside it.
    pub(super) fn ask(
        &self,
        group: usize,
        rule: usize,
        t: Timestamp,
        live: Option<Timestamp>,
    ) -> BoxFuture<'static, Answered> {
        let group = &self.loaded.rules.groups[group];
        let rule = &group.rules[rule];
        if rule.measure != Measure::Sql {
            let own = self.measure(rule.measure, t, live);
            let answered =
                |found| Answered { answer: Answer::Own(found), watermark: None, took: Duration::ZERO };
            return own.map(answered).boxed();
        }
        let window_end = t.checked_sub(group.query_offset).unwrap_or(Timestamp::MIN);
        let watermark = (self.options.watermark)();
        if rule.require_watermark && is_behind(watermark, window_end, group.interval) {
            let answered = Answered { answer: Answer::NotAsked, watermark, took: Duration::ZERO };
            return futures::future::ready(answered).boxed();
        }
        let mut request = rule.question(group, t).tenant(self.tenant.clone());
        request.timeout = Some(QUERY_TIMEOUT);
        let sql = Arc::clone(&self.sql);
        let asked = async move {
            let since = Instant::now();
            let answer = Answer::Sql(sql.sql(request).await);
            Answered { answer, watermark, took: since.elapsed() }
        };
        asked.boxed()
    }

    /// What the answer means for every instance of the rule, ready to be committed.
    pub(super) fn judge(
        &self,
        group: usize,
        rule: usize,
        t: Timestamp,
        now: Timestamp,
        answered: Answered,
    ) -> Result<Judged> {
        let group = &self.loaded.rules.groups[group];
        let rule = &group.rules[rule];
        let mut commit = TickCommit {
            tenant: self.tenant.clone(),
            group: rule.id.clone(),
            tick: Some(t),
            ..TickCommit::default()
        };
        let mut after: Vec<(String, OfRule)> = Vec::new();
        let prior = self.instances.of_rule(&rule.id);
        let reading = reading(rule, group.limit, prior.len(), answered, t);
        let tick = evaluate(rule, &self.tenant, &prior, &reading, t);
        self.stage(&mut commit, &rule.id, tick, &mut after)?;
        let meta = format!("{META_PREFIX}{}", rule.id);
        if let Some(tick) = evaluate_meta(rule, &self.tenant, &self.instances.of_rule(&meta), &reading, t) {
            self.stage(&mut commit, &meta, tick, &mut after)?;
        }
        commit.outbox = (self.options.plan)(&commit.transitions, now);
        let views = vec![(rule.id.clone(), EvaluationView::of(&reading, t))];
        Ok(Judged { commit, after, views, slo: None })
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
}

fn reading(
    rule: &CheckedRule,
    limit: usize,
    tracked: usize,
    answered: Answered,
    t: Timestamp,
) -> RuleReading {
    let Answered { answer, watermark, took: _ } = answered;
    let mut duration = Duration::ZERO;
    let found = match answer {
        Answer::NotAsked => Found::Unobserved,
        Answer::Own(Err(message)) => Found::Error(message),
        Answer::Own(Ok(values)) => {
            let values = values.into_iter().map(|(labels, value)| (instance_labels(rule, &labels), value));
            Found::Values(values.collect())
        }
        Answer::Sql(answer) => {
            duration = answer.as_ref().map_or(Duration::ZERO, |answer| answer.stats.elapsed);
            found(rule, limit, tracked, answer.as_ref())
        }
    };
    if let Found::Error(message) = &found {
        tracing::warn!(rule = rule.id, tick = %t, error = message, "a rule could not be evaluated");
    }
    RuleReading { found, watermark, duration }
}

/// Whether the data ends more than an interval before the window does, or nobody knows where it ends.
fn is_behind(watermark: Option<Timestamp>, window_end: Timestamp, interval: Duration) -> bool {
    let needed = window_end.checked_sub(interval).unwrap_or(Timestamp::MIN);
    watermark.is_none_or(|watermark| watermark < needed)
}
