//! `/postmortems/{id}`: the report as `postmortem render` writes it, made fresh from the files, in a page's frame.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;

use super::frame::{Frame, PageError, html};
use super::lists::listed;
use crate::app::App;

#[derive(Template)]
#[template(path = "postmortem.html")]
struct PostmortemPage {
    frame: Frame,
    article: String,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response<Body>, PageError> {
    let listed = listed(app.config.workspace.value.clone()).await?;
    let Some(row) = listed.into_iter().find(|row| row.document.front.id == id) else {
        let id: String = id.chars().take(60).collect();
        let message = format!("There is no post-mortem {id} in this workspace.");
        return Err(PageError::not_found(message, "The list of post-mortems has every id."));
    };
    let rendered = tokio::task::spawn_blocking(move || hindsight_postmortem::render_article(&row.path)).await;
    let rendered = rendered.map_err(|error| PageError::internal(&error))?;
    let article = rendered.map_err(|error| PageError::internal(&error))?;
    Ok(html(&PostmortemPage { frame: Frame::new(id, "postmortems"), article }))
}
