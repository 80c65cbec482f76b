//! Rules side by side: what one waits for, no other does, and the order of time holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::Float64Array;
use hindsight_model::{AlertState, SqlAnswer, SqlError, SqlRequest, SqlSource, Tenant, Transition};
use tokio::sync::Semaphore;

use super::support::{Disk, Workspace, answer, state_of, story, t};
use crate::{Alignment, Engine, Options};

/// Long enough for every query that does not wait to be answered.
const PATIENCE: Duration = Duration::from_millis(300);

/// Answers 1, at once or, for a query with `slow` in it, when a permit is given.
struct Gate {
    permits: Semaphore,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(0), running: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl SqlSource for Gate {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        if request.sql.contains("slow") {
            self.permits.acquire().await.unwrap().forget();
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        if request.sql.contains("fails") {
            return Err(SqlError::Failed { message: "the disk is on fire".to_owned() });
        }
        Ok(answer(vec![("value", Arc::new(Float64Array::from(vec![1.0])))]))
    }
}

fn rules(names: &[&str]) -> String {
    let rule = |name: &&str| {
        format!("  - {{alert: {name}, sql: SELECT '{name}', condition: {{op: gt, fire: 0}}, for: 1m}}\n")
    };
    let rules: String = names.iter().map(rule).collect();
    format!("groups:\n- name: g\n  interval: 30s\n  rules:\n{rules}")
}

fn engine(workspace: &Workspace, gate: &Arc<Gate>, disk: &Arc<Disk>) -> Engine {
    let options = Options { alignment: Alignment::At(t(0)), start: Some(t(0)), ..Options::default() };
    let (gate, disk) = (Arc::<Gate>::clone(gate), Arc::<Disk>::clone(disk));
    Engine::new(gate, disk, workspace.path(), Tenant::default(), options).unwrap()
}

#[tokio::test]
async fn a_rule_that_is_slow_or_fails_delays_no_other() {
    let workspace = Workspace::new(&[("rules/a.yaml", &rules(&["slow", "fails", "quick"]))]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let mut engine = engine(&workspace, &gate, &disk);
    for tick in 0..4 {
        engine.run_for(t(tick * 30), PATIENCE).await.unwrap();
    }
    assert_eq!(state_of(&engine, "g/quick"), AlertState::Firing);
    assert_eq!(state_of(&engine, "g/slow"), AlertState::Inactive, "its first query has not ended");

    // Its query ends: the tick it was for is committed, and the missed ones follow, with nothing lost.
    gate.permits.add_permits(4);
    let report = engine.run_for(t(90), PATIENCE).await.unwrap();
    assert_eq!(story(&report.transitions), ["pending@0 breach", "firing@60 breach"]);
    assert_eq!(report.evaluated, 4);
    assert_eq!(report.next_due, Some(t(120)));
}

#[tokio::test]
async fn a_rule_that_is_behind_does_not_hold_the_others_where_it_stands() {
    let workspace = Workspace::new(&[("rules/a.yaml", &rules(&["slow", "quick"]))]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let mut engine = engine(&workspace, &gate, &disk);
    engine.run_for(t(0), PATIENCE).await.unwrap();
    engine.run_for(t(30), PATIENCE).await.unwrap();
    // The first query ends after more than a second; the next one, for a tick long past, begins and waits.
    tokio::time::sleep(Duration::from_millis(700)).await;
    gate.permits.add_permits(1);
    let report = engine.run_for(t(60), PATIENCE).await.unwrap();
    assert!(report.transitions.iter().any(|tr| tr.rule == "g/slow" && tr.at == t(0)), "{report:?}");
    assert!(report.transitions.iter().any(|tr| tr.rule == "g/quick" && tr.at == t(60)), "{report:?}");
}

#[tokio::test]
async fn a_query_that_fails_late_is_slow_too() {
    let workspace = Workspace::new(&[("rules/a.yaml", &rules(&["slow_fails"]))]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let mut engine = engine(&workspace, &gate, &disk);
    engine.run_for(t(0), PATIENCE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    gate.permits.add_permits(1);
    engine.run_for(t(0), PATIENCE).await.unwrap();
    assert!(engine.units[0].took > Duration::from_secs(1), "{:?}", engine.units[0].took);
}

/// An SLO whose query waits at the gate.
const SLOW_SLO: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: {name: waits, annotations: {hindsight.dev/burn-policy: google-30d}}
spec:
  service: api
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.999}]
  indicator:
    metadata: {name: waits}
    spec:
      ratioMetric:
        bad: {metricSource: {type: hindsight, spec: {from: spans, where: \"name = 'slow' AND status_code = 'error'\"}}}
        total: {metricSource: {type: hindsight, spec: {from: spans, where: \"name = 'slow'\"}}}
";

#[tokio::test]
async fn a_slow_slo_delays_no_rule() {
    let workspace = Workspace::new(&[("rules/a.yaml", &rules(&["quick"])), ("slos/a.yaml", SLOW_SLO)]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let mut engine = engine(&workspace, &gate, &disk);
    assert_eq!(engine.problems(), []);
    for tick in 0..4 {
        engine.run_for(t(tick * 30), PATIENCE).await.unwrap();
    }
    assert_eq!(state_of(&engine, "g/quick"), AlertState::Firing);
    assert!(engine.describe().slos[0].status.is_none(), "its first query has not ended");
    gate.permits.add_permits(10);
    let report = engine.run_for(t(90), PATIENCE).await.unwrap();
    assert_eq!(report.evaluated, 2, "its ticks of the two minutes follow");
    assert!(engine.describe().slos[0].status.is_some());
}

#[tokio::test]
async fn no_more_queries_run_at_once_than_allowed_and_order_follows_time() {
    let names: Vec<String> = (0..20).map(|index| format!("R{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let workspace = Workspace::new(&[("rules/a.yaml", &rules(&names))]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let mut engine = engine(&workspace, &gate, &disk);
    let report = engine.run_until(t(60)).await.unwrap();
    assert!(gate.most.load(Ordering::SeqCst) <= crate::CONCURRENCY);
    let order: Vec<_> = report.transitions.iter().map(|tr| (tr.at, tr.rule.clone())).collect();
    let by_file = |rule: &str| rule.trim_start_matches("g/R").parse::<usize>().unwrap();
    assert!(order.is_sorted_by_key(|(at, rule)| (*at, by_file(rule))), "{order:?}");
    assert_eq!(order.len(), 40);
}

#[tokio::test]
async fn slow_rules_never_take_every_place() {
    let workspace =
        Workspace::new(&[("rules/a.yaml", &rules(&["slow1", "slow2", "slow3", "slow4", "quick"]))]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let mut engine = engine(&workspace, &gate, &disk);
    // As after a tick at which each of them took two seconds.
    for unit in &mut engine.units {
        unit.took = if unit.name.contains("slow") { Duration::from_secs(2) } else { Duration::ZERO };
    }
    for tick in 0..3 {
        engine.run_for(t(tick * 30), PATIENCE).await.unwrap();
    }
    assert_eq!(state_of(&engine, "g/quick"), AlertState::Firing);
    assert_eq!(gate.running.load(Ordering::SeqCst), crate::CONCURRENCY / 2);
}

#[tokio::test]
async fn a_rule_that_lags_a_receiver_that_is_given_up_and_an_overdue_action_are_told() {
    let workspace = Workspace::new(&[("rules/a.yaml", &rules(&["slow", "quick"]))]);
    let (gate, disk) = (Gate::closed(), Disk::new().await);
    let options = Options {
        alignment: Alignment::At(t(0)),
        start: Some(t(0)),
        dead_notifications: Some(Box::new(|from, to| {
            assert_eq!(to.duration_since(from).as_secs(), 3_600);
            let dead = if to < t(90) { vec![("ops".to_owned(), 3)] } else { Vec::new() };
            Box::pin(async move { Ok(dead) })
        })),
        overdue_actions: Some(Box::new(|at| {
            let item = [("postmortem", "PM-2026-014"), ("item", "A1")];
            let labels = item.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            let overdue = if (t(30)..t(120)).contains(&at) { vec![(labels, 3.0)] } else { Vec::new() };
            Box::pin(async move { Ok(overdue) })
        })),
        ..Options::default()
    };
    let (sql, journal) = (Arc::<Gate>::clone(&gate), Arc::<Disk>::clone(&disk));
    let mut engine = Engine::new(sql, journal, workspace.path(), Tenant::default(), options).unwrap();
    for tick in 0..6 {
        engine.run_for(t(tick * 30), PATIENCE).await.unwrap();
    }
    let own = |transitions: Vec<Transition>| {
        let own = transitions.into_iter().filter(|tr| tr.rule.starts_with("hindsight/"));
        own.map(|tr| {
            format!("{} {}@{} {:?}", tr.alert, tr.to, tr.at.duration_since(t(0)).as_secs(), tr.labels)
        })
        .collect::<Vec<_>>()
    };
    let ops = r#"{"receiver": "ops", "severity": "ticket"}"#;
    let slow = r#"{"rule": "g/slow", "severity": "ticket"}"#;
    let item = r#"{"item": "A1", "postmortem": "PM-2026-014", "severity": "ticket"}"#;
    let expected = [
        format!("ActionOverdue firing@30 {item}"),
        format!("ActionOverdue inactive@120 {item}"),
        format!("NotificationsFailing firing@0 {ops}"),
        format!("RuleLagging pending@90 {slow}"),
        format!("NotificationsFailing inactive@90 {ops}"),
        format!("RuleLagging firing@150 {slow}"),
    ];
    let mut told = own(disk.transitions().await);
    told.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(told, expected);
    // The query ends, the missed ticks follow, and nothing lags any more.
    gate.permits.add_permits(100);
    for tick in 6..8 {
        engine.run_for(t(tick * 30), PATIENCE).await.unwrap();
    }
    assert_eq!(state_of(&engine, "hindsight/RuleLagging"), AlertState::Inactive);
    assert!(own(disk.transitions().await).iter().any(|told| told.starts_with("RuleLagging inactive@")));
}
