//! Action items: verified on demand, and what people say of them beside their documents.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use axum::{Extension, Json};
use hindsight_model::{ActionKey, Clearance};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::idempotency::once;
use super::incidents::parse;
use crate::actions::{Verified, Which, Words, say, verify};
use crate::app::App;

const VERIFY_HINT: &str = r#"send {} for all of them, or {"id": "PM-2026-014/A1"}"#;
const SAY_HINT: &str = r#"send {"author": "dana.k", "status": "in_progress"}; of what will not be done also "reason" and "approver""#;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VerifyCall {
    id: Option<String>,
}

/// `POST /api/v1/action-items/verify`: looks now; asking again looks again.
pub(crate) async fn verify_now(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let call: VerifyCall = if body.is_empty() { VerifyCall::default() } else { parse(&body, VERIFY_HINT)? };
    let which = match call.id {
        Some(id) => Which::One(id.parse().map_err(|error| ApiError::bad_request(error, VERIFY_HINT))?),
        None => Which::All,
    };
    let verified = verify(&app, which, clearance).await?;
    Ok(Json(json!({"verified": verified.iter().map(shown).collect::<Vec<_>>()})))
}

fn shown(verified: &Verified) -> Value {
    let check = &verified.check;
    json!({
        "id": verified.key.to_string(),
        "action": verified.action,
        "status": verified.status.as_str(),
        "verify": check.verify,
        "outcome": check.outcome,
        "evidence": check.evidence,
        "checked_at": check.checked_at,
        "verified_at": check.verified_at,
        "reopened_at": check.reopened_at,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SayCall {
    author: String,
    status: String,
    reason: Option<String>,
    approver: Option<String>,
}

/// `POST /api/v1/action-items/{postmortem}/{item}`.
pub(crate) async fn say_of(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path((postmortem, item)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let key = ActionKey { postmortem, item };
    let SayCall { author, status, reason, approver } = parse(&body, SAY_HINT)?;
    once(&app, &headers, &format!("action {key}"), &body, async {
        let status = say(&app, &key, Words { author, status, reason, approver }, clearance).await?;
        Ok(json!({"id": key.to_string(), "status": status.as_str()}))
    })
    .await
}
