use std::sync::Arc;
use std::sync::atomic::Ordering;

use hindsight_model::{AlertState, Outcome, Tenant};

use super::support::{Disk, Telemetry, Workspace, at, engine, run, state_of, story, t};

const SLO: &str = r#"
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout-availability
  displayName: Checkout availability
  labels: {team: payments}
  annotations: {hindsight.dev/burn-policy: google-30d, hindsight.dev/keep-firing-for: 0s}
spec:
  service: checkout
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.999}]
  indicator:
    metadata: {name: checkout-errors}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {spec: {from: spans, where: "service_name = 'checkout' AND status_code = 'error'"}}}
        total: {metricSource: {spec: {from: spans, where: "service_name = 'checkout'"}}}
"#;
const PAGE: &str = "slo/checkout-availability/page-1h";

/// `minutes` minutes of 200 spans each, `bad` of them bad, from minute `from` on.
fn traffic(telemetry: &Telemetry, from: i64, minutes: i64, bad: u32) {
    for minute in from..from + minutes {
        telemetry.minute(t(minute * 60), 200 - bad, bad);
    }
}

#[tokio::test]
async fn a_total_outage_pages_within_two_minutes_and_resets_within_six() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 0, 60, 0);
    traffic(&telemetry, 60, 10, 200);
    traffic(&telemetry, 70, 30, 0);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("95m")).await;
    let transitions = disk.transitions().await;
    let page: Vec<_> = transitions.iter().filter(|tr| tr.rule == PAGE).cloned().collect();
    // The minute 60 to 61 is complete at 61 min and read, 30 s of offset later, by the tick of 62 min.
    // The last bad minute ends at 70 min; five clean ones have been read at 76 min.
    assert_eq!(story(&page), ["firing@3720 breach", "inactive@4560 recovered"]);
    let firing = &page[0];
    assert_eq!(firing.alert, "Checkout availability budget burn 1h/5m");
    for (name, value) in [
        ("slo", "checkout-availability"),
        ("service_name", "checkout"),
        ("severity", "page"),
        ("team", "payments"),
    ] {
        assert_eq!(firing.labels[name], value);
    }
    assert_eq!(firing.incident.as_ref().unwrap().key, ["service_name"]);
    assert!(firing.annotations["summary"].contains("times the planned rate over 1 h"));
    assert!(
        transitions.iter().filter(|tr| tr.labels["severity"] == "ticket").all(|tr| tr.incident.is_none())
    );

    let view = engine.describe();
    let status = view.slos[0].status.clone().unwrap();
    assert_eq!((status.total, status.bad), (94.0 * 200.0, 2_000.0));
    // A burn rate of 106 over the 94 minutes that there are of 43 200.
    let consumed = 2_000.0 / (94.0 * 200.0) / 0.001 * 94.0 / 43_200.0;
    assert!((status.budget_consumed.unwrap() - consumed).abs() < 1e-9);
    assert_eq!(status.state, "burning");
    assert!((view.slos[0].budget_remaining.unwrap() - (1.0 - consumed)).abs() < 1e-9);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["slos"][0]["tiers"][0]["id"], PAGE);
    assert_eq!(json["slos"][0]["tiers"][0]["factor"], 14.4);
}

#[tokio::test]
async fn a_young_slo_is_judged_over_the_history_it_has() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 10, 3, 0);
    traffic(&telemetry, 13, 5, 100);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("10m")).await;
    assert_eq!(engine.describe().slos[0].status.as_ref().unwrap().state, "unknown");
    run(&mut engine, at("17m")).await;
    assert_eq!(state_of(&engine, PAGE), AlertState::Firing);
    let slices =
        disk.state.slices(&Tenant::default(), "checkout-availability", at("0s"), at("1h")).await.unwrap();
    assert_eq!(slices[0].minute, at("10m"), "its life begins with the first minute that has spans");
}

#[tokio::test]
async fn late_spans_replace_a_slice_and_raise_its_revision() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 0, 20, 0);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("10m")).await;
    telemetry.minute(at("6m"), 0, 50);
    run(&mut engine, at("12m")).await;
    let slices =
        disk.state.slices(&Tenant::default(), "checkout-availability", at("0s"), at("1h")).await.unwrap();
    let late = slices.iter().find(|slice| slice.minute == at("6m")).unwrap();
    assert_eq!((late.good, late.total, late.revision), (200.0, 250.0, 1));
    assert!(slices.iter().filter(|slice| slice.minute != at("6m")).all(|slice| slice.revision == 0));
}

#[tokio::test]
async fn a_failing_query_freezes_the_tiers_and_the_next_tick_fills_the_gap() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 0, 20, 100);
    traffic(&telemetry, 20, 40, 0);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("20m")).await;
    assert_eq!(state_of(&engine, PAGE), AlertState::Firing);
    telemetry.fails.store(true, Ordering::Relaxed);
    run(&mut engine, at("40m")).await;
    assert_eq!(state_of(&engine, PAGE), AlertState::Firing, "an error is not a recovery");
    telemetry.fails.store(false, Ordering::Relaxed);
    run(&mut engine, at("41m")).await;
    assert_eq!(state_of(&engine, PAGE), AlertState::Inactive);
    let slices =
        disk.state.slices(&Tenant::default(), "checkout-availability", at("0s"), at("1h")).await.unwrap();
    assert_eq!(slices.len(), 40);
}

#[tokio::test]
async fn silence_after_an_outage_freezes_the_page() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 0, 10, 0);
    traffic(&telemetry, 10, 10, 200);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("60m")).await;
    assert_eq!(state_of(&engine, PAGE), AlertState::Firing, "no traffic is not a recovery");
    let last = disk.state.evaluations(&Tenant::default(), PAGE, None, at("50m"), at("51m")).await.unwrap();
    assert_eq!(last[0].outcome, Outcome::Unobserved);
}

#[tokio::test]
async fn a_restart_of_an_slo_changes_nothing_about_what_happens() {
    let mut stories = Vec::new();
    for restarts in [vec![], vec!["61m", "63m", "75m"]] {
        let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
        let disk = Disk::new().await;
        let telemetry = Arc::new(Telemetry::default());
        traffic(&telemetry, 0, 60, 0);
        traffic(&telemetry, 60, 10, 200);
        traffic(&telemetry, 70, 30, 0);
        for restart in restarts.iter().chain([&"95m"]) {
            run(&mut engine(&workspace, &telemetry, &disk), at(restart)).await;
        }
        stories.push(disk.transitions().await);
    }
    assert_eq!(stories[0], stories[1]);
    assert!(!stories[0].is_empty());
}
