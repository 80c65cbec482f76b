//! One case's telemetry in a store of its own, through the decoder and the engine that a server has.

use std::io::Read;
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

use crate::replay::{self, Lines, Recorded};

const SIGNALS: [&str; 3] = ["metrics", "traces", "logs"];
const ENDINGS: [&str; 3] = ["jsonl", "jsonl.gz", "jsonl.zst"];
/// How far the store's clock is ahead of what is loaded.
const LATER: SignedDuration = SignedDuration::from_mins(1);
/// Requests between two words of progress.
const TELL_EVERY: usize = 200;

/// A store with one case in it; gone with this.
pub(super) struct CaseStore {
    query: Arc<QueryEngine>,
    /// Event times of the first and the last request.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    clock: Arc<LogicalClock>,
    store: Store,
    _folder: tempfile::TempDir,
}

impl CaseStore {
    /// Loads all the telemetry of a case, a request at a time: memory does not grow with the recording. The files are
    /// read side by side, each in its own order, always the one that is behind the others.
    ///
    /// # Errors
    /// When the folder holds none, or a line is not an OTLP/JSON export request, or the store refuses it.
    pub(super) async fn load(folder: &Path, tell: &impl Fn(&str)) -> anyhow::Result<Self> {
        let mut files = files(folder)?.into_iter().map(Source::open).collect::<anyhow::Result<Vec<_>>>()?;
        let mut opened: Option<Self> = None;
        let mut loaded = 0_usize;
        while let Some(recorded) = earliest(&mut files)? {
            if loaded.is_multiple_of(TELL_EVERY) {
                tell(&format!("loading request {} at {}", loaded + 1, recorded.until.strftime("%F %H:%M")));
            }
            loaded += 1;
            let store = match &mut opened {
                Some(store) => store,
                None => opened.insert(Self::open(recorded.until).await?),
            };
            store.take(&recorded).await?;
        }
        opened.with_context(|| format!("{} holds no telemetry", folder.display()))
    }

    async fn open(from: Timestamp) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("make a temporary folder")?;
        let now = from.checked_add(LATER)?;
        let clock = Arc::new(LogicalClock::starting_at(now));
        let mut options = StoreOptions::new(folder.path().to_owned());
        // Nobody reads this store after a crash.
        options.durability = Durability::Flush;
        options.retention = std::time::Duration::from_secs(10 * 366 * 86_400);
        let store = Store::open(options, Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>).await?;
        let state = State::in_memory().await?;
        let options = QueryOptions {
            clock: Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>,
            ..QueryOptions::default()
        };
        let library = Arc::new(Library::new(folder.path()));
        let query = hindsight_server::query_engine(&store, &state, &library, options)?;
        Ok(Self { query: Arc::new(query), from, to: now, clock, store, _folder: folder })
    }

    async fn take(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        self.from = self.from.min(recorded.until);
        let now = recorded.until.checked_add(LATER)?;
        if now > self.to {
            self.clock.advance_to(now);
            self.to = now;
        }
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

/// One file of a case and the request that comes next in it.
struct Source {
    path: PathBuf,
    lines: Lines<Box<dyn Read>>,
    next: Option<Recorded>,
}

impl Source {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        let mut source = Self { lines: Lines::new(replay::open(&path)?), path, next: None };
        source.step()?;
        Ok(source)
    }

    /// Gives the next request and reads on.
    fn step(&mut self) -> anyhow::Result<Option<Recorded>> {
        let following = self.lines.next().transpose();
        let following = following.with_context(|| format!("read {}", self.path.display()))?;
        Ok(std::mem::replace(&mut self.next, following))
    }
}

fn earliest(files: &mut [Source]) -> anyhow::Result<Option<Recorded>> {
    let next = files.iter_mut().filter(|file| file.next.is_some());
    match next.min_by_key(|file| file.next.as_ref().map(|recorded| recorded.until)) {
        Some(file) => file.step(),
        None => Ok(None),
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
