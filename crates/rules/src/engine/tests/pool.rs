use std::sync::atomic::Ordering;

use hindsight_model::{AlertState, IncidentSeverity};

use super::support::{Disk, POOL_RULES, Telemetry, Workspace, at, engine, run, state_of, story};

const RULE: &str = "checkout-db/DbPoolSaturated";

/// Prometheus' `0.60x4 0.95x10 0.85x10 0.70x12`.
fn pool_values() -> Vec<f64> {
    [(0.60, 5), (0.95, 11), (0.85, 11), (0.70, 13)].iter().flat_map(|(v, n)| vec![*v; *n]).collect()
}

#[tokio::test]
async fn the_pool_example_is_in_each_state_at_the_listed_time() {
    let workspace = Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&pool_values()), &disk);
    for (time, state) in [
        ("3m", AlertState::Inactive),
        ("3m30s", AlertState::Pending),
        ("5m", AlertState::Pending),
        ("5m30s", AlertState::Firing),
        ("12m", AlertState::Firing),
        ("15m30s", AlertState::Firing),
        ("16m", AlertState::Recovering),
        ("20m30s", AlertState::Recovering),
        ("21m", AlertState::Inactive),
    ] {
        run(&mut engine, at(time)).await;
        assert_eq!(state_of(&engine, RULE), state, "at {time}");
    }
    let transitions = disk.transitions().await;
    assert_eq!(
        story(&transitions),
        ["pending@210 breach", "firing@330 breach", "recovering@960 recovered", "inactive@1260 recovered"]
    );
    let firing = &transitions[1];
    assert_eq!(firing.labels["severity"], "page");
    assert_eq!(firing.labels["team"], "payments");
    assert_eq!(firing.annotations["summary"], "checkout pool main at 95 %");
    assert_eq!(firing.active_at, Some(at("3m30s")));
    assert_eq!(firing.incident.as_ref().map(|spec| spec.severity), Some(IncidentSeverity::Sev2));
    assert!(
        transitions.iter().all(|tr| tr.episode == firing.episode),
        "one episode from pending to resolved"
    );
}

#[tokio::test]
async fn a_restart_at_any_time_changes_nothing_about_what_happens() {
    let whole = {
        let workspace = Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)]);
        let disk = Disk::new().await;
        run(&mut engine(&workspace, &Telemetry::pool(&pool_values()), &disk), at("25m")).await;
        disk.transitions().await
    };
    for restarts in [vec!["4m", "12m", "17m"], vec!["3m29s"], vec!["5m30s", "16m", "21m"]] {
        let workspace = Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)]);
        let disk = Disk::new().await;
        let telemetry = Telemetry::pool(&pool_values());
        for restart in restarts.iter().chain([&"25m"]) {
            // A new engine knows only what the journal and the files say.
            run(&mut engine(&workspace, &telemetry, &disk), at(restart)).await;
        }
        assert_eq!(disk.transitions().await, whole, "restarted at {restarts:?}");
    }
}

#[tokio::test]
async fn a_tick_that_cannot_be_committed_takes_no_effect_and_is_tried_again() {
    let workspace = Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&pool_values()), &disk);
    run(&mut engine, at("5m")).await;
    disk.fails.store(true, Ordering::Relaxed);
    let error = engine.run_until(at("6m")).await.unwrap_err();
    assert!(error.to_string().contains("checkout-db"), "{error}");
    assert_eq!(state_of(&engine, RULE), AlertState::Pending);
    disk.fails.store(false, Ordering::Relaxed);
    let report = run(&mut engine, at("6m")).await;
    assert_eq!(story(&report.transitions), ["firing@330 breach"]);
    assert_eq!(report.evaluated, 2);
    assert_eq!(report.next_due, Some(at("6m30s")));
}

#[tokio::test]
async fn downtime_longer_than_the_catch_up_limit_does_not_count_for_for() {
    let workspace = Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let telemetry = Telemetry::pool(&pool_values());
    run(&mut engine(&workspace, &telemetry, &disk), at("4m")).await;
    for minute in 0..40 {
        telemetry.add("checkout", at(&format!("{}m", 3_000 + minute)), 0.97);
    }
    let mut later = engine(&workspace, &telemetry, &disk);
    later.options.catch_up_max = std::time::Duration::from_secs(600);
    let report = run(&mut later, at("3020m")).await;
    // Skipped up to 3009m30s; the breach goes on from there, 30 s of its 2 m having passed before the gap.
    assert_eq!(story(&report.transitions), [format!("firing@{} breach", 3_011 * 60)]);
    assert_eq!(report.transitions[0].active_at, Some(at("3m30s")));
}

#[tokio::test]
async fn every_notification_is_in_the_outbox_of_its_transition() {
    let workspace = Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    run(&mut engine(&workspace, &Telemetry::pool(&pool_values()), &disk), at("25m")).await;
    let counts = disk.state.outbox_counts().await.unwrap();
    assert_eq!(counts.waiting, 4, "one for each transition");
}
