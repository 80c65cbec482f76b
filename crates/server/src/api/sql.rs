//! `POST /api/v1/sql`: a query with named parameters, answered in the format that `Accept` asks for
//! (`docs/sql-over-http.md`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::{Extension, Json};
use hindsight_model::{Clearance, SqlParam, SqlRequest, Tenant};
use hindsight_query::output::Format;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::sql_answer::{Wish, answer};
use crate::app::App;
use crate::pressure::Exchange;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    timeout_ms: Option<u64>,
    rows_max: Option<usize>,
    #[serde(default)]
    partial: bool,
}

pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    exchange: Option<Extension<Exchange>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let format = wanted_format(&headers)?;
    let question: Question = serde_json::from_slice(&body).map_err(|error| {
        let hint = r#"send {"sql": "SELECT …", "params": {"name": value}, "timeout_ms": 10000}"#;
        ApiError::bad_request(format!("the body is not a question: {error}"), hint)
    })?;
    let mut request = SqlRequest::new(question.sql).tenant(Tenant::default()).clearance(clearance);
    request.timeout = question.timeout_ms.map(Duration::from_millis);
    for (name, value) in &question.params {
        request = request.param(name.clone(), param(name, value)?);
    }
    let wish = Wish { format, rows_max: question.rows_max, partial: question.partial };
    answer(&app.query, request, wish, exchange.map(|Extension(exchange)| exchange)).await
}

pub(crate) async fn running(State(app): State<Arc<App>>) -> Json<Value> {
    let queries: Vec<Value> = app
        .query
        .running()
        .into_iter()
        .map(|query| {
            json!({
                "id": query.id,
                "sql": query.sql,
                "started_at": query.started.to_string(),
                "elapsed_ms": u64::try_from(query.stats.elapsed.as_millis()).unwrap_or(u64::MAX),
                "rows_scanned": query.stats.rows_scanned,
                "bytes_scanned": query.stats.bytes_scanned,
                "memory_peak_bytes": query.stats.memory_peak_bytes,
            })
        })
        .collect();
    Json(json!({"queries": queries}))
}

pub(crate) async fn cancel(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result<StatusCode, ApiError> {
    if app.query.cancel(id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!("no query {id} is running"), "GET /api/v1/queries lists those that are"))
}

/// A JSON value as a parameter; a text that reads as an RFC 3339 instant is one, so that
/// `timestamp >= $from` works from JSON.
fn param(name: &str, value: &Value) -> Result<SqlParam, ApiError> {
    Ok(match value {
        Value::Null => SqlParam::Null,
        Value::Bool(flag) => SqlParam::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => SqlParam::Int(int),
            (None, Some(double)) => SqlParam::Double(double),
            _ => return Err(ApiError::bad_request(format!("parameter `{name}` is out of range"), "")),
        },
        Value::String(text) => {
            text.parse::<jiff::Timestamp>().map_or_else(|_| SqlParam::Text(text.clone()), SqlParam::Time)
        }
        Value::Array(_) | Value::Object(_) => {
            let hint = "give text, a number, true, false or null";
            return Err(ApiError::bad_request(format!("parameter `{name}` is not a single value"), hint));
        }
    })
}

fn wanted_format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    for wanted in accept.split(',').map(|item| item.split(';').next().unwrap_or("").trim()) {
        match wanted {
            "application/json" | "application/*" | "*/*" | "" => return Ok(Format::Json),
            "text/csv" => return Ok(Format::Csv),
            "application/vnd.apache.arrow.stream" => return Ok(Format::Arrow),
            "application/x-ndjson" => return Ok(Format::NdJson),
            _ => {}
        }
    }
    Err(ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "not_acceptable",
        "none of the formats in `Accept` can be given",
        "ask for application/json, text/csv, application/x-ndjson or application/vnd.apache.arrow.stream",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_format() {
        for (accept, expected) in [
            ("*/*", Format::Json),
            ("text/csv", Format::Csv),
            ("text/html, application/x-ndjson;q=0.9", Format::NdJson),
            ("application/vnd.apache.arrow.stream", Format::Arrow),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wanted_format(&headers).unwrap(), expected, "{accept}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, "image/png".parse().unwrap());
        assert!(wanted_format(&headers).is_err());
    }

    #[test]
    fn instants_in_parameters_are_times() {
        let at = param("from", &json!("2026-05-04T21:32:00Z")).unwrap();
        assert!(matches!(at, SqlParam::Time(_)));
        assert_eq!(param("s", &json!("checkout")).unwrap(), SqlParam::Text("checkout".into()));
        assert!(param("x", &json!([1])).is_err());
    }
}
