//! `hindsight rules`: tests as the documentation prints them, backtests that agree with what happened live, and why a
//! rule fired.

use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::binary;
use crate::server::text;

const WORKSPACE: &str = "fixtures/alerting";

fn run(arguments: &[&str]) -> anyhow::Result<(Output, String)> {
    let output = binary::run(arguments)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output, said))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn the_examples_of_the_documentation_run_as_printed_and_pass() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let junit = folder.path().join("junit.xml");
    let (output, said) = run(&["rules", "test", "--workspace", WORKSPACE, "--junit", text(&junit)])?;
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("tests/checkout-db.yaml\n"), "{said}");
    assert!(said.contains("ok    hysteresis band, then keep_firing_for"), "{said}");
    assert!(said.ends_with("1 passed, 0 failed\n"), "{said}");
    let junit = std::fs::read_to_string(junit)?;
    assert!(junit.contains("tests=\"1\" failures=\"0\""), "{junit}");
    Ok(())
}

#[test]
fn a_test_that_fails_and_a_file_that_is_wrong_have_exit_codes_of_their_own() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    copy(Path::new(WORKSPACE), folder.path())?;
    let tests = folder.path().join("tests/checkout-db.yaml");
    let good = std::fs::read_to_string(&tests)?;
    let test = ["rules", "test", "--workspace", text(folder.path())];

    std::fs::write(&tests, good.replace("at: 5m30s,", "at: 5m,   "))?;
    let (output, said) = run(&test)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("tests/checkout-db.yaml:12: at 5m: DbPoolSaturated is not firing"), "{said}");
    let (_, said) = run(&[&test[..], &["--json"]].concat())?;
    let report: Value = serde_json::from_str(&said)?;
    assert_eq!(report["files"][0]["tests"][0]["passed"], json!(false));

    std::fs::write(&tests, good.replace("state: pending", "state: pendign"))?;
    let (output, said) = run(&test)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("tests/checkout-db.yaml:11:"), "{said}");
    Ok(())
}

#[test]
fn recorded_telemetry_is_a_fixture_too() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    copy(Path::new(WORKSPACE), folder.path())?;
    let recording: String = (0..12).map(|tick| recorded_point(tick * 30, 0.95)).collect();
    std::fs::create_dir(folder.path().join("recording"))?;
    std::fs::write(folder.path().join("recording/telemetry.jsonl"), recording)?;
    let tests = "rule_files: [rules/checkout-db.yaml]\ntests:\n- name: recorded\n  replay: recording\n  expect:\n  \
                 - {at: 2m, alert: DbPoolSaturated, state: pending, value: 0.95}\n  \
                 - {at: 3m, alert: DbPoolSaturated, state: firing}\n";
    std::fs::write(folder.path().join("tests/checkout-db.yaml"), tests)?;
    let (output, said) = run(&["rules", "test", "--workspace", text(folder.path())])?;
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("1 passed, 0 failed\n"), "{said}");
    Ok(())
}

/// A line of OTLP/JSON: the pool's usage, so many seconds after an hour.
fn recorded_point(second: u64, value: f64) -> String {
    let at = (1_767_229_200 + second) * 1_000_000_000;
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": [attribute("service.name", "checkout")]},
        "scopeMetrics": [{"metrics": [{
            "name": "db.client.connections.usage",
            "gauge": {"dataPoints": [{
                "timeUnixNano": at.to_string(), "asDouble": value, "attributes": [attribute("pool.name", "main")],
            }]},
        }]}],
    }]});
    format!("{request}\n")
}

/// What a demo left: the rules over its stored history do what they did live, to the tick, and say why.
pub(crate) fn check_history(data_dir: &str, workspace: &str) -> anyhow::Result<()> {
    let source = ["--data-dir", data_dir, "--workspace", workspace];
    // The page, from shortly before it to shortly after; the demo's own test sees the rest.
    let (from, to) = ("2026-05-04T21:37:00Z", "2026-05-04T21:42:00Z");
    for (file, rules, least) in [
        ("rules/checkout.yaml", "rule LIKE 'checkout%'", 4),
        ("slos/checkout-availability.yaml", "rule LIKE 'slo/%'", 2),
    ] {
        let sql = format!(
            "SELECT timestamp, rule, from_state, to_state, reason, episode FROM alert_transitions \
             WHERE {rules} AND timestamp >= '{from}' AND timestamp < '{to}' ORDER BY timestamp, rule"
        );
        let live = binary::run_well(&["sql", "--json", "--data-dir", data_dir, &sql])?;
        let live = Answer::from_json(&live)?.rows;
        let range = ["--from", from, "--to", to, "--json"];
        let said = binary::run_well(&[&["rules", "backtest", file], &source[..], &range[..]].concat())?;
        let backtest: Value = serde_json::from_str(&said)?;
        let written = &backtest["variants"][0];
        let mut again: Vec<Value> = Vec::new();
        for transition in written["transitions"].as_array().context("transitions")? {
            let field = |name: &str| transition[name].clone();
            let at: Timestamp = field("at").as_str().context("a time")?.parse()?;
            again.push(json!([
                format!("{at:.6}"),
                field("rule"),
                field("from"),
                field("to"),
                field("reason"),
                field("episode")
            ]));
        }
        again.sort_by_key(|row| (row[0].to_string(), row[1].to_string()));
        assert!(again.len() >= least, "{said}");
        assert_eq!(json!(again), json!(live), "{file}");
        assert_eq!(written["recall"], json!(1.0), "{said}");
    }
    let explain = ["rules", "explain", "DbPoolSaturated", "--at", "2026-05-04T21:45:00Z"];
    let said = binary::run_well(&[&explain[..], &source[..]].concat())?;
    for words in [
        "checkout-db/DbPoolSaturated",
        "firing: value",
        "which is > 0.75",
        "pending → firing because of breach",
    ] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
    Ok(())
}
