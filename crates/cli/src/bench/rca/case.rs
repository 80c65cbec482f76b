//! One case's telemetry in a store of its own, through the decoder and the engine that a server has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use hindsight_model::{Clock, LogicalClock, SqlSource, Tenant};
use hindsight_otlp::Encoding;
use hindsight_postmortem::Library;
use hindsight_query::{QueryEngine, QueryOptions};
use hindsight_state::State;
use hindsight_store::{Durability, Ingest, Store, StoreOptions};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::replay::{self, Recorded};

const SIGNALS: [&str; 3] = ["metrics", "traces", "logs"];
const ENDINGS: [&str; 3] = ["jsonl", "jsonl.gz", "jsonl.zst"];
/// Requests between two words of progress.
const TELL_EVERY: usize = 200;

/// A store with one case in it; gone with this.
pub(super) struct CaseStore {
    query: Arc<QueryEngine>,
    /// Event times of the first and the last request.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    store: Store,
    _folder: tempfile::TempDir,
}

impl CaseStore {
    /// Loads all the telemetry of a case.
    ///
    /// # Errors
    /// When the folder holds none, or a line is not an OTLP/JSON export request, or the store refuses it.
    pub(super) async fn load(folder: &Path, tell: &impl Fn(&str)) -> anyhow::Result<Self> {
        let mut requests: Vec<Recorded> = Vec::new();
        for file in files(folder)? {
            tell(&format!("reading {}", file.display()));
            let read =
                replay::read(replay::open(&file)?).with_context(|| format!("read {}", file.display()))?;
            requests.extend(read);
        }
        requests.sort_by_key(|recorded| recorded.until);
        let end = requests.last().map(|recorded| recorded.until);
        let end = end.with_context(|| format!("{} holds no telemetry", folder.display()))?;
        let from = requests.first().map_or(end, |recorded| recorded.until);
        let opened = Self::open(from, end).await?;
        let all = requests.len();
        for (index, recorded) in requests.into_iter().enumerate() {
            if index % TELL_EVERY == 0 {
                tell(&format!("loading request {} of {all}", index + 1));
            }
            opened.take(&recorded).await?;
        }
        Ok(opened)
    }

    async fn open(from: Timestamp, end: Timestamp) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("make a temporary folder")?;
        let now = end.checked_add(SignedDuration::from_mins(1))?;
        let clock = Arc::new(LogicalClock::starting_at(now));
        let mut options = StoreOptions::new(folder.path().to_owned());
        // Nobody reads this store after a crash.
        options.durability = Durability::Flush;
        options.retention = std::time::Duration::from_secs(10 * 366 * 86_400);
        let store = Store::open(options, Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>).await?;
        let state = State::in_memory().await?;
        let options = QueryOptions { clock: clock as Arc<dyn Clock>, ..QueryOptions::default() };
        let query =
            hindsight_server::query_engine(&store, &state, &Arc::new(Library::new(folder.path())), options)?;
        Ok(Self { query: Arc::new(query), from, to: now, store, _folder: folder })
    }

    async fn take(&self, recorded: &Recorded) -> anyhow::Result<()> {
        let ingest = Ingest {
            tenant: Tenant::default(),
            signal: recorded.signal(),
            encoding: Encoding::Protobuf,
            body: recorded.body().into(),
            sender: None,
        };
        let taken = self.store.ingest(ingest).await?;
        if let Some(rejection) = taken.decoded.rejections.first() {
            bail!("the store refuses a part: {}, at {}", rejection.reason.as_str(), rejection.excerpt);
        }
        Ok(())
    }

    pub(super) fn sql(&self) -> &dyn SqlSource {
        self.query.as_ref()
    }
}

/// The files of a case that are there, one for each signal.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for signal in SIGNALS {
        let found: Vec<PathBuf> = ENDINGS
            .iter()
            .map(|ending| folder.join(format!("{signal}.{ending}")))
            .filter(|path| path.is_file())
            .collect();
        ensure!(found.len() <= 1, "{} holds {signal} twice; keep one of them", folder.display());
        files.extend(found);
    }
    ensure!(
        !files.is_empty(),
        "{} holds no telemetry; it needs metrics, traces or logs as .jsonl, .jsonl.gz or .jsonl.zst",
        folder.display()
    );
    Ok(files)
}

/// The call graph that a source brings along: `{"calls": [["caller", "callee"], …]}` in topology.json.
pub(super) fn known_calls(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let path = folder.join("topology.json");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let graph: Value = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    let calls =
        graph["calls"].as_array().with_context(|| format!("{} has no list `calls`", path.display()))?;
    let pair = |call: &Value| Some((call[0].as_str()?.to_owned(), call[1].as_str()?.to_owned()));
    Ok(calls.iter().filter_map(pair).collect())
}
