//! One request at a time: acknowledged, refused, repeated, put off.

use std::sync::atomic::Ordering;

use hindsight_model::{LogicalClock, SystemTable};

use super::faulty::FaultyFiles;
use super::*;
use crate::{Durability, IngestError};

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_request_is_in_the_next_snapshot_and_in_no_other_tenants() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    assert_eq!(send(&store, Signal::Traces, spans(0..3)).await.decoded.accepted, 3);
    send(&store, Signal::Logs, log(1)).await;
    send(&store, Signal::Metrics, points(1)).await;
    send_as(&store, "other", Signal::Logs, log(2)).await;
    assert_eq!(rows(&store, Table::Spans), 3);
    assert_eq!(rows(&store, Table::Logs), 1);
    assert_eq!(rows(&store, Table::Metrics), 1);
    assert_eq!(rows(&store, Table::MetricHistograms), 1);
    assert_eq!(store.snapshot(&"other".parse().unwrap()).table(Table::Spans).rows(), 0);
    assert_eq!(store.watermark(&Tenant::default()).map(|at| at <= now()), Some(true));
    assert_eq!(store.stats().items_accepted_total, 7);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_refused_and_never_reach_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let refused = store.ingest(request("default", Signal::Traces, b"{".to_vec())).await;
    assert!(matches!(refused, Err(IngestError::Invalid(_))), "{refused:?}");
    let wal = std::fs::read_dir(dir.path().join("wal")).unwrap().next().unwrap().unwrap();
    assert_eq!(wal.metadata().unwrap().len(), 32, "the segment holds its header only");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_items_are_listed_with_their_reason_for_their_tenant_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let bad = String::from_utf8(span(1))
        .unwrap()
        .replace(r#""spanId":"0000000000000002""#, r#""spanId":"0000000000000000""#);
    let answer = send(&store, Signal::Traces, bad.into_bytes()).await;
    assert_eq!((answer.decoded.accepted, answer.decoded.rejected), (0, 1));
    let [item] = &store.rejections()[..] else { panic!("one item: {:?}", store.rejections()) };
    assert_eq!((&*item.reason, item.service.as_deref()), ("invalid_span_id", Some("odd")));
    assert_eq!(item.sender.as_deref(), Some("127.0.0.1:5000"));
    let table = crate::RejectedTelemetryTable::new(store.clone());
    assert_eq!(table.rows(&Tenant::default()).await.unwrap().num_rows(), 1);
    assert_eq!(table.rows(&"other".parse().unwrap()).await.unwrap().num_rows(), 0);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_repeat_is_acknowledged_but_not_stored_also_after_seal_and_reopen() {
    let dir = tempfile::tempdir().unwrap();
    // Segments of one byte: every request rolls, so the seal removes the request's own record.
    let options = StoreOptions { wal_segment_bytes: 1, ..options(dir.path()) };
    let store = open(options.clone()).await;
    assert!(!send(&store, Signal::Traces, span(1)).await.duplicate);
    assert!(send(&store, Signal::Traces, span(1)).await.duplicate);
    assert!(
        !send_as(&store, "other", Signal::Traces, span(1)).await.duplicate,
        "another tenant's is no repeat"
    );
    send(&store, Signal::Traces, span(2)).await;
    store.shutdown().await.unwrap();

    let clock = Arc::new(LogicalClock::starting_at(now()));
    let store = Store::open(options, Arc::clone(&clock) as Arc<dyn hindsight_model::Clock>).await.unwrap();
    let answer = send(&store, Signal::Traces, span(1)).await;
    assert!(answer.duplicate);
    assert_eq!(answer.decoded.accepted, 1, "the sender hears the same as the first time");
    assert_eq!(span_numbers(&store).await, [1, 2]);
    assert_eq!(store.stats().duplicates_dropped_total, 1);
    clock.advance_to(now() + Duration::from_secs(601));
    assert!(!send(&store, Signal::Traces, span(1)).await.duplicate, "the window is over");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_head_asks_to_come_back_and_a_seal_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(StoreOptions { head_bytes_max: 1, seal_bytes: usize::MAX, ..options(dir.path()) }).await;
    send(&store, Signal::Traces, span(1)).await;
    let refused = store.ingest(request("default", Signal::Traces, span(2))).await;
    assert!(matches!(refused, Err(IngestError::Busy { retry_after }) if retry_after > Duration::ZERO));
    store.seal().await.unwrap();
    send(&store, Signal::Traces, span(2)).await;
    assert_eq!(span_numbers(&store).await, [1, 2]);
    assert_eq!(store.stats().busy_total, 1);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_is_accepted_and_queries_and_seals_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FaultyFiles::default();
    let store = open(StoreOptions { wal_files: Arc::new(faults.clone()), ..options(dir.path()) }).await;
    send(&store, Signal::Traces, span(1)).await;
    faults.sync_fails.store(true, Ordering::SeqCst);
    let refused = store.ingest(request("default", Signal::Traces, span(2))).await;
    assert!(matches!(refused, Err(IngestError::Unavailable { .. })), "{refused:?}");
    faults.sync_fails.store(false, Ordering::SeqCst);
    let refused = store.ingest(request("default", Signal::Traces, span(3))).await;
    assert!(matches!(refused, Err(IngestError::Unavailable { .. })), "WAL-2: until restart, {refused:?}");
    assert!(store.stats().poisoned && store.stats().last_error.is_some());
    assert_eq!(span_numbers(&store).await, [1]);
    store.shutdown().await.unwrap();

    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, span(2)).await;
    // The refused request had reached the file before the sync failed, so its retry is a repeat: stored once.
    assert_eq!(span_numbers(&store).await, [1, 2]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_for_now_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FaultyFiles::default();
    let store = open(StoreOptions { wal_files: Arc::new(faults.clone()), ..options(dir.path()) }).await;
    send(&store, Signal::Traces, span(1)).await;
    faults.disk_full.store(true, Ordering::SeqCst);
    let refused = store.ingest(request("default", Signal::Traces, span(2))).await.unwrap_err();
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    faults.disk_full.store(false, Ordering::SeqCst);
    send(&store, Signal::Traces, span(2)).await;
    drop(store);
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [1, 2]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let refused = Store::open(options(dir.path()), store.clock()).await.unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    store.shutdown().await.unwrap();
    store.shutdown().await.unwrap();
    let again = open(options(dir.path())).await;
    let late = store.ingest(request("default", Signal::Traces, span(1))).await;
    assert!(matches!(late, Err(IngestError::Unavailable { .. })), "the closed store takes nothing");
    again.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_at_once_are_each_stored_once_in_both_durabilities() {
    for durability in [Durability::Fsync, Durability::Flush] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(StoreOptions { durability, ..options(dir.path()) }).await;
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..8 {
            let store = store.clone();
            senders.spawn(async move {
                for number in 0..10 {
                    send(&store, Signal::Traces, span(sender * 10 + number)).await;
                }
            });
        }
        senders.join_all().await;
        assert_eq!(span_numbers(&store).await, (0..80).collect::<Vec<_>>());
        let batches = store.snapshot(&Tenant::default()).table(Table::Spans).head.len();
        assert!(batches <= 24, "small batches are joined: {batches}");
        store.shutdown().await.unwrap();
    }
}
