use std::sync::Arc;
use std::sync::atomic::Ordering;

use hindsight_model::{AlertState, Outcome, SloSlice, Tenant, TickCommit};

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

/// The SLO of the page, with a budget of calendar months in Berlin.
fn monthly() -> String {
    let months = "{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}";
    SLO.replace("{duration: 30d, isRolling: true}", months)
}

#[tokio::test]
async fn a_calendar_budget_is_whole_again_when_the_next_month_begins_and_projects_its_end() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", &monthly())]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    // January ends in Berlin at 23:00 UTC on the 31st, day 30 from the start.
    let ends = (30 * 24 + 23) * 60;
    traffic(&telemetry, ends - 100, 100, 10);
    traffic(&telemetry, ends, 100, 0);
    let journal = Arc::<Disk>::clone(&disk);
    let source = Arc::<Telemetry>::clone(&telemetry);
    let options = crate::Options {
        alignment: crate::Alignment::At(t(0)),
        start: Some(t((ends - 100) * 60)),
        ..crate::Options::default()
    };
    let mut engine =
        crate::Engine::new(source, journal, workspace.path(), Tenant::default(), options).unwrap();
    run(&mut engine, t((ends - 10) * 60)).await;
    let month = 31.0 * 1_440.0;
    let status = engine.describe().slos[0].status.clone().unwrap();
    assert_eq!(status.period_end, t(ends * 60));
    assert_eq!(status.window_s, 31 * 86_400);
    // The first 89 minutes are read; 5 % failed, fifty times the budget.
    assert!((status.budget_consumed.unwrap() - 50.0 * 89.0 / month).abs() < 1e-9);
    assert!((status.projected.unwrap() - 50.0 * 100.0 / month).abs() < 1e-9, "eleven minutes are left");
    run(&mut engine, t((ends + 61) * 60)).await;
    let status = engine.describe().slos[0].status.clone().unwrap();
    assert_eq!((status.period_start, status.window_s), (t(ends * 60), 28 * 86_400));
    assert_eq!((status.total, status.bad, status.budget_consumed), (60.0 * 200.0, 0.0, Some(0.0)));
    // The tiers look back over the turn of the month, and the day's rate goes on in the projection.
    assert!(status.projected.unwrap() > 1.0, "{status:?}");
    let view = engine.describe().slos[0].clone();
    assert_eq!((view.is_rolling, view.budget_projected), (false, status.projected));
}

#[tokio::test]
async fn a_restart_of_a_calendar_of_time_slices_reads_the_same_from_the_journal() {
    let text = monthly()
        .replace("Occurrences", "Timeslices")
        .replace("{target: 0.999}", "{target: 0.999, timeSliceWindow: 7m, timeSliceTarget: 0.99}");
    let mut standings = Vec::new();
    for restarts in [vec![], vec!["30m", "77m", "93m"]] {
        let workspace = Workspace::new(&[("slos/checkout.yaml", &text)]);
        let disk = Disk::new().await;
        let telemetry = Arc::new(Telemetry::default());
        traffic(&telemetry, 3, 60, 0);
        traffic(&telemetry, 63, 20, 20);
        traffic(&telemetry, 83, 20, 0);
        let mut last = None;
        for restart in restarts.iter().chain([&"95m"]) {
            let mut engine = engine(&workspace, &telemetry, &disk);
            run(&mut engine, at(restart)).await;
            last = engine.describe().slos[0].status.clone();
        }
        standings.push((last.unwrap(), disk.transitions().await));
    }
    assert_eq!(standings[0], standings[1]);
    let status = &standings[0].0;
    assert_eq!((status.method.as_str(), status.state.as_str()), ("Timeslices", "burning"));
    // The bad minutes 63 to 82 touch the slices of seven minutes that they lie in: units, not events.
    assert!(status.bad > 2.0 && status.bad < 5.0 && status.total < 14.0, "{status:?}");
}

#[tokio::test]
async fn a_hole_in_the_slices_leaves_the_standing_unknown() {
    let workspace = Workspace::new(&[("slos/checkout.yaml", SLO)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 0, 10, 0);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("11m")).await;
    assert_eq!(engine.describe().slos[0].status.as_ref().unwrap().state, "ok");
    telemetry.fails.store(true, Ordering::Relaxed);
    run(&mut engine, at("20m")).await;
    let view = engine.describe().slos[0].clone();
    assert!(view.coverage.unwrap() < 0.9, "{view:?}");
    assert_eq!(view.status.unwrap().state, "unknown");
}

#[tokio::test]
async fn a_condition_that_is_spelled_out_waits_for_its_alert_after_and_names_its_tier() {
    let policy = "
  alertPolicies:
  - metadata: {name: watch, displayName: Budget watch}
    spec:
      conditions:
      - metadata: {name: fast}
        spec:
          severity: critical
          condition: {kind: burnrate, op: gte, threshold: 10, lookbackWindow: 12m, alertAfter: 3m}
";
    let text = SLO.replace("hindsight.dev/burn-policy: google-30d, ", "").trim_end().to_owned() + policy;
    let workspace = Workspace::new(&[("slos/checkout.yaml", &text)]);
    let disk = Disk::new().await;
    let telemetry = Arc::new(Telemetry::default());
    traffic(&telemetry, 0, 60, 0);
    // Ten of two hundred are fifty times the budget: enough in the one-minute window at once, and in the twelve
    // minutes when 2.4 of them are hit; 30 of 2400 may still be chance, 40 are not.
    traffic(&telemetry, 60, 10, 10);
    traffic(&telemetry, 70, 30, 0);
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("95m")).await;
    let transitions = disk.transitions().await;
    // The fourth bad minute ends at 64 min and is read at 65; three minutes later it fires. The last bad minute ends
    // at 70 min, and the tick of 72 min finds the short window clean.
    assert_eq!(story(&transitions), ["pending@3900 breach", "firing@4080 breach", "inactive@4320 recovered"]);
    assert_eq!(transitions[1].rule, "slo/checkout-availability/fast");
    assert_eq!(transitions[1].alert, "Budget watch 12m/1m");
    assert_eq!(transitions[1].labels["severity"], "page");
    assert!(transitions[1].annotations["summary"].contains("over 12 min"), "{:?}", transitions[1]);
}

#[tokio::test]
async fn an_slo_that_is_given_a_longer_window_remembers_what_the_journal_does() {
    let short = SLO.replace("duration: 30d", "duration: 4d");
    let workspace = Workspace::new(&[("slos/checkout.yaml", &short)]);
    let disk = Disk::new().await;
    let slice = |minute: i64| SloSlice {
        tenant: Tenant::default(),
        slo: "checkout-availability".to_owned(),
        minute: t(minute * 60),
        good: 1.0,
        total: 1.0,
        revision: 0,
    };
    let slices = (-10 * 1_440..0).map(slice).collect();
    disk.state.commit_tick(&TickCommit { slices, ..TickCommit::default() }).await.unwrap();
    let telemetry = Arc::new(Telemetry::default());
    // Spans before the tests' beginning, for the minutes that are read again.
    for minute in -20..0 {
        telemetry.minute(t(minute * 60), 1, 0);
    }
    let mut engine = engine(&workspace, &telemetry, &disk);
    run(&mut engine, at("1m")).await;
    let total = |engine: &crate::Engine| engine.describe().slos[0].status.as_ref().unwrap().total;
    assert_eq!(total(&engine), 4.0 * 1_440.0);
    workspace.write("slos/checkout.yaml", SLO);
    assert!(engine.reload_if_changed(t(60)).unwrap());
    run(&mut engine, at("2m")).await;
    assert_eq!(total(&engine), 10.0 * 1_440.0);
}
