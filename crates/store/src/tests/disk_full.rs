//! A disk without room: intake pauses with a reason, queries go on, and everything resumes by itself when there is
//! room again.

use std::sync::atomic::Ordering;

use super::faulty::FaultyFiles;
use super::*;
use crate::IngestError;

async fn refused(store: &Store, number: u64) -> String {
    match store.ingest(request("default", Signal::Traces, span(number))).await {
        Err(error @ IngestError::Unavailable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The full disk takes half of each frame before it refuses: the torn half must be gone before the next append.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_fills_up_again_and_again_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FaultyFiles::default();
    let store = open(StoreOptions { wal_files: Arc::new(faults.clone()), ..options(dir.path()) }).await;
    for round in 0..5 {
        send(&store, Signal::Traces, span(round * 2)).await;
        faults.disk_full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(refused(&store, round * 2 + 1).await.contains("disk is full"));
            assert_eq!(span_numbers(&store).await.len() as u64, round * 2 + 1, "queries go on");
        }
        faults.disk_full.store(false, Ordering::SeqCst);
        assert!(
            !send(&store, Signal::Traces, span(round * 2 + 1)).await.duplicate,
            "a refused one is no repeat"
        );
    }
    assert!(!store.stats().poisoned, "a failed append is not a failed sync");
    assert_eq!(store.stats().unavailable_total, 15);
    drop(store);
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, (0..10).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

/// With segments of one byte every request begins a new one, so the disk is full at a file's first bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_segment_that_finds_no_room_is_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FaultyFiles::default();
    let small = StoreOptions { wal_segment_bytes: 1, ..options(dir.path()) };
    let store = open(StoreOptions { wal_files: Arc::new(faults.clone()), ..small.clone() }).await;
    send(&store, Signal::Traces, span(1)).await;
    faults.disk_full.store(true, Ordering::SeqCst);
    assert!(refused(&store, 2).await.contains("disk is full"));
    assert!(refused(&store, 3).await.contains("disk is full"));
    faults.disk_full.store(false, Ordering::SeqCst);
    send(&store, Signal::Traces, span(2)).await;
    send(&store, Signal::Traces, span(3)).await;
    drop(store);
    let store = open(small).await;
    assert_eq!(span_numbers(&store).await, [1, 2, 3]);
    store.shutdown().await.unwrap();
}

/// A seal makes room: it needs the log for the hashes that it carries on, and that may fail without harm.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_while_the_log_is_full_keeps_the_rows_and_the_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FaultyFiles::default();
    let small = StoreOptions { wal_segment_bytes: 1, ..options(dir.path()) };
    let store = open(StoreOptions { wal_files: Arc::new(faults.clone()), ..small.clone() }).await;
    send(&store, Signal::Traces, spans(0..4)).await;
    send(&store, Signal::Traces, spans(4..6)).await;
    faults.disk_full.store(true, Ordering::SeqCst);
    let sealed = store.seal().await;
    assert!(sealed.is_err(), "the hashes found no room: {sealed:?}");
    assert_eq!(span_numbers(&store).await, (0..6).collect::<Vec<_>>());
    faults.disk_full.store(false, Ordering::SeqCst);
    assert!(send(&store, Signal::Traces, spans(0..4)).await.duplicate);
    send(&store, Signal::Traces, span(6)).await;
    store.seal().await.unwrap();
    drop(store);
    let store = open(small).await;
    assert!(send(&store, Signal::Traces, spans(4..6)).await.duplicate);
    assert_eq!(span_numbers(&store).await, (0..7).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

/// Blocks that cannot be written: their rows stay in the head, requests are taken until it is full, and the store
/// tries again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_find_no_place_leave_the_rows_visible_and_are_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(StoreOptions {
        head_bytes_max: 1,
        seal_retry: Duration::from_millis(50),
        ..options(dir.path())
    })
    .await;
    send(&store, Signal::Traces, spans(0..4)).await;
    // Where the table's folder should be is a file.
    let in_the_way = dir.path().join("tables/spans");
    std::fs::write(&in_the_way, "").unwrap();
    let failed = store.seal().await;
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(span_numbers(&store).await, [0, 1, 2, 3]);
    let full = store.ingest(request("default", Signal::Traces, span(4))).await;
    assert!(matches!(full, Err(IngestError::Busy { .. })), "{full:?}");
    std::fs::remove_file(&in_the_way).unwrap();
    let sealed = async {
        while store.stats().seals_total == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sealed).await.unwrap();
    send(&store, Signal::Traces, span(4)).await;
    assert_eq!(span_numbers(&store).await, [0, 1, 2, 3, 4]);
    assert!(store.stats().seal_failures_total > 0 && store.stats().last_error.is_some());
    store.shutdown().await.unwrap();
}
