//! Traces for Jaeger UI and Grafana: the read API of Jaeger's query service, as its UI calls it
//! (`/api/services`, `/api/operations`, `/api/traces`, `/api/dependencies`), below `/jaeger`.

mod find;
mod trace;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::concat_batches;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hindsight_model::{
    SqlAnswer, SqlRequest, SqlSource as _, SqlValue, Table, Tenant, timestamp_from_micros,
};
use hindsight_otlp::{Request, to_requests};
use serde_json::{Value, json};

use self::find::Find;
use crate::api::ApiError;
use crate::app::App;

/// Names that one answer lists at most.
const NAMES_MAX: usize = 10_000;
/// Spans of one answer at most: more than a page can show.
const SPANS_MAX: usize = 100_000;
/// How far back the lists of names look when the caller does not say.
const LOOKBACK_HOURS: i64 = 48;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/jaeger/api/services", get(services))
        .route("/jaeger/api/services/{service}/operations", get(operation_names))
        .route("/jaeger/api/operations", get(operations))
        .route("/jaeger/api/traces", get(search))
        .route("/jaeger/api/traces/{id}", get(trace))
        .route("/jaeger/api/dependencies", get(dependencies))
}

/// A refusal in Jaeger's shape.
pub(crate) struct JaegerError {
    status: StatusCode,
    message: String,
}

impl JaegerError {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
}

impl<E: Into<ApiError>> From<E> for JaegerError {
    fn from(error: E) -> Self {
        let error: ApiError = error.into();
        Self { status: error.status, message: format!("{}: {}", error.message, error.hint) }
    }
}

impl IntoResponse for JaegerError {
    fn into_response(self) -> Response {
        let error = json!({"code": self.status.as_u16(), "msg": self.message});
        let body = json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [error]});
        (self.status, Json(body)).into_response()
    }
}

type Answer = Result<Json<Value>, JaegerError>;

fn data(list: impl IntoIterator<Item = Value>) -> Json<Value> {
    let list: Vec<Value> = list.into_iter().collect();
    let total = list.len();
    Json(json!({"data": Value::Array(list), "total": total, "limit": 0, "offset": 0, "errors": null}))
}

async fn ask(app: &App, request: SqlRequest) -> Result<SqlAnswer, JaegerError> {
    Ok(app.query.sql(request.tenant(Tenant::default())).await?)
}

async fn rows(app: &App, request: SqlRequest) -> Result<Vec<Vec<SqlValue>>, JaegerError> {
    ask(app, request).await?.rows().map_err(|error| internal(&error))
}

fn internal(error: &dyn std::error::Error) -> JaegerError {
    ApiError::internal(error).into()
}

/// The first column of an answer, as far as it is text.
async fn texts(app: &App, request: SqlRequest) -> Result<Vec<String>, JaegerError> {
    let rows = rows(app, request).await?;
    Ok(rows.iter().filter_map(|row| row.first()?.as_str().map(str::to_owned)).collect())
}

async fn services(State(app): State<Arc<App>>) -> Answer {
    let sql = format!(
        "SELECT DISTINCT service_name FROM spans WHERE timestamp > $now - INTERVAL '{LOOKBACK_HOURS} hours' \
         AND service_name IS NOT NULL ORDER BY service_name LIMIT {NAMES_MAX}"
    );
    let names = texts(&app, SqlRequest::new(sql).param("now", app.clock.now())).await?;
    Ok(data(names.into_iter().map(Value::String)))
}

async fn operation_names(State(app): State<Arc<App>>, Path(service): Path<String>) -> Answer {
    let sql = format!(
        "SELECT DISTINCT name FROM spans WHERE timestamp > $now - INTERVAL '{LOOKBACK_HOURS} hours' \
         AND service_name = $service ORDER BY name LIMIT {NAMES_MAX}"
    );
    let request = SqlRequest::new(sql).param("now", app.clock.now()).param("service", service);
    Ok(data(texts(&app, request).await?.into_iter().map(Value::String)))
}

async fn operations(State(app): State<Arc<App>>, Query(params): Query<HashMap<String, String>>) -> Answer {
    let Some(service) = params.get("service").filter(|service| !service.is_empty()) else {
        return Err(JaegerError::bad("say which `service`"));
    };
    let kind = params.get("spanKind").filter(|kind| !kind.is_empty());
    let of_kind = if kind.is_some() { "AND kind = $kind " } else { "" };
    let sql = format!(
        "SELECT DISTINCT name, kind FROM spans WHERE timestamp > $now - INTERVAL '{LOOKBACK_HOURS} hours' \
         AND service_name = $service {of_kind}ORDER BY name, kind LIMIT {NAMES_MAX}"
    );
    let request = SqlRequest::new(sql)
        .param("now", app.clock.now())
        .param("service", service.clone())
        .param("kind", kind.cloned().unwrap_or_default());
    let operation = |row: &Vec<SqlValue>| match row.as_slice() {
        [SqlValue::Text(name), SqlValue::Text(kind)] => Some(json!({"name": name, "spanKind": kind})),
        _ => None,
    };
    Ok(data(rows(&app, request).await?.iter().filter_map(operation)))
}

async fn search(State(app): State<Arc<App>>, Query(params): Query<Vec<(String, String)>>) -> Answer {
    let find = Find::of(&params, app.clock.now()).map_err(JaegerError::bad)?;
    let ids = if find.trace_ids.is_empty() { texts(&app, find.request()).await? } else { find.trace_ids };
    Ok(data(traces(&app, &ids).await?))
}

async fn trace(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let id = find::trace_id(&id).map_err(JaegerError::bad)?;
    let traces = traces(&app, std::slice::from_ref(&id)).await?;
    if traces.is_empty() {
        let message = format!("trace {id} not found: it was never stored here, or is past its retention");
        return Err(JaegerError { status: StatusCode::NOT_FOUND, message });
    }
    Ok(data(traces))
}

/// The traces with these ids, in this order, as far as they are stored.
async fn traces(app: &App, ids: &[String]) -> Result<Vec<Value>, JaegerError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let schema = Table::Spans.schema();
    let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let names: Vec<_> = (0..ids.len()).map(|number| format!("$id{number}")).collect();
    let sql = format!(
        "SELECT {} FROM spans WHERE trace_id IN ({}) ORDER BY timestamp, timestamp_nanos LIMIT {SPANS_MAX}",
        columns.join(", "),
        names.join(", ")
    );
    let mut request = SqlRequest::new(sql);
    for (number, id) in ids.iter().enumerate() {
        request = request.param(format!("id{number}"), id.clone());
    }
    let answer = ask(app, request).await?;
    let batch = concat_batches(&answer.schema, &answer.batches).map_err(|error| internal(&error))?;
    match to_requests(Table::Spans, &batch).map_err(|error| internal(&error))? {
        Request::Traces(spans) => Ok(trace::traces(ids, spans)),
        _ => Ok(Vec::new()),
    }
}

/// Who called whom: spans whose parent belongs to another service.
async fn dependencies(State(app): State<Arc<App>>, Query(params): Query<HashMap<String, String>>) -> Answer {
    let millis = |name: &str| -> Result<Option<i64>, JaegerError> {
        let wrong = |_| JaegerError::bad(format!("`{name}` is not a number of milliseconds"));
        params.get(name).map(|text| text.parse().map_err(wrong)).transpose()
    };
    let end = match millis("endTs")? {
        Some(end) => find::instant(end.saturating_mul(1_000)).map_err(JaegerError::bad)?,
        None => app.clock.now(),
    };
    let lookback = millis("lookback")?.unwrap_or(86_400_000).max(0);
    let start = end.as_microsecond().saturating_sub(lookback.saturating_mul(1_000));
    let start = timestamp_from_micros(start).unwrap_or(end);
    let sql = "SELECT parent.service_name, child.service_name, count(*) FROM spans AS child \
               JOIN spans AS parent ON child.trace_id = parent.trace_id \
               AND child.parent_span_id = parent.span_id \
               WHERE child.timestamp BETWEEN $start AND $end AND parent.timestamp BETWEEN $start AND $end \
               AND child.service_name <> parent.service_name GROUP BY 1, 2 ORDER BY 1, 2";
    let request = SqlRequest::new(sql).param("start", start).param("end", end);
    let edge = |row: &Vec<SqlValue>| match row.as_slice() {
        [SqlValue::Text(parent), SqlValue::Text(child), SqlValue::Int(calls)] => {
            Some(json!({"parent": parent, "child": child, "callCount": calls}))
        }
        _ => None,
    };
    Ok(data(rows(&app, request).await?.iter().filter_map(edge)))
}
