//! Wherever the process dies, what was told is what would have been told: nothing lost, nothing twice, nothing in
//! another order (RUL-2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Float64Array, StringArray};
use hindsight_model::{
    AlertInstance, SloSlice, SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource, Tenant, TickCommit,
    Transition,
};
use hindsight_state::State;
use jiff::Timestamp;
use proptest::prelude::*;

use super::support::{answer, notification, t};
use crate::files::{Loaded, load};
use crate::{Alignment, Engine, Journal, JournalError, Options};

/// Seconds that a run lasts.
pub(super) const LENGTH: i64 = 240;

const RULES: &str = "
groups:
- name: half-minutes
  interval: 30s
  rules:
  - {alert: Held, sql: SELECT 0 WHERE $now, condition: {op: gt, fire: 0.9, recover: 0.5}, for: 1m, keep_firing_for: 1m}
  - {alert: Flaps, sql: SELECT 1 WHERE $now, condition: {op: gt, fire: 0.5}, flapping: {window: 7, high: 40, low: 10}}
- name: three-quarters
  interval: 45s
  rules:
  - alert: Silent
    sql: SELECT 2 WHERE $now
    condition: {op: gte, fire: 0.7, recover: 0.6}
    for: 45s
    on_no_data: fire
    on_missing: {after: 2, then: resolve}
    error_after: 90s
";

/// What the query of one rule finds at one tick, for the instances a and b.
#[derive(Clone, Debug)]
pub(super) enum Finds {
    Rows(Option<f64>, Option<f64>),
    Fails,
}

pub(super) fn finds() -> impl Strategy<Value = Finds> {
    let value = prop::option::weighted(0.8, prop_oneof![Just(0.95), Just(0.2), 0.0..1.0_f64]);
    prop_oneof![6 => (value.clone(), value).prop_map(|(a, b)| Finds::Rows(a, b)), 1 => Just(Finds::Fails)]
}

/// Answers by the rule's number and the tick.
pub(super) struct Script(pub(super) Vec<Finds>);

impl Script {
    /// The instances that the query of a rule finds at its tick, with their values.
    pub(super) fn rows(&self, request: &SqlRequest) -> Result<Vec<(&'static str, f64)>, SqlError> {
        let rule: usize = request.sql.split(' ').nth(1).unwrap().parse().unwrap();
        let Some(SqlParam::Time(now)) = request.params.get("now") else { panic!("a tick") };
        let second = usize::try_from(now.duration_since(t(0)).as_secs()).unwrap();
        match &self.0[(second / 15 * 3 + rule) % self.0.len()] {
            Finds::Fails => Err(SqlError::Failed { message: "the disk is on fire".to_owned() }),
            Finds::Rows(a, b) => Ok([("a", a), ("b", b)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, (*value)?)))
                .collect()),
        }
    }
}

/// Rows as an answer.
pub(super) fn answered(rows: &[(&'static str, f64)]) -> SqlAnswer {
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    let values: Vec<f64> = rows.iter().map(|(_, value)| *value).collect();
    answer(vec![
        ("name", Arc::new(StringArray::from(names))),
        ("value", Arc::new(Float64Array::from(values))),
    ])
}

#[async_trait::async_trait]
impl SqlSource for Script {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        Ok(answered(&self.rows(&request)?))
    }
}

/// Where the process dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    BeforeCommit,
    AfterCommit,
}

/// The real journal; at some of its commits the process dies.
struct Mortal {
    state: State,
    deaths: BTreeMap<usize, Death>,
    commits: AtomicUsize,
}

#[async_trait::async_trait]
impl Journal for Mortal {
    async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<(), JournalError> {
        let death = self.deaths.get(&self.commits.fetch_add(1, Ordering::Relaxed));
        if matches!(death, Some(Death::BeforeCommit)) {
            return Err("the process died before the commit".into());
        }
        Journal::commit_ticks(&self.state, commits).await?;
        if matches!(death, Some(Death::AfterCommit)) {
            return Err("the process died before it heard of the commit".into());
        }
        Ok(())
    }

    async fn last_ticks(&self, tenant: &Tenant) -> Result<BTreeMap<String, Timestamp>, JournalError> {
        Journal::last_ticks(&self.state, tenant).await
    }

    async fn instances(&self, tenant: &Tenant) -> Result<Vec<AlertInstance>, JournalError> {
        Journal::instances(&self.state, tenant).await
    }

    async fn slices(
        &self,
        tenant: &Tenant,
        slo: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SloSlice>, JournalError> {
        Journal::slices(&self.state, tenant, slo, from, to).await
    }
}

fn rules() -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/a.yaml"), RULES).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.problems, []);
    loaded
}

/// Everything that happens in one life or, when the process dies, several; and the number of notifications. A life
/// moves its clock by `step` at a time.
async fn live(
    rules: &Loaded,
    script: &Arc<Script>,
    deaths: BTreeMap<usize, Death>,
    step: i64,
) -> (Vec<Transition>, u64, usize) {
    let state = State::in_memory().await.unwrap();
    let journal = Arc::new(Mortal { state: state.clone(), deaths, commits: AtomicUsize::new(0) });
    let born = || {
        let options = Options {
            alignment: Alignment::At(t(0)),
            start: Some(t(0)),
            plan: Box::new(|transitions, _| transitions.iter().map(notification).collect()),
            catch_up_max: Duration::from_secs(86_400),
            ..Options::default()
        };
        let (script, journal) = (Arc::<Script>::clone(script), Arc::<Mortal>::clone(&journal));
        Engine::with_rules(script, journal, rules.clone(), Tenant::default(), options)
    };
    let mut engine = born();
    let mut lives = 1;
    let mut second = 0;
    loop {
        if engine.run_until(t(second)).await.is_err() {
            engine = born();
            lives += 1;
            continue;
        }
        if second == LENGTH {
            break;
        }
        second = (second + step).min(LENGTH);
    }
    let transitions = state.transitions_after(0).await.unwrap();
    let counts = state.outbox_counts().await.unwrap();
    (transitions.into_iter().map(|(_, transition)| transition).collect(), counts.pending, lives)
}

proptest! {
    // The number that the project promises: 500 points at which the process dies.
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_death_at_any_point_loses_repeats_and_reorders_nothing(
        script in prop::collection::vec(finds(), 20..60),
        deaths in prop::collection::btree_map(
            0..10_usize,
            prop_oneof![Just(Death::BeforeCommit), Just(Death::AfterCommit)],
            1..4,
        ),
        step in prop_oneof![Just(15_i64), Just(30), Just(200)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (rules, script) = (rules(), Arc::new(Script(script)));
            let (whole, told, _) = live(&rules, &script, BTreeMap::new(), 15).await;
            let first_death = deaths.keys().next().copied().unwrap_or(0);
            let (again, told_again, lives) = live(&rules, &script, deaths, step).await;
            prop_assert!(lives > 1 || first_death >= 7, "the process died");
            prop_assert_eq!(&again, &whole);
            prop_assert_eq!(told_again, told);
            Ok(())
        })?;
    }
}
