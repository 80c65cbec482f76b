//! What every page shares: rail, time range, errors with a way onward.

use askama::Template;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource as _, SqlValue};
use uuid::Uuid;

use super::range::{CHOICES, Range};
use crate::api::ApiError;
use crate::app::App;
use crate::capsule::{CapsuleView, served};
use crate::fault::chain;

/// Scripts and styles come from this server alone, and nothing may frame its pages.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; \
     img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The parts around a page's content.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    /// Which rail entry is the present one.
    pub(crate) here: &'static str,
    /// The path that the range picker sends to; empty for pages without a range.
    pub(crate) range_path: String,
    pub(crate) range_words: String,
    pub(crate) choices: Vec<Choice>,
    /// What the picker keeps of the address beside the range: names and values.
    pub(crate) kept: Vec<(&'static str, String)>,
}

/// One entry of the range picker.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) words: &'static str,
    pub(crate) chosen: bool,
}

impl Frame {
    pub(crate) fn new(title: impl Into<String>, here: &'static str) -> Self {
        let title = title.into();
        Self {
            title,
            here,
            range_path: String::new(),
            range_words: String::new(),
            choices: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// The capsule that is served, if this is no ordinary server.
    pub(crate) fn capsule(&self) -> Option<std::sync::Arc<CapsuleView>> {
        served()
    }

    /// Whether the range is one of the picker's.
    pub(crate) fn is_choice(&self) -> bool {
        self.choices.iter().any(|choice| choice.chosen)
    }

    #[must_use]
    pub(crate) fn with_range(mut self, path: impl Into<String>, range: &Range) -> Self {
        self.range_path = path.into();
        self.range_words = range.words();
        self.choices = CHOICES
            .iter()
            .map(|(value, words)| Choice { value, words, chosen: range.choice.as_deref() == Some(value) })
            .collect();
        if let Some(zone) = range.tz.iana_name().filter(|name| *name != "UTC") {
            self.kept.push(("tz", zone.to_owned()));
        }
        self
    }

    /// Keeps one more part of the address when another range is picked.
    #[must_use]
    pub(crate) fn keeping(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.kept.extend(value.map(|value| (name, value.to_owned())));
        self
    }
}

/// A page that could not be shown.
#[derive(Debug)]
pub(crate) struct PageError {
    status: StatusCode,
    message: String,
    hint: String,
}

impl PageError {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            message,
            "Go back and change the address, or start from the home page.",
        )
    }

    pub(crate) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message, hint)
    }

    pub(crate) fn forbidden(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message, hint)
    }

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = chain(error), "page failed");
        let hint = "The server's log has the cause under this request id. Try again in a moment.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made.", hint)
    }

    /// The same refusal with another way onward.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// What the API would have refused, said on a page.
    pub(crate) fn from_api(error: ApiError) -> Self {
        let mut message = error.message;
        if let Some(first) = message.get(..1) {
            message.replace_range(..1, &first.to_uppercase());
        }
        Self::new(error.status, format!("{message}."), "Go back: the form still holds what you wrote.")
    }

    fn new(status: StatusCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: hint.into() }
    }
}

impl From<hindsight_state::Error> for PageError {
    fn from(error: hindsight_state::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<SqlError> for PageError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Limit { message, .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message, "Choose a shorter time range.")
            }
            other => Self::internal(&other),
        }
    }
}

impl axum::response::IntoResponse for PageError {
    fn into_response(self) -> Response<Body> {
        let request_id = Uuid::new_v4().to_string();
        tracing::debug!(request_id, status = self.status.as_u16(), message = self.message, "page refused");
        let page = ErrorPage {
            frame: Frame::new("Not shown", ""),
            message: self.message,
            hint: self.hint,
            request_id,
        };
        let mut response = html(&page);
        *response.status_mut() = self.status;
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    message: String,
    hint: String,
    request_id: String,
}

/// Nothing is here: a kind sentence and a way onward, as JSON for API callers.
pub(crate) async fn not_found(request: axum::extract::Request) -> Response<Body> {
    use axum::response::IntoResponse as _;
    let path: String = request.uri().path().chars().take(120).collect();
    if path.starts_with("/api/") {
        let hint = "GET /api/v1/status answers; DESIGN §8 lists the rest";
        return ApiError::not_found(format!("there is no {path}"), hint).into_response();
    }
    PageError::not_found(format!("There is no page {path}."), "Start from the home page.").into_response()
}

/// A rendered page.
pub(crate) fn html(page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(text) => html_text(text),
        Err(error) => {
            tracing::error!(%error, "template failed");
            let mut response =
                html_text("This page could not be made; the server's log says why.".to_owned());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// HTML text with the headers that every page has.
pub(crate) fn html_text(text: String) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "same-origin")
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(text))
        .expect("fixed headers and text make a response")
}

/// The rows of a query over a page's range.
pub(crate) async fn rows(app: &App, sql: &str, range: &Range) -> Result<Vec<Vec<SqlValue>>, PageError> {
    let request = SqlRequest::new(sql).param("from", range.from).param("to", range.to);
    let answer: SqlAnswer = app.query.sql(request).await?;
    answer.rows().map_err(|error| PageError::internal(&error))
}

/// See-other to an address of ours: after a form was sent, and for addresses that have moved.
pub(crate) fn see_other(address: &str) -> Response<Body> {
    let location = axum::http::HeaderValue::from_str(address);
    let location = location.unwrap_or_else(|_| axum::http::HeaderValue::from_static("/"));
    let mut response = html_text(String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The address of `/sql` with this query and range: the door behind a number.
pub(crate) fn sql_link(sql: &str, range: &Range) -> String {
    let query: String = url::form_urlencoded::byte_serialize(sql.as_bytes()).collect();
    format!("/sql?q={query}&{}", range.fixed())
}
