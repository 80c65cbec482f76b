//! What the forms of an incident's page send; each makes the call that the API has for it.

use std::sync::Arc;

use axum::Form;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use hindsight_incidents::{Declaration, ImportOptions, import, said};
use hindsight_model::{IncidentId, TimelineEdit, TimelineKind, TimelineState};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::frame::{PageError, see_other};
use crate::api::ApiError;
use crate::api::incident_changes::{ChangeCall, apply, refused};
use crate::api::timeline::edit_row;
use crate::app::App;

type Page = Result<Response<Body>, PageError>;

#[derive(Debug, Deserialize)]
pub(crate) struct DeclareForm {
    author: String,
    title: String,
    severity: String,
    #[serde(default)]
    services: String,
}

pub(crate) async fn declare(State(app): State<Arc<App>>, Form(form): Form<DeclareForm>) -> Page {
    let wrong = |problem: String| PageError::bad_request(format!("Nothing was declared: {problem}."));
    let services = form.services.split(',').map(str::trim).filter(|name| !name.is_empty());
    let declaration = Declaration {
        title: form.title,
        severity: form.severity.parse().map_err(wrong)?,
        services: services.map(str::to_owned).collect(),
        at: app.clock.now(),
        author: form.author,
    };
    let incident = app.declare(declaration).await.map_err(refused).map_err(PageError::from_api)?;
    Ok(see_other(&format!("/incidents/{}", incident.id)))
}

/// A step of the incident's life; which fields are filled in depends on the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChangeForm {
    author: String,
    change: String,
    at: String,
    text: String,
    reason: String,
    severity: String,
    role: String,
    person: String,
    milestone: String,
    without_postmortem: String,
    into: String,
}

pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(form): Form<ChangeForm>,
) -> Page {
    let id = incident(&id)?;
    let call = ChangeCall {
        author: form.author,
        change: form.change,
        at: time(&form.at)?,
        text: given(form.text),
        reason: given(form.reason),
        severity: given(form.severity),
        role: given(form.role),
        person: given(form.person),
        milestone: given(form.milestone),
        without_postmortem: given(form.without_postmortem),
        into: given(form.into),
    };
    apply(&app, id, call).await.map_err(PageError::from_api)?;
    Ok(see_other(&format!("/incidents/{id}#respond")))
}

/// One button of many: the row that it names is accepted, dismissed or suggested again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JudgeForm {
    author: String,
    accept: Option<u64>,
    dismiss: Option<u64>,
    suggest: Option<u64>,
}

pub(crate) async fn judge(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(form): Form<JudgeForm>,
) -> Page {
    let id = incident(&id)?;
    let pressed = [
        (form.accept, TimelineState::Accepted),
        (form.dismiss, TimelineState::Dismissed),
        (form.suggest, TimelineState::Suggested),
    ];
    let pressed = pressed.into_iter().find_map(|(row, state)| Some((row?, state)));
    let (row, state) = pressed.ok_or_else(|| PageError::bad_request("No row was chosen."))?;
    let edit = TimelineEdit { id: row, author: form.author, state: Some(state), at: None, text: None };
    edit_row(&app, id, edit).await.map_err(PageError::from_api)?;
    Ok(see_other(&format!("/incidents/{id}#row-{row}")))
}

#[derive(Debug, Deserialize)]
pub(crate) struct EditForm {
    author: String,
    #[serde(default)]
    at: String,
    text: String,
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Path((id, row)): Path<(String, u64)>,
    Form(form): Form<EditForm>,
) -> Page {
    let id = incident(&id)?;
    let at = time(&form.at)?;
    let edit = TimelineEdit { id: row, author: form.author, state: None, at, text: given(form.text) };
    edit_row(&app, id, edit).await.map_err(PageError::from_api)?;
    Ok(see_other(&format!("/incidents/{id}#row-{row}")))
}

#[derive(Debug, Deserialize)]
pub(crate) struct AddForm {
    author: String,
    #[serde(default)]
    at: String,
    text: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    service: String,
}

pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(form): Form<AddForm>,
) -> Page {
    let id = incident(&id)?;
    let kind = given(form.kind).map_or(Ok(TimelineKind::Note), |kind| kind.parse());
    let kind = kind.map_err(|error| PageError::bad_request(format!("Nothing was added: {error}.")))?;
    let at = time(&form.at)?.unwrap_or_else(|| app.clock.now());
    let mut row = said(at, kind, form.text, &form.author);
    row.row.service = given(form.service);
    let added = app.add_rows(id, vec![row], &form.author, "timeline.add").await;
    added.map_err(refused).map_err(PageError::from_api)?;
    Ok(see_other(&format!("/incidents/{id}#timeline")))
}

#[derive(Debug, Deserialize)]
pub(crate) struct ImportForm {
    author: String,
    text: String,
    #[serde(default)]
    timezone: String,
}

pub(crate) async fn import_rows(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(form): Form<ImportForm>,
) -> Page {
    let id = incident(&id)?;
    let wrong = |problem: String| PageError::bad_request(format!("Nothing was imported: {problem}."));
    let name = if form.timezone.trim().is_empty() { "UTC" } else { form.timezone.trim() };
    let zone = TimeZone::get(name).map_err(|_| wrong(format!("`{name}` is no time zone")))?;
    let options = ImportOptions { format: None, zone, role: "responder".to_owned() };
    let rows = import(&form.text, &options).map_err(|error| wrong(error.to_string()))?;
    let added = app.add_rows(id, rows, &form.author, "timeline.import").await;
    added.map_err(refused).map_err(PageError::from_api)?;
    Ok(see_other(&format!("/incidents/{id}#timeline")))
}

fn incident(id: &str) -> Result<IncidentId, PageError> {
    let hint = "The list of incidents has every id.";
    id.parse().map_err(|error| PageError::not_found(format!("{error}."), hint))
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.trim().is_empty())
}

/// `2026-05-04 14:32` in UTC, or with a zone of its own; nothing for an empty field.
fn time(text: &str) -> Result<Option<Timestamp>, PageError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let local = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    match text.parse::<Timestamp>().ok().or_else(local) {
        Some(at) => Ok(Some(at)),
        None => Err(PageError::from_api(ApiError::bad_request(
            format!("`{text}` is no time; write it like 2026-05-04 14:32, in UTC"),
            "",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc_and_an_empty_field_is_none() {
        let read = |text: &str| time(text).unwrap().map(|at| at.to_string());
        assert_eq!(read(" "), None);
        assert_eq!(read("2026-05-04 14:32").as_deref(), Some("2026-05-04T14:32:00Z"));
        assert_eq!(read("2026-05-04T14:32").as_deref(), Some("2026-05-04T14:32:00Z"));
        assert_eq!(read("2026-05-04T14:32:10+02:00").as_deref(), Some("2026-05-04T12:32:10Z"));
        assert!(time("yesterday").is_err());
    }
}
