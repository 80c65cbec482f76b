//! Random sequences of everything that happens to blocks, against a set of numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::maintenance::Step;
use crate::seal::SealStep;
use crate::verify::{Progress, VerifyOptions, verify};
use crate::{DataDirLock, Snapshot};

/// Sequences tried, each of which opens a store several times: 20, and 200 in the long suite.
fn cases() -> u32 {
    if std::env::var_os("HINDSIGHT_LONG").is_some() { 200 } else { 20 }
}

#[derive(Clone, Debug)]
enum Op {
    /// So many requests, a span each.
    Send(u64),
    /// A seal for each of so many requests.
    SendAndSeal(u64),
    /// A seal that may end early, as a crash or a failure would.
    Seal(Option<SealStep>),
    /// A round of upkeep so many minutes later, which may end early.
    Maintain(u64, Option<Step>),
    /// The process ends without a word and starts again.
    Restart,
    /// A query begins, and ends some time later.
    BeginQuery,
    EndQuery,
}

fn ops() -> impl Strategy<Value = Op> {
    let seal_stop = prop_oneof![Just(SealStep::Commit), Just(SealStep::Show), Just(SealStep::Release)];
    let stop = prop_oneof![Just(Step::CommitMerge), Just(Step::ShowMerge), Just(Step::Delete)];
    prop_oneof![
        2 => (1_u64..4).prop_map(Op::Send),
        4 => (3_u64..10).prop_map(Op::SendAndSeal),
        2 => prop::option::of(seal_stop).prop_map(Op::Seal),
        4 => (0_u64..30, prop::option::of(stop)).prop_map(|(minutes, stop)| Op::Maintain(minutes, stop)),
        1 => Just(Op::Restart),
        1 => Just(Op::BeginQuery),
        1 => Just(Op::EndQuery),
    ]
}

struct World {
    options: StoreOptions,
    store: Option<Store>,
    now: Timestamp,
    sent: BTreeSet<u64>,
    queries: Vec<(Snapshot, u64)>,
}

impl World {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    async fn apply(&mut self, op: &Op) {
        match op {
            Op::Send(requests) => self.send(*requests, false).await,
            Op::SendAndSeal(requests) => self.send(*requests, true).await,
            Op::Seal(stop) => {
                *self.options.seal_stop.0.lock().unwrap() = stop.map(|step| match step {
                    SealStep::Release => (step, None),
                    _ => (step, Some(Table::Spans)),
                });
                let sealed = self.store().seal().await;
                assert!(matches!(sealed, Ok(_) | Err(Error::TestStop)), "{sealed:?}");
                *self.options.seal_stop.0.lock().unwrap() = None;
            }
            Op::Maintain(minutes, stop) => {
                self.now += Duration::from_secs(60 * minutes);
                *self.options.maintenance.stop.0.lock().unwrap() = *stop;
                let done = self.store().maintain(self.now).await;
                assert!(matches!(done, Ok(_) | Err(Error::TestStop)), "{done:?}");
                *self.options.maintenance.stop.0.lock().unwrap() = None;
            }
            Op::Restart => {
                self.queries.clear();
                self.store = None;
                check_files(&self.options.data_dir).await;
                self.store = Some(open(self.options.clone()).await);
            }
            Op::BeginQuery => {
                let snapshot = self.store().snapshot(&Tenant::default());
                self.queries.push((snapshot, self.sent.len() as u64));
            }
            Op::EndQuery => {
                if !self.queries.is_empty() {
                    self.queries.remove(0);
                }
            }
        }
    }

    async fn send(&mut self, requests: u64, seal: bool) {
        for _ in 0..requests {
            let number = self.sent.len() as u64;
            send(self.store(), Signal::Traces, span(number)).await;
            self.sent.insert(number);
            if seal {
                self.store().seal().await.unwrap();
            }
        }
    }

    /// Every row once; and every query that began earlier reads what it saw then.
    async fn check(&self, after: &Op) {
        let expected: Vec<u64> = self.sent.iter().copied().collect();
        assert_eq!(span_numbers(self.store()).await, expected, "after {after:?}");
        for (snapshot, rows) in &self.queries {
            let table = snapshot.table(Table::Spans);
            let mut read: u64 = table.head.iter().map(|batch| batch.num_rows() as u64).sum();
            for block in &table.blocks {
                let batches = read_block(self.store(), block).await;
                read += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
            }
            assert_eq!(read, *rows, "an old query, after {after:?}");
        }
    }
}

/// `hindsight verify` finds nothing wrong, whatever the process was doing when it ended.
async fn check_files(dir: &Path) {
    let lock = async {
        loop {
            match DataDirLock::take(dir) {
                Ok(lock) => return lock,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let lock = tokio::time::timeout(Duration::from_secs(60), lock).await.unwrap();
    let options =
        VerifyOptions { data_dir: dir.to_path_buf(), tables: crate::TablesLocation::Local, quick: false };
    let report = verify(&options, &lock, &|_: Progress| {}).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

async fn run(ops: &[Op]) {
    let dir = tempfile::tempdir().unwrap();
    let options = by_hand(dir.path());
    let store = Some(open(options.clone()).await);
    let mut world = World { options, store, now: now(), sent: BTreeSet::new(), queries: Vec::new() };
    for op in ops {
        world.apply(op).await;
        world.check(op).await;
    }
    // At the end nothing is left over: no file too many, few blocks, and the log says the same.
    world.queries.clear();
    world.apply(&Op::Seal(None)).await;
    for _ in 0..4 {
        world.apply(&Op::Maintain(20, None)).await;
    }
    world.check(&Op::Restart).await;
    let blocks = block_names(world.store(), Table::Spans);
    assert!(blocks.len() <= 8, "{blocks:?}");
    assert_eq!(files(dir.path(), Table::Spans), blocks);
    world.apply(&Op::Restart).await;
    world.check(&Op::Restart).await;
    assert_eq!(block_names(world.store(), Table::Spans), blocks);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]
    #[test]
    fn whatever_happens_to_blocks_every_row_is_there_once(ops in prop::collection::vec(ops(), 4..16)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(&ops));
    }
}
