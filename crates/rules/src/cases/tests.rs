//! The runner against a feed that does what the pool rule's SQL says.

use std::sync::{Arc, Mutex};

use hindsight_model::SqlSource;
use jiff::Timestamp;

use super::{CaseReport, Feed, FeedError, Feeds, Fixture, run_case};
use crate::engine::tests::{POOL_RULES, Telemetry};
use crate::files::{load_cases, load_files};

/// The test of ALERTING §1, word for word.
pub(crate) const POOL_TESTS: &str = r#"
rule_files: [rules/checkout-db.yaml]
evaluation_interval: 30s
start: 2026-01-01T00:00:00Z
tests:
- name: hysteresis band, then keep_firing_for
  series:                             # Prometheus' notation: 0.60x4 is 0.60 and four more, one per interval from start;
                                      # labels named like a resource column fill it, the rest are attributes
  - {metric: db.client.connections.usage, labels: {service_name: checkout, pool.name: main}, values: "0.60x4 0.95x10 0.85x10 0.70x12"}
  expect:                             # at tick t the rule above sees [t−2m30s, t−30s)
  - {at: 3m,     alert: DbPoolSaturated, state: inactive}
  - {at: 3m30s,  alert: DbPoolSaturated, state: pending}       # first window holding the 0.95 of 2m30s
  - {at: 5m30s,  alert: DbPoolSaturated, state: firing, labels: {service_name: checkout, severity: page}}
  - {at: 12m,    alert: DbPoolSaturated, state: firing}        # 0.85 is below fire but above recover
  - {at: 16m,    alert: DbPoolSaturated, state: recovering}    # first window with nothing but 0.70
  - {at: 21m,    alert: DbPoolSaturated, state: inactive, reason: recovered}
  notifications: {firing: 1, resolved: 1}
  restart_at: [4m, 12m, 17m]          # the same must hold when the process dies at any of these
"#;

struct Pool;

struct PoolFeed {
    telemetry: Arc<Telemetry>,
    waiting: Mutex<Vec<(Timestamp, String, f64)>>,
    start: Timestamp,
    end: Timestamp,
}

#[async_trait::async_trait]
impl Feeds for Pool {
    async fn open(&self, fixture: &Fixture, start: Timestamp) -> Result<Box<dyn Feed>, FeedError> {
        let mut waiting = Vec::new();
        for metric in &fixture.metrics {
            let mut at = start;
            for value in &metric.values {
                waiting.extend(value.map(|value| (at, metric.labels["service_name"].clone(), value)));
                at = at.checked_add(fixture.interval)?;
            }
        }
        let (end, telemetry) = (fixture.end(start), Arc::default());
        Ok(Box::new(PoolFeed { telemetry, waiting: Mutex::new(waiting), start, end }))
    }
}

#[async_trait::async_trait]
impl Feed for PoolFeed {
    fn sql(&self) -> Arc<dyn SqlSource> {
        Arc::<Telemetry>::clone(&self.telemetry)
    }

    fn start(&self) -> Timestamp {
        self.start
    }

    fn end(&self) -> Timestamp {
        self.end
    }

    async fn advance(&mut self, to: Timestamp) -> Result<(), FeedError> {
        let mut waiting = self.waiting.lock().unwrap();
        for (at, service, value) in waiting.extract_if(.., |(at, _, _)| *at <= to) {
            self.telemetry.add(&service, at, value);
        }
        Ok(())
    }
}

async fn run(tests: &str) -> Vec<CaseReport> {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("runbooks/checkout.md", "# Checkout\n\n## Pool exhausted\n");
    write("rules/checkout-db.yaml", POOL_RULES);
    write("tests/pool.yaml", tests);
    let (files, problems) = load_cases(folder.path(), &[]).unwrap();
    assert_eq!(problems, []);
    let mut reports = Vec::new();
    for file in &files {
        let rules = load_files(folder.path(), &file.rule_files, &file.slo_files);
        assert_eq!(rules.problems, []);
        for case in &file.cases {
            reports.push(run_case(&rules, case, &Pool).await.unwrap());
        }
    }
    reports
}

#[tokio::test]
async fn the_test_of_the_contract_passes_as_printed() {
    let reports = run(POOL_TESTS).await;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].failures, []);
    assert_eq!(reports[0].transitions.len(), 4);
}

#[tokio::test]
async fn what_is_otherwise_than_expected_is_said_with_its_line() {
    for (from, to, line, words) in [
        ("at: 3m,     alert", "at: 3m30s,  alert", 11, "at 3m30s: DbPoolSaturated is not inactive"),
        ("at: 5m30s,", "at: 5m,", 13, "value 0.95; so far: DbPoolSaturated pending at 3m30s (breach)"),
        ("severity: page}}", "severity: ticket}}", 13, "is not firing"),
        ("reason: recovered", "reason: no_data", 16, "another reason: recovered, not no_data"),
        ("firing: 1, resolved", "firing: 2, resolved", 6, "1 alerts were told as firing"),
        (
            "at: 12m,    alert: DbPool",
            "at: 12m,    alert: DPool",
            14,
            "no rule file of this test has an alert",
        ),
        ("at: 12m,", "value: 0.5, at: 12m,", 14, "no instance with value 0.5"),
    ] {
        let changed = POOL_TESTS.replacen(from, to, 1);
        assert_ne!(changed, POOL_TESTS, "{from}");
        let reports = run(&changed).await;
        let failure = reports[0].failures.first().unwrap_or_else(|| panic!("{to} passes"));
        assert_eq!(failure.line, line, "{}", failure.message);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}
