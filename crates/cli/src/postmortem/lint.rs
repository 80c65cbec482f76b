use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_model::{Clock as _, SystemClock};
use hindsight_postmortem::document::Document;
use hindsight_postmortem::evidence::EvidenceSet;
use hindsight_postmortem::{Finding, Knowledge, Level, ask_telemetry, lint_with};
use serde_json::json;

use super::folder;
use crate::args::SourceArgs;
use crate::backend::Backend;
use crate::say;

/// `hindsight postmortem lint`: findings with file and line; failure when one is an error.
pub(super) async fn run(
    path: &Path,
    as_json: bool,
    rerun: bool,
    source: &SourceArgs,
) -> anyhow::Result<ExitCode> {
    let mut knowledge = Knowledge { now: Some(SystemClock.now()), ..Knowledge::default() };
    if rerun {
        let backend = Backend::open(source).await?;
        let asked = ask(path, &backend, &mut knowledge).await;
        backend.close().await?;
        asked?;
    }
    let findings = lint_with(path, knowledge).with_context(|| format!("check {}", path.display()))?;
    let file = folder(path).join("postmortem.md");
    let file = if path.is_dir() { file.as_path() } else { path };
    print(&findings, file, as_json)?;
    let errors = findings.iter().filter(|finding| finding.level == Level::E).count();
    if !as_json {
        say::problem(&format!("{errors} errors, {} warnings", findings.len() - errors));
    }
    Ok(if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
