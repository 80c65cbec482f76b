use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hindsight_model::{
    AlertState, Evaluation, IncidentSeverity, IncidentSpec, Labels, Outcome, SloSlice, SloStatus, SqlSource,
    Tenant, TickCommit, Transition,
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::evaluate::render;
use super::instance::{Instance, OfRule};
use super::rule_tick::QUERY_TIMEOUT;
use super::wave::Judged;
use super::{Engine, EvaluationView, Standing, journal_error};
use crate::error::Result;
use crate::journal::Journal;
use crate::machine::{Identity, Reading, Reason, advance, end};
use crate::rule::{Policy, stable_hash};
use crate::slo::{
    LATE_SLICES, Minute, Minutes, SLO_QUERY_OFFSET, Severity, Slo, Tier, TierReading, minute_of,
    minute_start, minutes_in, minutes_of, note_of, queries,
};
use crate::template::Template;

/// A resolved incident of the same service reopens within this time.
const REOPEN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// What the queries of one tick of an SLO brought, with the minutes that were known before.
pub(super) struct SloAnswered {
    minutes: Result<Minutes>,
    collected: Collected,
    /// How long it took by the wall, answered or failed.
    pub(super) took: Duration,
}

/// What the queries of a tick are about.
struct Asked {
    slo: Slo,
    tenant: Tenant,
    /// The minute with which the window ends, exclusive.
    end: i64,
    /// How many minutes before it are looked at when nothing is known.
    reach: i64,
}

impl Engine {
    /// Asks for the slices that are due.
    pub(super) fn ask_slo(&mut self, index: usize, t: Timestamp) -> BoxFuture<'static, SloAnswered> {
        let slo = self.loaded.rules.slos[index].clone();
        let asked = Asked {
            tenant: self.tenant.clone(),
            end: minute_of(t.checked_sub(SLO_QUERY_OFFSET).unwrap_or(Timestamp::MIN)),
            reach: minutes_in(self.options.catch_up_max.min(slo.window.nominal())),
            slo,
        };
        // Until the tick is committed the minutes are with the query; what is lost is read from the journal again.
        let kept = self.minutes.remove(&asked.slo.name);
        let (sql, journal) = (Arc::clone(&self.sql), Arc::clone(&self.journal));
        async move {
            let since = Instant::now();
            let minutes = asked.take_minutes(kept, journal.as_ref()).await;
            let collected = match &minutes {
                Ok(minutes) => asked.collect(minutes, sql.as_ref()).await,
                Err(_) => Collected::default(),
            };
            SloAnswered { minutes, collected, took: since.elapsed() }
        }
        .boxed()
    }

    /// Judges every tier by the slices, ready to be committed.
    pub(super) fn judge_slo(
        &self,
        index: usize,
        t: Timestamp,
        now: Timestamp,
        answered: SloAnswered,
    ) -> Result<Judged> {
        let slo = self.loaded.rules.slos[index].clone();
        let end = minute_of(t.checked_sub(SLO_QUERY_OFFSET).unwrap_or(Timestamp::MIN));
        let SloAnswered { minutes, collected: Collected { slices, note, error, duration }, took: _ } =
            answered;
        let mut minutes = minutes?;
        for slice in &slices {
            minutes.set(slice);
        }
        if error.is_none() {
            minutes.searched_to(end);
        }
        // Without new points nothing new is known about the bounds either.
        let before = self.standings.get(&slo.name).and_then(|standing| standing.status.note.clone());
        let note = note.or_else(|| before.clone());
        if let Some(note) = note.as_ref().filter(|_| before.is_none()) {
            tracing::warn!(slo = slo.name, note, "an SLO's threshold is between two bounds of its histogram");
        }
        let mut commit = TickCommit {
            tenant: self.tenant.clone(),
            group: slo.group(),
            tick: Some(t),
            slices,
            ..TickCommit::default()
        };
        let read = |tier: &Tier| tier.read(&minutes, end, slo.budgeting, slo.budget(), &slo.guard);
        let readings: Vec<_> = slo.tiers.iter().map(read).collect();
        let mut after = Vec::new();
        let mut views = Vec::new();
        for (tier, reading) in slo.tiers.iter().zip(&readings) {
            let instances =
                self.tier_tick(&slo, tier, reading, error.as_deref(), (t, duration), &mut commit)?;
            let rule = slo.tier_id(tier);
            views.push((rule.clone(), EvaluationView::of_tier(error.as_deref(), duration, t)));
            after.push((rule, instances));
        }
        let status = self.status(&slo, &minutes, end, t, &after, note);
        commit.slo_status.push(status.clone());
        commit.outbox = (self.options.plan)(&commit.transitions, now);
        let standing = Standing { status, tiers: readings };
        Ok(Judged { commit, after, views, slo: Some((slo.name, minutes, standing)) })
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
        let policy =
            Policy { for_: tier.alert_after, keep_firing_for: slo.keep_firing_for, ..Policy::default() };
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
        note: Option<String>,
    ) -> SloStatus {
        let alerting =
            tiers.iter().flat_map(|(_, i)| i.values()).any(|i| i.state.state != AlertState::Inactive);
        let reading = slo.reading(minutes, end);
        SloStatus {
            tenant: self.tenant.clone(),
            slo: slo.name.clone(),
            service: slo.service.clone(),
            at: t,
            objective: slo.objective,
            window_s: reading.period().as_secs(),
            total: reading.sum.total,
            bad: reading.sum.bad(),
            budget_consumed: reading.consumed,
            burn_1h: reading.burn_1h,
            state: reading.state(alerting).to_owned(),
            method: slo.budgeting.as_str().to_owned(),
            period_start: reading.from,
            period_end: reading.to,
            coverage: reading.sum.coverage(),
            projected: reading.projected,
            time_to_exhaust_s: reading.exhaust.map(|time| time.as_secs_f64()),
            note,
        }
    }
}

impl Asked {
    async fn take_minutes(&self, kept: Option<Minutes>, journal: &dyn Journal) -> Result<Minutes> {
        let from = self.slo.remembers_from(self.end);
        if let Some(mut minutes) = kept {
            // What is remembered depends on the tick alone, so that a restart before it changes nothing.
            if minutes.drop_before(from) {
                return Ok(minutes);
            }
        }
        let (from_at, to) = (minute_start(from), minute_start(self.end));
        let stored = journal.slices(&self.tenant, &self.slo.name, from_at, to).await;
        let stored = stored.map_err(|e| journal_error("read slices", &self.slo.group(), e))?;
        Ok(Minutes::load_from(from, &stored))
    }

    /// The slices that are new or that late data changed, or why there are none.
    async fn collect(&self, minutes: &Minutes, sql: &dyn SqlSource) -> Collected {
        let from = match minutes.last() {
            Some(last) => (last + 1 - i64::from(LATE_SLICES)).max(self.end - self.reach),
            None => self.end - self.reach,
        };
        let mut answers = Vec::new();
        let mut collected = Collected::default();
        for (counts, mut request) in
            queries(&self.slo.indicator, &self.tenant, minute_start(from), minute_start(self.end))
        {
            request.timeout = Some(QUERY_TIMEOUT);
            match sql.sql(request).await {
                Ok(answer) => {
                    collected.duration += answer.stats.elapsed;
                    answers.push((counts, answer));
                }
                Err(error) => return Collected { error: Some(error.to_string()), ..collected },
            }
        }
        match minutes_of(&self.slo.indicator, &answers) {
            Ok(found) => {
                collected.note = note_of(&answers);
                collected.slices = self.slices(minutes, &found, from..self.end);
            }
            Err(message) => collected.error = Some(message),
        }
        collected
    }

    fn slices(
        &self,
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
                    slo: self.slo.name.clone(),
                    minute: minute_start(minute),
                    good,
                    total,
                    revision,
                });
            }
        }
        slices
    }
}

/// What one tick's queries brought.
#[derive(Debug, Default)]
struct Collected {
    /// New and changed slices; none when a query failed.
    slices: Vec<SloSlice>,
    /// What a histogram's bounds leave open.
    note: Option<String>,
    /// Why there are none.
    error: Option<String>,
    /// How long the queries took.
    duration: Duration,
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

/// `5 min`, `1 h`, `3 d`.
fn words(window: Duration) -> String {
    match window.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds => format!("{} min", seconds / 60),
    }
}

fn tier_hash(slo: &Slo, tier: &Tier) -> String {
    let asked = (&slo.indicator, slo.objective, slo.budgeting, tier);
    stable_hash(&format!("{asked:?}"))
}

pub(super) fn incident_of(tier: &Tier) -> Option<IncidentSpec> {
    (tier.severity == Severity::Page).then(|| IncidentSpec {
        severity: IncidentSeverity::Sev2,
        key: vec!["service_name".to_owned()],
        reopen_within: REOPEN_WITHIN,
    })
}
