//! Where the telemetry of rule tests goes: a store of its own in a temporary folder, asked through the engine that a
//! server has.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hindsight_model::{Clock, LogicalClock, Signal, SqlSource, Tenant};
use hindsight_otlp::Encoding;
use hindsight_postmortem::Library;
use hindsight_query::{QueryEngine, QueryOptions};
use hindsight_rules::{Feed, FeedError, Feeds, Fixture};
use hindsight_state::State;
use hindsight_store::{Durability, Ingest, Store, StoreOptions};
use jiff::{SignedDuration, Timestamp};

use super::telemetry::{self, Arrival};
use crate::replay;

/// The file of a folder with recorded telemetry; the first that is there.
const RECORDINGS: [&str; 3] = ["telemetry.jsonl.zst", "telemetry.jsonl.gz", "telemetry.jsonl"];
/// How long after the last of a recording its test goes on: rules look back.
const AFTER_RECORDING: SignedDuration = SignedDuration::from_mins(5);

/// Makes stores for tests of one workspace.
pub(super) struct Stores {
    pub(super) workspace: PathBuf,
}

/// One test's store, and what has not arrived in it yet.
struct TestStore {
    store: Store,
    query: Arc<QueryEngine>,
    clock: Arc<LogicalClock>,
    waiting: VecDeque<(Timestamp, Body)>,
    start: Timestamp,
    end: Timestamp,
    /// Emptied with the feed.
    _folder: tempfile::TempDir,
}

enum Body {
    Written(Arrival),
    Recorded(replay::Recorded),
}

#[async_trait::async_trait]
impl Feeds for Stores {
    async fn open(&self, fixture: &Fixture, start: Timestamp) -> Result<Box<dyn Feed>, FeedError> {
        let feed = open(&self.workspace, fixture, start).await.map_err(FeedError::from)?;
        Ok(Box::new(feed))
    }
}

async fn open(workspace: &Path, fixture: &Fixture, start: Timestamp) -> anyhow::Result<TestStore> {
    let mut waiting: Vec<(Timestamp, Body)> = telemetry::arrivals(fixture, start)?
        .into_iter()
        .map(|arrival| (arrival.at, Body::Written(arrival)))
        .collect();
    let (mut start, mut end) = (start, fixture.end(start));
    if let Some(path) = &fixture.replay {
        let requests = recording(&workspace.join(path))?;
        let first = requests.iter().map(|recorded| recorded.until).min();
        let last = requests.iter().map(|recorded| recorded.until).max();
        let (Some(first), Some(last)) = (first, last) else {
            bail!("{} holds no telemetry", path.display());
        };
        // A whole minute, so that times after the start are easy to name.
        start = Timestamp::from_second(first.as_second().div_euclid(60) * 60)?;
        end = last.checked_add(AFTER_RECORDING)?;
        waiting.extend(requests.into_iter().map(|recorded| (recorded.until, Body::Recorded(recorded))));
        waiting.sort_by_key(|(at, _)| *at);
    }
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let clock = Arc::new(LogicalClock::starting_at(start));
    let mut options = StoreOptions::new(folder.path().to_owned());
    options.durability = Durability::Flush;
    // A rule may name the columns that it has where it runs.
    options.promote = hindsight_server::promoted_in(workspace)?;
    // Ten years: a test may look at any day, and the store is gone when it ends.
    options.retention = std::time::Duration::from_secs(10 * 366 * 86_400);
    let store = Store::open(options, Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>).await?;
    let state = State::in_memory().await?;
    let options = QueryOptions {
        clock: Arc::<LogicalClock>::clone(&clock) as Arc<dyn Clock>,
        ..QueryOptions::default()
    };
    let query = hindsight_server::query_engine(&store, &state, &Arc::new(Library::new(workspace)), options)?;
    Ok(TestStore {
        store,
        query: Arc::new(query),
        clock,
        waiting: waiting.into(),
        start,
        end,
        _folder: folder,
    })
}

/// A store with nothing in it.
///
/// # Errors
/// When there is no room for it.
pub(super) async fn empty(workspace: &Path) -> anyhow::Result<impl Feed> {
    open(workspace, &Fixture::default(), Timestamp::UNIX_EPOCH).await
}

/// The requests of a recording: a file, or the folder that holds one.
fn recording(path: &Path) -> anyhow::Result<Vec<replay::Recorded>> {
    let in_folder = || RECORDINGS.iter().map(|name| path.join(name)).find(|file| file.is_file());
    let file = if path.is_dir() {
        in_folder().with_context(|| format!("{} has none of {}", path.display(), RECORDINGS.join(", ")))?
    } else {
        path.to_owned()
    };
    replay::read(replay::open(&file)?).with_context(|| format!("read {}", file.display()))
}

#[async_trait::async_trait]
impl Feed for TestStore {
    fn sql(&self) -> Arc<dyn SqlSource> {
        Arc::<QueryEngine>::clone(&self.query)
    }

    fn start(&self) -> Timestamp {
        self.start
    }

    fn end(&self) -> Timestamp {
        self.end
    }

    async fn advance(&mut self, to: Timestamp) -> Result<(), FeedError> {
        self.clock.advance_to(to);
        while self.waiting.front().is_some_and(|(at, _)| *at <= to) {
            if let Some((_, body)) = self.waiting.pop_front() {
                send(&self.store, body).await.map_err(FeedError::from)?;
            }
        }
        Ok(())
    }
}

async fn send(store: &Store, body: Body) -> anyhow::Result<()> {
    let (signal, encoding, body): (Signal, _, Vec<u8>) = match body {
        Body::Written(arrival) => (arrival.signal, Encoding::Json, arrival.body.into_bytes()),
        Body::Recorded(recorded) => (recorded.signal(), Encoding::Protobuf, recorded.body()),
    };
    let ingest = Ingest { tenant: Tenant::default(), signal, encoding, body: body.into(), sender: None };
    let ingested = store.ingest(ingest).await?;
    if let Some(rejection) = ingested.decoded.rejections.first() {
        bail!("the test's telemetry is refused: {}, at {}", rejection.reason.as_str(), rejection.excerpt);
    }
    Ok(())
}
