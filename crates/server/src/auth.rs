//! A bearer token for every port (SEC-1). Exporters send it as `Authorization: Bearer …`; a browser asks for it
//! as the password of HTTP Basic, with any user name.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hindsight_model::Clearance;

use crate::access::Access;
use crate::api::ApiError;
use crate::fault::{BASIC, Fault};
use crate::otlp_http::refusal_encoding;

/// Arrow's Go clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which of the three ports a request came in by; the refusal speaks its language.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Surface {
    Grpc,
    Http,
    Web,
}

/// Lets a request through when no token is set or a right one was sent, and tells handlers by a [`Clearance`] what
/// its sender may see.
pub(crate) async fn require_token(
    access: Access,
    surface: Surface,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let open = match surface {
        Surface::Web => matches!(request.uri().path(), "/livez" | "/readyz"),
        // A browser asks before it sends, and cannot send the token with that; the CORS layer answers all of these.
        Surface::Http => request.method() == Method::OPTIONS,
        Surface::Grpc => false,
    };
    let admitted = access.admit(sent_token(request.headers()).as_deref());
    if let Some(clearance) = admitted.or(open.then_some(Clearance::Everyone)) {
        request.extensions_mut().insert(clearance);
        return next.run(request).await;
    }
    let fault = Fault::unauthenticated("a token is needed: send `Authorization: Bearer TOKEN`");
    match surface {
        Surface::Grpc => fault.to_grpc().into_http(),
        Surface::Http => fault.to_http(refusal_encoding(request.headers())),
        Surface::Web => unauthenticated().into_response(),
    }
}

/// The refusal of the web port: JSON as all of its refusals, with the header that makes a browser ask for the token.
fn unauthenticated() -> impl IntoResponse {
    let hint = "send `Authorization: Bearer TOKEN`; a browser asks for it as the password of any user";
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a token is needed", hint);
    ([(header::WWW_AUTHENTICATE, BASIC)], error)
}

/// The token that came with a request, as a bearer or as the password of any user.
pub(crate) fn sent_token(headers: &HeaderMap) -> Option<String> {
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
        assert!(BASE64.encode("me:abcd").ends_with('='));
        assert_eq!(
            sent(&format!("Basic {}", BASE64.encode("me:abcd").trim_end_matches('='))),
            Some("abcd".into())
        );
        assert_eq!(sent("Digest abc"), None);
    }
}
