//! A running server as a source of answers, over its HTTP API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use hindsight_model::{SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource};
use serde_json::{Map, Value, json};

/// Longest that a connection may take; a server on this machine answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Most rows of an answer that is held.
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

    /// Asks, and gives the rows as they come.
    ///
    /// # Errors
    /// When nothing answers, or the server refuses; the kind is the server's, as far as its status tells.
    pub(crate) async fn rows(
        &self,
        request: SqlRequest,
        rows_max: Option<u64>,
    ) -> Result<RemoteRows, SqlError> {
        let params: Map<String, Value> =
            request.params.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
        let mut body = json!({"sql": request.sql, "params": params});
        if let Some(rows_max) = rows_max {
            body["rows_max"] = json!(rows_max);
        }
        if let Some(timeout) = request.timeout {
            body["timeout_ms"] = json!(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }
        let call = self
            .client
            .post(format!("{}/api/v1/sql", self.url))
            .header("accept", "application/vnd.apache.arrow.stream")
            .json(&body);
        let failed = |message: String| SqlError::Failed { message };
        let response = self.authorised(call).send().await.map_err(|_| failed(self.unreachable()))?;
        let status = response.status();
        if status.is_success() {
            return RemoteRows::open(self.clone(), response).await;
        }
        let body = response.bytes().await.map_err(|error| failed(format!("read the refusal: {error}")))?;
        Err(match status {
            reqwest::StatusCode::CONFLICT => SqlError::Cancelled,
            reqwest::StatusCode::TOO_MANY_REQUESTS => {
                SqlError::Limit { limit: "concurrency", message: refusal(status.as_u16(), &body) }
            }
            status if status.is_client_error() => {
                SqlError::Invalid { message: refusal(status.as_u16(), &body) }
            }
            status => failed(refusal(status.as_u16(), &body)),
        })
    }
}

/// The rows of an answer on its way. Dropping it closes the connection, and the server stops the query.
#[derive(Debug)]
pub(crate) struct RemoteRows {
    remote: Remote,
    id: Option<u64>,
    response: reqwest::Response,
    decoder: StreamDecoder,
    schema: SchemaRef,
    /// Rows that came with the columns.
    first: Option<RecordBatch>,
    /// Bytes that came and were not looked at.
    here: Buffer,
    /// The last bytes that came, as many as [`ARROW_END`] has.
    tail: Vec<u8>,
    is_over: bool,
}

impl RemoteRows {
    /// Reads until the columns are known.
    async fn open(remote: Remote, response: reqwest::Response) -> Result<Self, SqlError> {
        let id = response.headers().get(QUERY_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        let mut rows = Self {
            remote,
            id,
            response,
            decoder: StreamDecoder::new(),
            schema: Arc::new(Schema::empty()),
            first: None,
            here: Buffer::from(Vec::<u8>::new()),
            tail: Vec::new(),
            is_over: false,
        };
        loop {
            rows.first = rows.decoder.decode(&mut rows.here).map_err(|error| unreadable(&error))?;
            if let Some(schema) = rows.decoder.schema() {
                rows.schema = schema;
                return Ok(rows);
            }
            if !rows.more().await? {
                return Err(end_is_missing());
            }
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The query's id at the server.
    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    /// The next rows; `None` after the last. After an error there are no more.
    pub(crate) async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        if self.is_over {
            return None;
        }
        let next = self.batch().await.transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }

    async fn batch(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            if let Some(batch) = self.decoder.decode(&mut self.here).map_err(|error| unreadable(&error))? {
                return Ok(Some(batch));
            }
            if !self.more().await? {
                return if self.tail == ARROW_END { Ok(None) } else { Err(end_is_missing()) };
            }
        }
    }

    /// Waits for more bytes; whether some came.
    async fn more(&mut self) -> Result<bool, SqlError> {
        match self.response.chunk().await {
            Ok(Some(chunk)) => {
                self.tail.extend_from_slice(&chunk[chunk.len().saturating_sub(ARROW_END.len())..]);
                self.tail.drain(..self.tail.len().saturating_sub(ARROW_END.len()));
                self.here = Buffer::from(chunk);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(self.remote.why_broken(self.id, &error).await),
        }
    }
}

fn unreadable(error: &arrow::error::ArrowError) -> SqlError {
    SqlError::Failed { message: format!("read the answer: {error}") }
}

fn end_is_missing() -> SqlError {
    SqlError::Failed { message: "read the answer: its end is missing".to_owned() }
}

impl Remote {
    /// What the server's list of queries says of one whose answer broke off.
    async fn why_broken(&self, id: Option<u64>, error: &reqwest::Error) -> SqlError {
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
        let asked = Instant::now();
        let mut rows = self.rows(request, Some(ROWS_MAX)).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch?);
        }
        let mut answer = SqlAnswer::new(rows.schema, batches);
        answer.stats.elapsed = asked.elapsed();
        Ok(answer)
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
