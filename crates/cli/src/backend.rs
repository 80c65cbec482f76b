//! Where a command finds its answers: a server, or a data directory that no server holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hindsight_model::{
    Clearance, Clock, Incident, IncidentId, SqlAnswer, SqlError, SqlRequest, SqlSource, SystemClock, Tenant,
    TextIndex, TimelineRow,
};
use hindsight_postmortem::{Lacking, Library, Similar};
use hindsight_query::{QueryEngine, QueryOptions};
use hindsight_server::{Config, Overrides};
use hindsight_state::State;
use hindsight_store::Store;
use jiff::Timestamp;
use serde_json::Value;

use crate::allocator;
use crate::args::SourceArgs;
use crate::incoming::{Incoming, Rows};
use crate::remote::Remote;

const DEFAULT_URL: &str = "http://127.0.0.1:4320";

/// An open source of answers; close it when done.
pub(crate) enum Backend {
    Server(Remote),
    DataDir(Box<Opened>),
}

/// A query that is running somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunningQuery {
    pub(crate) id: u64,
    /// The beginning of its text.
    pub(crate) sql: String,
    pub(crate) elapsed: Duration,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// A data directory opened by this process.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) state: State,
    query: QueryEngine,
    pub(crate) library: Arc<Library>,
}

impl Backend {
    /// `--url`, else `--data-dir` (or the server that holds it), else a server on the default port, else the
    /// default data directory.
    pub(crate) async fn open(args: &SourceArgs) -> anyhow::Result<Self> {
        if let Some(url) = &args.url {
            return Ok(Self::Server(Remote::new(url, args.token.clone())?));
        }
        if args.data_dir.is_none() {
            let remote = Remote::new(DEFAULT_URL, args.token.clone())?;
            if remote.answers().await {
                return Ok(Self::Server(remote));
            }
        }
        let flags = Overrides {
            data_dir: args.data_dir.clone(),
            workspace: args.workspace.clone(),
            ..Overrides::default()
        };
        let config = Config::load(&flags)?;
        let data_dir = config.data_dir.value.clone();
        if !data_dir.is_dir() {
            bail!(
                "no server answers at {DEFAULT_URL} and there is no data directory {}; start `hindsight serve`, or \
                 name one with --url or --data-dir",
                data_dir.display()
            );
        }
        match open_data_dir(&config, config.workspace.value.clone()).await {
            Err(error) if is_locked(&error) => holder(&data_dir, args.token.clone(), error).await,
            opened => opened,
        }
    }

    /// Asks, and gives the rows as they come.
    ///
    /// # Errors
    /// As [`SqlSource::sql`], for what is known before the first row.
    pub(crate) async fn rows(&self, request: SqlRequest) -> Result<Incoming, SqlError> {
        let rows = match self {
            Self::Server(remote) => Rows::Server(Box::new(remote.rows(request, None).await?)),
            Self::DataDir(opened) => {
                let pending = opened.query.begin(request.clearance(Clearance::Restricted));
                Rows::DataDir { id: pending.id(), rows: Box::new(pending.rows().await?) }
            }
        };
        Ok(Incoming::start(rows))
    }

    /// The server, for commands that change its state.
    pub(crate) fn server(&self) -> anyhow::Result<&Remote> {
        match self {
            Self::Server(remote) => Ok(remote),
            Self::DataDir(_) => {
                bail!("this needs a running server; start `hindsight serve`, or name one with --url")
            }
        }
    }

    /// What is running now, whoever asked.
    pub(crate) async fn running(&self) -> anyhow::Result<Vec<RunningQuery>> {
        match self {
            Self::Server(remote) => {
                let answer = remote.get("/api/v1/queries").await?;
                Ok(answer["queries"].as_array().into_iter().flatten().map(running_query).collect())
            }
            Self::DataDir(opened) => {
                let running = opened.query.running().into_iter().map(|query| RunningQuery {
                    id: query.id,
                    sql: query.sql,
                    elapsed: query.stats.elapsed,
                    rows: query.stats.rows_scanned,
                    bytes: query.stats.bytes_scanned,
                });
                Ok(running.collect())
            }
        }
    }

    /// Stops a running query; that it has ended already is no error.
    pub(crate) async fn cancel(&self, id: u64) -> anyhow::Result<()> {
        match self {
            Self::Server(remote) => remote.delete(&format!("/api/v1/queries/{id}")).await?,
            Self::DataDir(opened) => drop(opened.query.cancel(id)),
        }
        Ok(())
    }

    /// One incident with its timeline.
    pub(crate) async fn incident(&self, id: IncidentId) -> anyhow::Result<(Incident, Vec<TimelineRow>)> {
        match self {
            Self::Server(remote) => {
                let mut incident = remote.get(&format!("/api/v1/incidents/{id}")).await?;
                let mut timeline = remote.get(&format!("/api/v1/incidents/{id}/timeline")).await?;
                let read = |value: &mut Value, key: &str| value[key].take();
                Ok((
                    serde_json::from_value(read(&mut incident, "incident"))?,
                    serde_json::from_value(read(&mut timeline, "timeline"))?,
                ))
            }
            Self::DataDir(opened) => {
                let tenant = Tenant::default();
                let incident = opened.state.incident(&tenant, id).await?;
                let incident = incident
                    .with_context(|| format!("there is no {id}; `hindsight incident list` shows them"))?;
                Ok((incident, opened.state.timeline(&tenant, id).await?))
            }
        }
    }

    /// The opened data directory, for what a server does by another way.
    pub(crate) fn data_dir(&self) -> Option<&Opened> {
        match self {
            Self::Server(_) => None,
            Self::DataDir(opened) => Some(opened),
        }
    }

    /// Past incidents that looked like this one; none from a server that does not tell them yet.
    pub(crate) async fn similar(&self, incident: &Incident) -> anyhow::Result<Vec<Similar>> {
        match self {
            Self::Server(remote) => {
                let mut answer = remote.get(&format!("/api/v1/incidents/{}", incident.id)).await?;
                let similar = Some(answer["similar"].take()).filter(|similar| !similar.is_null());
                Ok(similar.map(serde_json::from_value).transpose()?.unwrap_or_default())
            }
            Self::DataDir(opened) => {
                Ok(hindsight_postmortem::similar_incidents(&opened.state, &opened.library, incident).await?)
            }
        }
    }

    /// The incidents that are over and have no post-mortem, the worst first.
    pub(crate) async fn lacking(&self) -> anyhow::Result<Vec<Lacking>> {
        match self {
            Self::Server(remote) => {
                let mut answer = remote.get("/api/v1/postmortems/lacking").await?;
                Ok(serde_json::from_value(answer["lacking"].take())?)
            }
            Self::DataDir(opened) => {
                let tenant = Tenant::default();
                let incidents = opened.state.incidents(&tenant).await?;
                let documents = opened.library.list_all(&tenant)?.rows;
                let documented =
                    documents.iter().flat_map(|row| row.document.front.incidents.iter().copied());
                Ok(hindsight_postmortem::lacking(&incidents, &documented.collect(), SystemClock.now()))
            }
        }
    }

    /// The present instant where the telemetry is: a server may be on a logical clock.
    pub(crate) async fn now(&self) -> anyhow::Result<Timestamp> {
        match self {
            Self::Server(remote) => {
                let clock = remote.get("/api/v1/clock").await?;
                let now = clock["now"].as_str().context("the server says what time it is")?;
                Ok(now.parse()?)
            }
            Self::DataDir(_) => Ok(SystemClock.now()),
        }
    }

    /// Lets go of the data directory. Nothing of it was changed but what replay of its log sealed.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Self::DataDir(opened) = self {
            opened.store.shutdown().await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl SqlSource for Backend {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        match self {
            Self::Server(remote) => remote.sql(request).await,
            // Whoever runs this reads the files as well.
            Self::DataDir(opened) => opened.query.sql(request.clearance(Clearance::Restricted)).await,
        }
    }
}

fn running_query(entry: &Value) -> RunningQuery {
    let number = |name: &str| entry[name].as_u64().unwrap_or(0);
    RunningQuery {
        id: number("id"),
        sql: entry["sql"].as_str().unwrap_or("").to_owned(),
        elapsed: Duration::from_millis(number("elapsed_ms")),
        rows: number("rows_scanned"),
        bytes: number("bytes_scanned"),
    }
}

/// The server that holds this data directory; `locked` when it does not answer at the address it left there. Asked
/// only when the directory is locked: what a killed server left behind may by now be somebody else's address.
async fn holder(data_dir: &Path, token: Option<String>, locked: anyhow::Error) -> anyhow::Result<Backend> {
    let Ok(address) = std::fs::read_to_string(data_dir.join(hindsight_server::WEB_ADDRESS_FILE)) else {
        return Err(locked);
    };
    let remote = Remote::new(&format!("http://{}", address.trim()), token)?;
    if remote.answers().await { Ok(Backend::Server(remote)) } else { Err(locked) }
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(hindsight_store::Error::Locked { .. }))
}

async fn open_data_dir(config: &Config, workspace: PathBuf) -> anyhow::Result<Backend> {
    // The engine works in this process now, as in a server.
    allocator::keep_small();
    let data_dir = &config.data_dir.value;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut options = hindsight_server::store_options(config);
    // Somebody asks a question, maybe of a folder that is years old: nothing may be dropped for its age.
    options.maintenance.interval = None;
    let store = Store::open(options, clock)
        .await
        .with_context(|| format!("open the data directory {}", data_dir.display()))?;
    let state = State::open(&data_dir.join("state.db")).await?;
    let index = hindsight_server::search_index(data_dir);
    let options = QueryOptions {
        text_index: index.map(|index| Arc::new(index) as Arc<dyn TextIndex>),
        ..config.query.options(data_dir)
    };
    let library = Arc::new(Library::new(workspace));
    let query = hindsight_server::query_engine(&store, &state, &library, options)?;
    Ok(Backend::DataDir(Box::new(Opened { store, state, query, library })))
}
