use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_postmortem::document::Document;
use serde_json::json;

use super::args::{JudgeArgs, WhyCommand};
use super::changed;
use crate::say;

/// `hindsight postmortem why …`.
pub(super) fn run(command: WhyCommand) -> anyhow::Result<ExitCode> {
    match command {
        WhyCommand::Add { path, question, under, answer, edit } => {
            let mut number = String::new();
            let document = hindsight_postmortem::edit(&path, edit.expect.as_deref(), |document| {
                let (next, given) = document.with_why(under.as_deref(), &question, answer.as_deref())?;
                number = given;
                Ok(next)
            })
            .with_context(|| format!("edit {}", path.display()))?;
            say::line(&format!("{number} {}", document.content_hash()))?;
            Ok(ExitCode::SUCCESS)
        }
        WhyCommand::Answer { path, number, answer, evidence, hypothesis, edit } => {
            changed(&path, &edit, |document| document.with_answer(&number, &answer, &evidence, hypothesis))
        }
        WhyCommand::Confirm(judge) => judged(&judge, true),
        WhyCommand::Refute(judge) => judged(&judge, false),
        WhyCommand::Move { path, number, under, edit } => {
            changed(&path, &edit, |document| document.with_why_moved(&number, &under))
        }
        WhyCommand::Delete { path, number, all, edit } => {
            changed(&path, &edit, |document| document.without_why(&number, all))
        }
        WhyCommand::Check { path, json } => check(&path, json),
    }
}

fn judged(judge: &JudgeArgs, confirmed: bool) -> anyhow::Result<ExitCode> {
    changed(&judge.path, &judge.edit, |document| {
        document.with_judgement(&judge.number, confirmed, &judge.evidence)
    })
}

/// Dead ends, one a line; failure when there are some.
fn check(path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let document = Document::read(path).with_context(|| format!("read {}", path.display()))?;
    let ends = document.dead_ends();
    if as_json {
        let ends: Vec<_> = ends
            .iter()
            .map(|end| json!({"number": end.number, "line": end.line, "reason": end.reason}))
            .collect();
        say::line(&serde_json::to_string_pretty(&ends)?)?;
    } else {
        for end in &ends {
            say::line(&format!("{}:{}: {} {}", path.display(), end.line, end.number, end.reason))?;
        }
    }
    Ok(if ends.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
