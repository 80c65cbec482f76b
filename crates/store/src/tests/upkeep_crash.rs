//! Upkeep that ends at each of its dangerous moments: every row once, no file too few, none too many.

use super::*;
use crate::RetentionRule;
use crate::maintenance::Step;

const DAY: Duration = Duration::from_secs(86_400);

async fn fill(store: &Store) {
    for number in 0..8 {
        send(store, Signal::Traces, span(number)).await;
        store.seal().await.unwrap();
    }
    // A block of the day before, for retention.
    send(store, Signal::Traces, span(60_000_000)).await;
    store.seal().await.unwrap();
}

fn options_with(dir: &Path) -> StoreOptions {
    let mut options = by_hand(dir);
    options.maintenance.retention_rules = vec![RetentionRule { table: None, tenant: None, keep: DAY / 2 }];
    options
}

/// After `step`, every row that retention does not want is there once; the old one is there or not.
async fn check(store: &Store, step: Step) {
    let mut numbers = span_numbers(store).await;
    numbers.retain(|number| *number != 60_000_000);
    assert_eq!(numbers, (0..8).collect::<Vec<_>>(), "{step:?}");
}

const STEPS: [Step; 5] =
    [Step::CommitMerge, Step::ShowMerge, Step::CommitExpiry, Step::ShowExpiry, Step::Delete];

async fn stop_at(step: Step, options: &StoreOptions, store: &Store) {
    fill(store).await;
    *options.maintenance.stop.0.lock().unwrap() = Some(step);
    let later = now() + Duration::from_secs(3_600);
    // The deletion is due only in a later round.
    let mut ended = store.maintain(now()).await;
    if ended.is_ok() {
        ended = store.maintain(later).await;
    }
    assert!(matches!(ended, Err(Error::TestStop)), "{step:?}: {ended:?}");
    check(store, step).await;
}

/// Everything that upkeep still has to do is done, and nothing is left over.
async fn settle(dir: &Path, store: &Store, step: Step) {
    for hours in 2..5 {
        store.maintain(now() + Duration::from_secs(3_600) * hours).await.unwrap();
    }
    assert_eq!(span_numbers(store).await, (0..8).collect::<Vec<_>>(), "{step:?}");
    assert_eq!(block_names(store, Table::Spans).len(), 1, "{step:?}");
    assert_eq!(files(dir, Table::Spans), block_names(store, Table::Spans), "{step:?}: no orphans");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_upkeep_leaves_every_row_once_and_no_orphan_after_the_grace() {
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let options = options_with(dir.path());
        let store = open(options.clone()).await;
        stop_at(step, &options, &store).await;
        drop(store);

        let store = open(options_with(dir.path())).await;
        check(&store, step).await;
        settle(dir.path(), &store, step).await;
        store.shutdown().await.unwrap();
        let store = open(options_with(dir.path())).await;
        assert_eq!(span_numbers(&store).await, (0..8).collect::<Vec<_>>(), "{step:?}");
        assert_eq!(store.stats().upkeep_failures_total, 0);
        store.shutdown().await.unwrap();
    }
}

/// The same moments, but the program lives on: the catalogue finds back to what the log says.
#[tokio::test(flavor = "multi_thread")]
async fn upkeep_that_failed_half_way_is_finished_by_a_later_round() {
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let options = options_with(dir.path());
        let store = open(options.clone()).await;
        stop_at(step, &options, &store).await;
        *options.maintenance.stop.0.lock().unwrap() = None;
        settle(dir.path(), &store, step).await;
        store.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_merge_was_writing_is_gone_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options_with(dir.path())).await;
    fill(&store).await;
    drop(store);
    let date = dir.path().join("tables/spans/tenant=default/date=2026-05-04");
    std::fs::write(date.join("00000000000000000008-c1-0123.parquet#77"), vec![0; 1_000]).unwrap();
    let store = open(options_with(dir.path())).await;
    assert!(files(dir.path(), Table::Spans).iter().all(|name| !name.contains('#')));
    check(&store, Step::CommitMerge).await;
    store.shutdown().await.unwrap();
}
