//! What becomes too old, and what a hold keeps (BLK-3).

use std::collections::BTreeSet;

use super::*;
use crate::{Hold, RetentionRule};

const DAY: Duration = Duration::from_secs(86_400);

fn hold(table: Table, from: Timestamp, to: Timestamp) -> Hold {
    let tables = BTreeSet::from([table]);
    Hold { id: "INC-7".parse().unwrap(), tenant: Tenant::default(), tables, from, to }
}

/// Two days of spans, the first on 2026-05-03, and a log.
async fn fill(store: &Store) {
    send(store, Signal::Traces, span(60_000_000)).await;
    send(store, Signal::Traces, span(1)).await;
    send(store, Signal::Logs, log(1)).await;
    send_as(store, "other", Signal::Traces, span(60_000_000)).await;
    store.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn old_blocks_go_by_table_and_tenant_and_their_files_after_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = by_hand(dir.path());
    options.maintenance.retention_rules = vec![
        RetentionRule { table: Some(Table::Spans), tenant: None, keep: DAY / 2 },
        RetentionRule { table: None, tenant: Some("other".parse().unwrap()), keep: DAY * 300 },
    ];
    let store = open(options.clone()).await;
    fill(&store).await;
    let report = store.maintain(now()).await.unwrap();
    assert_eq!((report.files_expired, report.rows_expired, report.files_removed), (1, 1, 0));
    assert_eq!(span_numbers(&store).await, [1]);
    assert_eq!(rows(&store, Table::Logs), 1, "logs are kept for 30 days");
    assert_eq!(store.snapshot(&"other".parse().unwrap()).table(Table::Spans).rows(), 1);
    assert_eq!(files(dir.path(), Table::Spans).len(), 3);
    let report = store.maintain(now() + Duration::from_secs(15 * 60)).await.unwrap();
    assert_eq!(report.files_removed, 1);
    assert_eq!(files(dir.path(), Table::Spans).len(), 2);
    assert_eq!(store.stats().retention_rows_total, 1);
    store.shutdown().await.unwrap();

    let store = open(options).await;
    assert_eq!(span_numbers(&store).await, [1], "BLK-1: replay does not bring it back");
    let report = store.maintain(now() + DAY * 31).await.unwrap();
    assert_eq!(report.rows_expired, 2);
    assert_eq!((rows(&store, Table::Spans), rows(&store, Table::Logs)), (0, 0));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_blocks_from_retention_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store).await;
    let noon: Timestamp = "2026-05-03T12:00:00Z".parse().unwrap();
    store.hold(hold(Table::Spans, noon, noon + DAY * 2)).await.unwrap();
    assert_eq!(
        store.maintain(now() + DAY * 40).await.unwrap().rows_expired,
        2,
        "the log, and another tenant's"
    );
    assert_eq!(span_numbers(&store).await, [1, 60_000_000]);
    store.shutdown().await.unwrap();

    let store = open(by_hand(dir.path())).await;
    assert_eq!(store.holds(), [hold(Table::Spans, noon, noon + DAY * 2)], "it survives a restart");
    assert_eq!(store.stats().holds, 1);
    assert_eq!(store.maintain(now() + DAY * 40).await.unwrap().rows_expired, 0);
    let held = crate::BlocksTable::new(store.clone());
    let held = hindsight_model::SystemTable::rows(&held, &Tenant::default()).await.unwrap();
    assert_eq!(held.column_by_name("held").unwrap().as_boolean().true_count(), 2);
    assert!(store.release_hold(&"INC-7".parse().unwrap()).await.unwrap());
    assert_eq!(store.maintain(now() + DAY * 40).await.unwrap().rows_expired, 2);
    assert_eq!(rows(&store, Table::Spans), 0);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn held_rows_survive_merging_and_their_old_files_need_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    for number in 0..8 {
        send(&store, Signal::Traces, span(number)).await;
        store.seal().await.unwrap();
    }
    store.hold(hold(Table::Spans, now() - DAY, now())).await.unwrap();
    assert_eq!(store.maintain(now()).await.unwrap().merges, 1);
    assert_eq!(store.maintain(now() + DAY * 40).await.unwrap().files_removed, 8);
    assert_eq!(span_numbers(&store).await, (0..8).collect::<Vec<_>>());
    assert_eq!(files(dir.path(), Table::Spans), block_names(&store, Table::Spans));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_after_retention_keeps_the_file_that_is_not_deleted_yet() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store).await;
    let later = now() + DAY * 40;
    assert_eq!(store.maintain(later).await.unwrap().files_expired, 4);
    store.hold(hold(Table::Spans, now() - DAY * 2, now())).await.unwrap();
    assert_eq!(store.maintain(later + DAY).await.unwrap().files_removed, 2, "the log, and another tenant's");
    assert_eq!(files(dir.path(), Table::Spans).len(), 2);
    store.shutdown().await.unwrap();

    // The same after a restart, where only the Delta log and the directory tell.
    let store = open(by_hand(dir.path())).await;
    assert_eq!(store.maintain(later + DAY * 2).await.unwrap().orphans_removed, 0);
    assert!(store.release_hold(&"INC-7".parse().unwrap()).await.unwrap());
    assert_eq!(store.maintain(later + DAY * 2).await.unwrap().orphans_removed, 2);
    assert_eq!(files(dir.path(), Table::Spans), Vec::<String>::new());
    store.shutdown().await.unwrap();
}

/// A table as an earlier version of this program made it: append-only, which forbids retention.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_append_only_is_upgraded_when_rows_must_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store).await;
    store.shutdown().await.unwrap();
    let first = dir.path().join("tables/spans/_delta_log/00000000000000000000.json");
    let commit = std::fs::read_to_string(&first).unwrap();
    let older = commit.replace(r#""delta.appendOnly":"false""#, r#""delta.appendOnly":"true""#);
    assert_ne!(older, commit);
    std::fs::write(&first, older).unwrap();

    let store = open(by_hand(dir.path())).await;
    assert_eq!(store.maintain(now() + DAY * 40).await.unwrap().files_expired, 4);
    assert_eq!(rows(&store, Table::Spans), 0);
    assert_eq!(store.stats().upkeep_failures_total, 0);
    send(&store, Signal::Traces, span(2)).await;
    store.seal().await.unwrap();
    store.shutdown().await.unwrap();
    let store = open(by_hand(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [2]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_was_acknowledged_is_honoured_by_a_retention_that_runs_meanwhile() {
    let mut kept = 0;
    for round in 0..12_u64 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(by_hand(dir.path())).await;
        fill(&store).await;
        let dropping = tokio::spawn({
            let store = store.clone();
            async move { store.maintain(now() + DAY * 40).await.unwrap() }
        });
        tokio::time::sleep(Duration::from_micros(400 * round)).await;
        store.hold(hold(Table::Spans, now() - DAY * 2, now())).await.unwrap();
        let at_once = rows(&store, Table::Spans);
        dropping.await.unwrap();
        assert_eq!(rows(&store, Table::Spans), at_once, "BLK-3");
        kept += at_once;
        store.shutdown().await.unwrap();
    }
    assert!(kept > 0, "some hold came first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_shut_down_takes_no_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    store.shutdown().await.unwrap();
    let refused = store.hold(hold(Table::Spans, now(), now())).await.unwrap_err();
    assert!(matches!(refused, Error::Stopped { .. }), "{refused}");
    assert!(!dir.path().join("holds.json").try_exists().unwrap());
}
