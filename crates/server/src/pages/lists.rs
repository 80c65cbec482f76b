//! `/incidents` and `/postmortems`: everything there is, newest first.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use hindsight_model::{Clearance, Tenant};
use hindsight_postmortem::PostmortemRow;
use hindsight_postmortem::document::Status;

use super::frame::{Frame, PageError, html};
use crate::app::App;

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    heading: &'static str,
    empty: &'static str,
    /// Heading of the last column.
    last: &'static str,
    rows: Vec<ListRow>,
    /// Whether the page has the form by which a person declares an incident.
    can_declare: bool,
}

struct ListRow {
    link: String,
    id: String,
    severity: String,
    status: String,
    class: &'static str,
    title: String,
    when: String,
}

pub(crate) async fn incidents(State(app): State<Arc<App>>) -> Result<Response<Body>, PageError> {
    let mut incidents = app.state.incidents(&Tenant::default()).await?;
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.opened_at));
    let rows = incidents
        .into_iter()
        .map(|incident| ListRow {
            link: format!("/incidents/{}", incident.id),
            id: incident.id.to_string(),
            severity: incident.severity.to_string(),
            status: incident.status.to_string(),
            class: if incident.status.is_live() { "bad" } else { "ok" },
            title: incident.title,
            when: incident.opened_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        })
        .collect();
    Ok(html(&ListPage {
        frame: Frame::new("Incidents", "incidents"),
        heading: "Incidents",
        empty: "No incidents. One opens when a rule with an `incident:` block fires, or by `hindsight incident declare`.",
        last: "Opened",
        rows,
        can_declare: true,
    }))
}

pub(crate) async fn postmortems(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
) -> Result<Response<Body>, PageError> {
    let mut listed = listed(&app, clearance).await?;
    listed.sort_by(|a, b| b.document.front.id.cmp(&a.document.front.id));
    let rows = listed
        .iter()
        .map(|row| &row.document.front)
        .map(|front| ListRow {
            link: format!("/postmortems/{}", front.id),
            severity: front.severity.to_string(),
            class: if front.status == Status::Draft { "warn" } else { "ok" },
            status: front.status.as_str().to_owned(),
            title: front.title.clone(),
            when: front.incidents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            id: front.id.clone(),
        })
        .collect();
    Ok(html(&ListPage {
        frame: Frame::new("Post-mortems", "postmortems"),
        heading: "Post-mortems",
        empty: "No post-mortems in this workspace. Write a first draft with `hindsight postmortem draft INC-1`.",
        last: "Incidents",
        rows,
        can_declare: false,
    }))
}

/// The workspace's post-mortems that a reader may see; reading them leaves the I/O threads.
pub(crate) async fn listed(app: &App, clearance: Clearance) -> Result<Vec<PostmortemRow>, PageError> {
    let library = Arc::clone(&app.library);
    let listed = tokio::task::spawn_blocking(move || library.list(&Tenant::default(), clearance)).await;
    listed.map_err(|error| PageError::internal(&error))?.map_err(|error| PageError::internal(&error))
}
