//! `Idempotency-Key`: the same key and body give the stored answer, the same key with another body gives 422.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use hindsight_model::Tenant;
use hindsight_state::Begin;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ApiError;
use crate::app::App;

use hindsight_state::IDEMPOTENCY_KEY_BYTES_MAX as KEY_BYTES_MAX;

/// Runs `action` once per key and answers 201 with its JSON; without a key it just runs.
pub(crate) async fn once<F>(
    app: &App,
    headers: &HeaderMap,
    call: &str,
    body: &[u8],
    action: F,
) -> Result<Response<Body>, ApiError>
where
    F: Future<Output = Result<Value, ApiError>> + Send,
{
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(created(&action.await?.to_string()));
    };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let Some(key) = key else {
        let hint = "send 1 to 255 visible ASCII characters, for example a UUID";
        return Err(ApiError::bad_request("the Idempotency-Key is not usable", hint));
    };
    let tenant = Tenant::default();
    let hash = hex::encode(Sha256::digest([call.as_bytes(), b"\n", body].concat()));
    match app.state.idempotent_begin(&tenant, key, &hash, app.clock.now()).await? {
        Begin::Done(answer) => Ok(created(&answer)),
        Begin::Conflict => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_conflict",
            "this Idempotency-Key was used with another body",
            "use a new key for a new request",
        )),
        Begin::Running => Err(ApiError::new(
            StatusCode::CONFLICT,
            "idempotency_running",
            "the same call is being carried out right now",
            "ask again in a moment with the same key",
        )),
        Begin::New => {
            let done = action.await.map(|answer| answer.to_string());
            // A call that failed frees its key, so that the caller may mend what is wrong and use it again.
            app.state.idempotent_finish(&tenant, key, done.as_deref().ok()).await?;
            done.map(|answer| created(&answer))
        }
    }
}

fn created(json: &str) -> Response<Body> {
    Response::builder()
        .status(StatusCode::CREATED)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json.to_owned()))
        .expect("a status, a fixed header and JSON make a response")
}
