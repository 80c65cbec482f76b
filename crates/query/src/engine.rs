mod hand_over;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource, SystemTable, Table};
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::answer;
use crate::documentation::Documentation;
use crate::error::{Error, Result};
use crate::fault;
use crate::limits::{self, QueryOptions, READER_PATIENCE, THREAD_STACK_BYTES, TURN_LOOK};
use crate::memory::EngineMemory;
use crate::query_log::{Finished, QueryInfo, QueryLog, Ticket};
use crate::session::{self, QueryScope, Session};
use crate::signal_schema;
use crate::source::{BlockSource, Guard, Snapshot};
use crate::spill;
use crate::statement;
use crate::suggest::closest;
use crate::table_info::{self, TableInfo};
use crate::usage::Usage;
use crate::views::VIEWS;

pub use hand_over::Shape;
pub use stream::{Answered, Description, Ended, Pending, RowStream, Terms, Whole};

/// Answers SQL over blocks, head and system tables. Clones share one engine.
#[derive(Clone)]
pub struct QueryEngine {
    shared: Arc<Shared>,
    /// Whose turns its queries take.
    slots: Arc<Semaphore>,
}

struct Shared {
    source: Arc<dyn BlockSource>,
    system: Vec<Arc<dyn SystemTable>>,
    options: QueryOptions,
    base: SessionState,
    memory: Arc<EngineMemory>,
    disk: Arc<DiskManager>,
    reserved_slots: Arc<Semaphore>,
    log: Arc<QueryLog>,
    tables: Vec<TableInfo>,
    /// Only taken out when the engine is dropped.
    workers: Option<Runtime>,
}

impl QueryEngine {
    /// An engine over this storage and these system tables, with worker threads of its own; `query_log` and
    /// `documentation` are added to the system tables.
    ///
    /// # Errors
    /// When the threads do not start, or two tables have one name.
    pub fn new(
        source: Arc<dyn BlockSource>,
        mut system: Vec<Arc<dyn SystemTable>>,
        options: QueryOptions,
    ) -> Result<Self> {
        let log = QueryLog::new(Arc::clone(&options.clock));
        system.push(Arc::clone(&log) as Arc<dyn SystemTable>);
        let documentation = Arc::new(Documentation::default());
        system.push(Arc::clone(&documentation) as Arc<dyn SystemTable>);
        check_names(&system)?;
        let memory = EngineMemory::new(options.memory_bytes, options.slots());
        let disk = spill::disk_manager(options.spill.as_ref())?;
        let footers = Arc::new(DefaultCache::new(options.footer_bytes).with_name("footers"));
        let base = session::base(options.threads(), memory.share(), source.object_store(), footers)
            .map_err(|error| setup(&error))?;
        let slots = Arc::new(Semaphore::new(options.concurrency()));
        let reserved_slots = Arc::new(Semaphore::new(options.reserved));
        // More than cores: a query that is long at one step shares a core with the others by the system's clock.
        let workers = Some(workers(options.threads() + options.slots())?);
        let mut shared = Shared {
            source,
            system,
            options,
            base,
            memory,
            disk,
            reserved_slots,
            log,
            tables: Vec::new(),
            workers,
        };
        shared.tables = shared.describe_tables()?;
        documentation.fill(&shared.tables);
        Ok(Self { shared: Arc::new(shared), slots })
    }

    /// The same engine for the program's own questions: they take the turns of [`QueryOptions::reserved`], which no
    /// other query can take, and wait for nobody else's. Without any they are queries like others.
    #[must_use]
    pub fn reserved(&self) -> Self {
        if self.shared.options.reserved == 0 {
            return self.clone();
        }
        Self { shared: Arc::clone(&self.shared), slots: Arc::clone(&self.shared.reserved_slots) }
    }

    /// The queries that are running or waiting for their turn, oldest first.
    pub fn running(&self) -> Vec<QueryInfo> {
        self.shared.log.running()
    }

    /// Stops a running query, which then fails with [`SqlError::Cancelled`]. False when there is none with this id.
    pub fn cancel(&self, id: u64) -> bool {
        self.shared.log.cancel(id)
    }

    /// Most rows of an answer that is held whole.
    pub fn rows_max(&self) -> usize {
        self.shared.options.rows_max
    }

    /// All tables and views with their columns, sorted by name.
    pub fn tables(&self) -> &[TableInfo] {
        &self.shared.tables
    }
}

impl fmt::Debug for QueryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.running().len();
        f.debug_struct("QueryEngine")
            .field("options", &self.shared.options)
            .field("running", &running)
            .finish()
    }
}

#[async_trait::async_trait]
impl SqlSource for QueryEngine {
    /// Runs on the engine's own threads; needs a Tokio runtime with a timer around it. Dropping the future
    /// cancels the query.
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let ticket = self.shared.log.begin(&request.tenant, &request.sql);
        let result = self.bounded(request, &ticket).await;
        match &result {
            Ok(answer) => ticket.finish(Ok(Finished { rows: answer.row_count() as u64, partial: false })),
            Err(error) => {
                tracing::debug!(error = %error, "query failed");
                ticket.finish(Err(error));
            }
        }
        result
    }
}

impl QueryEngine {
    /// The query under the limits of time and concurrency.
    async fn bounded(&self, request: SqlRequest, ticket: &Ticket) -> Result<SqlAnswer, SqlError> {
        let limit = self.shared.options.timeout;
        let limit = request.timeout.map_or(limit, |asked| asked.min(limit));
        let work = async {
            let slot = self.slot().await?;
            tokio::time::timeout(limit, self.on_workers(request, slot, Arc::clone(ticket.usage())))
                .await
                .unwrap_or_else(|_| Err(limits::timeout_reached(limit)))
        };
        let mut answer = tokio::select! {
            biased;
            error = ticket.stopped() => return Err(error),
            answer = work => answer?,
        };
        answer.stats = ticket.usage().stats(ticket.elapsed());
        Ok(answer)
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, SqlError> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let wait: Duration = self.shared.options.concurrency_wait;
        match tokio::time::timeout(wait, self.turn()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(SqlError::Failed { message: "the query engine is shut down".to_owned() }),
            Err(_) => Err(limits::concurrency_reached(self.shared.options.concurrency(), wait)),
        }
    }

    /// Waits for a slot. Whoever holds one for a reader who takes no rows has to give it up meanwhile.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let mut slot = std::pin::pin!(Arc::clone(&self.slots).acquire_owned());
        loop {
            self.shared.log.stop_slowest_reader(READER_PATIENCE);
            tokio::select! {
                biased;
                slot = slot.as_mut() => return slot,
                () = tokio::time::sleep(TURN_LOOK) => {}
            }
        }
    }

    /// Moves the work off the caller's threads. The slot goes along, so that a query that was given up still
    /// counts until it really has stopped.
    async fn on_workers(
        &self,
        request: SqlRequest,
        slot: OwnedSemaphorePermit,
        usage: Arc<Usage>,
    ) -> Result<SqlAnswer, SqlError> {
        let Some(workers) = &self.shared.workers else {
            return Err(SqlError::Failed { message: "the query engine is shut down".to_owned() });
        };
        // A snapshot may wait for storage's own tasks, so it is taken on the caller's runtime.
        let snapshot = self.shared.source.snapshot(&request.tenant).await?;
        let shared = Arc::clone(&self.shared);
        let task = workers.spawn(async move {
            let answer = shared.answer(request, snapshot, &usage).await;
            drop(slot);
            // The engine must not be dropped by one of its own threads.
            (answer, shared)
        });
        let task = AbortOnDrop(task);
        task.join().await
    }
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop(tokio::task::JoinHandle<(Result<SqlAnswer, SqlError>, Arc<Shared>)>);

impl AbortOnDrop {
    async fn join(mut self) -> Result<SqlAnswer, SqlError> {
        match (&mut self.0).await {
            Ok((answer, _)) => answer,
            Err(error) if error.is_cancelled() => Err(SqlError::Cancelled),
            Err(_) => Err(SqlError::Failed {
                message: "the SQL engine stopped on a fault of its own; see the log".to_owned(),
            }),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One query's session, and what its tables and rows hold on to.
struct Opened {
    session: Session,
    memory: Arc<dyn MemoryPool>,
    _guard: Option<Guard>,
}

impl Shared {
    async fn answer(
        &self,
        request: SqlRequest,
        snapshot: Snapshot,
        usage: &Usage,
    ) -> Result<SqlAnswer, SqlError> {
        let now = self.options.clock.now();
        let statement = statement::parse(&request.sql, &request.params, now)?;
        // Its guard is held until the last row is read (BLK-3).
        let opened = self.open(request, snapshot, usage, now)?;
        let plan = self.plan(&opened.session, statement).await?;
        let plan = Arc::clone(usage.plan.get_or_init(|| plan));
        self.collect(&opened.session, plan, &opened.memory).await
    }

    /// The session of one query over one snapshot, with memory of its own.
    fn open(
        &self,
        request: SqlRequest,
        snapshot: Snapshot,
        usage: &Usage,
        now: Timestamp,
    ) -> Result<Opened, SqlError> {
        check_tenant(&snapshot, &request)?;
        let guard = snapshot.guard.clone();
        let memory: Arc<dyn MemoryPool> =
            Arc::clone(usage.memory.get_or_init(|| self.memory.query_pool(self.options.spill.is_some())))
                as _;
        let scope = QueryScope {
            tenant: request.tenant,
            clearance: request.clearance,
            snapshot,
            memory: Arc::clone(&memory),
            disk: Arc::clone(&self.disk),
            counts: Arc::clone(&usage.counts),
            text_index: self.options.text_index.clone(),
            now,
        };
        let session = session::for_query(&self.base, scope, &self.system)
            .map_err(|error| fault::explain(&error, self.memory.limit()))?;
        Ok(Opened { session, memory, _guard: guard })
    }

    async fn plan(
        &self,
        session: &Session,
        statement: datafusion::sql::parser::Statement,
    ) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
        let plan = self.logical_plan(session, statement).await?;
        let explain = |error: DataFusionError| fault::explain(&error, self.memory.limit());
        session.state.create_physical_plan(&plan).await.map_err(explain)
    }

    /// The plan as written, known to read only.
    async fn logical_plan(
        &self,
        session: &Session,
        statement: datafusion::sql::parser::Statement,
    ) -> Result<LogicalPlan, SqlError> {
        let explain = |error: DataFusionError| fault::explain(&error, self.memory.limit());
        let wanted = session.wanted(&statement).map_err(explain)?;
        check_tables(session, &wanted)?;
        session.register_views(&wanted).await.map_err(explain)?;
        let plan = session.state.statement_to_plan(statement).await.map_err(explain)?;
        let read_only = datafusion::execution::context::SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(explain)?;
        Ok(plan)
    }

    /// All rows, counted against the limits of rows and memory as they come.
    async fn collect(
        &self,
        session: &Session,
        plan: Arc<dyn ExecutionPlan>,
        memory: &Arc<dyn MemoryPool>,
    ) -> Result<SqlAnswer, SqlError> {
        let explain = |error: DataFusionError| fault::explain(&error, self.memory.limit());
        let schema = signal_schema::unmarked(&plan.schema());
        let held = MemoryConsumer::new("answer").register(memory);
        let mut stream = execute_stream(plan, session.task_context()).map_err(explain)?;
        let (mut batches, mut rows) = (Vec::new(), 0_usize);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(explain)?;
            rows += batch.num_rows();
            if rows > self.options.rows_max {
                return Err(limits::rows_reached(self.options.rows_max));
            }
            if batch.num_rows() > 0 {
                // Only plain texts say how long they are.
                let batch = answer::plain(&schema, &batch)?;
                held.try_grow(answer::bytes(&batch)?).map_err(explain)?;
                batches.push(batch);
            }
        }
        Ok(SqlAnswer::new(schema, batches))
    }

    fn describe_tables(&self) -> Result<Vec<TableInfo>> {
        let scope = QueryScope {
            tenant: hindsight_model::Tenant::default(),
            clearance: hindsight_model::Clearance::default(),
            snapshot: Snapshot::default(),
            memory: self.memory.query_pool(false),
            disk: Arc::clone(&self.disk),
            counts: Arc::default(),
            text_index: None,
            now: self.options.clock.now(),
        };
        let session = session::for_query(&self.base, scope, &self.system).map_err(|error| setup(&error))?;
        let describe = async {
            session.register_views(&session::Wanted::All).await?;
            session.describe().await
        };
        let mut tables = futures::executor::block_on(describe).map_err(|error| setup(&error))?;
        table_info::document(&mut tables, &self.system);
        Ok(tables)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which async code must not do.
        if let Some(workers) = self.workers.take() {
            workers.shutdown_background();
        }
    }
}

fn workers(threads: usize) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("query")
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|source| Error::Threads { threads, source })
}

fn check_names(system: &[Arc<dyn SystemTable>]) -> Result<()> {
    let mut names: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
    names.extend(VIEWS.iter().map(|view| view.name));
    for table in system {
        let name = table.name();
        if names.contains(&name) {
            return Err(Error::DuplicateTable { name: name.to_owned() });
        }
        names.push(name);
    }
    Ok(())
}

/// QRY-3, checked again: a snapshot of somebody else's blocks is not read.
fn check_tenant(snapshot: &Snapshot, request: &SqlRequest) -> Result<(), SqlError> {
    let foreign =
        snapshot.tables.iter().flat_map(|table| &table.blocks).any(|block| block.tenant != request.tenant);
    if foreign {
        return Err(SqlError::Failed {
            message: "storage offered another tenant's block; nothing was read".to_owned(),
        });
    }
    Ok(())
}

fn check_tables(session: &Session, wanted: &session::Wanted) -> Result<(), SqlError> {
    let session::Wanted::Named(names) = wanted else { return Ok(()) };
    let known = session.table_names();
    for name in names {
        if !known.contains(name) {
            let hint = match closest(name, known.iter().map(String::as_str)) {
                Some(right) => format!("did you mean `{right}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(SqlError::Invalid { message: format!("there is no table `{name}`; {hint}") });
        }
    }
    Ok(())
}

fn setup(error: &DataFusionError) -> Error {
    Error::Setup { message: error.message().into_owned() }
}
