use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{
    AlertState, Evaluation, IncidentSeverity, IncidentSpec, Labels, Outcome, SloSlice, SloStatus, TickCommit,
    Transition,
};
use jiff::Timestamp;

use super::evaluate::render;
use super::instance::{Instance, OfRule};
use super::rule_tick::QUERY_TIMEOUT;
use super::{Engine, EvaluationView, Standing, journal_error};
use crate::error::Result;
use crate::machine::{Identity, Reading, Reason, advance, end};
use crate::rule::{Policy, stable_hash};
use crate::slo::{
    LATE_SLICES, Minute, Minutes, SLICE, SLO_QUERY_OFFSET, Severity, Slo, Tier, TierReading, budget_consumed,
    burn_rate, minute_of, minute_start, minutes_of, queries,
};
use crate::template::Template;

const HOUR: Duration = Duration::from_secs(3_600);
/// A resolved incident of the same service reopens within this time.
const REOPEN_WITHIN: Duration = Duration::from_secs(30 * 60);

impl Engine {
    /// Computes the slices that are due, judges every tier, and commits the whole.
    pub(super) async fn slo_tick(
        &mut self,
        index: usize,
        t: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Transition>> {
        let slo = self.loaded.rules.slos[index].clone();
        let end = minute_of(t.checked_sub(SLO_QUERY_OFFSET).unwrap_or(Timestamp::MIN));
        let mut minutes = self.take_minutes(&slo, end).await?;
        let (slices, error, duration) = self.collect(&slo, &minutes, end).await;
        for slice in &slices {
            minutes.set(slice);
        }
        if error.is_none() {
            minutes.searched_to(end);
        }
        let mut commit = TickCommit {
            tenant: self.tenant.clone(),
            group: slo.group(),
            tick: Some(t),
            slices,
            ..TickCommit::default()
        };
        let readings: Vec<_> =
            slo.tiers.iter().map(|tier| tier.read(&minutes, end, slo.budget(), &slo.guard)).collect();
        let mut after = Vec::new();
        for (tier, reading) in slo.tiers.iter().zip(&readings) {
            let instances =
                self.tier_tick(&slo, tier, reading, error.as_deref(), (t, duration), &mut commit)?;
            after.push((slo.tier_id(tier), instances));
        }
        let status = self.status(&slo, &minutes, end, t, &after);
        commit.slo_status.push(status.clone());
        commit.outbox = (self.options.plan)(&commit.transitions, now);
        // On failure `minutes` is dropped and read from the journal again, so memory never runs ahead of it.
        self.commit(&commit).await?;
        for (rule, instances) in after {
            self.last_evaluation.insert(rule.clone(), EvaluationView::of_tier(error.as_deref(), duration, t));
            self.instances.set(&rule, instances);
        }
        minutes.drop_before(end - i64::from(LATE_SLICES) - slices_in(slo.period));
        self.minutes.insert(slo.name.clone(), minutes);
        self.standings.insert(slo.name, Standing { status, tiers: readings });
        Ok(commit.transitions)
    }

    async fn take_minutes(&mut self, slo: &Slo, end: i64) -> Result<Minutes> {
        if let Some(minutes) = self.minutes.remove(&slo.name) {
            return Ok(minutes);
        }
        let from = minute_start(end - slices_in(slo.period));
        let stored = self.journal.slices(&self.tenant, &slo.name, from, minute_start(end)).await;
        Ok(Minutes::load(&stored.map_err(|e| journal_error("read slices", &slo.group(), e))?))
    }

    /// The slices that are new or that late data changed, or why there are none.
    async fn collect(
        &self,
        slo: &Slo,
        minutes: &Minutes,
        end: i64,
    ) -> (Vec<SloSlice>, Option<String>, Duration) {
        let reach = slices_in(self.options.catch_up_max.min(slo.period));
        let from = match minutes.last() {
            Some(last) => (last + 1 - i64::from(LATE_SLICES)).max(end - reach),
            None => end - reach,
        };
        let mut answers = Vec::new();
        let mut duration = Duration::ZERO;
        for (counts, mut request) in
            queries(&slo.indicator, &self.tenant, minute_start(from), minute_start(end))
        {
            request.timeout = Some(QUERY_TIMEOUT);
            match self.sql.sql(request).await {
                Ok(answer) => {
                    duration += answer.stats.elapsed;
                    answers.push((counts, answer));
                }
                Err(error) => return (Vec::new(), Some(error.to_string()), duration),
            }
        }
        match minutes_of(&slo.indicator, &answers) {
            Ok(found) => (self.slices(slo, minutes, &found, from..end), None, duration),
            Err(message) => (Vec::new(), Some(message), duration),
        }
    }

    fn slices(
        &self,
        slo: &Slo,
        minutes: &Minutes,
        found: &BTreeMap<i64, Minute>,
        range: std::ops::Range<i64>,
    ) -> Vec<SloSlice> {
        // The SLO's life begins with the first minute in which something happened, late spans included.
        let happened = found.range(range.clone()).find(|(_, minute)| minute.total > 0.0).map(|(at, _)| *at);
        let life = happened.into_iter().chain(minutes.first()).min().unwrap_or(range.end);
        let begin = life.max(range.start);
        let mut slices = Vec::new();
        for minute in begin..range.end {
            let Minute { good, total } = found.get(&minute).copied().unwrap_or_default();
            if let Some(revision) = minutes.revision_of(minute, good, total) {
                slices.push(SloSlice {
                    tenant: self.tenant.clone(),
                    slo: slo.name.clone(),
                    minute: minute_start(minute),
                    good,
                    total,
                    revision,
                });
            }
        }
        slices
    }

    fn tier_tick(
        &self,
        slo: &Slo,
        tier: &Tier,
        reading: &TierReading,
        error: Option<&str>,
        (t, duration): (Timestamp, Duration),
        commit: &mut TickCommit,
    ) -> Result<OfRule> {
        let rule = slo.tier_id(tier);
        let labels = tier_labels(slo, tier);
        let hash = tier_hash(slo, tier);
        let mut prior = self.instances.of_rule(&rule);
        for (old_labels, old) in &prior {
            if *old_labels != labels || (old.hash != hash && !old.hash.is_empty()) {
                let change = end(&old.state, Reason::Updated);
                let change =
                    change.map(|change| self.tier_transition(slo, tier, old_labels, old, change, None, t));
                commit.transitions.extend(change);
                commit.forgotten.push((rule.clone(), old_labels.clone()));
            }
        }
        prior.retain(|l, old| *l == labels && (old.hash == hash || old.hash.is_empty()));
        commit.forgotten.retain(|(forgotten, l)| *forgotten != rule || *l != labels);

        let before = prior.remove(&labels).unwrap_or_default();
        let (reading, outcome) = outcome_of(reading, error);
        let policy = Policy { keep_firing_for: slo.keep_firing_for, ..Policy::default() };
        let (state, change) =
            advance(&policy, &Identity { rule: &rule, labels: &labels }, &before.state, reading, t);
        let value = if let Outcome::Value(burn) = outcome { Some(burn) } else { None };
        let shown = value.or(before.value);
        let told = state.state != AlertState::Inactive || before.state.state != AlertState::Inactive;
        let annotations =
            if told { render(&tier_annotations(slo, tier), &labels, shown) } else { Labels::new() };
        let instance = Instance { alert: slo.tier_alert(tier), state, hash, value: shown, annotations };
        let change =
            change.map(|change| self.tier_transition(slo, tier, &labels, &instance, change, value, t));
        commit.transitions.extend(change);
        commit.instances.push(instance.stored(&self.tenant, &rule, &labels)?);
        commit.evaluations.push(Evaluation {
            at: t,
            tenant: self.tenant.clone(),
            rule,
            labels: labels.clone(),
            outcome,
            state: instance.state.state,
            watermark: None,
            duration,
        });
        Ok(OfRule::from([(labels, instance)]))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one row, each from another place")]
    fn tier_transition(
        &self,
        slo: &Slo,
        tier: &Tier,
        labels: &Labels,
        instance: &Instance,
        change: crate::machine::Change,
        value: Option<f64>,
        t: Timestamp,
    ) -> Transition {
        Transition {
            at: t,
            tenant: self.tenant.clone(),
            rule: slo.tier_id(tier),
            alert: slo.tier_alert(tier),
            labels: labels.clone(),
            annotations: instance.annotations.clone(),
            from: change.from,
            to: change.to,
            reason: change.reason.as_str().to_owned(),
            value,
            active_at: change.active_at,
            episode: change.episode,
            incident: incident_of(tier),
        }
    }

    fn status(
        &self,
        slo: &Slo,
        minutes: &Minutes,
        end: i64,
        t: Timestamp,
        tiers: &[(String, OfRule)],
    ) -> SloStatus {
        let period = minutes.window(end, slo.period);
        let consumed = budget_consumed(&period, slo.budget(), slo.period);
        let burn_1h = burn_rate(&minutes.window(end, HOUR), slo.budget());
        let alerting =
            tiers.iter().flat_map(|(_, i)| i.values()).any(|i| i.state.state != AlertState::Inactive);
        let state = match consumed {
            None => "unknown",
            Some(consumed) if consumed >= 1.0 => "exhausted",
            Some(_) if alerting || burn_1h.is_some_and(|burn| burn > 1.0) => "burning",
            Some(_) => "ok",
        };
        SloStatus {
            tenant: self.tenant.clone(),
            slo: slo.name.clone(),
            service: slo.service.clone(),
            at: t,
            objective: slo.objective,
            window_s: slo.period.as_secs(),
            total: period.total,
            bad: period.bad(),
            budget_consumed: consumed,
            burn_1h,
            state: state.to_owned(),
        }
    }
}

/// A failed query freezes the tiers even when older slices would still fill their windows.
fn outcome_of(reading: &TierReading, error: Option<&str>) -> (Reading, Outcome) {
    match (error, reading.verdict, reading.burn_long) {
        (Some(error), _, _) => (Reading::Frozen, Outcome::Error(error.to_owned())),
        (None, Some(verdict), Some(burn)) => {
            (Reading::Seen { fires: verdict.fires, holds: verdict.holds }, Outcome::Value(burn))
        }
        _ => (Reading::Frozen, Outcome::Unobserved),
    }
}

fn tier_labels(slo: &Slo, tier: &Tier) -> Labels {
    let mut labels = slo.labels.clone();
    labels.insert("slo".to_owned(), slo.name.clone());
    labels.insert("service_name".to_owned(), slo.service.clone());
    labels.insert("severity".to_owned(), tier.severity.as_str().to_owned());
    labels
}

fn tier_annotations(slo: &Slo, tier: &Tier) -> BTreeMap<String, Template> {
    let summary = format!(
        "{}: the error budget of {} is spent at {{{{ value | round 1 }}}} times the planned rate over {}",
        slo.service,
        slo.display_name,
        words(tier.long)
    );
    // The names come from a file and may hold braces of their own; then the text stays as it is.
    let summary = Template::parse(&summary).unwrap_or_else(|_| Template::literal(&summary));
    let mut annotations = BTreeMap::from([("summary".to_owned(), summary)]);
    if !slo.description.is_empty() {
        annotations.insert("description".to_owned(), Template::literal(&slo.description));
    }
    annotations
}

/// `1 h`, `3 d`.
fn words(window: Duration) -> String {
    match window.as_secs() / 3_600 {
        hours if hours >= 24 && hours % 24 == 0 => format!("{} d", hours / 24),
        hours => format!("{hours} h"),
    }
}

fn tier_hash(slo: &Slo, tier: &Tier) -> String {
    stable_hash(&format!("{:?}\u{1f}{}\u{1f}{tier:?}", slo.indicator, slo.objective))
}

pub(super) fn incident_of(tier: &Tier) -> Option<IncidentSpec> {
    (tier.severity == Severity::Page).then(|| IncidentSpec {
        severity: IncidentSeverity::Sev2,
        key: vec!["service_name".to_owned()],
        reopen_within: REOPEN_WITHIN,
    })
}

fn slices_in(span: Duration) -> i64 {
    i64::try_from(span.as_secs() / SLICE.as_secs()).unwrap_or(i64::MAX / 4)
}
