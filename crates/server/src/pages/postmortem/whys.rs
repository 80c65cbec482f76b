//! The five whys as a tree on a page: ask further, answer, judge, move, take out. Each is one edit of the text (PM-2),
//! made only while the text is the one that the person saw.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::Response;
use axum::{Extension, Form};
use hindsight_model::Clearance;
use hindsight_postmortem::document::{Standing, Why};
use hindsight_postmortem::{Document, Error, edit};
use serde::Deserialize;
use serde_json::json;

use super::super::frame::{Frame, PageError, html, see_other};
use crate::app::App;

/// Deepest step that is set further in.
const DEPTH_SHOWN_MAX: usize = 8;

#[derive(Template)]
#[template(path = "postmortem_whys.html")]
struct WhysPage {
    frame: Frame,
    id: String,
    base: String,
    said: Option<&'static str>,
    whys: Vec<WhyView>,
    /// Where the text is no tree: line and sentence.
    faults: Vec<(usize, String)>,
    /// Every number, for a new place.
    numbers: Vec<String>,
}

/// One why, ready to print.
struct WhyView {
    number: String,
    depth: usize,
    parent: Option<String>,
    question: String,
    answer: Option<String>,
    evidence: Vec<String>,
    standing: Option<(&'static str, &'static str)>,
    is_supposed: bool,
    has_children: bool,
    dead_end: Option<&'static str>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct WhysQuery {
    done: Option<String>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    Query(query): Query<WhysQuery>,
) -> Result<Response<Body>, PageError> {
    let (path, _) = super::find(&app, &id, clearance).await?;
    let page = super::in_background(move || page(id, &path)).await?;
    let said = (query.done.as_deref() == Some("changed")).then_some("The tree has changed.");
    Ok(html(&WhysPage { said, ..page }))
}

fn page(id: String, path: &FilePath) -> Result<WhysPage, Error> {
    let document = Document::read(path)?;
    let tree = document.whys();
    let ends: BTreeMap<String, &'static str> =
        document.dead_ends().into_iter().map(|end| (end.number, end.reason)).collect();
    let mut whys = Vec::with_capacity(tree.nodes.len());
    for (depth, why) in in_order(&tree.nodes) {
        whys.push(WhyView {
            number: why.number.clone(),
            depth: depth.min(DEPTH_SHOWN_MAX),
            parent: why.parent.clone(),
            question: why.question.clone(),
            answer: why.answer.clone(),
            evidence: why.evidence.clone(),
            standing: standing(why.standing),
            is_supposed: why.hypothesis,
            has_children: tree.nodes.iter().any(|other| other.parent.as_deref() == Some(&why.number)),
            dead_end: ends.get(&why.number).copied(),
        });
    }
    Ok(WhysPage {
        frame: Frame::new(format!("Five whys of {id}"), "postmortems"),
        id,
        base: document.content_hash(),
        said: None,
        numbers: tree.nodes.iter().map(|why| why.number.clone()).collect(),
        faults: tree.faults,
        whys,
    })
}

/// Each why after the one that it follows from, with its depth; what hangs on nothing, or in a circle, comes last.
fn in_order(nodes: &[Why]) -> Vec<(usize, &Why)> {
    let mut left: Vec<Option<&Why>> = nodes.iter().map(Some).collect();
    let mut found = Vec::with_capacity(nodes.len());
    let mut stack: Vec<(usize, usize)> = Vec::new();
    let is_root = |why: &Why| why.parent.is_none();
    stack.extend((0..nodes.len()).rev().filter(|index| is_root(&nodes[*index])).map(|index| (0, index)));
    while let Some((depth, index)) = stack.pop() {
        let Some(why) = left[index].take() else { continue };
        found.push((depth, why));
        let follows = |other: &usize| nodes[*other].parent.as_deref() == Some(why.number.as_str());
        stack.extend((0..nodes.len()).rev().filter(follows).map(|index| (depth + 1, index)));
    }
    found.extend(left.into_iter().flatten().map(|why| (0, why)));
    found
}

fn standing(standing: Standing) -> Option<(&'static str, &'static str)> {
    match standing {
        Standing::Stated => None,
        Standing::Supposed => Some(("unknown", "hypothesis")),
        Standing::Confirmed => Some(("ok", "confirmed")),
        Standing::Refuted => Some(("bad", "refuted")),
    }
}

/// What one button does; which fields count depends on it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WhysForm {
    author: String,
    base: String,
    /// `add`, `answer`, `confirm`, `refute`, `move` or `delete`.
    #[serde(rename = "do")]
    what: String,
    number: String,
    question: String,
    answer: String,
    /// Ids such as `E1`, with anything between them.
    evidence: String,
    hypothesis: Option<String>,
    under: String,
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    Form(form): Form<WhysForm>,
) -> Result<Response<Body>, PageError> {
    let author = super::author(&form.author)?;
    let (path, _) = super::find(&app, &id, clearance).await?;
    let detail = json!({"do": form.what, "why": form.number, "under": form.under, "from": form.base});
    let hash = super::in_background(move || {
        edit(&path, Some(&form.base), |document| form.apply(document)).map(|saved| saved.content_hash())
    })
    .await?;
    let mut detail = detail;
    detail["hash"] = json!(hash);
    super::audit(&app, author, "postmortem.whys", &id, &detail).await?;
    Ok(see_other(&format!("/postmortems/{id}/whys?done=changed")))
}

impl WhysForm {
    fn apply(&self, document: &Document) -> Result<Document, Error> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let cited: Vec<String> = self
            .evidence
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect();
        match self.what.as_str() {
            "add" => {
                let (under, answer) = (given(&self.number), given(&self.answer));
                document.with_why(under.as_deref(), &self.question, answer.as_deref()).map(|(next, _)| next)
            }
            "answer" => document.with_answer(&self.number, &self.answer, &cited, self.hypothesis.is_some()),
            "confirm" | "refute" => document.with_judgement(&self.number, self.what == "confirm", &cited),
            "move" => document.with_why_moved(&self.number, self.under.trim()),
            "delete" => document.without_why(&self.number, false),
            _ => Err(Error::Whys { message: "no button of the page was pressed".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whys_stand_below_what_they_follow_from_and_none_is_lost() {
        let text = "---\nschema: hindsight/postmortem/v1\nid: PM-2026-001\nincidents: [INC-7]\ntitle: t\nstatus: draft\n\
             severity: SEV2\ntimezone: UTC\n---\n## Five whys\n1.1. Why a? → b\n1.2. Why b? → c\n2.1. Why late? → d\n\
             1.3. Why d? (from 1.1) → e\n";
        let document = Document::parse(text, FilePath::new("PM-2026-001")).unwrap();
        let tree = document.whys();
        let order: Vec<(usize, &str)> =
            in_order(&tree.nodes).into_iter().map(|(depth, why)| (depth, why.number.as_str())).collect();
        assert_eq!(order, [(0, "1.1"), (1, "1.2"), (1, "1.3"), (0, "2.1")]);
        let circle = |number: &str, parent: &str| Why {
            number: number.to_owned(),
            parent: Some(parent.to_owned()),
            ..tree.nodes[0].clone()
        };
        assert_eq!(in_order(&[circle("1.1", "1.2"), circle("1.2", "1.1")]).len(), 2, "a circle is shown too");
    }
}
