//! The rules of POSTMORTEM §6: what keeps a post-mortem from being theatre.
//!
//! `E` blocks publishing, `W` warns. A rule that asks for what only people can write applies from a later status on,
//! so a fresh draft is measured by what a draft can be. `<!-- lint-ignore: ID reason -->` in the text, or
//! `# lint-ignore: ID reason` in the front matter, silences one rule for one document; without a reason it does not.

mod actions;
mod charts;
mod durations;
mod impact;
mod lessons;
mod response;
mod rules;
mod summary;
mod timeline;
mod title;
mod whys;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use serde::Serialize;

pub use rules::{Rule, rules};

use crate::Result;
use crate::document::{Document, Status, file_of};
use crate::evidence::EvidenceSet;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// Warns.
    W,
    /// Blocks publishing.
    E,
}

/// Something a rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the rule (`T3`).
    pub rule: &'static str,
    /// How bad.
    pub level: Level,
    /// Line in `postmortem.md`, from 1.
    pub line: usize,
    /// What is wrong, in this document.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::E { 'E' } else { 'W' };
        write!(f, "{}: {} {level} {} ({})", self.line, self.rule, self.message, self.hint)
    }
}

/// What the checks look at.
struct Context<'a> {
    document: &'a Document,
    evidence: &'a EvidenceSet,
    found: Vec<Finding>,
}

impl Context<'_> {
    /// Notes a finding at the rule's own level.
    fn report(&mut self, rule: &'static str, line: usize, message: impl Into<String>) {
        self.report_as(rules::level(rule), rule, line, message);
    }

    fn report_as(&mut self, level: Level, rule: &'static str, line: usize, message: impl Into<String>) {
        self.found.push(Finding { rule, level, line, message: message.into(), hint: rules::hint(rule) });
    }

    fn line_of_section(&self, heading: &str) -> usize {
        self.document.section(heading).map_or(1, |section| section.line)
    }

    /// From this status on?
    fn from(&self, status: Status) -> bool {
        self.document.front.status >= status
    }
}

/// Checks the post-mortem in a directory (or the file) against every rule that applies at its status.
///
/// # Errors
/// When `postmortem.md` or the evidence folder cannot be read.
pub fn lint(path: &Path) -> Result<Vec<Finding>> {
    let file = file_of(path);
    let document = Document::read(&file)?;
    let evidence = EvidenceSet::read(&crate::render::parent(&file))?;
    Ok(lint_document(&document, &evidence))
}

/// The same for a document and evidence at hand; findings in order of lines.
pub fn lint_document(document: &Document, evidence: &EvidenceSet) -> Vec<Finding> {
    let mut context = Context { document, evidence, found: Vec::new() };
    title::check(&mut context);
    summary::check(&mut context);
    timeline::check(&mut context);
    charts::check(&mut context);
    impact::check(&mut context);
    whys::check(&mut context);
    response::check(&mut context);
    lessons::check(&mut context);
    actions::check(&mut context);
    let ignored = ignored(document);
    let applies = |finding: &Finding| {
        document.front.status >= rules::applies_from(finding.rule) && !ignored.contains(&finding.rule)
    };
    context.found.retain(applies);
    context.found.sort_by(|a, b| (a.line, a.rule).cmp(&(b.line, b.rule)));
    context.found
}

/// Rules silenced with a reason.
fn ignored(document: &Document) -> Vec<&'static str> {
    let mut ids = Vec::new();
    for line in document.front_text().lines().chain(document.body().lines()) {
        let Some((before, rest)) = line.split_once("lint-ignore:") else { continue };
        if !(before.trim_end().ends_with("<!--") || before.trim_start().starts_with('#')) {
            continue;
        }
        let mut words = rest.trim_end().trim_end_matches("-->").split_whitespace();
        let id = words.next().unwrap_or_default();
        let known = rules().iter().find(|rule| rule.id == id);
        if let Some(rule) = known
            && words.next().is_some()
        {
            ids.push(rule.id);
        }
    }
    ids
}
