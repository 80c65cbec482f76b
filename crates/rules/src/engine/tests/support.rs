//! A workspace on disk, a SQL source that answers from a list of samples, and a journal that can be told to fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use hindsight_model::{
    AlertInstance, AlertState, OutboxEntry, SloSlice, SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource,
    Tenant, TickCommit, Transition,
};
use hindsight_state::State;
use jiff::Timestamp;

use crate::{Alignment, Engine, Journal, JournalError, Options, Report};

/// The rule of ALERTING §1, word for word.
pub(crate) const POOL_RULES: &str = r#"
groups:
- name: checkout-db
  interval: 30s
  query_offset: 30s
  limit: 50
  labels: {team: payments}
  rules:
  - alert: DbPoolSaturated
    sql: |
      SELECT service_name, attributes->>'pool.name' AS pool, max(value) AS value
      FROM metrics WHERE metric_name = 'db.client.connections.usage'
        AND timestamp >= $now - INTERVAL '2 minutes' AND timestamp < $now GROUP BY 1, 2
    condition: {op: gt, fire: 0.90, recover: 0.75}
    for: 2m
    keep_firing_for: 5m
    on_no_data: keep
    on_missing: {after: 2, then: resolve}
    error_after: 5m
    flapping: {window: 21, high: 20, low: 5}
    labels: {severity: page}
    incident: {severity: SEV2, key: [service_name], reopen_within: 30m}
    annotations:
      summary: "{{ labels.service_name }} pool {{ labels.pool }} at {{ value | percent }}"
      runbook: runbooks/checkout.md#pool-exhausted
"#;

pub(super) fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap() // 2026-01-01T00:00:00Z
}

/// `5m30s` after the start.
pub(crate) fn at(text: &str) -> Timestamp {
    t(i64::try_from(hindsight_model::parse_duration(text).unwrap().as_secs()).unwrap())
}

pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let workspace = Self { folder: tempfile::tempdir().unwrap() };
        workspace.write("runbooks/checkout.md", "# Checkout\n\n## Pool exhausted\n");
        for (path, text) in files {
            workspace.write(path, text);
        }
        workspace
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        std::fs::remove_file(self.path().join(path)).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// One point of the pool's usage.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) service: String,
    pub(super) value: f64,
}

/// Answers the pool rule by doing what its SQL says: the highest value of each service within two minutes before
/// `$now`. Span queries are answered from `spans`.
#[derive(Default)]
pub(crate) struct Telemetry {
    pub(super) samples: Mutex<Vec<Sample>>,
    /// Start and whether it is bad, of each span.
    pub(super) spans: Mutex<Vec<(Timestamp, bool)>>,
    pub(super) fails: AtomicBool,
}

impl Telemetry {
    pub(crate) fn pool(values: &[f64]) -> Arc<Self> {
        let telemetry = Self::default();
        for (index, value) in values.iter().enumerate() {
            telemetry.add("checkout", t(30 * i64::try_from(index).unwrap()), *value);
        }
        Arc::new(telemetry)
    }

    pub(crate) fn add(&self, service: &str, at: Timestamp, value: f64) {
        self.samples.lock().unwrap().push(Sample { at, service: service.to_owned(), value });
    }

    /// `good` and `bad` spans spread over the minute that begins at `at`.
    pub(super) fn minute(&self, at: Timestamp, good: u32, bad: u32) {
        let mut spans = self.spans.lock().unwrap();
        for index in 0..good + bad {
            let offset = Duration::from_millis(u64::from(index) * 59_000 / u64::from(good + bad));
            spans.push((at.checked_add(offset).unwrap(), index < bad));
        }
    }

    fn pool_usage(&self, now: Timestamp) -> SqlAnswer {
        let start = now.checked_sub(Duration::from_secs(120)).unwrap();
        let mut highest = std::collections::BTreeMap::new();
        for sample in self.samples.lock().unwrap().iter().filter(|s| s.at >= start && s.at < now) {
            let value = highest.entry(sample.service.clone()).or_insert(f64::MIN);
            *value = sample.value.max(*value);
        }
        let services: Vec<_> = highest.keys().cloned().collect();
        let pools = vec!["main"; services.len()];
        let values: Vec<f64> = highest.into_values().collect();
        answer(vec![
            ("service_name", Arc::new(StringArray::from(services))),
            ("pool", Arc::new(StringArray::from(pools))),
            ("value", Arc::new(Float64Array::from(values))),
        ])
    }

    fn minutes(&self, from: Timestamp, to: Timestamp) -> SqlAnswer {
        let mut minutes = std::collections::BTreeMap::new();
        for (at, bad) in self.spans.lock().unwrap().iter().filter(|(at, _)| *at >= from && *at < to) {
            let counts: &mut (i64, i64) = minutes.entry(at.as_second().div_euclid(60)).or_default();
            counts.0 += i64::from(*bad);
            counts.1 += 1;
        }
        let starts: Vec<i64> = minutes.keys().map(|minute| minute * 60_000_000).collect();
        let parts: Vec<i64> = minutes.values().map(|counts| counts.0).collect();
        let totals: Vec<i64> = minutes.values().map(|counts| counts.1).collect();
        answer(vec![
            ("minute", Arc::new(TimestampMicrosecondArray::from(starts).with_timezone("UTC"))),
            ("part", Arc::new(Int64Array::from(parts))),
            ("total", Arc::new(Int64Array::from(totals))),
        ])
    }
}

pub(super) fn answer(columns: Vec<(&str, ArrayRef)>) -> SqlAnswer {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    SqlAnswer::new(batch.schema(), vec![batch])
}

#[async_trait::async_trait]
impl SqlSource for Telemetry {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(SqlError::Failed { message: "the disk is on fire".to_owned() });
        }
        let time = |name: &str| match request.params.get(name) {
            Some(SqlParam::Time(at)) => *at,
            other => panic!("parameter {name} is {other:?} in {}", request.sql),
        };
        if request.sql.contains("FROM spans") {
            Ok(self.minutes(time("from"), time("to")))
        } else {
            Ok(self.pool_usage(time("now")))
        }
    }
}

/// The real journal, with a switch that makes commits fail before anything is written.
pub(crate) struct Disk {
    pub(super) state: State,
    pub(super) fails: AtomicBool,
}

impl Disk {
    pub(crate) async fn new() -> Arc<Self> {
        Arc::new(Self { state: State::in_memory().await.unwrap(), fails: AtomicBool::new(false) })
    }

    pub(crate) async fn transitions(&self) -> Vec<Transition> {
        let all = self.state.transitions_after(0).await.unwrap();
        all.into_iter().map(|(_, transition)| transition).collect()
    }
}

#[async_trait::async_trait]
impl Journal for Disk {
    async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<(), JournalError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err("no space left".into());
        }
        Journal::commit_ticks(&self.state, commits).await
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

pub(super) fn engine(workspace: &Workspace, telemetry: &Arc<Telemetry>, disk: &Arc<Disk>) -> Engine {
    let options = Options {
        alignment: Alignment::At(t(0)),
        start: Some(t(0)),
        plan: Box::new(|transitions, _| transitions.iter().map(notification).collect()),
        ..Options::default()
    };
    let telemetry = Arc::<Telemetry>::clone(telemetry);
    let disk = Arc::<Disk>::clone(disk);
    Engine::new(telemetry, disk, workspace.path(), Tenant::default(), options).unwrap()
}

pub(super) fn notification(transition: &Transition) -> OutboxEntry {
    OutboxEntry {
        receiver: "test".to_owned(),
        group_key: transition.rule.clone(),
        dedup_key: format!("{}/{}", transition.episode, transition.to),
        payload: "{}".to_owned(),
        created_at: transition.at,
        flush_at: transition.at,
        unsent: None,
    }
}

/// Runs to a time and checks that no problem stood in the way.
pub(crate) async fn run(engine: &mut Engine, to: Timestamp) -> Report {
    assert_eq!(engine.problems(), [], "the files of a test are good");
    engine.run_until(to).await.unwrap()
}

/// State and `at` of every transition as short words: `pending@210`.
pub(super) fn story(transitions: &[Transition]) -> Vec<String> {
    let word = |tr: &Transition| format!("{}@{} {}", tr.to, tr.at.duration_since(t(0)).as_secs(), tr.reason);
    transitions.iter().map(word).collect()
}

pub(super) fn state_of(engine: &Engine, rule: &str) -> AlertState {
    let view = engine.describe();
    let rules = view.groups.iter().flat_map(|group| &group.rules).map(|rule| (&rule.id, rule.state));
    let tiers = view.slos.iter().flat_map(|slo| &slo.tiers).map(|tier| (&tier.id, tier.state));
    rules.chain(tiers).find(|(id, _)| *id == rule).map(|(_, state)| state).expect("the rule is in force")
}
