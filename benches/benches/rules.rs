//! Ten thousand alert instances over 500 rules: what one interval of 30 s costs, and how it is shared between SQL,
//! the journal and everything else (reading answers, state machines, templates).
//!
//! A store and a state database on disk, metrics of 500 names × 20 services every 15 s, rules in 50 groups. Two loads:
//! all instances quiet, and all of them firing. Prints a table; not a criterion benchmark, since a run is a whole
//! interval and its parts.

#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hindsight_model::{
    AlertInstance, Clock, LogicalClock, Signal, SloSlice, SqlAnswer, SqlError, SqlRequest, SqlSource, Tenant,
    TickCommit,
};
use hindsight_otlp::Encoding;
use hindsight_query::{QueryEngine, QueryOptions};
use hindsight_rules::{Alignment, CONCURRENCY, Engine, Journal, JournalError, Options};
use hindsight_state::State;
use hindsight_store::{Durability, Ingest, Store, StoreOptions};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const RULES: usize = 500;
const RULES_A_GROUP: usize = 10;
const SERVICES: usize = 20;
const INTERVALS: i64 = 10;
const INTERVAL_S: i64 = 30;
/// Metrics before the first tick.
const HISTORY_S: i64 = 300;

fn start() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().expect("a time")
}

fn at(second: i64) -> Timestamp {
    start() + SignedDuration::from_secs(second)
}

#[derive(Default)]
struct Spent(AtomicU64);

impl Spent {
    fn add(&self, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

struct TimedSql {
    sql: QueryEngine,
    spent: Arc<Spent>,
}

#[async_trait::async_trait]
impl SqlSource for TimedSql {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let since = Instant::now();
        let answer = self.sql.sql(request).await;
        self.spent.add(since);
        answer
    }
}

struct TimedJournal {
    state: State,
    spent: Arc<Spent>,
}

#[async_trait::async_trait]
impl Journal for TimedJournal {
    async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<(), JournalError> {
        let since = Instant::now();
        let done = Journal::commit_ticks(&self.state, commits).await;
        self.spent.add(since);
        done
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

/// Every metric of every service at one time.
async fn send(store: &Store, at: Timestamp) {
    let nanos = at.as_nanosecond().to_string();
    let metrics: Vec<_> = (0..RULES)
        .map(|rule| {
            json!({"name": format!("queue.length.{rule}"), "gauge": {"dataPoints": [
                {"timeUnixNano": nanos, "asDouble": 50.0}
            ]}})
        })
        .collect();
    for service in 0..SERVICES {
        let body = json!({"resourceMetrics": [{
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": format!("service-{service:02}")}}
            ]},
            "scopeMetrics": [{"metrics": metrics}],
        }]});
        let ingest = Ingest {
            tenant: Tenant::default(),
            signal: Signal::Metrics,
            encoding: Encoding::Json,
            body: body.to_string().into(),
            sender: None,
        };
        store.ingest(ingest).await.expect("the metrics are accepted");
    }
}

fn write_rules(workspace: &Path, fire: u32) {
    std::fs::create_dir_all(workspace.join("rules")).expect("a folder");
    for group in 0..RULES / RULES_A_GROUP {
        let mut text = format!(
            "groups:\n- name: group-{group}\n  interval: {INTERVAL_S}s\n  query_offset: 15s\n  rules:\n"
        );
        for rule in group * RULES_A_GROUP..(group + 1) * RULES_A_GROUP {
            text.push_str(&format!(
                "  - alert: QueueLong{rule}\n    sql: |\n      SELECT service_name, max(value) AS value FROM metrics\n      \
                 WHERE metric_name = 'queue.length.{rule}'\n        AND timestamp >= $now - INTERVAL '2 minutes' AND timestamp < $now GROUP BY 1\n    \
                 condition: {{op: gt, fire: {fire}, recover: {fire}}}\n    for: 1m\n    labels: {{severity: page}}\n    \
                 annotations: {{summary: \"{{{{ labels.service_name }}}} has {{{{ value | humanize }}}} waiting\"}}\n"
            ));
        }
        std::fs::write(workspace.join(format!("rules/group-{group}.yaml")), text).expect("a rule file");
    }
}

async fn run(name: &str, fire: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = folder.path().join("workspace");
    write_rules(&workspace, fire);
    let clock = Arc::new(LogicalClock::starting_at(start()));
    let mut options = StoreOptions::new(folder.path().join("data"));
    options.durability = Durability::Flush;
    let store =
        Store::open(options, Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>).await.expect("a store");
    let state = State::open(&folder.path().join("state.db")).await.expect("a state");
    for second in (0..=HISTORY_S).step_by(15) {
        clock.advance_to(at(second));
        send(&store, at(second)).await;
    }
    let (sql_spent, journal_spent) = (Arc::new(Spent::default()), Arc::new(Spent::default()));
    let query_options = QueryOptions {
        clock: Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>,
        reserved: CONCURRENCY,
        ..QueryOptions::default()
    };
    let query =
        QueryEngine::new(Arc::new(store.clone()), store.system_tables(), query_options).expect("an engine");
    let sql = Arc::new(TimedSql { sql: query.reserved(), spent: Arc::clone(&sql_spent) });
    let journal = Arc::new(TimedJournal { state, spent: Arc::clone(&journal_spent) });
    let options =
        Options { alignment: Alignment::At(start()), start: Some(at(HISTORY_S)), ..Options::default() };
    let mut engine = Engine::new(sql, journal, workspace, Tenant::default(), options).expect("an engine");
    assert!(engine.problems().is_empty(), "{:?}", engine.problems());
    let (mut walls, mut sqls, mut journals, mut cpus) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for interval in 0..INTERVALS {
        let second = HISTORY_S + interval * INTERVAL_S;
        for sent in [second + 15, second + 30] {
            clock.advance_to(at(sent));
            send(&store, at(sent)).await;
        }
        sql_spent.take();
        journal_spent.take();
        let (since, cpu) = (Instant::now(), cpu_seconds());
        let report = engine.run_until(at(second)).await.expect("the ticks are committed");
        assert_eq!(report.evaluated, RULES);
        walls.push(since.elapsed().as_secs_f64());
        cpus.push(cpu_seconds() - cpu);
        sqls.push(sql_spent.take().as_secs_f64() / CONCURRENCY as f64);
        journals.push(journal_spent.take().as_secs_f64());
    }
    let (wall, sql, journal) = (median(walls), median(sqls), median(journals));
    println!(
        "{name:<12} {RULES} rules, {} instances: {:.0} ms an interval ({:.1} % of 30 s), CPU {:.0} ms; \
         SQL {:.0} ms ({CONCURRENCY} at once), journal {:.0} ms, the rest {:.0} ms",
        RULES * SERVICES,
        wall * 1e3,
        wall / INTERVAL_S as f64 * 100.0,
        median(cpus) * 1e3,
        sql * 1e3,
        journal * 1e3,
        (wall - sql - journal).max(0.0) * 1e3,
    );
    drop(engine);
    store.shutdown().await.expect("the store closes");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().expect("clock ticks");
    // utime and stime, in the hundredths of a second that Linux counts in.
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        run("all quiet", 100).await;
        run("all firing", 10).await;
    });
}
