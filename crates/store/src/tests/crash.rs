//! What is left when the program ends at the worst moment: every acknowledged row, once (WAL-1, BLK-1).

use std::fs::OpenOptions;

use super::*;
use crate::IngestError;
use crate::seal::SealStep;

/// Sends ten spans, a log and two points; nothing of it is sealed.
async fn fill(store: &Store) {
    for number in 0..10 {
        send(store, Signal::Traces, span(number)).await;
    }
    send(store, Signal::Logs, log(1)).await;
    send(store, Signal::Metrics, points(1)).await;
}

async fn check_filled(store: &Store) {
    assert_eq!(span_numbers(store).await, (0..10).collect::<Vec<_>>());
    for table in [Table::Logs, Table::Metrics, Table::MetricHistograms] {
        assert_eq!(rows(store, table), 1, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_not_sealed_is_replayed_to_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    fill(&store).await;
    let before = flat(&store.snapshot(&Tenant::default()).table(Table::Spans).head);
    let before = arrow::compute::concat_batches(&Table::Spans.schema(), &before).unwrap();
    let watermark = store.watermark(&Tenant::default());
    drop(store);
    let store = open(options(dir.path())).await;
    check_filled(&store).await;
    let after = flat(&store.snapshot(&Tenant::default()).table(Table::Spans).head);
    assert_eq!(arrow::compute::concat_batches(&Table::Spans.schema(), &after).unwrap(), before);
    assert_eq!(store.watermark(&Tenant::default()), watermark);
    store.shutdown().await.unwrap();
}

/// A seal that ends at each of its dangerous moments, then a restart, then another seal and another restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_in_a_seal_leaves_every_row_once() {
    let moments = [
        (SealStep::Commit, Some(Table::Logs)),
        (SealStep::Show, Some(Table::Logs)),
        (SealStep::Commit, Some(Table::Spans)),
        (SealStep::Show, Some(Table::Spans)),
        (SealStep::Commit, Some(Table::MetricHistograms)),
        (SealStep::Release, None),
    ];
    for moment in moments {
        let dir = tempfile::tempdir().unwrap();
        let crashing = options(dir.path());
        let store = open(crashing.clone()).await;
        fill(&store).await;
        *crashing.seal_stop.0.lock().unwrap() = Some(moment);
        assert!(matches!(store.seal().await, Err(Error::TestStop)), "{moment:?}");
        drop(store);

        let store = open(options(dir.path())).await;
        check_filled(&store).await;
        store.seal().await.unwrap();
        check_filled(&store).await;
        store.shutdown().await.unwrap();
        let store = open(options(dir.path())).await;
        check_filled(&store).await;
        assert_eq!(store.stats().head_rows, 0, "{moment:?}: everything is in blocks");
        store.shutdown().await.unwrap();
    }
}

/// The same moments, but the program lives on and tries again; the store takes requests meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_failed_half_way_is_finished_by_the_next() {
    for moment in [
        (SealStep::Commit, Some(Table::Spans)),
        (SealStep::Show, Some(Table::Spans)),
        (SealStep::Release, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        let store = open(options.clone()).await;
        fill(&store).await;
        *options.seal_stop.0.lock().unwrap() = Some(moment);
        assert!(store.seal().await.is_err());
        check_filled(&store).await;
        send(&store, Signal::Logs, log(2)).await;
        *options.seal_stop.0.lock().unwrap() = None;
        store.seal().await.unwrap();
        assert_eq!(span_numbers(&store).await, (0..10).collect::<Vec<_>>(), "{moment:?}");
        assert_eq!(rows(&store, Table::Logs), 2, "{moment:?}");
        assert_eq!(store.stats().head_rows, 0);
        let shown = all_blocks(&store);
        store.shutdown().await.unwrap();
        let store = open(options).await;
        assert_eq!(all_blocks(&store), shown, "{moment:?}: what was shown is what the tables list");
        store.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_costs_nothing_that_was_acknowledged_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, span(1)).await;
    send(&store, Signal::Traces, span(2)).await;
    drop(store);
    let segment = dir.path().join("wal/00000000000000000001.wal");
    let length = std::fs::metadata(&segment).unwrap().len();
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(length - 5).unwrap();
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [1]);
    send(&store, Signal::Traces, span(3)).await;
    drop(store);
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [1, 3]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_before_the_tail_stops_the_start_with_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    fill(&store).await;
    drop(store);
    let segment = dir.path().join("wal/00000000000000000001.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let refused =
        Store::open(options(dir.path()), Arc::new(LogicalClock::starting_at(now()))).await.unwrap_err();
    let text = crate::stats::chain(&refused);
    assert!(text.contains("offset 32") && text.contains("00000000000000000001.wal"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_older_than_the_tables_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, span(1)).await;
    let old = std::fs::read(dir.path().join("wal/00000000000000000001.wal")).unwrap();
    send(&store, Signal::Traces, span(2)).await;
    store.shutdown().await.unwrap();
    std::fs::write(dir.path().join("wal/00000000000000000001.wal"), old).unwrap();
    let refused =
        Store::open(options(dir.path()), Arc::new(LogicalClock::starting_at(now()))).await.unwrap_err();
    assert!(matches!(refused, Error::Wal { source: hindsight_wal::Error::Behind { .. }, .. }), "{refused:?}");

    // With the log gone altogether its positions go on after those that the tables know.
    std::fs::remove_dir_all(dir.path().join("wal")).unwrap();
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, span(3)).await;
    drop(store);
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [1, 2, 3]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_requests_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = store.clone();
        senders.spawn(async move {
            (number, store.ingest(request("default", Signal::Traces, span(number))).await)
        });
    }
    tokio::task::yield_now().await;
    store.shutdown().await.unwrap();
    let mut acknowledged = Vec::new();
    for (number, answer) in senders.join_all().await {
        match answer {
            Ok(_) => acknowledged.push(number),
            Err(error) => assert!(!matches!(error, IngestError::Invalid(_)), "{error}"),
        }
    }
    acknowledged.sort_unstable();
    assert_eq!(store.stats().head_rows, 0, "everything acknowledged was sealed");
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, acknowledged);
    store.shutdown().await.unwrap();
}
