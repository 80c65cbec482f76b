//! What is running and what ran lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use hindsight_model::{Clock, SqlError, SqlStats, SystemTable, Tenant, to_micros};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::limits::{QUERY_LOG_ROWS_MAX, QUERY_LOG_SQL_BYTES_MAX, reader_too_slow};
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
    stop: Arc<Stop>,
    began: Instant,
    usage: Arc<Usage>,
}

/// How a running query is told to stop.
#[derive(Debug, Default)]
struct Stop {
    told: Notify,
    /// Somebody cancelled it.
    cancelled: AtomicBool,
    /// Not because somebody cancelled it, but because its reader is too slow.
    slow_reader: AtomicBool,
}

impl Stop {
    /// Why it was told to stop, if it was.
    fn reason(&self) -> Option<SqlError> {
        if self.slow_reader.load(Ordering::Relaxed) {
            return Some(reader_too_slow());
        }
        self.cancelled.load(Ordering::Relaxed).then_some(SqlError::Cancelled)
    }
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
        let (stop, usage, began) = (Arc::new(Stop::default()), Arc::new(Usage::default()), Instant::now());
        let running = Running { info, stop: Arc::clone(&stop), began, usage: Arc::clone(&usage) };
        inner.running.insert(id, running);
        Ticket { log: Arc::clone(self), id, stop, began, usage, outcome: None, rows: 0 }
    }

    pub(crate) fn running(&self) -> Vec<QueryInfo> {
        self.lock().running.values().map(Running::info).collect()
    }

    /// Whether there was such a query to cancel.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let inner = self.lock();
        let Some(running) = inner.running.get(&id) else { return false };
        running.stop.cancelled.store(true, Ordering::Relaxed);
        running.stop.told.notify_one();
        true
    }

    /// Stops the query that has waited longest for its reader, if it has for so long.
    pub(crate) fn stop_slowest_reader(&self, patience: Duration) {
        let inner = self.lock();
        let waiting =
            inner.running.values().filter(|running| !running.stop.slow_reader.load(Ordering::Relaxed));
        let waiting = waiting.filter_map(|running| Some((running.usage.reader.waited()?, running)));
        if let Some((waited, slowest)) = waiting.max_by_key(|(waited, _)| *waited)
            && waited >= patience
        {
            slowest.stop.slow_reader.store(true, Ordering::Relaxed);
            slowest.stop.told.notify_one();
        }
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

/// How a query ended that gave an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) rows: u64,
    /// Whether a limit cut it short, and that was asked for.
    pub(crate) partial: bool,
}

/// One running query's place in the list.
#[derive(Debug)]
pub(crate) struct Ticket {
    log: Arc<QueryLog>,
    id: u64,
    stop: Arc<Stop>,
    began: Instant,
    usage: Arc<Usage>,
    /// `None` until it has finished.
    outcome: Option<&'static str>,
    rows: u64,
}

impl Ticket {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Resolves when the query has to stop, with the reason.
    pub(crate) async fn stopped(&self) -> SqlError {
        self.stop.told.notified().await;
        self.stop.reason().unwrap_or(SqlError::Cancelled)
    }

    /// Where the query notes what it takes.
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes how it ended; a ticket dropped without this was told to stop and not asked since, or was dropped by its
    /// caller.
    pub(crate) fn finish(mut self, result: Result<Finished, &SqlError>) {
        self.rows = result.as_ref().map_or(0, |finished| finished.rows);
        self.outcome = Some(match result {
            Ok(Finished { partial: true, .. }) => "partial",
            Ok(_) => "ok",
            Err(error) => outcome_of(error),
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let told = || self.stop.reason().as_ref().map_or("dropped", outcome_of);
        let outcome = self.outcome.unwrap_or_else(told);
        self.log.end(self.id, self.rows, outcome);
    }
}

fn outcome_of(error: &SqlError) -> &'static str {
    match error {
        SqlError::Invalid { .. } => "invalid",
        SqlError::Limit { limit, .. } => limit,
        SqlError::Cancelled => "cancelled",
        SqlError::Failed { .. } => "failed",
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

    fn doc(&self) -> &'static str {
        "one row for each query that ended lately, of the asking tenant"
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

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("id", "its number, as in the header x-hindsight-query-id"),
            ("started", "when it was asked"),
            (
                "duration_nano",
                "how long it took, waiting for its turn and for its reader included, in nanoseconds",
            ),
            ("rows", "rows of the answer"),
            ("rows_scanned", "rows read from blocks and head, before filters"),
            ("bytes_scanned", "bytes read from blocks"),
            ("files_scanned", "files that had to be opened"),
            ("files_pruned", "files that planning ruled out"),
            ("rows_skipped_by_index", "rows of opened files that the text index left out"),
            ("memory_peak_bytes", "the most memory it held at a time"),
            ("spilled_bytes", "bytes written to temporary files"),
            (
                "outcome",
                "ok, partial, invalid, failed, cancelled, dropped by its asker, or the limit that ended it: timeout, memory, spill, rows, concurrency or reader",
            ),
            ("sql", "its text, the first 4 KiB"),
        ]
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
