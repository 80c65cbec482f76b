use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use hindsight_incidents::Runner as IncidentRunner;
use hindsight_model::{Clock, LogicalClock, SqlSource, SystemClock, SystemTable, Tenant, TextIndex};
use hindsight_notify::{PlanSettings, Worker};
use hindsight_postmortem::{ActionItemsTable, Library, PostmortemsTable};
use hindsight_query::{BlockSource, QueryEngine, QueryOptions};
use hindsight_rules::{DeadNotifications, Engine, Options as EngineOptions};
use hindsight_state::State;
use hindsight_store::{Durability, Store, StoreOptions};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::app::{App, Following, Pulse};
use crate::auth::{Surface, require_token};
use crate::capsule::CapsuleView;
use crate::holds::HoldKeeper;
use crate::otlp_http::Intake;
use crate::search::search_index;
use crate::ticker::Beat;
use crate::veiled::veiled;
use crate::{Config, Error, Result, actions, otlp_grpc, otlp_http, pg, pressure, ticker, web};

/// File in the data directory that names the web address of the server that holds it.
pub const WEB_ADDRESS_FILE: &str = "web.address";

/// Longest that requests which were begun may take to finish once the server stops; what is not acknowledged by then
/// is cut off, and its sender keeps it.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Where a running server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// OTLP/gRPC; none for a capsule.
    pub grpc: Option<SocketAddr>,
    /// OTLP/HTTP; none for a capsule.
    pub http: Option<SocketAddr>,
    /// Pages and API.
    pub web: SocketAddr,
    /// PostgreSQL wire protocol, if enabled.
    pub pg: Option<SocketAddr>,
}

/// Which clock a server lives by.
#[derive(Clone, Debug)]
pub enum ServerClock {
    /// The machine's.
    System,
    /// One that stands at `start` until replay moves it.
    Logical {
        /// First time it shows.
        start: Timestamp,
    },
}

/// A running server: its listeners, the pulse, the store's own tasks.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    addresses: Addresses,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Server {
    /// Opens the data directory, replays its log, and listens. On return all its ports answer.
    ///
    /// # Errors
    /// A taken port, a locked or damaged data directory, a wrong configuration; nothing is left running.
    pub async fn start(config: Config, clock: ServerClock) -> Result<Self> {
        Box::pin(Self::launch(config, clock, None)).await
    }

    /// Shows the capsule that was unpacked to the data directory and the workspace of `config`. Nothing listens for
    /// OTLP, nothing runs in the background, the clock stands where the capsule was made, and every request that would
    /// change something is refused.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_capsule(config: Config, view: CapsuleView) -> Result<Self> {
        let clock = ServerClock::Logical { start: view.exported_at };
        Box::pin(Self::launch(config, clock, Some(Arc::new(view)))).await
    }

    async fn launch(config: Config, clock: ServerClock, capsule: Option<Arc<CapsuleView>>) -> Result<Self> {
        config.check()?;
        let intake = if capsule.is_some() { OtlpPorts::Closed } else { OtlpPorts::Open };
        let listeners = Listeners::bind(&config, intake).await?;
        let addresses = listeners.addresses()?;
        let (clock, logical): (Arc<dyn Clock>, _) = match clock {
            ServerClock::System => (Arc::new(SystemClock), None),
            ServerClock::Logical { start } => {
                let logical = Arc::new(LogicalClock::starting_at(start));
                (Arc::<LogicalClock>::clone(&logical), Some(logical))
            }
        };
        let app = Arc::new(open(config, clock, logical, addresses, capsule).await?);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        listeners.serve(&app, &stop, &mut tasks);
        announce_web(&app.config.data_dir.value, addresses.web);
        if app.capsule.is_some() {
            return Ok(Self { app, addresses, stop, tasks });
        }
        if let Some(index) = app.search.clone() {
            let (store, options) = (app.store.clone(), app.config.search.options());
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move { index.keep(store, options, stopped).await });
        }
        tasks.spawn(actions::run(Arc::clone(&app), stop.clone()));
        if app.logical.is_none() {
            for what in [Beat::Rules, Beat::Incidents] {
                tasks.spawn(ticker::run(Arc::clone(&app), what, stop.clone()));
            }
            tasks.spawn(app.worker.clone().run(stop.clone().cancelled_owned()));
        }
        Ok(Self { app, addresses, stop, tasks })
    }

    /// Where it listens; ports asked for as 0 are real here.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Stops intake, finishes what was begun within ten seconds, drains and seals the store. On return everything
    /// acknowledged lies in sealed blocks.
    ///
    /// # Errors
    /// When the store cannot seal; its log still holds everything for the next start.
    pub async fn shutdown(mut self) -> Result<()> {
        self.stop.cancel();
        let tasks = &mut self.tasks;
        let drained =
            tokio::time::timeout(DRAIN_MAX, async { while tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("cut off {} listeners whose requests did not end in {DRAIN_MAX:?}", tasks.len());
            tasks.shutdown().await;
        }
        let data_dir = self.app.config.data_dir.value.clone();
        drop(std::fs::remove_file(data_dir.join(WEB_ADDRESS_FILE)));
        self.app.store.shutdown().await.map_err(|source| Error::Store {
            step: "close",
            data_dir,
            source: Box::new(source),
        })
    }

    /// A query source over this server's telemetry and state.
    pub fn sql(&self) -> Arc<dyn SqlSource> {
        Arc::new(self.app.query.clone())
    }

    /// The state behind alerts and incidents.
    pub fn state(&self) -> &State {
        &self.app.state
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.app.store
    }

    /// Lets a logical clock run on with the machine's, beating once a second; ends with the server.
    pub async fn follow_system_clock(&self) -> std::convert::Infallible {
        loop {
            if let Err(error) = self.advance_to(SystemClock.now()).await {
                tracing::warn!(error = crate::fault::chain(&error), "a beat failed; trying again");
            }
            tokio::time::sleep(ticker::BEAT).await;
        }
    }

    /// Moves a logical clock to `now` and evaluates everything due on the way.
    ///
    /// # Errors
    /// As the rules, incidents and notifications have them.
    pub async fn advance_to(&self, now: Timestamp) -> Result<()> {
        if let Some(logical) = &self.app.logical {
            logical.advance_to(now);
        }
        self.app.pulse().await
    }
}

/// The query engine over an opened store and state, with every system table; also what `hindsight sql` uses on a
/// data directory that no server holds.
///
/// # Errors
/// When the engine cannot be made.
pub fn query_engine(
    store: &Store,
    state: &State,
    library: &Arc<Library>,
    options: QueryOptions,
) -> Result<QueryEngine, Error> {
    let mut system: Vec<Arc<dyn SystemTable>> = store.system_tables();
    system.extend(state.system_tables().into_iter().map(|table| veiled(table, library)));
    system.push(Arc::new(PostmortemsTable::new(Arc::clone(library))));
    system.push(Arc::new(ActionItemsTable::new(Arc::clone(library), state.clone())));
    let source: Arc<dyn BlockSource> = Arc::new(store.clone());
    QueryEngine::new(source, system, options).map_err(|source| Error::Query(Box::new(source)))
}

async fn open(
    config: Config,
    clock: Arc<dyn Clock>,
    logical: Option<Arc<LogicalClock>>,
    addresses: Addresses,
    capsule: Option<Arc<CapsuleView>>,
) -> Result<App> {
    let data_dir = config.data_dir.value.clone();
    let mut store_options = store_options(&config);
    if capsule.is_some() {
        // What it holds is older than any retention, and stays as it is.
        store_options.maintenance.interval = None;
    }
    let store = Store::open(store_options, Arc::clone(&clock)).await.map_err(|source| Error::Store {
        step: "open",
        data_dir: data_dir.clone(),
        source: Box::new(source),
    })?;
    let path = data_dir.join("state.db");
    let state_error = |source| Error::State { path: path.clone(), source: Box::new(source) };
    let state = State::open(&path).await.map_err(state_error)?;
    // The store's lock is ours, so whoever held a page is dead and can no longer send it.
    let released = state.release_outbox().await.map_err(state_error)?;
    if released > 0 {
        tracing::info!(released, "notifications that were under way at the last end are sent again");
    }
    let search = search_index(&data_dir);
    let query_options = QueryOptions {
        reserved: hindsight_rules::CONCURRENCY,
        clock: Arc::clone(&clock),
        text_index: search.clone().map(|index| Arc::new(index) as Arc<dyn TextIndex>),
        ..config.query.options(&data_dir)
    };
    let workspace = config.workspace.value.clone();
    let library = Arc::new(Library::new(workspace.clone()));
    let query = query_engine(&store, &state, &library, query_options)?;
    let sql: Arc<dyn SqlSource> = Arc::new(query.clone());
    let settings = PlanSettings {
        notify_max_age: config.notify.max_age.value,
        external_url: config.notify.external_url(addresses.web),
    };
    let notify_error = |source| Error::Notify(Box::new(source));
    let (receivers, routing) = (config.notify.receivers.clone(), Arc::clone(&config.notify.routing));
    let worker =
        Worker::new(state.clone(), receivers, Arc::clone(&routing), settings.clone(), Arc::clone(&clock))
            .map_err(notify_error)?;
    let told = worker.tell_new_routes(&Tenant::default(), clock.now()).await.map_err(notify_error)?;
    if told > 0 {
        tracing::info!(told, "alerts that fire are told on {told} new routes");
    }
    let seen = store.clone();
    let options = EngineOptions {
        plan: Box::new(move |transitions, now| hindsight_notify::plan(transitions, &routing, now, &settings)),
        watermark: Box::new(move || seen.watermark(&Tenant::default())),
        dead_notifications: Some(dead_notifications(&state)),
        overdue_actions: Some(actions::overdue(&state, &library)),
        ..EngineOptions::default()
    };
    let journal = Arc::new(state.clone());
    // Rules have turns of their own: no query that people ask can keep an alert waiting.
    let for_rules: Arc<dyn SqlSource> = Arc::new(query.reserved());
    let engine = Engine::new(for_rules, journal, workspace, Tenant::default(), options)
        .map_err(|source| Error::Rules(Box::new(source)))?;
    let incidents = IncidentRunner::new(state.clone(), sql, Tenant::default());
    let mut holds = HoldKeeper::default();
    // Before the first round of retention: what was to be held when the program ended is held when it begins.
    if capsule.is_none()
        && let Err(error) = holds.keep(&store, &state, &incidents, &library, clock.now()).await
    {
        tracing::error!(
            error = crate::fault::chain(&error),
            "holds could not be brought up to date; they stay as they were"
        );
    }
    let pulse = Pulse { engine, shown_due: None };
    let following = Following { incidents, holds };
    Ok(App::new(
        config, clock, logical, store, state, query, library, search, addresses, worker, pulse, following,
        capsule,
    ))
}

/// What the built-in rule about receivers that are given up measures.
fn dead_notifications(state: &State) -> DeadNotifications {
    let state = state.clone();
    Box::new(move |from, to| {
        let state = state.clone();
        Box::pin(async move { Ok(state.dead_notifications(&Tenant::default(), from, to).await?) })
    })
}

/// The store's options as the configuration has them.
pub fn store_options(config: &Config) -> StoreOptions {
    let mut options = StoreOptions::new(config.data_dir.value.clone());
    options.tables = config.tables.value.clone();
    options.promote.clone_from(&config.promote.value);
    options.seal_bytes = config.seal_bytes.value;
    options.seal_age = config.seal_age.value;
    options.head_bytes_max = config.head_bytes_max.value;
    options.in_flight_bytes_max = config.limits.in_flight_bytes_max.value;
    options.id_filter_bytes_max = config.limits.id_filter_bytes_max.value;
    options.series_max = config.limits.series_max.value;
    options.rate = config.limits.rate();
    options.durability = if config.fsync.value { Durability::Fsync } else { Durability::Flush };
    options.retention = config.retention.value;
    config.compaction.apply(&mut options.maintenance);
    options.maintenance.retention_rules = config.retention_rules.value.clone();
    options
}

/// Whether telemetry is taken in. A capsule takes none, and refuses the connection rather than the request: an exporter
/// keeps what it could not send, and drops what was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OtlpPorts {
    Open,
    Closed,
}

struct Listeners {
    grpc: Option<TcpListener>,
    http: Option<TcpListener>,
    web: TcpListener,
    pg: Option<TcpListener>,
    pg_tls: Option<TlsAcceptor>,
}

impl Listeners {
    async fn bind(config: &Config, otlp: OtlpPorts) -> Result<Self> {
        let (grpc, http) = match otlp {
            OtlpPorts::Closed => (None, None),
            OtlpPorts::Open => (
                Some(bind(config.listen_grpc.value, "OTLP/gRPC", "--listen-grpc").await?),
                Some(bind(config.listen_http.value, "OTLP/HTTP", "--listen-http").await?),
            ),
        };
        Ok(Self {
            grpc,
            http,
            web: bind(config.listen_web.value, "pages and API", "--listen-web").await?,
            pg_tls: config.listen_pg_tls.value.as_ref().map(pg::acceptor).transpose()?,
            pg: match config.listen_pg.value {
                Some(address) => Some(bind(address, "the PostgreSQL protocol", "--listen-pg").await?),
                None => None,
            },
        })
    }

    fn addresses(&self) -> Result<Addresses> {
        let of = |listener: &TcpListener, surface, flag| {
            listener.local_addr().map_err(|source| Error::Listen {
                surface,
                address: SocketAddr::from(([0, 0, 0, 0], 0)),
                flag,
                source,
            })
        };
        let of_each = |listener: &Option<TcpListener>, surface, flag| {
            listener.as_ref().map(|listener| of(listener, surface, flag)).transpose()
        };
        Ok(Addresses {
            grpc: of_each(&self.grpc, "OTLP/gRPC", "--listen-grpc")?,
            http: of_each(&self.http, "OTLP/HTTP", "--listen-http")?,
            web: of(&self.web, "pages and API", "--listen-web")?,
            pg: of_each(&self.pg, "the PostgreSQL protocol", "--listen-pg")?,
        })
    }

    fn serve(self, app: &Arc<App>, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
        let pressure = &app.pressure;
        let intake = Intake {
            store: app.store.clone(),
            request_bytes_max: app.config.request_bytes_max.value,
            pressure: Arc::clone(pressure),
        };
        let http = otlp_http::router(intake.clone(), &app.config.cors_origins.value);
        let grpc = otlp_grpc::router(intake);
        #[cfg(feature = "flight")]
        let grpc = crate::flight::beside(grpc, app);
        let ports = [
            (self.grpc, grpc, Surface::Grpc, &pressure.grpc),
            (self.http, http, Surface::Http, &pressure.http),
            (Some(self.web), web::router(Arc::clone(app)), Surface::Web, &pressure.web),
        ];
        for (listener, router, surface, connections) in ports {
            let Some(listener) = listener else { continue };
            let router = guarded(router, app, surface);
            tasks.spawn(pressure::serve(listener, router, Arc::clone(connections), stop.clone()));
        }
        if let Some(listener) = self.pg {
            tasks.spawn(pg::serve(
                listener,
                self.pg_tls,
                Arc::clone(app),
                Arc::clone(&pressure.pg),
                stop.clone(),
            ));
        }
    }
}

/// Leaves the web address where `hindsight sql --data-dir` finds it. A convenience: failing to write it stops nobody.
fn announce_web(data_dir: &Path, web: SocketAddr) {
    let path = data_dir.join(WEB_ADDRESS_FILE);
    if let Err(error) = std::fs::write(&path, format!("{web}\n")) {
        tracing::warn!(%error, path = %path.display(), "could not write the web address");
    }
}

async fn bind(address: SocketAddr, surface: &'static str, flag: &'static str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { surface, address, flag, source })
}

fn guarded(router: Router, app: &Arc<App>, surface: Surface) -> Router {
    let access = Access::new(&app.config);
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        require_token(access.clone(), surface, request, next)
    }))
}
