use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{Response, StatusCode, header};

const SCRIPT: &str = include_str!("../../../../templates/keys.js");
const EDIT: &str = include_str!("../../../../templates/edit.js");
const PAGES: &str = include_str!("../../../../templates/pages.css");

/// The tokens and charts that the report has too, then what only pages need.
static STYLE: LazyLock<String> = LazyLock::new(|| {
    let shared = hindsight_postmortem::chart::stylesheet();
    format!("{shared}\n{}\n{PAGES}", hindsight_postmortem::report_stylesheet())
});

pub(crate) async fn serve(Path(name): Path<String>) -> Response<Body> {
    let (kind, text) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE.as_str()),
        "keys.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "edit.js" => ("text/javascript; charset=utf-8", EDIT),
        _ => {
            let mut missing = Response::new(Body::from("no such file\n"));
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return missing;
        }
    };
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "public, max-age=300")
        .body(Body::from(text))
        .expect("fixed headers and text make a response")
}
