//! The rules of POSTMORTEM §6: what keeps a post-mortem from being theatre.
//!
//! `E` blocks publishing, `W` warns. A rule that asks for what only people can write applies from a later status on,
//! so a fresh draft is measured by what a draft can be. `<!-- lint-ignore: ID reason -->` in the text, or
//! `# lint-ignore: ID reason` in the front matter, silences one rule for one document; without a reason it does not,
//! and is reported itself. What a rule needs to know beyond the document comes in as [`Knowledge`].

mod actions;
mod ask;
mod charts;
mod durations;
mod glossary;
mod ignores;
mod impact;
mod knowledge;
mod lessons;
mod names;
mod patterns;
mod process;
mod response;
mod rules;
mod summary;
mod telemetry;
mod timeline;
mod title;
mod whys;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

pub use ask::ask_telemetry;
pub use knowledge::{Knowledge, Observed, ObservedKind};
pub use process::required_because;
pub(crate) use process::{CUSTOMERS_HURT, DRAFTED_WITHIN};
pub use rules::{Area, Rule, rules};

use crate::Result;
use crate::document::{Document, Status, file_of};
use crate::evidence::EvidenceSet;
use crate::files::MAX_DOCUMENT_BYTES;

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
    knowledge: &'a Knowledge,
    found: Vec<Finding>,
}

impl Context<'_> {
    /// Notes a finding at the rule's own level.
    fn report(&mut self, rule: &'static str, line: usize, message: impl Into<String>) {
        self.report_as(rules::level(rule), rule, line, message);
    }

    fn report_as(&mut self, level: Level, rule: &'static str, line: usize, message: impl Into<String>) {
        self.found.push(finding(level, rule, line, message));
    }

    fn line_of_section(&self, heading: &str) -> usize {
        self.document.section(heading).map_or(1, |section| section.line)
    }

    /// From this status on?
    fn from(&self, status: Status) -> bool {
        self.document.front.status >= status
    }
}

fn finding(level: Level, rule: &'static str, line: usize, message: impl Into<String>) -> Finding {
    Finding { rule, level, line, message: message.into(), hint: rules::hint(rule) }
}

/// Checks the post-mortem in a directory (or the file) against every rule that applies at its status, knowing what
/// lies beside it.
///
/// # Errors
/// When `postmortem.md` or the evidence folder cannot be read.
pub fn lint(path: &Path) -> Result<Vec<Finding>> {
    lint_with(path, Knowledge::default())
}

/// The same, knowing more; what lies beside the document is added.
///
/// # Errors
/// As [`lint`].
pub fn lint_with(path: &Path, knowledge: Knowledge) -> Result<Vec<Finding>> {
    let document = Document::read(path)?;
    let evidence = EvidenceSet::read(&crate::render::parent(&file_of(path)))?;
    let knowledge = beside(path, &document, knowledge)?;
    Ok(lint_knowing(&document, &evidence, &knowledge))
}

/// Adds what lies beside a document: its exported lessons, and the other post-mortems of its workspace.
///
/// # Errors
/// When `lessons.md` is there and cannot be read.
pub fn beside(path: &Path, document: &Document, mut knowledge: Knowledge) -> Result<Knowledge> {
    let folder = crate::render::parent(&file_of(path));
    if knowledge.others.is_empty() {
        knowledge.others = neighbours(&folder, document);
    }
    knowledge.lessons_file = crate::files::read_optional(&folder.join("lessons.md"), MAX_DOCUMENT_BYTES)?;
    Ok(knowledge)
}

/// The other post-mortems of the workspace that a folder lies in; one that cannot be read is left out with a warning.
fn neighbours(folder: &Path, document: &Document) -> Vec<Arc<Document>> {
    let Ok(folder) = std::fs::canonicalize(folder) else { return Vec::new() };
    let Some(workspace) = folder.parent().filter(|all| all.ends_with("postmortems")).and_then(Path::parent)
    else {
        return Vec::new();
    };
    let paths = crate::workspace::documents(workspace).unwrap_or_default();
    let read = |path: &std::path::PathBuf| match Document::read(path) {
        Ok(other) => Some(other),
        Err(error) => {
            tracing::warn!(path = %path.display(), error = %error, "left out a post-mortem");
            None
        }
    };
    let others = paths.iter().filter(|path| path.parent() != Some(&folder)).filter_map(read);
    others.filter(|other| other.front.tenant == document.front.tenant).map(Arc::new).collect()
}

/// The same for a document and evidence at hand; findings in order of lines.
pub fn lint_document(document: &Document, evidence: &EvidenceSet) -> Vec<Finding> {
    lint_knowing(document, evidence, &Knowledge::default())
}

/// The same with knowledge of what is outside; findings in order of lines.
pub fn lint_knowing(document: &Document, evidence: &EvidenceSet, knowledge: &Knowledge) -> Vec<Finding> {
    let mut context = Context { document, evidence, knowledge, found: Vec::new() };
    title::check(&mut context);
    summary::check(&mut context);
    timeline::check(&mut context);
    charts::check(&mut context);
    glossary::check(&mut context);
    impact::check(&mut context);
    telemetry::check(&mut context);
    whys::check(&mut context);
    response::check(&mut context);
    lessons::check(&mut context);
    actions::check(&mut context);
    process::check(&mut context);
    patterns::check(&mut context);
    let ignored = ignores::check(&mut context);
    let skipped = document.front.skip.is_some();
    let applies = |finding: &Finding| {
        let rule = rules::rule(finding.rule);
        document.front.status >= rule.from
            && !ignored.contains(&rule.id)
            && (!skipped || rule.area.applies_to_skipped())
    };
    context.found.retain(applies);
    context.found.sort_by(|a, b| (a.line, a.rule).cmp(&(b.line, b.rule)));
    context.found
}

/// What the rules will ask of a document once it has a later status: what a writer may as well mend now. How late it
/// is (P1) is judged as it stands, for nobody knows yet when it gets there.
///
/// # Errors
/// When the document would not be readable with that status.
pub fn lint_as(
    document: &Document,
    evidence: &EvidenceSet,
    knowledge: &Knowledge,
    status: Status,
    path: &Path,
) -> Result<Vec<Finding>> {
    let mut found = lint_knowing(document, evidence, knowledge);
    if status > document.front.status {
        found.retain(|finding| finding.rule == "P1");
        let later = document.with_status(status, &document.front.stages, path)?;
        let later = lint_knowing(&later, evidence, knowledge);
        found.extend(later.into_iter().filter(|finding| finding.rule != "P1"));
        found.sort_by(|a, b| (a.line, a.rule).cmp(&(b.line, b.rule)));
    }
    Ok(found)
}

/// The few words before a place in a text.
fn just_before(text: &str, end: usize) -> &str {
    const BYTES: usize = 60;
    &text[text.floor_char_boundary(end.saturating_sub(BYTES))..end]
}

/// Whether a word stands in a text by itself.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next())
        })
}
