//! Rows that come late go where they belong, and are found at once.

use super::*;

/// How many days late; the window is 30 days.
const DAYS: [u64; 4] = [0, 1, 7, 29];

fn late_log(days: u64) -> Vec<u8> {
    log_at(now() - Duration::from_hours(24 * days))
}

fn dates(store: &Store) -> Vec<String> {
    let snapshot = store.snapshot(&Tenant::default());
    snapshot.table(Table::Logs).blocks.iter().map(|block| block.date.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_seen_at_once_and_sealed_under_their_own_date() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    for (number, days) in DAYS.into_iter().enumerate() {
        send(&store, Signal::Logs, late_log(days)).await;
        assert_eq!(rows(&store, Table::Logs), number as u64 + 1, "{days} days late");
    }
    store.seal().await.unwrap();
    assert_eq!(dates(&store), ["2026-04-05", "2026-04-27", "2026-05-03", "2026-05-04"]);

    // A date that has blocks already gets another one; nothing that is there is rewritten.
    let before = all_blocks(&store);
    send(
        &store,
        Signal::Logs,
        log_with(u64::try_from(now().as_nanosecond()).unwrap() - 86_400_000_000_001, 1),
    )
    .await;
    assert_eq!(rows(&store, Table::Logs), 5);
    store.seal().await.unwrap();
    let after = all_blocks(&store);
    let (before, after) = (&before[Table::Logs.index()], &after[Table::Logs.index()]);
    assert!(before.iter().all(|block| after.contains(block)));
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.iter().filter(|block| block.date.to_string() == "2026-05-03").count(), 2);
    store.shutdown().await.unwrap();

    let store = open(options(dir.path())).await;
    assert_eq!(rows(&store, Table::Logs), 5);
    assert!(send(&store, Signal::Logs, late_log(7)).await.duplicate, "lateness does not hide a repeat");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_row_does_not_move_the_watermark_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    send(&store, Signal::Logs, late_log(0)).await;
    send(&store, Signal::Logs, late_log(7)).await;
    assert_eq!(store.watermark(&Tenant::default()), Some(now()));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_at_the_same_moment_are_stored_once_and_all_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        senders.spawn(async move { send(&store, Signal::Traces, spans(0..5)).await.duplicate });
    }
    let duplicates = senders.join_all().await.into_iter().filter(|duplicate| *duplicate).count();
    assert_eq!(duplicates, 15);
    assert_eq!(span_numbers(&store).await, [0, 1, 2, 3, 4]);
    drop(store);
    let store = open(options(dir.path())).await;
    assert!(send(&store, Signal::Traces, spans(0..5)).await.duplicate, "a crash does not forget");
    assert_eq!(span_numbers(&store).await, [0, 1, 2, 3, 4]);
    store.shutdown().await.unwrap();
}
