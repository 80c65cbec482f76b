//! A page on another site must not act through a visitor's browser: requests that change something, or run
//! something, come from our own pages or from no page at all.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::api::ApiError;

/// Refuses requests other than reads whose `Origin` is another site's; browsers cannot leave that header out.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || is_ours(request.headers()) {
        return next.run(request).await;
    }
    ApiError::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "a page on another site may not call this API",
        "call it from these pages, or without a browser",
    )
    .into_response()
}

fn is_ours(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        is_ours(&headers)
    }

    #[test]
    fn another_sites_page_is_refused_and_a_program_is_not() {
        assert!(ours(None, "127.0.0.1:4320"));
        assert!(ours(Some("http://127.0.0.1:4320"), "127.0.0.1:4320"));
        assert!(!ours(Some("https://evil.example"), "127.0.0.1:4320"));
        assert!(!ours(Some("null"), "127.0.0.1:4320"));
    }
}
