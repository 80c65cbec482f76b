use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{SqlParam, SqlRequest, SqlSource, SqlValue, Tenant};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{ChartSpec, Column, Evidence, MAX_ROWS, SCHEMA, canonical};
use crate::{Error, Result};

/// Longest that one evidence query may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A question to freeze.
#[derive(Clone, Debug)]
pub struct EvidenceSpec {
    /// `E1`.
    pub id: String,
    /// What is asked.
    pub title: String,
    /// What it shows and why it matters.
    pub caption: String,
    /// The SQL; `$from` and `$to` are bound to the range.
    pub sql: String,
    /// Further parameters, without the dollar.
    pub params: BTreeMap<String, SqlParam>,
    /// Start of the range.
    pub from: Timestamp,
    /// End of the range, exclusive.
    pub to: Timestamp,
    /// How to draw the answer.
    pub chart: Option<ChartSpec>,
}

/// What is true of every question of one draft.
#[derive(Clone, Debug)]
pub struct FreezeContext {
    /// Whose rows.
    pub tenant: Tenant,
    /// How far the data reaches.
    pub watermark: Option<Timestamp>,
    /// Name and version of the engine.
    pub engine: String,
    /// When it is frozen.
    pub now: Timestamp,
}

/// Runs the question once and keeps its answer with a checksum.
///
/// # Errors
/// [`Error::Query`] when there is no answer, [`Error::Freeze`] when it has more than [`MAX_ROWS`] rows or Arrow
/// cannot read it.
pub async fn freeze(sql: &dyn SqlSource, spec: EvidenceSpec, context: &FreezeContext) -> Result<Evidence> {
    let title = spec.title.clone();
    let mut request = SqlRequest::new(spec.sql.clone()).tenant(context.tenant.clone());
    request.timeout = Some(TIMEOUT);
    let mut params = spec.params.clone();
    for (name, at) in [("from", spec.from), ("to", spec.to)] {
        if mentions(&spec.sql, name) {
            params.insert(name.to_owned(), SqlParam::Time(at));
        }
    }
    request.params = params.clone();
    let answer = sql.sql(request).await.map_err(|source| Error::Query { title: title.clone(), source })?;
    let found = answer.row_count();
    if found > MAX_ROWS {
        let message = format!("{found} rows are more than {MAX_ROWS}; narrow or aggregate the SQL");
        return Err(Error::Freeze { title, message });
    }
    let rows = answer.rows().map_err(|error| Error::Freeze { title, message: error.to_string() })?;
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| Column {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
    };
    let mut evidence = Evidence {
        schema: SCHEMA.to_owned(),
        id: spec.id,
        title: spec.title,
        caption: spec.caption,
        sql: spec.sql,
        params: params.into_iter().map(|(name, value)| (name, param_json(value))).collect(),
        from: spec.from,
        to: spec.to,
        watermark: context.watermark,
        engine: context.engine.clone(),
        frozen_at: context.now,
        chart: spec.chart,
        columns: answer.schema.fields().iter().map(column).collect(),
        rows: rows.into_iter().map(|row| row.into_iter().map(cell_json).collect()).collect(),
        sha256: String::new(),
    };
    evidence.sha256 = canonical::digest(&evidence);
    Ok(evidence)
}

/// Asks the question of frozen evidence again, with the parameters it was asked with.
///
/// # Errors
/// As [`freeze`].
pub async fn rerun(sql: &dyn SqlSource, evidence: &Evidence, tenant: Tenant) -> Result<Evidence> {
    let spec = EvidenceSpec {
        id: evidence.id.clone(),
        title: evidence.title.clone(),
        caption: evidence.caption.clone(),
        sql: evidence.sql.clone(),
        params: evidence.params.iter().map(|(name, value)| (name.clone(), param_of(value))).collect(),
        from: evidence.from,
        to: evidence.to,
        chart: evidence.chart.clone(),
    };
    let context = FreezeContext {
        tenant,
        watermark: evidence.watermark,
        engine: evidence.engine.clone(),
        now: evidence.frozen_at,
    };
    freeze(sql, spec, &context).await
}

/// What [`param_json`] wrote, read back: a text that is an instant was one, and so was a number of seconds.
fn param_of(value: &Json) -> SqlParam {
    match value {
        Json::Null | Json::Array(_) => SqlParam::Null,
        Json::Bool(flag) => SqlParam::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => SqlParam::Int(whole),
            None => SqlParam::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Object(fields) => SqlParam::Double(match fields.get("$double").and_then(Json::as_str) {
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => f64::NAN,
        }),
        Json::String(text) => {
            let seconds = text.strip_suffix('s').and_then(|number| number.parse::<f64>().ok());
            let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            match (text.parse(), span) {
                (Ok(at), _) => SqlParam::Time(at),
                (_, Some(span)) => SqlParam::Interval(span),
                _ => SqlParam::Text(text.clone()),
            }
        }
    }
}

/// Whether the SQL uses `$name` itself rather than a longer name.
fn mentions(sql: &str, name: &str) -> bool {
    let mark = format!("${name}");
    sql.match_indices(&mark)
        .any(|(at, _)| !sql[at + mark.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

fn cell_json(value: SqlValue) -> Json {
    match value {
        SqlValue::Null => Json::Null,
        SqlValue::Bool(flag) => json!(flag),
        SqlValue::Int(number) => json!(number),
        SqlValue::Double(number) => double_json(number),
        SqlValue::Text(text) => json!(text),
        SqlValue::Time(at) => json!(at.to_string()),
    }
}

fn double_json(number: f64) -> Json {
    if number.is_finite() {
        return json!(number);
    }
    let word = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    json!({ "$double": word })
}

fn param_json(value: SqlParam) -> Json {
    match value {
        SqlParam::Null => Json::Null,
        SqlParam::Bool(flag) => json!(flag),
        SqlParam::Int(number) => json!(number),
        SqlParam::Double(number) => double_json(number),
        SqlParam::Text(text) => json!(text),
        SqlParam::Time(at) => json!(at.to_string()),
        SqlParam::Interval(span) => json!(format!("{}s", span.as_secs_f64())),
    }
}
