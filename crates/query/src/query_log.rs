//! What is running and what ran lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use hindsight_model::{Clock, SqlError, SqlStats, SystemTable, Tenant, to_micros};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::limits::{QUERY_LOG_ROWS_MAX, QUERY_LOG_SQL_BYTES_MAX};
use crate::usage::Usage;

/// A query that is running.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryInfo {
    /// Counts up from 1 while the engine lives.
    pub id: u64,
    /// Who asked.
    pub tenant: Tenant,
    /// When.
    pub started: Timestamp,
    /// The beginning of its text.
    pub sql: String,
    /// What it has taken so far.
    pub stats: SqlStats,
}

/// All queries of an engine: the running ones by id, and a ring of the last ones that ended.
#[derive(Debug)]
pub(crate) struct QueryLog {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    running: BTreeMap<u64, Running>,
    ended: VecDeque<Ended>,
}

#[derive(Debug)]
struct Running {
    info: QueryInfo,
    cancel: Arc<Notify>,
    began: Instant,
    usage: Arc<Usage>,
}

impl Running {
    fn info(&self) -> QueryInfo {
        QueryInfo { stats: self.usage.stats(self.began.elapsed()), ..self.info.clone() }
    }
}

#[derive(Clone, Debug)]
struct Ended {
    info: QueryInfo,
    rows: u64,
    outcome: &'static str,
}

impl QueryLog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, inner: Mutex::default() })
    }

    /// Enters a query; it leaves the list of running ones when the ticket is finished or dropped.
    pub(crate) fn begin(self: &Arc<Self>, tenant: &Tenant, sql: &str) -> Ticket {
        let started = self.clock.now();
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        let stats = SqlStats::default();
        let info = QueryInfo { id, tenant: tenant.clone(), started, sql: beginning(sql), stats };
        let (cancel, usage, began) = (Arc::new(Notify::new()), Arc::new(Usage::default()), Instant::now());
        let running = Running { info, cancel: Arc::clone(&cancel), began, usage: Arc::clone(&usage) };
        inner.running.insert(id, running);
        Ticket { log: Arc::clone(self), id, cancel, began, usage, outcome: "dropped", rows: 0 }
    }

    pub(crate) fn running(&self) -> Vec<QueryInfo> {
        self.lock().running.values().map(Running::info).collect()
    }

    /// Whether there was such a query to cancel.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let inner = self.lock();
        let Some(running) = inner.running.get(&id) else { return false };
        running.cancel.notify_one();
        true
    }

    fn end(&self, id: u64, rows: u64, outcome: &'static str) {
        let mut inner = self.lock();
        let Some(running) = inner.running.remove(&id) else { return };
        let info = running.info();
        if inner.ended.len() == QUERY_LOG_ROWS_MAX {
            inner.ended.pop_front();
        }
        inner.ended.push_back(Ended { info, rows, outcome });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while holding it; were it to, the list would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One running query's place in the list.
#[derive(Debug)]
pub(crate) struct Ticket {
    log: Arc<QueryLog>,
    id: u64,
    cancel: Arc<Notify>,
    began: Instant,
    usage: Arc<Usage>,
    outcome: &'static str,
    rows: u64,
}

impl Ticket {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Resolves when somebody cancels the query.
    pub(crate) async fn cancelled(&self) {
        self.cancel.notified().await;
    }

    /// Where the query notes what it takes.
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes how it ended; a ticket dropped without this was dropped by its caller.
    pub(crate) fn finish(mut self, result: Result<u64, &SqlError>) {
        self.rows = *result.as_ref().unwrap_or(&0);
        self.outcome = match result {
            Ok(_) => "ok",
            Err(SqlError::Invalid { .. }) => "invalid",
            Err(SqlError::Limit { limit, .. }) => limit,
            Err(SqlError::Cancelled) => "cancelled",
            Err(SqlError::Failed { .. }) => "failed",
        };
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.log.end(self.id, self.rows, self.outcome);
    }
}

fn beginning(sql: &str) -> String {
    sql[..sql.floor_char_boundary(QUERY_LOG_SQL_BYTES_MAX)].to_owned()
}

/// The system table `query_log`: recent queries of the asking tenant, running ones not included.
#[async_trait::async_trait]
impl SystemTable for QueryLog {
    fn name(&self) -> &'static str {
        "query_log"
    }

    fn schema(&self) -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("started", time, false),
            Field::new("duration_nano", DataType::Int64, false),
            Field::new("rows", DataType::Int64, false),
            Field::new("rows_scanned", DataType::Int64, false),
            Field::new("bytes_scanned", DataType::Int64, false),
            Field::new("files_scanned", DataType::Int64, false),
            Field::new("files_pruned", DataType::Int64, false),
            Field::new("rows_skipped_by_index", DataType::Int64, false),
            Field::new("memory_peak_bytes", DataType::Int64, false),
            Field::new("spilled_bytes", DataType::Int64, false),
            Field::new("outcome", DataType::Utf8, false),
            Field::new("sql", DataType::Utf8, false),
        ]))
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        let ended: Vec<Ended> =
            self.lock().ended.iter().filter(|ended| ended.info.tenant == *tenant).cloned().collect();
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        let numbers = |figure: fn(&Ended) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ended.iter().map(|e| whole(figure(e)))))
        };
        let started = ended.iter().map(|e| to_micros(e.info.started));
        let columns: Vec<ArrayRef> = vec![
            numbers(|e| e.info.id),
            Arc::new(TimestampMicrosecondArray::from_iter_values(started).with_timezone("UTC")),
            Arc::new(Int64Array::from_iter_values(ended.iter().map(|e| nanos(e.info.stats.elapsed)))),
            numbers(|e| e.rows),
            numbers(|e| e.info.stats.rows_scanned),
            numbers(|e| e.info.stats.bytes_scanned),
            numbers(|e| e.info.stats.files_scanned),
            numbers(|e| e.info.stats.files_pruned),
            numbers(|e| e.info.stats.rows_skipped_by_index),
            numbers(|e| e.info.stats.memory_peak_bytes),
            numbers(|e| e.info.stats.spilled_bytes),
            Arc::new(StringArray::from_iter_values(ended.iter().map(|e| e.outcome))),
            Arc::new(StringArray::from_iter_values(ended.iter().map(|e| e.info.sql.as_str()))),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: format!("make rows of query_log: {error}") })
    }
}
