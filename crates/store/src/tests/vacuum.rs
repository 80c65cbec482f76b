//! When files are deleted, and when not.

use super::*;
use crate::seal::SealStep;

const GRACE: Duration = Duration::from_secs(15 * 60);

async fn fill(store: &Store) {
    for number in 0..8 {
        send(store, Signal::Traces, span(number)).await;
        store.seal().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_stays_until_the_grace_is_over_and_the_last_snapshot_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store).await;
    let snapshot = store.snapshot(&Tenant::default());
    let another = snapshot.clone();
    assert_eq!(store.maintain(now()).await.unwrap().merges, 1);
    assert_eq!(store.stats().files_waiting, 8);
    assert_eq!(files(dir.path(), Table::Spans).len(), 9);
    assert_eq!(store.maintain(now() + GRACE).await.unwrap().files_removed, 0, "a query may still read them");
    drop(snapshot);
    assert_eq!(store.maintain(now() + GRACE).await.unwrap().files_removed, 0);
    for block in &another.table(Table::Spans).blocks {
        assert_eq!(read_block(&store, block).await.len(), 1);
    }
    drop(another);
    assert_eq!(store.maintain(now() + GRACE).await.unwrap().files_removed, 8);
    assert_eq!(files(dir.path(), Table::Spans), block_names(&store, Table::Spans));
    assert_eq!((store.stats().files_waiting, store.stats().files_removed_total), (0, 8));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_before_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store).await;
    store.maintain(now()).await.unwrap();
    assert_eq!(store.maintain(now() + (GRACE - Duration::from_secs(1))).await.unwrap().files_removed, 0);
    store.shutdown().await.unwrap();
    // After a restart the log knows when they were removed.
    let store = open(by_hand(dir.path())).await;
    let early = store.maintain(now() + (GRACE - Duration::from_secs(1))).await.unwrap();
    assert_eq!(early.orphans_removed, 0);
    assert_eq!(store.maintain(now() + GRACE).await.unwrap().orphans_removed, 8);
    assert_eq!(files(dir.path(), Table::Spans), block_names(&store, Table::Spans));
    assert_eq!(span_numbers(&store).await, (0..8).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_seal_left_goes_after_the_grace_and_other_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let options = by_hand(dir.path());
    let store = open(options.clone()).await;
    send(&store, Signal::Traces, span(1)).await;
    *options.seal_stop.0.lock().unwrap() = Some((SealStep::Commit, Some(Table::Spans)));
    store.seal().await.unwrap_err();
    *options.seal_stop.0.lock().unwrap() = None;
    store.seal().await.unwrap();
    assert_eq!(files(dir.path(), Table::Spans).len(), 2);
    // Files that are not blocks are somebody else's.
    let spans = dir.path().join("tables/spans");
    std::fs::write(spans.join("notes.parquet"), "mine").unwrap();
    std::fs::write(spans.join("tenant=default/date=2026-05-04/readme.txt"), "mine").unwrap();
    assert_eq!(store.maintain(now()).await.unwrap().orphans_removed, 0);
    assert_eq!(store.maintain(now() + GRACE).await.unwrap().orphans_removed, 1);
    assert_eq!(files(dir.path(), Table::Spans).len(), 3);
    assert_eq!(span_numbers(&store).await, [1]);
    assert_eq!(store.stats().orphans_removed_total, 1);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_seal_whose_commit_landed_unseen_are_not_orphans() {
    let dir = tempfile::tempdir().unwrap();
    let options = by_hand(dir.path());
    let store = open(options.clone()).await;
    send(&store, Signal::Traces, span(1)).await;
    *options.seal_stop.0.lock().unwrap() = Some((SealStep::Show, Some(Table::Spans)));
    store.seal().await.unwrap_err();
    store.maintain(now()).await.unwrap();
    assert_eq!(store.maintain(now() + GRACE).await.unwrap().orphans_removed, 0);
    *options.seal_stop.0.lock().unwrap() = None;
    store.seal().await.unwrap();
    assert_eq!(span_numbers(&store).await, [1]);
    store.maintain(now() + GRACE).await.unwrap();
    assert_eq!(store.maintain(now() + GRACE * 2).await.unwrap().orphans_removed, 0);
    assert_eq!(span_numbers(&store).await, [1]);
    store.shutdown().await.unwrap();
    let store = open(by_hand(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [1], "BLK-1");
    assert_eq!(files(dir.path(), Table::Spans), block_names(&store, Table::Spans));
    store.shutdown().await.unwrap();
}
