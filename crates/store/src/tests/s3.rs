//! Tables in object storage: a real S3 service, and between it and the store a proxy that spoils requests.

mod copies;
mod proxy;
mod server;

use std::collections::BTreeSet;

use hindsight_model::NodeId;
use rand::{RngExt, SeedableRng};

use self::proxy::{Fault, Proxy, Request};
use super::*;
use crate::table_log::TableLog;
use crate::tables_storage::TablesStorage;
use crate::{TablesLocation, TablesUrl};

/// A bucket behind a proxy.
struct Bucket {
    name: String,
    proxy: Proxy,
}

impl Bucket {
    async fn new() -> Self {
        Self { name: server::make_bucket().await, proxy: Proxy::start().await }
    }

    /// Options of a store with its log in `dir` and its tables here.
    fn options(&self, dir: &Path) -> StoreOptions {
        StoreOptions { tables: TablesLocation::Url(Box::new(self.url())), ..options(dir) }
    }

    fn url(&self) -> TablesUrl {
        let mut url = TablesUrl::parse(&format!("s3://{}/team/tables", self.name)).unwrap();
        url.endpoint = Some(format!("http://127.0.0.1:{}", self.proxy.port));
        url.region = Some("us-east-1".to_owned());
        url.keys = Some(("test".to_owned(), "test".to_owned()));
        url.request_timeout = Duration::from_secs(20);
        url.retry_time_max = Duration::from_secs(20);
        url
    }

    /// All spans that the table lists, read by nobody's store, and the last position of `node`.
    async fn listed(&self, node: NodeId) -> (Vec<u64>, u64) {
        let tables = TablesStorage::open(&TablesLocation::Url(Box::new(self.url())), Path::new("/")).unwrap();
        let log = TableLog::open(Table::Spans, &tables, node).await.unwrap();
        let mut numbers = Vec::new();
        for block in log.blocks().unwrap() {
            let bytes = tables.object_store().get(&block.path).await.unwrap().bytes().await.unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
            for batch in reader {
                numbers
                    .extend(texts(&batch.unwrap(), "name").iter().map(|name| name.parse::<u64>().unwrap()));
            }
        }
        numbers.sort_unstable();
        (numbers, log.covered().await.unwrap())
    }
}

fn node_of(dir: &Path) -> NodeId {
    std::fs::read_to_string(dir.join("node.id")).unwrap().parse().unwrap()
}

fn is_commit(request: &Request) -> bool {
    request.is_commit()
}

/// Opens again and compares: what is shown is what the table lists, each span once.
async fn check_after_restart(bucket: &Bucket, dir: &Path, store: Store, spans: std::ops::Range<u64>) {
    let shown = all_blocks(&store);
    store.shutdown().await.unwrap();
    drop(store);
    let store = open(bucket.options(dir)).await;
    assert_eq!(all_blocks(&store), shown, "what was shown is what the tables list");
    assert_eq!(span_numbers(&store).await, spans.clone().collect::<Vec<_>>());
    assert_eq!(bucket.listed(node_of(dir)).await.0, spans.collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_in_the_bucket_and_the_log_is_on_this_disk() {
    let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
    let store = open(bucket.options(dir.path())).await;
    for number in 0..5 {
        send(&store, Signal::Traces, span(number)).await;
    }
    send(&store, Signal::Logs, log(1)).await;
    assert_eq!(store.seal().await.unwrap().blocks, 2);
    assert_eq!(span_numbers(&store).await, [0, 1, 2, 3, 4]);
    send(&store, Signal::Traces, span(5)).await;
    assert!(!dir.path().join("tables").try_exists().unwrap());
    assert!(dir.path().join("wal").try_exists().unwrap());
    let puts = bucket.proxy.take_seen();
    assert!(puts.iter().any(Request::is_commit) && puts.iter().any(Request::is_block_put));
    assert!(puts.iter().all(|request| request.path.starts_with(&format!("/{}", bucket.name))));
    store.shutdown().await.unwrap();

    let store = open(bucket.options(dir.path())).await;
    let filled = async {
        while store.stats().id_filter_blocks < store.stats().blocks {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), filled).await.unwrap();
    bucket.proxy.take_seen();
    let snapshot = store.snapshot(&Tenant::default());
    let block = &snapshot.table(Table::Spans).blocks[0];
    assert!(!store.id_filters().may_contain(block, "trace_id", "nobody"));
    assert!(bucket.proxy.take_seen().is_empty(), "the catalogue and its filters answer from memory");
    check_after_restart(&bucket, dir.path(), store, 0..6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_cut_connections_are_waited_out() {
    let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
    // Of each kind of request the first two fail, at open, at seal, at reading.
    let mut failed: Vec<String> = Vec::new();
    bucket.proxy.script(move |request| {
        let kind =
            format!("{} {}", request.method, request.path.split(['?', '=']).next().unwrap_or_default());
        if failed.iter().filter(|seen| **seen == kind).count() < 2 {
            failed.push(kind);
            // Whether a put that must be new was done is not known when the connection ends, so it is not repeated.
            return Some(if failed.len().is_multiple_of(2) && !request.must_be_new {
                Fault::Cut
            } else {
                Fault::Refused
            });
        }
        None
    });
    let store = open(bucket.options(dir.path())).await;
    send(&store, Signal::Traces, spans(0..20)).await;
    assert_eq!(store.seal().await.unwrap().rows, 20);
    assert_eq!(span_numbers(&store).await, (0..20).collect::<Vec<_>>());
    assert!(bucket.proxy.take_faults().len() >= 10);
    check_after_restart(&bucket, dir.path(), store, 0..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_landed_and_reported_an_error_adds_no_rows_twice() {
    for fault in [Fault::AnswerLost, Fault::AnswerRefused, Fault::AnswerHung] {
        // Version 0 makes the table, version 1 is the first with rows, version 2 the second.
        for version in 0..3_u64 {
            let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
            let mut options = bucket.options(dir.path());
            let TablesLocation::Url(url) = &mut options.tables else { unreachable!() };
            if fault == Fault::AnswerHung {
                url.request_timeout = Duration::from_secs(2);
            }
            let store = open(options).await;
            let name = format!("/spans/_delta_log/{version:020}.json");
            bucket.proxy.once(fault, move |request| is_commit(request) && request.path.ends_with(&name));
            send(&store, Signal::Traces, spans(0..5)).await;
            store.seal().await.unwrap();
            send(&store, Signal::Traces, spans(5..10)).await;
            store.seal().await.unwrap();
            assert_eq!(bucket.proxy.take_faults(), [fault], "version {version}");
            assert_eq!(span_numbers(&store).await, (0..10).collect::<Vec<_>>(), "{fault:?} at {version}");
            check_after_restart(&bucket, dir.path(), store, 0..10).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_outcome_nobody_could_ask_for_is_settled_by_the_next_seal() {
    for (fault, landed) in [(Fault::AnswerLost, true), (Fault::Cut, false)] {
        let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
        let mut options = bucket.options(dir.path());
        let TablesLocation::Url(url) = &mut options.tables else { unreachable!() };
        url.retry_time_max = Duration::from_millis(300);
        let store = open(options).await;
        send(&store, Signal::Traces, spans(0..5)).await;
        store.seal().await.unwrap();
        send(&store, Signal::Traces, spans(5..10)).await;
        // From the commit on the service is away.
        let mut away = false;
        bucket.proxy.script(move |request| {
            let first = is_commit(request) && !away;
            away |= first;
            if first { Some(fault) } else { away.then_some(Fault::Refused) }
        });
        assert!(store.seal().await.is_err());
        assert_eq!(store.stats().head_rows, 5, "what is not known to be sealed stays");
        let acked = send(&store, Signal::Traces, spans(10..12)).await;
        assert_eq!(acked.decoded.accepted, 2, "intake goes on while storage is away");

        bucket.proxy.heal();
        bucket.proxy.take_seen();
        let report = store.seal().await.unwrap();
        assert_eq!(report.rows, 7);
        let commits = bucket.proxy.take_seen().iter().filter(|request| request.is_commit()).count();
        assert_eq!(commits, if landed { 1 } else { 2 }, "{fault:?}: rows that landed are not sent again");
        check_after_restart(&bucket, dir.path(), store, 0..12).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_or_a_read_that_hangs_is_given_up_and_repeated_and_a_slow_one_is_read_to_its_end() {
    let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
    let mut options = bucket.options(dir.path());
    let TablesLocation::Url(url) = &mut options.tables else { unreachable!() };
    url.request_timeout = Duration::from_secs(2);
    let store = open(options).await;
    send(&store, Signal::Traces, spans(0..30)).await;
    bucket.proxy.once(Fault::Hung, Request::is_block_put);
    assert_eq!(store.seal().await.unwrap().rows, 30);
    bucket.proxy.once(Fault::Hung, |request| request.method == "GET");
    assert_eq!(span_numbers(&store).await.len(), 30);
    assert_eq!(bucket.proxy.take_faults(), [Fault::Hung, Fault::Hung]);
    bucket.proxy.script(|_| Some(Fault::Slow));
    assert_eq!(span_numbers(&store).await.len(), 30);
    bucket.proxy.heal();
    check_after_restart(&bucket, dir.path(), store, 0..30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_that_race_each_add_their_rows_once() {
    const SEALS: u64 = 4;
    let bucket = Bucket::new().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Now and then an answer to a commit is lost, so that the two kinds of conflict meet.
    let mut commits = 0;
    bucket.proxy.script(move |request| {
        commits += u64::from(is_commit(request));
        (is_commit(request) && commits % 3 == 2).then_some(Fault::AnswerRefused)
    });
    let writers = [0, 1].map(|writer: u64| {
        let options = bucket.options(dirs[writer as usize].path());
        async move {
            let store = open(options).await;
            let mut last = 0;
            for seal in 0..SEALS {
                let first = (writer * SEALS + seal) * 10;
                send(&store, Signal::Traces, spans(first..first + 10)).await;
                last = store.seal().await.unwrap().wal_position;
            }
            store.shutdown().await.unwrap();
            last
        }
    });
    let last = futures::future::join_all(writers).await;
    bucket.proxy.heal();
    for (dir, last) in dirs.iter().zip(last) {
        let (numbers, covered) = bucket.listed(node_of(dir.path())).await;
        assert_eq!(numbers, (0..SEALS * 20).collect::<Vec<_>>());
        assert_eq!(covered, last, "each node's own transaction");
    }
    // Either node finds the rows of both when it starts, and replays none of its own.
    let store = open(bucket.options(dirs[0].path())).await;
    assert_eq!(span_numbers(&store).await, (0..SEALS * 20).collect::<Vec<_>>());
    assert_eq!(store.stats().head_rows, 0);
    store.shutdown().await.unwrap();
}

/// Whatever goes wrong with whichever request: once storage is well again, every span is there once.
#[tokio::test(flavor = "multi_thread")]
async fn random_faults_never_lose_or_repeat_a_row() {
    let seeds = std::env::var("HINDSIGHT_S3_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_u64);
    for seed in 1..=seeds {
        let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut options = bucket.options(dir.path());
        let TablesLocation::Url(url) = &mut options.tables else { unreachable!() };
        url.retry_time_max = Duration::from_millis(200);
        let mut sent: BTreeSet<u64> = BTreeSet::new();
        for round in 0..6_u64 {
            bucket.proxy.heal();
            let store = open(options.clone()).await;
            let mut faults = rand_chacha::ChaCha8Rng::seed_from_u64(seed * 1_000 + round);
            bucket.proxy.script(move |_| {
                let kinds =
                    [Fault::Refused, Fault::Cut, Fault::AnswerLost, Fault::AnswerRefused, Fault::Slow];
                faults.random_bool(0.3).then(|| kinds[faults.random_range(0..kinds.len())])
            });
            for step in 0..3 {
                let first = (round * 3 + step) * 4;
                send(&store, Signal::Traces, spans(first..first + 4)).await;
                sent.extend(first..first + 4);
                if random.random_bool(0.7) {
                    // Whether it works does not matter; what it leaves does.
                    let _ = store.seal().await;
                }
            }
            drop(store); // as a kill would: nothing more is sealed
        }
        bucket.proxy.heal();
        let store = open(bucket.options(dir.path())).await;
        let sent: Vec<u64> = sent.into_iter().collect();
        assert_eq!(span_numbers(&store).await, sent, "seed {seed}");
        store.seal().await.unwrap();
        assert_eq!(span_numbers(&store).await, sent, "seed {seed}");
        assert_eq!(bucket.listed(node_of(dir.path())).await.0, sent, "seed {seed}");
        store.shutdown().await.unwrap();
    }
}
