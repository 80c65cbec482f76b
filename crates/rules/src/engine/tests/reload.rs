use hindsight_model::AlertState;

use super::support::{Disk, POOL_RULES, Telemetry, Workspace, at, engine, run, state_of, story, t};
use crate::Level;

const RULE: &str = "checkout-db/DbPoolSaturated";

#[tokio::test]
async fn a_broken_edit_keeps_the_last_good_version_and_says_so() {
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&[0.95; 60]), &disk);
    run(&mut engine, at("4m")).await;
    assert!(!engine.reload_if_changed(t(0)).unwrap(), "nothing changed");

    workspace.write("rules/a.yaml", &POOL_RULES.replace("condition: {op: gt", "condition: {op: grater"));
    assert!(engine.reload_if_changed(t(0)).unwrap());
    assert_eq!(engine.problems().len(), 1, "{:?}", engine.problems());
    assert_eq!(engine.problems()[0].level, Level::Error);
    engine.run_until(at("6m")).await.unwrap();
    assert_eq!(state_of(&engine, RULE), AlertState::Firing, "still evaluated as before the edit");

    workspace.write("rules/a.yaml", "groups: [");
    assert!(engine.reload_if_changed(t(0)).unwrap());
    engine.run_until(at("7m")).await.unwrap();
    assert_eq!(state_of(&engine, RULE), AlertState::Firing);

    workspace.write("rules/a.yaml", POOL_RULES);
    assert!(engine.reload_if_changed(t(0)).unwrap());
    run(&mut engine, at("8m")).await;
    assert_eq!(story(&disk.transitions().await), ["pending@60 breach", "firing@180 breach"]);
}

#[tokio::test]
async fn an_edit_is_in_force_whole_or_not_at_all() {
    let other = POOL_RULES.replace("checkout-db", "other");
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES), ("rules/b.yaml", other.as_str())]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&[0.95; 60]), &disk);
    let running = engine.version().clone();
    assert!(engine.refused().is_none());

    // A good edit of one file beside a bad one of the other: neither counts.
    workspace.write("rules/a.yaml", &POOL_RULES.replace("for: 2m", "for: 10m"));
    workspace.write("rules/b.yaml", &other.replace("on_no_data: keep", "on_no_data: kept"));
    assert!(engine.reload_if_changed(t(60)).unwrap());
    assert_eq!(engine.version(), &running);
    let refused = engine.refused().expect("the version is refused");
    assert_ne!(refused.version, running.id);
    assert_eq!((refused.at, refused.problems.len()), (t(60), 1));
    assert_eq!(engine.problems()[0].file, std::path::Path::new("rules/b.yaml"));
    assert_eq!(engine.rules().groups[0].rules[0].policy.for_.as_secs(), 120, "the old file a is in force");
    let view = engine.describe();
    assert_eq!(view.refused.map(|refused| refused.errors), Some(1));
    assert!(!engine.reload_if_changed(t(61)).unwrap(), "refused once, not every second");

    workspace.write("rules/b.yaml", &other);
    assert!(engine.reload_if_changed(t(90)).unwrap());
    assert!(engine.refused().is_none());
    assert_eq!(engine.version().loaded_at, Some(t(90)));
    assert_eq!(engine.rules().groups[0].rules[0].policy.for_.as_secs(), 600);
}

#[tokio::test]
async fn a_restart_with_a_broken_file_does_not_clear_its_alerts() {
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let telemetry = Telemetry::pool(&[0.95; 60]);
    run(&mut engine(&workspace, &telemetry, &disk), at("4m")).await;
    workspace.write("rules/a.yaml", "groups: [");
    let mut broken = engine(&workspace, &telemetry, &disk);
    broken.run_until(at("6m")).await.unwrap();
    workspace.write("rules/a.yaml", POOL_RULES);
    broken.reload_if_changed(t(0)).unwrap();
    run(&mut broken, at("8m")).await;
    assert_eq!(state_of(&broken, RULE), AlertState::Firing);
    assert_eq!(story(&disk.transitions().await), ["pending@60 breach", "firing@180 breach"]);
}

#[tokio::test]
async fn an_edit_of_texts_carries_the_state_and_an_edit_of_the_question_does_not() {
    for (from, to, wanted) in [
        ("at {{ value | percent }}", "is full", vec![]),
        ("for: 2m", "for: 1m", vec![]),
        ("recover: 0.75", "recover: 0.70", vec!["inactive@270 updated", "pending@270 breach"]),
        ("severity: page", "severity: ticket", vec!["inactive@270 updated", "pending@270 breach"]),
    ] {
        let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
        let disk = Disk::new().await;
        let mut engine = engine(&workspace, &Telemetry::pool(&[0.95; 60]), &disk);
        run(&mut engine, at("4m")).await;
        workspace.write("rules/a.yaml", &POOL_RULES.replace(from, to));
        engine.reload_if_changed(t(0)).unwrap();
        let report = run(&mut engine, at("4m30s")).await;
        assert_eq!(story(&report.transitions), wanted, "{from} → {to}");
    }
}

#[tokio::test]
async fn a_deleted_rule_ends_its_episode_even_over_a_restart() {
    let other = POOL_RULES.replace("checkout-db", "other").replace("DbPoolSaturated", "Other");
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES), ("rules/b.yaml", other.as_str())]);
    let disk = Disk::new().await;
    let telemetry = Telemetry::pool(&[0.95; 60]);
    let mut first = engine(&workspace, &telemetry, &disk);
    run(&mut first, at("4m")).await;
    workspace.remove("rules/a.yaml");
    first.reload_if_changed(t(0)).unwrap();
    let report = run(&mut first, at("4m30s")).await;
    assert_eq!(story(&report.transitions), ["inactive@270 rule_deleted"]);
    assert_eq!(report.transitions[0].rule, RULE);

    workspace.remove("rules/b.yaml");
    let report = run(&mut engine(&workspace, &telemetry, &disk), at("5m")).await;
    assert_eq!(story(&report.transitions), ["inactive@300 rule_deleted"]);
    assert_eq!(report.transitions[0].alert, "Other");
}

#[tokio::test]
async fn a_rule_that_is_broken_elsewhere_does_not_keep_a_deleted_one_alive() {
    let promql = "groups:\n- name: old\n  rules:\n  - {alert: Up, expr: up == 0}\n";
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES), ("rules/b.yaml", promql)]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&[0.95; 60]), &disk);
    engine.run_until(at("4m")).await.unwrap();
    assert_eq!(engine.problems().len(), 1);
    workspace.remove("rules/a.yaml");
    engine.reload_if_changed(t(0)).unwrap();
    let report = engine.run_until(at("5m")).await.unwrap();
    assert_eq!(story(&report.transitions), ["inactive@300 rule_deleted"]);
}

#[tokio::test]
async fn a_group_that_appears_later_starts_then_and_not_in_the_past() {
    let workspace = Workspace::new(&[("rules/a.yaml", POOL_RULES)]);
    let disk = Disk::new().await;
    let mut engine = engine(&workspace, &Telemetry::pool(&[0.95; 60]), &disk);
    run(&mut engine, at("4m")).await;
    let other = POOL_RULES.replace("checkout-db", "other");
    workspace.write("rules/b.yaml", &other);
    engine.reload_if_changed(t(0)).unwrap();
    let report = run(&mut engine, at("7m")).await;
    assert_eq!(story(&report.transitions), ["pending@420 breach"]);
}
