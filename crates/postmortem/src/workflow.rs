//! How a document comes from draft to closed: what each step needs, decided without touching a file.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;

use crate::Result;
use crate::document::{Document, Person, Stages, Status, review_section};
use crate::evidence::EvidenceSet;
use crate::lint::{Finding, Knowledge, Level, lint_as, lint_knowing};

/// A reason longer than this is cut, in characters.
const MAX_REASON: usize = 300;

/// A step that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Where to.
    pub to: Status,
    /// Who asks, by the handle of the front matter.
    pub by: &'a str,
    /// Why; a step back needs it.
    pub reason: Option<&'a str>,
    /// The present instant.
    pub now: Timestamp,
}

/// The document after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Its new text.
    pub document: Document,
    /// What still stands between it and publishing: errors that the rules would report of it as published today.
    pub open: Vec<Finding>,
}

/// Why a step is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where the document is.
    pub from: Status,
    /// Where it was to go.
    pub to: Status,
    /// What is in the way, all of it.
    pub obstacles: Vec<Obstacle>,
}

/// One thing in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Something is missing, or the wrong person asks; what, and what to do.
    Needs(String),
    /// An error that the rules report.
    Rule(Finding),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs(what) => f.write_str(what),
            Self::Rule(finding) => write!(f, "line {finding}"),
        }
    }
}

/// Takes a step, or says everything that is in its way.
///
/// - `draft → in_review`: owner and reviewer are named, another person and of another team, and the incident is over.
///   The review questions are added where they are missing.
/// - `in_review → approved`: the reviewer asks, and the review questions are answered (P2).
/// - `approved → published`: the owner or the reviewer asks, and no rule reports an error.
/// - `published → closed`: the owner or the reviewer asks, and no rule reports an error, above all no open action (A9).
/// - Any step back: with a reason, which is kept as a comment of the front matter.
///
/// # Errors
/// The outer error when the document would not be readable afterwards; the inner one when the step is refused.
pub fn transition(
    document: &Document,
    evidence: &EvidenceSet,
    knowledge: &Knowledge,
    step: Step<'_>,
    path: &Path,
) -> Result<std::result::Result<Moved, Refusal>> {
    let from = document.front.status;
    let knowledge = Knowledge { now: Some(step.now), ..knowledge.clone() };
    let moved = moved(document, step, path)?;
    let mut obstacles = asked_properly(document, step);
    if obstacles.is_empty() {
        obstacles = match step.to {
            _ if step.to < from => Vec::new(),
            Status::Draft => Vec::new(),
            Status::InReview => ready_for_review(document),
            Status::Approved => errors(&moved, evidence, &knowledge, |finding| finding.rule == "P2"),
            Status::Published | Status::Closed => errors(&moved, evidence, &knowledge, |_| true),
        };
    }
    if !obstacles.is_empty() {
        return Ok(Err(Refusal { from, to: step.to, obstacles }));
    }
    let open = if step.to < Status::Published {
        let mut found = lint_as(&moved, evidence, &knowledge, Status::Published, path)?;
        found.retain(|finding| finding.level == Level::E);
        found
    } else {
        Vec::new()
    };
    Ok(Ok(Moved { document: moved, open }))
}

/// Whether this is a step at all, and whether this person may ask for it.
fn asked_properly(document: &Document, step: Step<'_>) -> Vec<Obstacle> {
    let front = &document.front;
    let from = front.status;
    let needs = |what: String| vec![Obstacle::Needs(what)];
    let person = |who: &Option<Person>| who.as_ref().and_then(|who| who.person.clone());
    let (owner, reviewer) = (person(&front.owner), person(&front.reviewer));
    if step.by.trim().is_empty() {
        return needs("say who asks, by the handle of the front matter".to_owned());
    }
    if step.to == from {
        return needs(format!("it is {} already", from.as_str()));
    }
    if step.to < from {
        let reason = step.reason.map(str::trim).unwrap_or_default();
        let missing = format!("a step back from {} to {} needs a reason", from.as_str(), step.to.as_str());
        return if reason.is_empty() { needs(missing) } else { Vec::new() };
    }
    let next = Status::ALL.into_iter().find(|status| *status > from).unwrap_or(from);
    if step.to != next {
        return needs(format!("from {} it goes to {} first", from.as_str(), next.as_str()));
    }
    let mut stages = front.stages;
    let reached = Status::ALL.into_iter().take_while(|status| *status <= from);
    let last = reached.filter_map(|status| *stages.at(status)).max();
    if let Some(last) = last.filter(|last| step.now < *last) {
        return needs(format!(
            "at {} it had not come to {} yet, which was at {last}",
            step.now,
            from.as_str()
        ));
    }
    let by = |who: &Option<String>| who.as_deref() == Some(step.by);
    match step.to {
        Status::Approved if !by(&reviewer) => {
            let who = reviewer.unwrap_or_else(|| "nobody yet; name one in `reviewer:`".to_owned());
            needs(format!("only its reviewer approves it, who is {who}"))
        }
        Status::Published | Status::Closed if !by(&owner) && !by(&reviewer) => {
            needs(format!("its owner or reviewer takes it to {}, not {}", step.to.as_str(), step.by))
        }
        _ => Vec::new(),
    }
}

fn ready_for_review(document: &Document) -> Vec<Obstacle> {
    let front = &document.front;
    let named =
        |who: &Option<Person>| who.as_ref().is_some_and(|who| who.person.is_some() && who.team.is_some());
    let team = |who: &Option<Person>| who.as_ref().and_then(|who| who.team.clone());
    let mut missing = Vec::new();
    let named_so = [
        ("owner", &front.owner, "dana.k, team: payments"),
        ("reviewer", &front.reviewer, "lee.o, team: search"),
    ];
    for (key, who, example) in named_so {
        if !named(who) {
            missing.push(format!("`{key}:` names a person and a team, as {key}: {{person: {example}}}"));
        }
    }
    if named(&front.owner) && named(&front.reviewer) && team(&front.owner) == team(&front.reviewer) {
        missing.push("the reviewer is of another team than the owner".to_owned());
    }
    if front.times.resolved.is_none() && front.skip.is_none() {
        missing.push("the incident is over: `times:` has `resolved`".to_owned());
    }
    missing.into_iter().map(|what| Obstacle::Needs(format!("needed: {what}"))).collect()
}

fn errors(
    document: &Document,
    evidence: &EvidenceSet,
    knowledge: &Knowledge,
    which: fn(&Finding) -> bool,
) -> Vec<Obstacle> {
    findings(document, evidence, knowledge, which).into_iter().map(Obstacle::Rule).collect()
}

fn findings(
    document: &Document,
    evidence: &EvidenceSet,
    knowledge: &Knowledge,
    which: fn(&Finding) -> bool,
) -> Vec<Finding> {
    let found = lint_knowing(document, evidence, knowledge);
    found.into_iter().filter(|finding| finding.level == Level::E && which(finding)).collect()
}

/// The document with its new status and the time of it; later stages are forgotten on the way back.
fn moved(document: &Document, step: Step<'_>, path: &Path) -> Result<Document> {
    let from = document.front.status;
    let mut stages: Stages = document.front.stages;
    for status in Status::ALL.into_iter().filter(|status| *status > step.to) {
        *stages.at(status) = None;
    }
    if step.to != Status::Draft {
        *stages.at(step.to) = Some(step.now);
    }
    let mut moved = document.with_status(step.to, &stages, path)?;
    if step.to < from {
        let reason: String = step.reason.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let (from, to) = (from.as_str(), step.to.as_str());
        moved = moved.with_comment(&format!("{} {from} → {to} by {}: {reason}", step.now, step.by), path)?;
    }
    if step.to == Status::InReview && moved.section("Review").is_none() {
        let gap = if moved.body().ends_with('\n') { "\n" } else { "\n\n" };
        moved = moved.with_body(format!("{}{gap}{}", moved.body(), review_section()));
    }
    Ok(moved)
}

#[cfg(test)]
mod tests;
