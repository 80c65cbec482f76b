//! `hindsight verify`: is everything in a data directory what was written there?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hindsight_server::{Config, Overrides};
use hindsight_state::{State, StateChecked};
use hindsight_store::DataDirLock;
use hindsight_store::verify::{Checked, Finding, Findings, VerifyOptions, verify};
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::progress::Reporter;
use crate::say;
use crate::tables::tables;

/// Nothing could be said about the directory.
const NOT_CHECKED: u8 = 2;
/// One of these makes a directory a data directory.
const SIGNS: [&str; 5] = ["FORMAT", "node.id", "wal", "tables", "state.db"];

/// What the whole check found.
#[derive(Debug)]
pub(crate) struct Verdict {
    data_dir: PathBuf,
    quick: bool,
    findings: Findings,
    checked: Checked,
    state: Option<StateChecked>,
}

/// Prints what is wrong; exit code 0 clean, 1 problems, 2 not checked.
pub(crate) async fn run(args: &VerifyArgs) -> ExitCode {
    let reporter = Reporter::start();
    let checked = check(args, &reporter).await;
    reporter.end();
    let told = checked.and_then(|verdict| {
        print(&verdict, args.json, &reporter)?;
        Ok(verdict.findings.problems() == 0)
    });
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::problem(&format!("error: {error:#}"));
            ExitCode::from(NOT_CHECKED)
        }
    }
}

async fn check(args: &VerifyArgs, reporter: &Reporter) -> anyhow::Result<Verdict> {
    let data_dir = data_dir(args.data_dir.as_ref())?;
    // Held to the end, so that nobody writes what is being compared.
    let lock = DataDirLock::take(&data_dir)?;
    let options = VerifyOptions {
        data_dir: data_dir.clone(),
        tables: tables(args.tables.as_deref())?,
        quick: args.quick,
    };
    let tell = |progress: hindsight_store::verify::Progress| {
        reporter.tell(&progress.doing, progress.done_bytes, progress.total_bytes);
    };
    let report = verify(&options, &lock, &tell).await?;
    let mut findings = report.findings;
    reporter.tell("state.db", 0, 0);
    let state = check_state(&data_dir.join("state.db"), &mut findings).await?;
    Ok(Verdict { data_dir, quick: args.quick, findings, checked: report.checked, state })
}

/// The directory asked for, else the one that `serve` would take; it must look like one of ours.
pub(crate) fn data_dir(asked: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let data_dir = match asked {
        Some(data_dir) => data_dir.clone(),
        None => Config::load(&Overrides::default())?.data_dir.value,
    };
    for sign in SIGNS {
        let found = data_dir.join(sign).try_exists();
        if found.with_context(|| format!("look into {}", data_dir.display()))? {
            return Ok(data_dir);
        }
    }
    bail!(
        "{} is not a data directory: it has none of {}; name one with --data-dir",
        data_dir.display(),
        SIGNS.join(", ")
    )
}

async fn check_state(path: &Path, findings: &mut Findings) -> anyhow::Result<Option<StateChecked>> {
    if !path.try_exists()? {
        findings.push(Finding::warning(
            "state_missing",
            "state.db",
            "there is no state database: no server has run here, or it was removed",
            "if alerts, incidents or an audit log were in it, restore it from a backup",
        ));
        return Ok(None);
    }
    const ADVICE: &str = "restore state.db from a backup";
    let checked = match State::open_read_only(path).await {
        Ok(state) => {
            let checked = state.check().await;
            state.close().await;
            checked
        }
        Err(error) => Err(error),
    };
    match checked {
        Ok(checked) => {
            for problem in &checked.problems {
                let kind = if problem.starts_with("audit log") { "audit_broken" } else { "state_damaged" };
                findings.push(Finding::problem(kind, "state.db", problem, ADVICE));
            }
            Ok(Some(checked))
        }
        Err(error) => {
            let what = format!("{:#}", anyhow::Error::new(error));
            findings.push(Finding::problem("state_unreadable", "state.db", what, ADVICE));
            Ok(None)
        }
    }
}

fn print(verdict: &Verdict, as_json: bool, reporter: &Reporter) -> anyhow::Result<()> {
    if as_json {
        let elapsed = u64::try_from(reporter.elapsed().as_millis()).unwrap_or(u64::MAX);
        return say::line(&serde_json::to_string_pretty(&to_json(verdict, elapsed))?);
    }
    for finding in verdict.findings.kept() {
        say::line(&finding.to_string())?;
    }
    let Verdict { findings, checked, .. } = verdict;
    let unnamed = findings.problems() + findings.warnings() - findings.kept().len() as u64;
    if unnamed > 0 {
        say::line(&format!("… and {unnamed} more"))?;
    }
    let read = if verdict.quick { "not read" } else { "read" };
    say::line(&format!(
        "{}: {} problems, {} warnings; {} log segments with {} records, {} tables with {} files ({}), {} rows {read}{}",
        verdict.data_dir.display(),
        findings.problems(),
        findings.warnings(),
        checked.wal_segments,
        checked.wal_records,
        checked.tables,
        checked.blocks,
        say::size(checked.block_bytes),
        checked.block_rows,
        audit(verdict.state.as_ref()),
    ))
}

fn audit(state: Option<&StateChecked>) -> String {
    match state.and_then(|state| state.audit.as_ref()) {
        Some(audit) => format!(", {} audit rows", audit.rows),
        None => String::new(),
    }
}

fn to_json(verdict: &Verdict, elapsed_ms: u64) -> Value {
    let Verdict { data_dir, quick, findings, checked, state } = verdict;
    let listed: Vec<Value> = findings
        .kept()
        .iter()
        .map(|finding| {
            json!({
                "severity": finding.severity.as_str(),
                "kind": finding.kind,
                "place": finding.place,
                "what": finding.what,
                "advice": finding.advice,
            })
        })
        .collect();
    let audit = state.as_ref().and_then(|state| state.audit.as_ref());
    json!({
        "schema": "hindsight/verify/v1",
        "data_dir": data_dir,
        "quick": quick,
        "clean": findings.problems() == 0,
        "problems": findings.problems(),
        "warnings": findings.warnings(),
        "findings": listed,
        "checked": {
            "wal_segments": checked.wal_segments,
            "wal_records": checked.wal_records,
            "wal_records_to_replay": checked.wal_records_to_replay,
            "tables": checked.tables,
            "commits": checked.commits,
            "blocks": checked.blocks,
            "block_bytes": checked.block_bytes,
            "block_rows": checked.block_rows,
            "rows_read": checked.rows_read,
            "blocks_waiting_for_removal": checked.blocks_waiting_for_removal,
            "state_version": state.as_ref().map(|state| state.version),
            "audit_rows": audit.map(|audit| audit.rows),
            "audit_head": audit.map(|audit| &audit.head),
        },
        "elapsed_ms": elapsed_ms,
    })
}
