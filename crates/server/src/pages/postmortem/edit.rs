//! The editor: the whole file, what lint says beside it, and never a lost word. An edit that cannot be saved comes
//! back with the reason, as it was written.

use std::path::Path as FilePath;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Response, StatusCode};
use axum::{Extension, Form};
use hindsight_model::Clearance;
use hindsight_postmortem::evidence::EvidenceSet;
use hindsight_postmortem::{Document, Error, Finding, Knowledge, edit, lint_knowing, with_line_ends_of};
use serde::Deserialize;
use serde_json::json;

use super::super::frame::{Frame, PageError, html, see_other};
use super::{FindingView, counts, views};
use crate::app::App;

/// Longest text that the editor takes; a form may need three bytes for one.
const TEXT_BYTES_MAX: usize = 300 * 1024;

#[derive(Template)]
#[template(path = "postmortem_edit.html")]
struct EditPage {
    frame: Frame,
    id: String,
    base: String,
    text: String,
    author: String,
    /// What went well.
    said: Option<&'static str>,
    /// Why the text is not saved, with the line it is about.
    problem: Option<(String, Option<usize>)>,
    /// The file as somebody else left it.
    theirs: Option<String>,
    counts: String,
    findings: Vec<FindingView>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct EditQuery {
    done: Option<String>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    Query(query): Query<EditQuery>,
) -> Result<Response<Body>, PageError> {
    let (path, knowledge) = super::find(&app, &id, clearance).await?;
    let (document, checked) = super::in_background(move || {
        let document = Document::read(&path)?;
        let checked = check(&path, &document.write(), &knowledge);
        Ok((document, checked))
    })
    .await?;
    let text = document.write();
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("{id} is longer than the {} KiB that fit a form.", TEXT_BYTES_MAX / 1024);
        return Err(PageError::bad_request(message).with_hint("Edit the file itself in the workspace."));
    }
    let said = match query.done.as_deref() {
        Some("saved") => Some("Saved."),
        Some("unchanged") => Some("Nothing was changed."),
        _ => None,
    };
    let page = EditPage { said, base: document.content_hash(), ..page(id, text, checked) };
    Ok(html(&page))
}

/// Findings in a text that need not be saved yet; evidence is that beside the file.
fn check(path: &FilePath, text: &str, knowledge: &Knowledge) -> Result<Vec<Finding>, Error> {
    let document = Document::parse(text, path)?;
    let evidence = EvidenceSet::read(path.parent().unwrap_or(path))?;
    Ok(lint_knowing(&document, &evidence, knowledge))
}

/// The edited document, if it is the same one: its id stays, and its status takes steps.
fn same_document(current: &Document, text: &str, path: &FilePath) -> Result<Document, Error> {
    let edited = Document::parse(text, path)?;
    let (old, new) = (&current.front, &edited.front);
    let refused = |key: &str, message: String| {
        Err(Error::Document { path: path.to_owned(), line: edited.front_line(key), message })
    };
    if old.id != new.id {
        return refused("id", format!("the id is {} and stays so: links and actions name it", old.id));
    }
    if old.status != new.status {
        let message = format!(
            "the status is {} and changes by a step, not by an edit; the document's page has the steps",
            old.status.as_str()
        );
        return refused("status", message);
    }
    Ok(edited)
}

#[derive(Debug, Deserialize)]
pub(super) struct EditForm {
    author: String,
    base: String,
    text: String,
    /// `save` or `check`.
    #[serde(rename = "do")]
    what: String,
}

/// What became of what the form sent.
enum Outcome {
    Saved { hash: String },
    Unchanged,
    Checked,
    Refused { message: String, line: Option<usize> },
    Stale(Box<Document>),
}

pub(super) async fn send(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    Form(form): Form<EditForm>,
) -> Result<Response<Body>, PageError> {
    let (path, knowledge) = super::find(&app, &id, clearance).await?;
    let author = super::author(&form.author)?;
    let EditForm { base, text, what, .. } = form;
    let from = base.clone();
    let (outcome, text, checked) = super::in_background(move || {
        let current = Document::read(&path)?;
        let text = with_line_ends_of(&current.write(), &text);
        let checked = check(&path, &text, &knowledge);
        let outcome = if what == "check" {
            Outcome::Checked
        } else if text.len() > TEXT_BYTES_MAX {
            let message = format!("the text is longer than {} KiB", TEXT_BYTES_MAX / 1024);
            Outcome::Refused { message, line: None }
        } else {
            match edit(&path, Some(&base), |current| same_document(current, &text, &path)) {
                Ok(saved) if saved.content_hash() == base => Outcome::Unchanged,
                Ok(saved) => Outcome::Saved { hash: saved.content_hash() },
                Err(Error::Conflict { .. }) => Outcome::Stale(Box::new(Document::read(&path)?)),
                Err(Error::Document { line, message, .. }) => Outcome::Refused { message, line: Some(line) },
                Err(error) => return Err(error),
            }
        };
        Ok((outcome, text, checked))
    })
    .await?;
    let mut shown =
        EditPage { author: author.clone(), base: from.clone(), ..page(id.clone(), text, checked) };
    let status = match outcome {
        Outcome::Saved { hash } => {
            let detail = json!({"from": from, "hash": hash});
            super::audit(&app, author, "postmortem.edit", &id, &detail).await?;
            return Ok(see_other(&format!("/postmortems/{id}/edit?done=saved")));
        }
        Outcome::Unchanged => return Ok(see_other(&format!("/postmortems/{id}/edit?done=unchanged"))),
        Outcome::Checked => {
            shown.said = Some("Checked, not saved yet.");
            StatusCode::OK
        }
        Outcome::Refused { message, line } => {
            shown.problem = Some((message, line));
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Outcome::Stale(theirs) => {
            let message =
                "somebody changed the document since you opened it; your text is below, and theirs beside \
                           it. Saving again replaces theirs"
                    .to_owned();
            shown.problem = Some((message, None));
            shown.base = theirs.content_hash();
            shown.theirs = Some(theirs.write());
            StatusCode::CONFLICT
        }
    };
    let mut response = html(&shown);
    *response.status_mut() = status;
    Ok(response)
}

fn page(id: String, text: String, checked: Result<Vec<Finding>, Error>) -> EditPage {
    let (findings, problem) = match checked {
        Ok(findings) => (findings, None),
        Err(Error::Document { line, message, .. }) => (Vec::new(), Some((message, Some(line)))),
        Err(error) => (Vec::new(), Some((error.to_string(), None))),
    };
    EditPage {
        frame: Frame::new(format!("Edit {id}"), "postmortems"),
        id,
        base: String::new(),
        author: String::new(),
        said: None,
        theirs: None,
        counts: counts(&findings),
        findings: views(&findings, &text),
        problem,
        text,
    }
}
