//! One session for each query: the shared functions and rules, this query's tables, its own memory.

use std::sync::Arc;

use arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::cache::cache_manager::{CacheManagerConfig, FileMetadataCache};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{FunctionRegistry, TaskContext};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use hindsight_model::{Clearance, SystemTable, Table, Tenant, TextIndex, to_micros};
use jiff::Timestamp;
use object_store::ObjectStore;

use crate::attribute_functions::AttributeFunctions;
use crate::collapse_runs::CollapseRuns;
use crate::functions;
use crate::group_codes::GroupByCodes;
use crate::information_schema::InformationSchema;
use crate::json_operator::AttributePlanner;
use crate::json_pruning::AttributeEquality;
use crate::newest_first::NewestFirst;
use crate::output::sql_type;
use crate::series_sort::SortSeries;
use crate::series_window::WindowSeries;
use crate::signal_table::{ScanCounts, SignalTable};
use crate::source::Snapshot;
use crate::spill::sort_reservation;
use crate::statement;
use crate::system::SystemProvider;
use crate::table_docs;
use crate::table_info::{ColumnInfo, TableInfo};
use crate::view_equality::FilterByView;
use crate::views::VIEWS;
use crate::yielding::YieldAfterJoins;

const CATALOG: &str = "hindsight";
const SCHEMA: &str = "public";
/// The name under which sessions know the object store; any scheme of our own will do.
const STORE_URL: &str = "hindsight://blocks";

/// What every query's session is cut from: functions, rules, the blocks' store and the footers that were read.
pub(crate) fn base(
    threads: usize,
    share: usize,
    store: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        // Ours stands in its place.
        .with_information_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    // Head and blocks must have one schema, and it says which texts are views.
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Each scan says for itself whether its rows are filtered while they are read.
    options.execution.parquet.pushdown_filters = false;
    options.execution.parquet.reorder_filters = true;
    options.execution.sort_spill_reservation_bytes = sort_reservation(share, threads);
    // A union keeps only the marks that all its inputs share, and the check would take that for a fault.
    options.execution.skip_physical_aggregate_schema_check = true;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime(store, footers)?)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(NewestFirst))
        .with_physical_optimizer_rule(Arc::new(SortSeries))
        .with_physical_optimizer_rule(Arc::new(WindowSeries))
        .with_physical_optimizer_rule(Arc::new(CollapseRuns))
        .with_physical_optimizer_rule(Arc::new(GroupByCodes))
        .with_physical_optimizer_rule(Arc::new(FilterByView))
        .with_physical_optimizer_rule(Arc::new(YieldAfterJoins))
        .build();
    state.table_factories_mut().clear();
    // Before the JSON library's own planner: the first that knows an operator plans it.
    state.register_expr_planner(Arc::new(AttributePlanner))?;
    datafusion_functions_json::register_all(&mut state)?;
    state.register_function_rewrite(Arc::new(AttributeEquality))?;
    state.register_function_rewrite(Arc::new(AttributeFunctions))?;
    functions::register(&mut state)?;
    Ok(state)
}

/// Everything that is one query's own.
pub(crate) struct QueryScope {
    pub(crate) tenant: Tenant,
    pub(crate) clearance: Clearance,
    pub(crate) snapshot: Snapshot,
    pub(crate) memory: Arc<dyn MemoryPool>,
    pub(crate) disk: Arc<DiskManager>,
    pub(crate) counts: Arc<ScanCounts>,
    pub(crate) text_index: Option<Arc<dyn TextIndex>>,
    /// What `now()` says.
    pub(crate) now: Timestamp,
}

/// The session of one query, with all signal and system tables in it.
pub(crate) fn for_query(
    base: &SessionState,
    scope: QueryScope,
    system: &[Arc<dyn SystemTable>],
) -> Result<Session> {
    let tables = Arc::new(MemorySchemaProvider::new());
    let (catalogs, catalog) = catalogs(&tables)?;
    // The builder would put in every function anew, which takes longer than a small query.
    let mut state = base.clone();
    state.register_catalog_list(catalogs);
    let runtime = RuntimeEnv {
        memory_pool: scope.memory,
        disk_manager: scope.disk,
        ..base.runtime_env().as_ref().clone()
    };
    state.mark_start_execution();
    state.execution_props_mut().query_execution_start_time =
        timestamp_us_to_datetime(to_micros(scope.now)).map(|at| at.and_utc());
    let mut session = Session { state, runtime: Arc::new(runtime), tables, catalog };
    for table in system {
        let provider = SystemProvider::new(Arc::clone(table), scope.tenant.clone(), scope.clearance);
        session.register(table.name(), Arc::new(provider))?;
    }
    let Snapshot { tables, guard: _ } = scope.snapshot;
    for (table, snapshot) in Table::ALL.into_iter().zip(tables) {
        let signal =
            SignalTable::new(table, scope.tenant.clone(), snapshot, store_url()?, Arc::clone(&scope.counts))
                .with_text_index(scope.text_index.clone());
        let signal: Arc<dyn TableProvider> = Arc::new(signal);
        session.register(table.name(), Arc::clone(&signal))?;
        if table == Table::Spans {
            functions::register_over_spans(&mut session.state, &signal);
        }
    }
    Ok(session)
}

/// Catalogs with one schema, and the catalog it is in.
fn catalogs(
    tables: &Arc<MemorySchemaProvider>,
) -> Result<(Arc<dyn CatalogProviderList>, Arc<MemoryCatalogProvider>)> {
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(SCHEMA, Arc::clone(tables) as Arc<dyn SchemaProvider>)?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::clone(&catalog) as _);
    Ok((Arc::new(catalogs), catalog))
}

/// A planned session: where names are looked up and plans are made.
pub(crate) struct Session {
    /// Plans; what it would run with is not this query's.
    pub(crate) state: SessionState,
    /// The query's own memory and scratch files.
    runtime: Arc<RuntimeEnv>,
    tables: Arc<MemorySchemaProvider>,
    catalog: Arc<MemoryCatalogProvider>,
}

impl Session {
    fn register(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.tables.register_table(name.to_owned(), table)?;
        Ok(())
    }

    /// What plans of this session run with.
    pub(crate) fn task_context(&self) -> Arc<TaskContext> {
        let id = self.state.session_id().to_owned();
        let config = self.state.config().clone();
        // Plans hold the functions they call.
        let (scalar, higher, aggregate, window) = Default::default();
        let runtime = Arc::clone(&self.runtime);
        Arc::new(TaskContext::new(None, id, config, scalar, higher, aggregate, window, runtime))
    }

    /// The names that can be asked.
    pub(crate) fn table_names(&self) -> Vec<String> {
        let mut names = self.tables.table_names();
        names.extend(VIEWS.iter().map(|view| view.name.to_owned()));
        names.sort();
        names.dedup();
        names
    }

    /// Plans the views that a statement may ask for, and `information_schema`. Views read signal tables only, so
    /// planning them on demand saves every other query the work.
    pub(crate) async fn register_views(&self, wanted: &Wanted) -> Result<()> {
        if matches!(wanted, Wanted::All)
            && let Some(words) = self.tables.table("documentation").await?
        {
            let (catalogs, _) = catalogs(&self.tables)?;
            self.catalog
                .register_schema(INFORMATION_SCHEMA, Arc::new(InformationSchema::over(catalogs, words)))?;
        }
        for view in &VIEWS {
            if wanted.includes(view.name) {
                let statement = statement::parse_view(view.sql)
                    .map_err(|error| DataFusionError::External(Box::new(error)))?;
                let plan = self.state.statement_to_plan(statement).await?;
                self.register(view.name, Arc::new(ViewTable::new(plan, Some(view.sql.to_owned()))))?;
            }
        }
        Ok(())
    }

    /// The tables that a statement names.
    pub(crate) fn wanted(&self, statement: &Statement) -> Result<Wanted> {
        let mut names = Vec::new();
        for reference in self.state.resolve_table_references(statement)? {
            if reference.schema().is_some_and(|schema| schema == INFORMATION_SCHEMA) {
                return Ok(Wanted::All);
            }
            // A table function stands where a table could.
            if !self.state.table_functions().contains_key(reference.table()) {
                names.push(reference.table().to_owned());
            }
        }
        Ok(if statement::is_query(statement) { Wanted::Named(names) } else { Wanted::All })
    }
}

/// Which tables a statement may look at.
pub(crate) enum Wanted {
    /// Only these.
    Named(Vec<String>),
    /// Any: it asks what there is.
    All,
}

impl Wanted {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|wanted| wanted == name),
            Self::All => true,
        }
    }
}

/// The memory and the scratch files are put in for each query.
fn runtime(store: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Result<Arc<RuntimeEnv>> {
    let nowhere = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let caches = CacheManagerConfig::default()
        .with_metadata_cache_limit(footers.cache_limit())
        .with_file_metadata_cache(Some(footers));
    let runtime =
        RuntimeEnvBuilder::new().with_disk_manager_builder(nowhere).with_cache_manager(caches).build()?;
    runtime.register_object_store(store_url()?.as_ref(), store);
    Ok(Arc::new(runtime))
}

fn store_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(STORE_URL)
}

impl Session {
    /// Names, columns and words of everything that can be asked; views must have been registered.
    pub(crate) async fn describe(&self) -> Result<Vec<TableInfo>> {
        let mut tables = Vec::new();
        for name in self.table_names() {
            let Some(table) = self.tables.table(&name).await? else { continue };
            let is_view = VIEWS.iter().any(|view| view.name == name);
            let doc = table_docs::of_table(&name);
            let column = |field: &Arc<datafusion::arrow::datatypes::Field>| ColumnInfo {
                name: field.name().clone(),
                sql_type: sql_type(field.data_type()),
                doc: table_docs::of_column(&name, field.name()),
            };
            let columns = table.schema().fields().iter().map(column).collect();
            tables.push(TableInfo { name, doc, is_view, columns });
        }
        Ok(tables)
    }
}
