//! A running server as a source of answers, over its HTTP API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arrow::ipc::reader::StreamReader;
use hindsight_model::{SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource};
use serde_json::{Map, Value, json};

/// Longest that a connection may take; a server on this machine answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Most rows of an answer; they are all held.
const ROWS_MAX: u64 = 1_000_000;
/// The header with the id of the query that is answered.
const QUERY_ID: &str = "x-hindsight-query-id";
/// With this an Arrow stream ends when nothing is missing.
const ARROW_END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A server's web port.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Remote {
    /// `url` may be an address alone, as `serve` prints it.
    pub(crate) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?;
        let scheme = if url.contains("://") { "" } else { "http://" };
        Ok(Self { client, url: format!("{scheme}{}", url.trim_end_matches('/')), token })
    }

    /// Whether a server answers there.
    pub(crate) async fn answers(&self) -> bool {
        self.client.get(format!("{}/livez", self.url)).send().await.is_ok_and(|r| r.status().is_success())
    }

    /// `GET path` as JSON.
    ///
    /// # Errors
    /// When nothing answers, or it refuses; the server's own message and hint are in the text.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.client.get(format!("{}{path}", self.url))).await
    }

    /// `GET path` with these query parameters, its answer still to be read.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn fetch(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<reqwest::Response> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query)
            .with_context(|| format!("make an address of {}", self.url))?;
        let request = self.client.get(url);
        let response = self.authorised(request).send().await.with_context(|| self.unreachable())?;
        let status = response.status();
        if !status.is_success() {
            bail!("{}", refusal(status.as_u16(), &response.bytes().await?));
        }
        Ok(response)
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// `DELETE path`; that there is nothing to delete is no error.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self.client.delete(format!("{}{path}", self.url));
        let response = self.authorised(request).send().await.with_context(|| self.unreachable())?;
        let status = response.status();
        if !status.is_success() && status != reqwest::StatusCode::NOT_FOUND {
            bail!("{}", refusal(status.as_u16(), &response.bytes().await?));
        }
        Ok(())
    }

    /// `DELETE path` with these query parameters, of something that has to be there; what the server says of its end.
    ///
    /// # Errors
    /// As [`Remote::get`], also when it is not there.
    pub(crate) async fn end(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query)
            .with_context(|| format!("make an address of {}", self.url))?;
        self.json(self.client.delete(url)).await
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = self.authorised(request).send().await.with_context(|| self.unreachable())?;
        let status = response.status();
        let body = response.bytes().await?;
        if !status.is_success() {
            bail!("{}", refusal(status.as_u16(), &body));
        }
        serde_json::from_slice(&body).with_context(|| format!("read the answer of {}", self.url))
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn unreachable(&self) -> String {
        format!("no server answers at {}; start one with `hindsight serve`, or name it with --url", self.url)
    }

    async fn ask(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let params: Map<String, Value> =
            request.params.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
        let mut body = json!({"sql": request.sql, "params": params, "rows_max": ROWS_MAX});
        if let Some(timeout) = request.timeout {
            body["timeout_ms"] = json!(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }
        let asked = Instant::now();
        let call = self
            .client
            .post(format!("{}/api/v1/sql", self.url))
            .header("accept", "application/vnd.apache.arrow.stream")
            .json(&body);
        let failed = |message: String| SqlError::Failed { message };
        let response = self.authorised(call).send().await.map_err(|_| failed(self.unreachable()))?;
        let status = response.status();
        let id = response.headers().get(QUERY_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Err(self.why_broken(id, &error).await),
        };
        if status == reqwest::StatusCode::CONFLICT {
            return Err(SqlError::Cancelled);
        }
        if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(SqlError::Limit { limit: "concurrency", message: refusal(status.as_u16(), &body) });
        }
        if status.is_client_error() {
            return Err(SqlError::Invalid { message: refusal(status.as_u16(), &body) });
        }
        if !status.is_success() {
            return Err(failed(refusal(status.as_u16(), &body)));
        }
        let broken = |error: arrow::error::ArrowError| failed(format!("read the answer: {error}"));
        if !body.ends_with(&ARROW_END) {
            return Err(failed("read the answer: its end is missing".to_owned()));
        }
        let reader = StreamReader::try_new(body.as_ref(), None).map_err(broken)?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let mut answer = SqlAnswer::new(schema, batches);
        answer.stats.elapsed = asked.elapsed();
        Ok(answer)
    }
}

impl Remote {
    /// What the server's list of queries says of one whose answer broke off.
    async fn why_broken(&self, id: Option<i64>, error: &reqwest::Error) -> SqlError {
        let broken = |why: &str| SqlError::Failed { message: format!("the answer broke off: {why}") };
        let Some(id) = id else { return broken(&error.to_string()) };
        let sql = "SELECT outcome FROM query_log WHERE id = $id";
        let question = json!({"sql": sql, "params": {"id": id}});
        let outcome = self.post("/api/v1/sql", &question).await.unwrap_or(Value::Null);
        match outcome["rows"][0][0].as_str() {
            Some("cancelled") => SqlError::Cancelled,
            Some("invalid") => broken("one of its rows makes the query invalid"),
            Some("failed") => broken("the query failed; the server's log has the cause"),
            Some("ok" | "dropped" | "partial") | None => broken(&error.to_string()),
            Some(limit) => broken(&format!("the query reached the limit `{limit}`")),
        }
    }
}

#[async_trait::async_trait]
impl SqlSource for Remote {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        self.ask(request).await
    }
}

/// The server's sentence and hint, or the status when it sent neither.
fn refusal(status: u16, body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let error = error.get("error").unwrap_or(&error);
    let message = error["message"].as_str().unwrap_or("the server refused without a reason");
    match error["hint"].as_str().filter(|hint| !hint.is_empty()) {
        Some(hint) => format!("{message} (HTTP {status}; {hint})"),
        None => format!("{message} (HTTP {status})"),
    }
}

fn to_json(value: &SqlParam) -> Value {
    match value {
        SqlParam::Null => Value::Null,
        SqlParam::Bool(flag) => json!(flag),
        SqlParam::Int(number) => json!(number),
        SqlParam::Double(number) => json!(number),
        SqlParam::Text(text) => json!(text),
        SqlParam::Time(at) => json!(at.to_string()),
        SqlParam::Interval(span) => json!(span.as_secs_f64()),
    }
}
