use std::sync::Arc;
use std::sync::atomic::Ordering;

use hindsight_model::{AlertState, Labels, Outcome, Tenant};

use super::support::{Disk, POOL_RULES, Telemetry, Workspace, at, engine, run, state_of, story, t};

const RULE: &str = "checkout-db/DbPoolSaturated";

/// A pool at 0.95 for ten minutes, then nothing.
fn then_silence() -> Arc<Telemetry> {
    Telemetry::pool(&[0.95; 20])
}

#[tokio::test]
async fn no_data_keeps_a_firing_alert_firing() {
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &then_silence(), &disk);
    run(&mut engine, at("2h")).await;
    assert_eq!(state_of(&engine, RULE), AlertState::Firing);
    let evaluations = disk
        .state
        .evaluations(&Tenant::default(), RULE, Some(&Labels::new()), at("60m"), at("61m"))
        .await
        .unwrap();
    assert_eq!(evaluations.len(), 2, "a tick without instances leaves a trace too");
    assert!(evaluations.iter().all(|evaluation| evaluation.outcome == Outcome::NoData));
}

#[tokio::test]
async fn no_data_resolves_when_the_rule_says_so() {
    let rules = POOL_RULES.replace("on_no_data: keep", "on_no_data: resolve");
    let workspace = Workspace::new(&[("rules/a.yaml", rules.as_str())]);
    let disk = Disk::new().await;
    run(&mut engine(&workspace, &then_silence(), &disk), at("30m")).await;
    assert_eq!(
        story(&disk.transitions().await),
        ["pending@60 breach", "firing@180 breach", "inactive@750 no_data"]
    );
}

#[tokio::test]
async fn no_data_fires_when_the_rule_says_so_and_recovers_with_the_first_data() {
    let rules = POOL_RULES.replace("on_no_data: keep", "on_no_data: fire");
    let workspace = Workspace::new(&[("rules/a.yaml", rules.as_str())]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    for index in 0..60 {
        telemetry.add("checkout", t(900 + index * 30), 0.5);
    }
    run(&mut engine(&workspace, &telemetry, &disk), at("30m")).await;
    let transitions = disk.transitions().await;
    assert_eq!(
        story(&transitions),
        ["pending@0 no_data", "firing@120 no_data", "recovering@960 recovered", "inactive@1260 recovered"]
    );
    let labels = &transitions[0].labels;
    assert!(!labels.contains_key("service_name"), "no series, no label of one: {labels:?}");
}

#[tokio::test]
async fn a_missing_series_resolves_after_two_ticks_while_another_is_there() {
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let telemetry = then_silence();
    for index in 0..60 {
        telemetry.add("cart", t(index * 30), 0.2);
    }
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("25m")).await;
    // The last 0.95 is at 9m30s; the tick of 12m30s is the first without it, 13m the second.
    assert_eq!(
        story(&disk.transitions().await),
        ["pending@60 breach", "firing@180 breach", "inactive@780 missing_series"]
    );
    let instances = disk.state.instances(&Tenant::default()).await.unwrap();
    assert_eq!(instances.len(), 1, "the vanished series is forgotten");
    assert_eq!(instances[0].labels["service_name"], "cart");
}

#[tokio::test]
async fn a_failing_query_freezes_the_alert_and_raises_a_meta_alert() {
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let telemetry = Telemetry::pool(&[0.95; 120]);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("2m")).await;
    telemetry.fails.store(true, Ordering::Relaxed);
    run(&mut engine, at("10m")).await;
    assert_eq!(state_of(&engine, RULE), AlertState::Pending, "neither fired nor cleared");
    telemetry.fails.store(false, Ordering::Relaxed);
    run(&mut engine, at("12m")).await;
    assert_eq!(
        story(&disk.transitions().await),
        [
            "pending@60 breach",
            "pending@150 breach",     // RuleError, first failure at 2m30s
            "firing@450 breach",      // RuleError after its five minutes
            "inactive@630 recovered", // RuleError
            "firing@660 breach", // a minute before the failure and a minute after it are the two of `for`
        ]
    );
    let meta = &disk.transitions().await[2];
    assert_eq!((meta.alert.as_str(), meta.labels["rule"].as_str()), ("RuleError", RULE));
    assert!(meta.annotations["error"].contains("on fire"), "{:?}", meta.annotations);
}

#[tokio::test]
async fn more_instances_than_the_limit_are_an_error_and_not_a_recovery() {
    let rules = POOL_RULES.replace("limit: 50", "limit: 2");
    let workspace = Workspace::new(&[("rules/a.yaml", rules.as_str())]);
    let disk = Disk::new().await;
    let telemetry = Telemetry::pool(&[0.95; 60]);
    for service in ["a", "b", "c"] {
        for index in 20..60 {
            telemetry.add(service, t(index * 30), 0.1);
        }
    }
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("14m")).await;
    assert_eq!(state_of(&engine, RULE), AlertState::Firing);
    let view = engine.describe();
    let evaluation = view.groups[0].rules[0].last_evaluation.clone().unwrap();
    assert_eq!(evaluation.outcome, "error");
    assert!(evaluation.error.unwrap().contains("limit is 2"));
}

#[tokio::test]
async fn a_rule_that_asks_for_a_watermark_waits_for_the_data() {
    let rules = POOL_RULES.replace("on_no_data: keep", "on_no_data: keep\n    require_watermark: true");
    let workspace = Workspace::new(&[("rules/a.yaml", rules.as_str())]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&[0.95; 60]), &disk);
    run(&mut engine, at("10m")).await;
    assert_eq!(disk.transitions().await, [], "nobody knows how far the data reaches");
    engine.options.watermark = Box::new(|| Some(at("1h")));
    run(&mut engine, at("20m")).await;
    assert_eq!(story(&disk.transitions().await), ["pending@630 breach", "firing@750 breach"]);
}
