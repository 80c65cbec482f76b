use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_model::{Clock as _, SystemClock};
use hindsight_postmortem::document::{Document, Status};
use hindsight_postmortem::evidence::EvidenceSet;
use hindsight_postmortem::{Finding, Knowledge, Level, ask_telemetry, beside, lint_as};
use jiff::Timestamp;
use serde_json::json;

use super::folder;
use crate::args::SourceArgs;
use crate::backend::Backend;
use crate::say;

/// How a document is to be checked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) as_json: bool,
    /// As if it had this status already.
    pub(super) as_status: Option<Status>,
    pub(super) at: Option<Timestamp>,
    /// Whether telemetry is asked, too.
    pub(super) rerun: bool,
}

/// `hindsight postmortem lint`: findings with file and line; failure when one is an error.
pub(super) async fn run(path: &Path, asked: Asked, source: &SourceArgs) -> anyhow::Result<ExitCode> {
    let now = asked.at.unwrap_or_else(|| SystemClock.now());
    let mut knowledge = Knowledge { now: Some(now), ..Knowledge::default() };
    if asked.rerun {
        let backend = Backend::open(source).await?;
        let asked = ask(path, &backend, &mut knowledge).await;
        backend.close().await?;
        asked?;
    }
    let findings =
        check(path, asked.as_status, knowledge).with_context(|| format!("check {}", path.display()))?;
    let file = folder(path).join("postmortem.md");
    let file = if path.is_dir() { file.as_path() } else { path };
    print(&findings, file, asked.as_json)?;
    let errors = findings.iter().filter(|finding| finding.level == Level::E).count();
    if !asked.as_json {
        say::problem(&format!("{errors} errors, {} warnings", findings.len() - errors));
    }
    Ok(if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check(
    path: &Path,
    as_status: Option<Status>,
    knowledge: Knowledge,
) -> hindsight_postmortem::Result<Vec<Finding>> {
    let document = Document::read(path)?;
    let evidence = EvidenceSet::read(folder(path))?;
    let knowledge = beside(path, &document, knowledge)?;
    let status = as_status.unwrap_or(document.front.status);
    lint_as(&document, &evidence, &knowledge, status, path)
}

async fn ask(path: &Path, backend: &Backend, knowledge: &mut Knowledge) -> anyhow::Result<()> {
    let document = Document::read(path).with_context(|| format!("read {}", path.display()))?;
    let evidence = EvidenceSet::read(folder(path))?;
    Ok(ask_telemetry(&document, &evidence, backend, knowledge).await?)
}

fn print(findings: &[Finding], file: &Path, as_json: bool) -> anyhow::Result<()> {
    if !as_json {
        for finding in findings {
            say::line(&format!("{}:{finding}", file.display()))?;
        }
        return Ok(());
    }
    let findings: Vec<_> = findings
        .iter()
        .map(|f| {
            json!({
                "file": file, "line": f.line, "rule": f.rule, "level": f.level, "message": f.message, "hint": f.hint
            })
        })
        .collect();
    say::line(&serde_json::to_string_pretty(&findings)?)
}

/// `hindsight postmortem rules`.
pub(super) fn rules(as_json: bool) -> anyhow::Result<ExitCode> {
    let rules = hindsight_postmortem::rules();
    if as_json {
        say::line(&serde_json::to_string_pretty(rules)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for rule in rules {
        say::line(&format!("{:<4}{:?} from {:<10} {}", rule.id, rule.level, rule.from.as_str(), rule.asks))?;
    }
    Ok(ExitCode::SUCCESS)
}
