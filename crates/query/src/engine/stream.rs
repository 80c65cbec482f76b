//! Rows handed on as they come: an answer of any length in the memory of a few batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use hindsight_model::{SqlError, SqlRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{QueryEngine, Shared};
use crate::query_log::Ticket;
use crate::source::Snapshot;
use crate::usage::Usage;
use crate::{answer, fault, limits, signal_schema, statement};

/// Batches that may wait for whoever reads the rows; the query stands still beyond it.
const BATCHES_AHEAD_MAX: usize = 1;

/// A query that is listed as running and can be cancelled by its id, before its first row is asked for.
#[derive(Debug)]
pub struct Pending {
    engine: QueryEngine,
    request: SqlRequest,
    ticket: Ticket,
}

/// What a statement will give, known before it runs.
#[derive(Clone, Debug)]
pub struct Description {
    /// Column names and types.
    pub schema: SchemaRef,
    /// The parameters without a value, by name without the dollar, with the type that their place asks for.
    pub params: BTreeMap<String, Option<DataType>>,
}

/// The rows of a running query, batch by batch. Dropping it stops the query.
#[derive(Debug)]
pub struct RowStream {
    schema: SchemaRef,
    rows: mpsc::Receiver<RecordBatch>,
    /// How it ended, until that was seen.
    end: Option<oneshot::Receiver<Result<(), SqlError>>>,
    /// Whoever watches the time and the list of cancelled queries.
    _watch: Task<()>,
}

/// A task that ends when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T> std::fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Task").field(&self.0.id()).finish()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl QueryEngine {
    /// Enters a query into the list of running ones. It takes its turn when its rows are asked for.
    pub fn begin(&self, request: SqlRequest) -> Pending {
        let ticket = self.shared.log.begin(&request.tenant, &request.sql);
        Pending { engine: self.clone(), request, ticket }
    }

    /// Plans a statement without running it. Parameters that `request` has no value for may stay open.
    ///
    /// # Errors
    /// As [`hindsight_model::SqlSource::sql`] has them for a statement that is wrong; also when the type of the answer
    /// hangs on an open parameter.
    pub async fn describe(&self, request: SqlRequest) -> Result<Description, SqlError> {
        let limit = self.shared.options.timeout;
        let work = async {
            let slot = self.slot().await?;
            let snapshot = self.shared.source.snapshot(&request.tenant).await?;
            let shared = Arc::clone(&self.shared);
            let (tell, told) = oneshot::channel();
            let task = self.spawn(async move {
                // Nobody listens any more when this fails.
                let _ = tell.send(shared.describe(request, snapshot).await);
                drop(slot);
                shared
            })?;
            let described = told.await.unwrap_or_else(|_| Err(engine_fault()));
            drop(task);
            described
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(limits::timeout_reached(limit)))
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Task<T>, SqlError> {
        match &self.shared.workers {
            Some(workers) => Ok(Task(workers.spawn(work))),
            None => Err(SqlError::Failed { message: "the query engine is shut down".to_owned() }),
        }
    }
}

impl Pending {
    /// The id under which [`QueryEngine::cancel`] stops it.
    pub fn id(&self) -> u64 {
        self.ticket.id()
    }

    /// Plans the query and begins to run it, under every limit of [`crate::QueryOptions`]; the time that the reader of
    /// the rows takes counts as the query's. Needs a Tokio runtime with a timer around it.
    ///
    /// # Errors
    /// As [`hindsight_model::SqlSource::sql`], for everything that is known before the first row.
    pub async fn rows(self) -> Result<RowStream, SqlError> {
        let Self { engine, request, ticket } = self;
        let limit = engine.shared.options.timeout;
        let limit = request.timeout.map_or(limit, |asked| asked.min(limit));
        let ready = async {
            let slot = engine.slot().await?;
            let deadline = Instant::now() + limit;
            let snapshot = tokio::time::timeout_at(deadline, engine.shared.source.snapshot(&request.tenant));
            let snapshot = snapshot.await.unwrap_or_else(|_| Err(limits::timeout_reached(limit)))?;
            Ok((slot, deadline, snapshot))
        };
        let ready = tokio::select! {
            biased;
            () = ticket.cancelled() => Err(SqlError::Cancelled),
            ready = ready => ready,
        };
        let (slot, deadline, snapshot) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                ticket.finish(Err(&error));
                return Err(error);
            }
        };
        let (head, mut columns) = oneshot::channel();
        let (batches, rows) = mpsc::channel(BATCHES_AHEAD_MAX);
        let (shared, usage) = (Arc::clone(&engine.shared), Arc::clone(ticket.usage()));
        let work = engine.spawn(async move {
            let output = Output { head: Some(head), batches };
            let outcome = shared.send(request, snapshot, &usage, output).await;
            // A query that was given up counts until it has really stopped.
            drop(slot);
            // The engine must not be dropped by one of its own threads.
            (outcome, shared)
        })?;
        let (tell, mut end) = oneshot::channel();
        // Beside the engine's threads, since these may all be busy when the time is over.
        let watch = Task(tokio::runtime::Handle::current().spawn(async move {
            let outcome = watch(&ticket, work, deadline, limit).await;
            if let Err(error) = &outcome {
                tracing::debug!(error = %error, "query failed");
            }
            ticket.finish(outcome.as_ref().copied());
            // Nobody listens any more when this fails.
            let _ = tell.send(outcome.map(drop));
        }));
        let schema = tokio::select! {
            biased;
            Ok(schema) = &mut columns => schema,
            end = &mut end => match end {
                Ok(Err(error)) => return Err(error),
                // It ended before we looked: the columns are there.
                Ok(Ok(())) => columns.await.map_err(|_| engine_fault())?,
                Err(_) => return Err(engine_fault()),
            },
        };
        Ok(RowStream { schema, rows, end: Some(end), _watch: watch })
    }
}

impl RowStream {
    /// Column names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` after the last. After an error there are no more.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        if let Some(end) = &mut self.end {
            let end = tokio::select! {
                biased;
                Some(batch) = self.rows.recv() => return Some(Ok(batch)),
                end = end => end,
            };
            self.end = None;
            if let Err(error) = end.unwrap_or_else(|_| Err(engine_fault())) {
                self.rows.close();
                while self.rows.try_recv().is_ok() {}
                return Some(Err(error));
            }
        }
        // It has ended well; what waits is the rest.
        self.rows.recv().await.map(Ok)
    }
}

/// How the work ended, or why it was not waited for. It stops when this returns.
async fn watch(
    ticket: &Ticket,
    mut work: Task<(Result<u64, SqlError>, Arc<Shared>)>,
    deadline: Instant,
    limit: Duration,
) -> Result<u64, SqlError> {
    tokio::select! {
        biased;
        () = ticket.cancelled() => Err(SqlError::Cancelled),
        () = tokio::time::sleep_until(deadline) => Err(limits::timeout_reached(limit)),
        ended = &mut work.0 => ended.map_or_else(|_| Err(engine_fault()), |(outcome, _)| outcome),
    }
}

/// Where the columns, then the rows go.
struct Output {
    head: Option<oneshot::Sender<SchemaRef>>,
    batches: mpsc::Sender<RecordBatch>,
}

impl Shared {
    /// Runs a query into `output`; the number of rows that went there.
    async fn send(
        &self,
        request: SqlRequest,
        snapshot: Snapshot,
        usage: &Usage,
        mut output: Output,
    ) -> Result<u64, SqlError> {
        let explain = |error: DataFusionError| fault::explain(&error, self.memory.limit());
        let now = self.options.clock.now();
        let statement = statement::parse(&request.sql, &request.params, now)?;
        let opened = self.open(request, snapshot, usage, now)?;
        let plan = self.plan(&opened.session, statement).await?;
        let plan = Arc::clone(usage.plan.get_or_init(|| plan));
        let schema = signal_schema::unmarked(&plan.schema());
        if let Some(head) = output.head.take() {
            // A reader who has left is noticed at the first batch.
            let _ = head.send(Arc::clone(&schema));
        }
        let held = MemoryConsumer::new("rows on their way").register(&opened.memory);
        let mut stream = execute_stream(plan, opened.session.task_context()).map_err(explain)?;
        let mut rows = 0_usize;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(explain)?;
            if batch.num_rows() == 0 {
                continue;
            }
            rows += batch.num_rows();
            if rows > self.options.rows_max {
                return Err(limits::rows_reached(self.options.rows_max));
            }
            let batch = answer::plain(&schema, &batch)?;
            held.try_resize(answer::bytes(&batch)?).map_err(explain)?;
            if output.batches.send(batch).await.is_err() {
                return Err(SqlError::Cancelled);
            }
        }
        Ok(rows as u64)
    }

    async fn describe(&self, request: SqlRequest, snapshot: Snapshot) -> Result<Description, SqlError> {
        let explain = |error: DataFusionError| fault::explain(&error, self.memory.limit());
        let now = self.options.clock.now();
        let statement = statement::parse_open(&request.sql, &request.params, now)?;
        let opened = self.open(request, snapshot, &Usage::default(), now)?;
        let plan = self.logical_plan(&opened.session, statement).await?;
        let params = plan.get_parameter_types().map_err(explain)?;
        let plain = |kind: DataType| signal_schema::plain(&kind);
        let params =
            params.into_iter().map(|(name, kind)| (name.trim_start_matches('$').to_owned(), kind.map(plain)));
        Ok(Description {
            schema: signal_schema::unmarked(plan.schema().as_arrow()),
            params: params.collect(),
        })
    }
}

fn engine_fault() -> SqlError {
    SqlError::Failed { message: "the SQL engine stopped on a fault of its own; see the log".to_owned() }
}
