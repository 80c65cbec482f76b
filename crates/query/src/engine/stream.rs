//! Rows handed on as they come: an answer of any length in the memory of a few batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DataFusionError;
use hindsight_model::{SqlError, SqlRequest, SqlStats};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::hand_over::{AsTheyAre, Beginning, Output, Piece, Sent, Shape};
use super::{QueryEngine, Shared};
use crate::query_log::{Finished, Ticket};
use crate::source::Snapshot;
use crate::usage::Usage;
use crate::{fault, limits, signal_schema, statement};

/// Pieces that may wait for whoever reads them; the query stands still beyond it.
const PIECES_AHEAD_MAX: usize = 1;

/// A query that is listed as running and can be cancelled by its id, before its first row is asked for.
#[derive(Debug)]
pub struct Pending {
    engine: QueryEngine,
    request: SqlRequest,
    ticket: Ticket,
}

/// How an answer is handed on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Most rows; the engine's own limit on streams when there is none or it is lower.
    pub rows_max: Option<usize>,
    /// Whether the rows that have come are the answer, marked as partial, when the limit of time or of rows ends the
    /// query. Without it such an end is an error.
    pub partial: bool,
    /// An answer that takes no more than so many bytes is given whole, with no hand-over between threads. 0 streams
    /// every answer, its columns before its first row.
    pub whole_bytes_max: usize,
}

/// An answer that was short, or the beginning of a long one.
#[derive(Debug)]
pub enum Answered<T> {
    /// All of it.
    Whole(Whole<T>),
    /// To be read as it comes.
    Rows(RowStream<T>),
}

/// A whole answer, in parts.
#[derive(Debug)]
pub struct Whole<T> {
    /// Column names and types.
    pub schema: SchemaRef,
    /// The rows, in order.
    pub parts: Vec<T>,
    /// How it ended.
    pub ended: Ended,
}

/// How an answer that is no error ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ended {
    /// Rows that were given.
    pub rows: u64,
    /// The limit that cut it short, `timeout` or `rows`; only when [`Terms::partial`] asked for it.
    pub partial: Option<&'static str>,
    /// What it cost.
    pub stats: SqlStats,
}

/// What a statement will give, known before it runs.
#[derive(Clone, Debug)]
pub struct Description {
    /// Column names and types.
    pub schema: SchemaRef,
    /// The parameters without a value, by name without the dollar, with the type that their place asks for.
    pub params: BTreeMap<String, Option<DataType>>,
}

/// The rows of a running query, part by part. Dropping it stops the query.
#[derive(Debug)]
pub struct RowStream<T = RecordBatch> {
    schema: SchemaRef,
    /// Those that were there when it was handed over.
    first: std::vec::IntoIter<Piece<T>>,
    rows: mpsc::Receiver<Piece<T>>,
    taken: u64,
    /// How it ended, until that was seen.
    end: Option<oneshot::Receiver<Result<Ended, SqlError>>>,
    ended: Option<Ended>,
    /// Whether the last part was taken.
    is_over: bool,
    deadline: Instant,
    /// Whoever watches the time and the list of cancelled queries, unless the work was over before.
    _watch: Option<Task<()>>,
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

/// What the engine's thread says when it is done; the engine itself comes along, since it must not be dropped there.
type Work<T> = Task<(Result<Sent<T>, SqlError>, Arc<Shared>)>;

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
        match self.parts(AsTheyAre, Terms::default()).await? {
            Answered::Rows(rows) => Ok(rows),
            // Nothing is gathered.
            Answered::Whole(_) => Err(engine_fault()),
        }
    }

    /// As [`Pending::rows`], with the rows given the wanted shape on the engine's threads, and a short answer whole.
    ///
    /// # Errors
    /// As [`Pending::rows`]; what goes wrong with a short answer is always told here.
    pub async fn parts<S: Shape>(self, shape: S, terms: Terms) -> Result<Answered<S::Part>, SqlError> {
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
            error = ticket.stopped() => Err(error),
            ready = ready => ready,
        };
        let (slot, deadline, snapshot) = match ready {
            Ok(ready) => ready,
            Err(error) => return Err(refused(ticket, error)),
        };
        let time = Time { deadline, limit, partial: false };
        let (first, mut begun) = oneshot::channel();
        let (pieces, rows) = mpsc::channel(PIECES_AHEAD_MAX);
        let (shared, usage) = (Arc::clone(&engine.shared), Arc::clone(ticket.usage()));
        let mut work = engine.spawn(async move {
            let output = Output::new(first, pieces, shape, terms, Arc::clone(&usage));
            let outcome = shared.send(request, snapshot, &usage, output).await;
            // A query that was given up counts until it has really stopped.
            drop(slot);
            // The engine must not be dropped by one of its own threads.
            (outcome, shared)
        })?;
        let outcome = tokio::select! {
            biased;
            Ok(beginning) = &mut begun => {
                let time = Time { partial: terms.partial, ..time };
                return Ok(Answered::Rows(watched(beginning, rows, ticket, work, time)));
            }
            outcome = watch(&ticket, &mut work, time) => outcome,
        };
        match outcome {
            Ok(Sent { whole: Some(beginning), partial }) => {
                let ended = finished(ticket, partial);
                let Beginning { schema, pieces } = beginning;
                let parts = pieces.into_iter().map(|piece| piece.part).collect();
                Ok(Answered::Whole(Whole { schema, parts, ended }))
            }
            Ok(Sent { whole: None, partial }) => {
                // It ended before we looked: what it began with is there.
                let beginning = begun.await.map_err(|_| engine_fault())?;
                let ended = finished(ticket, partial);
                Ok(Answered::Rows(RowStream::over(beginning, rows, ended, deadline)))
            }
            Err(error) => Err(refused(ticket, error)),
        }
    }
}

/// Leaves the query to somebody who watches it while its rows are read.
fn watched<T: Send + 'static>(
    beginning: Beginning<T>,
    rows: mpsc::Receiver<Piece<T>>,
    ticket: Ticket,
    mut work: Work<T>,
    time: Time,
) -> RowStream<T> {
    let (tell, end) = oneshot::channel();
    // Beside the engine's threads, since these may all be busy when the time is over.
    let watch = Task(tokio::runtime::Handle::current().spawn(async move {
        let outcome = match watch(&ticket, &mut work, time).await {
            Ok(sent) => Ok(finished(ticket, sent.partial)),
            Err(error) => Err(refused(ticket, error)),
        };
        // Nobody listens any more when this fails.
        let _ = tell.send(outcome);
    }));
    let Beginning { schema, pieces } = beginning;
    RowStream {
        schema,
        first: pieces.into_iter(),
        rows,
        taken: 0,
        end: Some(end),
        ended: None,
        is_over: false,
        deadline: time.deadline,
        _watch: Some(watch),
    }
}

impl<T> RowStream<T> {
    /// One whose query is over.
    fn over(
        beginning: Beginning<T>,
        rows: mpsc::Receiver<Piece<T>>,
        ended: Ended,
        deadline: Instant,
    ) -> Self {
        let Beginning { schema, pieces } = beginning;
        let (first, ended) = (pieces.into_iter(), Some(ended));
        Self { schema, first, rows, taken: 0, end: None, ended, is_over: false, deadline, _watch: None }
    }

    /// Column names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// When the time limit ends the query, wherever its reader is then.
    pub fn deadline(&self) -> std::time::Instant {
        self.deadline.into_std()
    }

    /// How it ended, after the last row; `None` before that and after an error.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref().filter(|_| self.is_over)
    }

    /// The next rows; `None` after the last. After an error there are no more.
    pub async fn next(&mut self) -> Option<Result<T, SqlError>> {
        let piece = match self.next_piece().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Some(Err(error)),
            None => {
                self.is_over = true;
                if let Some(ended) = &mut self.ended {
                    // The last that was sent may not have been counted when the time was over.
                    ended.rows = self.taken;
                }
                return None;
            }
        };
        self.taken += piece.rows as u64;
        Some(Ok(piece.part))
    }

    async fn next_piece(&mut self) -> Option<Result<Piece<T>, SqlError>> {
        if let Some(piece) = self.first.next() {
            return Some(Ok(piece));
        }
        if let Some(end) = &mut self.end {
            let end = tokio::select! {
                biased;
                Some(piece) = self.rows.recv() => return Some(Ok(piece)),
                end = end => end,
            };
            self.end = None;
            // What the work still wants to send when it was cut short is too late.
            self.rows.close();
            match end.unwrap_or_else(|_| Err(engine_fault())) {
                Ok(ended) => self.ended = Some(ended),
                Err(error) => {
                    while self.rows.try_recv().is_ok() {}
                    return Some(Err(error));
                }
            }
        }
        // It has ended well; what waits is the rest.
        self.rows.recv().await.map(Ok)
    }
}

/// Until when a query may run, and whether what it has given by then will do.
#[derive(Clone, Copy)]
struct Time {
    deadline: Instant,
    limit: Duration,
    partial: bool,
}

/// How the work ended, or why it was not waited for. It stops when it is dropped.
async fn watch<T>(ticket: &Ticket, work: &mut Work<T>, time: Time) -> Result<Sent<T>, SqlError> {
    tokio::select! {
        biased;
        error = ticket.stopped() => Err(error),
        () = tokio::time::sleep_until(time.deadline) => match time.partial {
            true => Ok(Sent { whole: None, partial: Some("timeout") }),
            false => Err(limits::timeout_reached(time.limit)),
        },
        ended = &mut work.0 => ended.map_or_else(|_| Err(engine_fault()), |(outcome, _)| outcome),
    }
}

/// Notes in the log that the query ended well.
fn finished(ticket: Ticket, partial: Option<&'static str>) -> Ended {
    let stats = ticket.usage().stats(ticket.elapsed());
    let rows = ticket.usage().rows();
    ticket.finish(Ok(Finished { rows, partial: partial.is_some() }));
    Ended { rows, partial, stats }
}

/// Notes in the log that it did not.
fn refused(ticket: Ticket, error: SqlError) -> SqlError {
    tracing::debug!(error = %error, "query failed");
    ticket.finish(Err(&error));
    error
}

impl Shared {
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
