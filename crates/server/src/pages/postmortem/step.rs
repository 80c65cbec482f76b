//! A document's next status, from a page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use axum::{Extension, Form};
use hindsight_model::Clearance;
use hindsight_postmortem::document::Status;
use hindsight_postmortem::evidence::EvidenceSet;
use hindsight_postmortem::{Obstacle, Refusal, Step, edit, transition};
use serde::Deserialize;
use serde_json::json;

use super::super::frame::{PageError, see_other};
use crate::app::App;

/// What stands in a step's way is told up to this many.
const OBSTACLES_SHOWN: usize = 5;

#[derive(Debug, Deserialize)]
pub(super) struct StepForm {
    author: String,
    /// Hash of the text that the person saw.
    base: String,
    to: Status,
    /// Why; a step back needs it.
    #[serde(default)]
    reason: String,
}

pub(super) async fn take(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path(id): Path<String>,
    Form(form): Form<StepForm>,
) -> Result<Response<Body>, PageError> {
    let author = super::author(&form.author)?;
    let (path, knowledge) = super::find(&app, &id, clearance).await?;
    let (by, now) = (author.clone(), app.clock.now());
    let StepForm { base, to, reason, .. } = form;
    let (from, why) = (base.clone(), reason.clone());
    let done = super::in_background(move || {
        let evidence = EvidenceSet::read(path.parent().unwrap_or(&path))?;
        let mut refused: Option<Refusal> = None;
        let document = edit(&path, Some(&base), |document| {
            let step = Step { to, by: &by, reason: Some(&reason), now };
            Ok(match transition(document, &evidence, &knowledge, step, &path)? {
                Ok(moved) => moved.document,
                Err(refusal) => {
                    refused = Some(refusal);
                    document.clone()
                }
            })
        })?;
        Ok(refused.map_or_else(|| Ok(document.content_hash()), Err))
    })
    .await?;
    let hash = done.map_err(|refusal| words(&refusal))?;
    let detail = json!({"status": to.as_str(), "reason": why, "from": from, "hash": hash});
    super::audit(&app, author, "postmortem.step", &id, &detail).await?;
    Ok(see_other(&format!("/postmortems/{id}?done=step")))
}

fn words(refusal: &Refusal) -> PageError {
    let told = refusal.obstacles.iter().take(OBSTACLES_SHOWN).map(|obstacle| match obstacle {
        Obstacle::Needs(what) => what.clone(),
        Obstacle::Rule(finding) => format!("{} in line {}: {}", finding.rule, finding.line, finding.message),
    });
    let mut told: Vec<String> = told.collect();
    if refusal.obstacles.len() > OBSTACLES_SHOWN {
        told.push(format!("{} more", refusal.obstacles.len() - OBSTACLES_SHOWN));
    }
    PageError::bad_request(format!("The step to {} was not taken: {}.", refusal.to.as_str(), told.join("; ")))
        .with_hint("Nothing was changed. The document's page lists all that is in the way.")
}
