use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hindsight_model::{Clock as _, SystemClock};
use hindsight_postmortem::document::{Document, Status};
use hindsight_postmortem::evidence::EvidenceSet;
use hindsight_postmortem::{Knowledge, Refusal, Step, transition};
use jiff::Timestamp;
use serde_json::json;

use super::args::EditArgs;
use super::folder;
use crate::say;

/// A status by its word.
pub(super) fn parse_status(word: &str) -> Result<Status, String> {
    let words = || Status::ALL.map(Status::as_str).join(", ");
    let known = Status::ALL.into_iter().find(|status| status.as_str() == word);
    known.ok_or_else(|| format!("`{word}` is no status; there are {}", words()))
}

/// When a step is taken: now, or when a person says that it was.
pub(super) fn moment(at: Option<Timestamp>) -> anyhow::Result<Timestamp> {
    let now = SystemClock.now();
    match at {
        Some(at) if at > now => bail!("{at} is in the future; a step is taken when it is"),
        at => Ok(at.unwrap_or(now)),
    }
}

/// `hindsight postmortem status PATH`: where it is, its content hash, and what is in the way of the next step.
pub(super) fn show(path: &Path, now: Timestamp, as_json: bool) -> anyhow::Result<ExitCode> {
    let document = Document::read(path).with_context(|| format!("read {}", path.display()))?;
    let front = &document.front;
    let next = Status::ALL.into_iter().find(|status| *status > front.status);
    let by = |who: &Option<hindsight_postmortem::document::Person>| {
        who.as_ref().and_then(|who| who.person.clone())
    };
    let who = if front.status == Status::InReview { by(&front.reviewer) } else { by(&front.owner) };
    let mut ways: Vec<String> = Vec::new();
    let who = who.unwrap_or_else(|| "nobody".to_owned());
    if let Some(to) = next {
        let step = Step { to, by: &who, reason: None, now };
        let refusal = asked(&document, path, step)?.err();
        ways = refusal.iter().flat_map(|refusal| &refusal.obstacles).map(ToString::to_string).collect();
    }
    if as_json {
        let next = next.map(Status::as_str);
        say::line(&serde_json::to_string_pretty(&json!({
            "id": front.id, "status": front.status.as_str(), "sha256": document.content_hash(), "next": next,
            "obstacles": ways
        }))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    say::line(&format!("{} {} {}", front.id, front.status.as_str(), document.content_hash()))?;
    if let Some(next) = next.filter(|_| !ways.is_empty()) {
        say::line(&format!("before it is {}:", next.as_str()))?;
    }
    for way in &ways {
        say::line(&format!("- {way}"))?;
    }
    if let Some(next) = next.filter(|_| ways.is_empty()) {
        let path = path.display();
        say::line(&format!("next: hindsight postmortem status {path} --to {} --by {who}", next.as_str()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `hindsight postmortem status PATH --to STATUS --by WHO`: takes the step or says all that is in its way.
pub(super) fn take(path: &Path, step: Step<'_>, edit: &EditArgs) -> anyhow::Result<ExitCode> {
    let document = Document::read(path).with_context(|| format!("read {}", path.display()))?;
    let hash = document.content_hash();
    if let Some(expected) = edit.expect.as_ref().filter(|expected| !expected.eq_ignore_ascii_case(&hash)) {
        bail!("{} was changed meanwhile (it is {hash} now, not {expected}); read it again", path.display());
    }
    let moved = match asked(&document, path, step)? {
        Ok(moved) => moved,
        Err(refusal) => {
            say::problem(&format!("{} stays {}:", document.front.id, refusal.from.as_str()));
            for obstacle in &refusal.obstacles {
                say::problem(&format!("- {obstacle}"));
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let written = hindsight_postmortem::edit(path, Some(&hash), |_| Ok(moved.document))
        .with_context(|| format!("write {}", path.display()))?;
    say::line(&format!("{} {} {}", written.front.id, step.to.as_str(), written.content_hash()))?;
    if !moved.open.is_empty() {
        let (errors, path) = (moved.open.len(), path.display());
        say::problem(&format!(
            "{errors} errors stand between it and publishing: hindsight postmortem lint {path} --as published"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(
    document: &Document,
    path: &Path,
    step: Step<'_>,
) -> anyhow::Result<Result<hindsight_postmortem::Moved, Refusal>> {
    let evidence = EvidenceSet::read(folder(path))?;
    let knowledge = Knowledge { now: Some(step.now), ..Knowledge::default() };
    let knowledge = hindsight_postmortem::beside(path, document, knowledge)?;
    Ok(transition(document, &evidence, &knowledge, step, path)?)
}
