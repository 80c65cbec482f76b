//! `/postmortems/{id}`: the report as `postmortem render` writes it, made fresh from the files, with what people can
//! do with it; its editor, its way from draft to closed, and the first draft of an incident.

mod draft;
mod edit;
mod step;
mod whys;

use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use hindsight_model::{Clearance, Tenant};
use hindsight_postmortem::document::{Document, Person, Status};
use hindsight_postmortem::evidence::EvidenceSet;
use hindsight_postmortem::{Error, Finding, Knowledge, Level, Obstacle, Step, lint_knowing, transition};
use hindsight_state::AuditEntry;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Frame, PageError, html};
use super::lists::listed;
use crate::app::App;

/// Longest name of who does something.
const AUTHOR_CHARS_MAX: usize = 200;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/postmortems/{id}", get(show))
        .route("/postmortems/{id}/edit", get(edit::show).post(edit::send))
        .route("/postmortems/{id}/whys", get(whys::show).post(whys::change))
        .route("/postmortems/{id}/step", post(step::take))
        .route("/incidents/{id}/postmortem", post(draft::write))
}

#[derive(Template)]
#[template(path = "postmortem.html")]
struct PostmortemPage {
    frame: Frame,
    id: String,
    status: &'static str,
    class: &'static str,
    base: String,
    counts: String,
    steps: Vec<StepView>,
    /// Whether one of them leads back, which needs a reason.
    has_step_back: bool,
    /// The incident from which its generated parts can be made again.
    incident: Option<String>,
    said: Option<&'static str>,
    article: String,
}

/// A step that the document can take, or what keeps it.
struct StepView {
    to: &'static str,
    words: &'static str,
    is_back: bool,
    blocked_by: Vec<ObstacleView>,
    /// Errors that keep a later step, up to publishing.
    later: Vec<FindingView>,
}

/// One thing in a step's way; with a line where it is about one.
struct ObstacleView {
    rule: &'static str,
    line: Option<usize>,
    text: String,
}

/// A finding, ready to print.
struct FindingView {
    rule: &'static str,
    is_error: bool,
    line: usize,
    /// What stands in that line.
    excerpt: String,
    message: String,
    hint: &'static str,
}

#[derive(Debug, Default, Deserialize)]
struct ShowQuery {
    done: Option<String>,
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Response<Body>, PageError> {
    let (path, knowledge) = find(&app, &id, clearance).await?;
    let page = in_background(move || page(&path, &knowledge)).await?;
    let said = match query.done.as_deref() {
        Some("drafted") => Some("Drafted: facts stand with their evidence, questions wait for you."),
        Some("step") => Some("The status has changed."),
        Some("unchanged") => Some("The file said so already."),
        _ => None,
    };
    Ok(html(&PostmortemPage { said, ..page }))
}

fn page(path: &std::path::Path, knowledge: &Knowledge) -> Result<PostmortemPage, Error> {
    let document = Document::read(path)?;
    let evidence = EvidenceSet::read(path.parent().unwrap_or(path))?;
    let findings = lint_knowing(&document, &evidence, knowledge);
    let steps: Result<Vec<StepView>, Error> = ways(document.front.status)
        .iter()
        .map(|(to, words)| step_view(&document, &evidence, knowledge, *to, words, path))
        .collect();
    let steps = steps?;
    let front = &document.front;
    let is_open = front.status <= Status::InReview;
    Ok(PostmortemPage {
        frame: Frame::new(front.id.clone(), "postmortems"),
        id: front.id.clone(),
        status: status_words(front.status),
        class: if front.status >= Status::Published { "ok" } else { "warn" },
        base: document.content_hash(),
        counts: counts(&findings),
        has_step_back: steps.iter().any(|step| step.is_back),
        steps,
        incident: front.incidents.first().filter(|_| is_open).map(ToString::to_string),
        said: None,
        article: hindsight_postmortem::render_article(path)?,
    })
}

/// Where a document may go from a status, onward first.
fn ways(status: Status) -> &'static [(Status, &'static str)] {
    use Status::{Approved, Closed, Draft, InReview, Published};
    match status {
        Draft => &[(InReview, "Send to review")],
        InReview => &[(Approved, "Approve"), (Draft, "Back to draft")],
        Approved => &[(Published, "Publish"), (Draft, "Back to draft")],
        Published => &[(Closed, "Close"), (Draft, "Back to draft")],
        Closed => &[(Published, "Reopen")],
    }
}

/// What is in a step's way when the person asks who may.
fn step_view(
    document: &Document,
    evidence: &EvidenceSet,
    knowledge: &Knowledge,
    to: Status,
    words: &'static str,
    path: &std::path::Path,
) -> Result<StepView, Error> {
    let front = &document.front;
    let handle = |who: &Option<Person>| who.as_ref().and_then(|who| who.person.clone());
    let by = match to {
        Status::Approved => handle(&front.reviewer),
        Status::Published | Status::Closed => handle(&front.owner).or_else(|| handle(&front.reviewer)),
        _ => Some("anybody".to_owned()),
    };
    let is_back = to < front.status;
    let step = Step {
        to,
        by: by.as_deref().unwrap_or("nobody"),
        reason: is_back.then_some("asked with the step"),
        now: knowledge.now.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    let (obstacles, open) = match transition(document, evidence, knowledge, step, path)? {
        Ok(moved) => (Vec::new(), moved.open),
        Err(refusal) => (refusal.obstacles, Vec::new()),
    };
    let blocked_by = obstacles.into_iter().map(|obstacle| match obstacle {
        Obstacle::Needs(text) => ObstacleView { rule: "", line: None, text },
        Obstacle::Rule(finding) => ObstacleView {
            rule: finding.rule,
            line: Some(finding.line),
            text: format!("{} ({})", finding.message, finding.hint),
        },
    });
    let later = if is_back { Vec::new() } else { views(&open, &document.write()) };
    Ok(StepView { to: to.as_str(), words, is_back, blocked_by: blocked_by.collect(), later })
}

fn status_words(status: Status) -> &'static str {
    match status {
        Status::InReview => "in review",
        status => status.as_str(),
    }
}

/// `2 errors, 1 warning` of the checks that apply now.
fn counts(findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.level == Level::E).count();
    let warnings = findings.len() - errors;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    match (errors, warnings) {
        (0, 0) => "no findings".to_owned(),
        _ => format!("{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings)),
    }
}

fn views(findings: &[Finding], text: &str) -> Vec<FindingView> {
    let lines: Vec<&str> = text.lines().collect();
    let view = |finding: &Finding| FindingView {
        rule: finding.rule,
        is_error: finding.level == Level::E,
        line: finding.line,
        excerpt: lines
            .get(finding.line.saturating_sub(1))
            .map(|line| hindsight_postmortem::chart::shorten(line.trim(), 90))
            .unwrap_or_default(),
        message: finding.message.clone(),
        hint: finding.hint,
    };
    findings.iter().map(view).collect()
}

/// The file of the post-mortem with this id, and what its checks should know of the rest of the workspace. One that
/// the reader may not see is not there.
async fn find(app: &App, id: &str, clearance: Clearance) -> Result<(PathBuf, Knowledge), PageError> {
    let listed = listed(app, clearance).await?;
    let (found, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|row| row.document.front.id == id);
    let Some(found) = found.into_iter().next() else {
        let id: String = id.chars().take(60).collect();
        let message = format!("There is no post-mortem {id} in this workspace.");
        return Err(PageError::not_found(message, "The list of post-mortems has every id."));
    };
    let lessons = found.path.with_file_name("lessons.md");
    let lessons_file = tokio::fs::read_to_string(&lessons).await.ok();
    let others = others.into_iter().map(|row| row.document).collect();
    let knowledge = Knowledge { now: Some(app.clock.now()), others, lessons_file, ..Knowledge::default() };
    Ok((found.path, knowledge))
}

/// File work off the I/O threads. What a person can mend is said, the rest is logged.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, PageError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| PageError::internal(&error))?;
    done.map_err(said)
}

/// An error of the files as a page says it: without the server's own paths.
fn said(error: Error) -> PageError {
    match error {
        Error::Document { line, message, .. } => PageError::bad_request(format!("Line {line}: {message}."))
            .with_hint("The editor has the line; nothing was changed."),
        error @ (Error::Incomplete { .. } | Error::Settled { .. }) => {
            PageError::bad_request(format!("{error}.")).with_hint("Nothing was changed.")
        }
        error @ Error::Whys { .. } => {
            PageError::bad_request(format!("{error}.")).with_hint("Go back; nothing was changed.")
        }
        Error::Conflict { .. } => {
            PageError::bad_request("Somebody changed the document since you opened it.")
                .with_hint("Go back and open it again; nothing was changed.")
        }
        error => PageError::internal(&error),
    }
}

/// Who does it, as the form says.
fn author(text: &str) -> Result<String, PageError> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > AUTHOR_CHARS_MAX {
        return Err(PageError::bad_request("Say who does this: a name or a role.")
            .with_hint("Go back: the form still holds what you wrote."));
    }
    Ok(name.to_owned())
}

/// Writes down who changed what (SEC-2).
async fn audit(
    app: &App,
    actor: String,
    action: &str,
    subject: &str,
    detail: &Value,
) -> Result<(), PageError> {
    let entry = AuditEntry {
        tenant: Tenant::default(),
        actor,
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail: detail.to_string(),
    };
    app.state.audit(&entry, app.clock.now()).await?;
    Ok(())
}
