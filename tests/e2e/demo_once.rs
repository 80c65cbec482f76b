//! The main job: the recorded outage goes through the real program, and the story it tells is the true one.

mod expected;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use serde_json::Value;

use crate::answer::{Answer, whole};
use crate::binary;
use crate::rules_cli;
use crate::server::text;
use expected::{Expected, Impact, Moment};

/// What `demo --once` printed.
struct Printed {
    report: PathBuf,
    incident: String,
    suspect: String,
}

#[test]
fn the_demo_finds_the_story_that_was_recorded() -> anyhow::Result<()> {
    let expected = Expected::read()?;
    let folder = tempfile::tempdir()?;
    let (data_dir, workspace) = (folder.path().join("data"), folder.path().join("workspace"));
    let demo = ["demo", "--once", "--data-dir", text(&data_dir), "--workspace", text(&workspace)];
    let printed = Printed::read(&binary::run_well(&demo)?)?;
    let ask = |sql: &str| ask(&data_dir, sql);

    assert_eq!(printed.suspect, expected.suspect, "the first suspect");
    for (table, rows) in &expected.totals {
        let found = whole(ask(&format!("SELECT count(*) FROM {table}"))?.single()?)?;
        assert_eq!(found, *rows, "rows of {table}");
    }
    check_impact_in_sql(&expected.impact, ask)?;
    check_impact_in_sql(&expected.frontend_impact, ask)?;
    check_incident(&expected, &printed, ask)?;
    check_alerts(&expected, ask)?;
    rules_cli::check_history(text(&data_dir), text(&workspace))?;
    report::check(&expected, &printed.report)?;
    let document = printed.report.parent().context("a report lies in a folder")?;
    binary::run_well(&["postmortem", "lint", text(document)])?;
    check_rerun(&data_dir, document)
}

/// Asked again, telemetry says what the document says: the same numbers, the same times.
fn check_rerun(data_dir: &Path, document: &Path) -> anyhow::Result<()> {
    let lint = ["postmortem", "lint", text(document), "--json", "--rerun", "--data-dir", text(data_dir)];
    let findings: Value = serde_json::from_str(&binary::run_well(&lint)?)?;
    let of_telemetry =
        |finding: &&Value| ["I3", "TL9"].contains(&finding["rule"].as_str().unwrap_or_default());
    let found: Vec<&Value> = findings.as_array().context("a list")?.iter().filter(of_telemetry).collect();
    ensure!(found.is_empty(), "telemetry disagrees with the document: {found:#?}");
    // Another number in the file is found by asking again, whatever the checksum says.
    let value = report::first_impact(document)?;
    let evidence = document.join("evidence").join(format!("{}.json", value.evidence));
    let frozen = std::fs::read_to_string(&evidence)?;
    let wrong = frozen.replacen(&format!(",{}]", value.value), &format!(",{}]", value.value + 900.0), 1);
    ensure!(wrong != frozen, "{} does not hold {}", evidence.display(), value.value);
    std::fs::write(&evidence, wrong)?;
    let output = binary::run(&lint)?;
    std::fs::write(&evidence, frozen)?;
    let findings: Value = serde_json::from_slice(&output.stdout)?;
    let message = format!("now it is {}", value.value);
    let found = findings.as_array().context("a list")?.iter().any(|finding| {
        finding["rule"] == "I3" && finding["message"].as_str().unwrap_or_default().ends_with(&message)
    });
    ensure!(found, "no I3 says `{message}`: {findings:#}");
    Ok(())
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let precious = folder.path().join("precious.txt");
    std::fs::write(&precious, "mine")?;
    let other = folder.path().join("workspace");
    let demo = ["demo", "--once", "--data-dir", text(folder.path()), "--workspace", text(&other)];
    assert!(!binary::run(&demo)?.status.success());
    assert_eq!(std::fs::read_to_string(precious)?, "mine");
    Ok(())
}

fn ask(data_dir: &Path, sql: &str) -> anyhow::Result<Answer> {
    Answer::from_json(&binary::run_well(&["sql", "--data-dir", text(data_dir), "--json", sql])?)
}

/// The telemetry itself says what the generator says: the ground under all other checks.
fn check_impact_in_sql(impact: &Impact, ask: impl Fn(&str) -> anyhow::Result<Answer>) -> anyhow::Result<()> {
    let (condition, failed) = (&impact.condition, &impact.failed);
    let total = whole(ask(&format!("SELECT count(*) FROM spans WHERE {condition}"))?.single()?)?;
    let bad = whole(ask(&format!("SELECT count(*) FROM spans WHERE {condition} AND {failed}"))?.single()?)?;
    assert_eq!((bad, total), (impact.failed_requests, impact.total_requests), "{condition}");
    Ok(())
}

/// The page comes when the closed formula says so, and the alert with a band fires once, whatever wobbles.
fn check_alerts(expected: &Expected, ask: impl Fn(&str) -> anyhow::Result<Answer>) -> anyhow::Result<()> {
    let fired =
        "SELECT count(*) FROM alert_transitions WHERE to_state = 'firing' AND rule LIKE '%/DbPoolSaturated'";
    assert_eq!(ask(fired)?.single()?, &Value::from(1), "the pool alert fires once");
    let first = "SELECT min(timestamp) FROM alert_transitions WHERE to_state = 'firing' AND rule LIKE 'slo/%/page-1h'";
    let fired = ask(first)?;
    let fired: Timestamp = fired.single()?.as_str().context("the burn-rate page fires")?.parse()?;
    let Impact { failed_requests: bad, total_requests: total, .. } = &expected.impact;
    #[expect(clippy::cast_precision_loss, reason = "counts of some hundred requests")]
    let share = *bad as f64 / *total as f64;
    // f · B · long / e, an interval of a minute, half a minute of offset, and the minute that a slice is.
    let due = 14.4 * 0.001 * 3_600.0 / share + 60.0 + 30.0 + 60.0;
    let took = fired.duration_since(expected.onset.at).as_secs_f64();
    ensure!((0.0..=due).contains(&took), "the page came {took} s after the first errors, due after {due}");
    Ok(())
}

fn check_incident(
    expected: &Expected,
    printed: &Printed,
    ask: impl Fn(&str) -> anyhow::Result<Answer>,
) -> anyhow::Result<()> {
    let mut incidents = ask("SELECT * FROM incidents")?.by_name();
    assert_eq!(incidents.len(), 1, "both alerts belong to one incident: {incidents:#?}");
    let incident = incidents.remove(0);
    assert_eq!(incident["id"], printed.incident.as_str());
    assert_eq!(incident["severity"], "SEV1", "customers could not buy");
    assert_eq!(incident["status"], "resolved", "the rollback ended it");
    let trigger = time(&incident["trigger_at"]).context("trigger_at")?;
    let onset = time(&incident["impact_start_at"]).context("impact_start_at")?;
    let detected = time(&incident["detected_at"]).context("detected_at")?;
    near("trigger", trigger, &expected.trigger)?;
    near("onset", onset, &expected.onset)?;
    let late = detected.duration_since(expected.onset.at).as_secs();
    ensure!(late <= expected.detected.within_s, "detected {late} s after onset");
    ensure!(detected >= expected.trigger.at, "detected before anything happened");

    let fired = ask("SELECT DISTINCT alert FROM alert_transitions WHERE to_state = 'firing' ORDER BY 1")?;
    let fired: Vec<&Value> = fired.rows.iter().map(|row| &row[0]).collect();
    for alert in ["CheckoutErrorRate", "DbPoolSaturated"] {
        ensure!(fired.iter().any(|name| *name == alert), "{alert} never fired; these did: {fired:?}");
    }
    let versions = ask("SELECT text FROM timeline WHERE kind IN ('trigger', 'change') ORDER BY timestamp")?;
    for version in ["4.2.0", "4.1.9"] {
        let told = versions.rows.iter().any(|row| row[0].to_string().contains(version));
        ensure!(told, "the timeline tells no change to {version}: {:?}", versions.rows);
    }
    Ok(())
}

fn time(value: &Value) -> anyhow::Result<Timestamp> {
    let text = value.as_str().with_context(|| format!("{value} is not a time"))?;
    text.parse().with_context(|| format!("read the time {text}"))
}

fn near(what: &str, found: Timestamp, expected: &Moment) -> anyhow::Result<()> {
    let off = found.duration_since(expected.at).as_secs().abs();
    let Moment { at, tolerance_s } = expected;
    ensure!(off <= *tolerance_s, "{what} is {found}, expected {at} ± {tolerance_s} s");
    Ok(())
}

impl Printed {
    fn read(out: &str) -> anyhow::Result<Self> {
        let line = |name: &str| -> anyhow::Result<String> {
            let found = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            Ok(found.with_context(|| format!("demo --once did not print `{name}: `:\n{out}"))?.to_owned())
        };
        let printed = Self {
            report: PathBuf::from(line("report")?),
            incident: line("incident")?,
            suspect: line("suspect")?,
        };
        ensure!(printed.incident.starts_with("INC-"), "{} is not an incident's id", printed.incident);
        ensure!(printed.report.try_exists()?, "there is no report at {}", printed.report.display());
        Ok(printed)
    }
}
