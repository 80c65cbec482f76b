//! One bearer token for every port (SEC-1). Exporters send it as `Authorization: Bearer …`; a browser asks for it
//! as the password of HTTP Basic, with any user name.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, header};
use axum::middleware::Next;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hindsight_otlp::Encoding;
use sha2::{Digest, Sha256};

use crate::TokenSetting;
use crate::fault::Fault;

/// Which of the three ports a request came in by; the refusal speaks its language.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Surface {
    Grpc,
    Http,
    Web,
}

/// Lets a request through when no token is set or the right one was sent.
pub(crate) async fn require_token(
    token: Option<TokenSetting>,
    surface: Surface,
    request: Request,
    next: Next,
) -> Response<Body> {
    let open = matches!(surface, Surface::Web) && matches!(request.uri().path(), "/livez" | "/readyz");
    let allowed = match &token {
        None => true,
        Some(token) => sent_token(request.headers()).is_some_and(|sent| same(&sent, token.expose())),
    };
    if allowed || open {
        return next.run(request).await;
    }
    let fault = Fault::unauthenticated("a token is needed: send `Authorization: Bearer TOKEN`");
    match surface {
        Surface::Grpc => fault.to_grpc().into_http(),
        Surface::Http | Surface::Web => fault.to_http(Encoding::Json),
    }
}

fn sent_token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares digests, so that the time taken tells nothing about the token.
fn same(sent: &str, wanted: &str) -> bool {
    Sha256::digest(sent) == Sha256::digest(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        sent_token(&headers)
    }

    #[test]
    fn bearer_and_basic_carry_the_same_token() {
        assert_eq!(sent("Bearer abc"), Some("abc".into()));
        assert_eq!(sent(&format!("Basic {}", BASE64.encode("me:abc"))), Some("abc".into()));
        assert_eq!(sent("Digest abc"), None);
        assert!(same("abc", "abc") && !same("abc", "abd"));
    }
}
