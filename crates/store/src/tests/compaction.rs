//! Merging while the store lives: fewer files, the same rows, one instant for every query.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hindsight_model::SystemTable;

use super::*;

const MINUTES_11: Duration = Duration::from_secs(11 * 60);

/// Seals `seals` times, a few rows of every signal each.
async fn fill(store: &Store, seals: u64) {
    for round in 0..seals {
        send(store, Signal::Traces, spans(round * 10..round * 10 + 5)).await;
        send(store, Signal::Logs, log(round)).await;
        send(store, Signal::Metrics, points(round)).await;
        store.seal().await.unwrap();
    }
}

fn expected_spans(seals: u64) -> Vec<u64> {
    (0..seals).flat_map(|round| round * 10..round * 10 + 5).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_small_blocks_become_one_sorted_block_with_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store, 7).await;
    assert_eq!(store.maintain(now()).await.unwrap().merges, 0, "seven wait for an eighth");
    send(&store, Signal::Traces, spans(70..75)).await;
    send_as(&store, "other", Signal::Traces, spans(0..5)).await;
    store.seal().await.unwrap();
    let report = store.maintain(now()).await.unwrap();
    assert_eq!((report.merges, report.files_merged), (1, 8));

    let snapshot = store.snapshot(&Tenant::default());
    let [merged] = &snapshot.table(Table::Spans).blocks[..] else { panic!("one block") };
    assert_eq!((merged.level(), merged.rows), (1, 40));
    let [batch] = &read_block(&store, merged).await[..] else { panic!("forty rows are one batch") };
    let keys: Vec<(String, i64)> = texts(batch, "service_name").into_iter().zip(micros(batch)).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert_eq!(span_numbers(&store).await, expected_spans(8));
    assert_eq!(store.snapshot(&"other".parse().unwrap()).table(Table::Spans).rows(), 5, "QRY-3");
    let stats = store.stats();
    assert_eq!((stats.compactions_total, stats.compaction_lag_files), (1, 0));
    assert!(stats.compaction_bytes_read_total > stats.compaction_bytes_written_total);

    let listed = crate::BlocksTable::new(store.clone()).rows(&Tenant::default()).await.unwrap();
    let levels = listed.column_by_name("level").unwrap().as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(levels.iter().sum::<i64>(), 1);
    let before = all_blocks(&store);
    drop(snapshot);
    store.shutdown().await.unwrap();
    let store = open(by_hand(dir.path())).await;
    assert_eq!(all_blocks(&store), before, "the log says the same");
    assert_eq!(span_numbers(&store).await, expected_spans(8));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_date_is_finished_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store, 3).await;
    assert_eq!(store.maintain(now()).await.unwrap().merges, 0);
    let report = store.maintain(now() + MINUTES_11).await.unwrap();
    assert_eq!((report.merges, report.files_merged), (4, 12), "one for each table that has rows");
    for table in [Table::Spans, Table::Logs, Table::Metrics, Table::MetricHistograms] {
        assert_eq!(block_names(&store, table).len(), 1, "{table}");
    }
    assert_eq!(span_numbers(&store).await, expected_spans(3));
    store.shutdown().await.unwrap();
}

/// What Spark or DuckDB would see: the Delta log's files, and that merges change no data.
#[tokio::test(flavor = "multi_thread")]
async fn any_delta_reader_finds_the_merged_file_and_the_log_position_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store, 8).await;
    store.maintain(now()).await.unwrap();
    let url = url::Url::from_directory_path(dir.path().join("tables/spans")).unwrap();
    let table = deltalake::DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    let state = table.snapshot().unwrap();
    let listed: Vec<String> = state.log_data().iter().map(|file| file.path().into_owned()).collect();
    let blocks = all_blocks(&store).swap_remove(Table::Spans.index());
    assert_eq!(listed, [blocks[0].path_in_table()]);
    let node = std::fs::read_to_string(dir.path().join("node.id")).unwrap();
    let app = format!("{}/spans", node.trim());
    let covered = state.transaction_version(table.log_store().as_ref(), &app).await.unwrap();
    assert_eq!(covered, Some(24), "the last log position");
    let commit =
        std::fs::read_to_string(dir.path().join("tables/spans/_delta_log/00000000000000000009.json"));
    let commit = commit.unwrap();
    assert_eq!(commit.matches("\"remove\"").count(), 8, "{commit}");
    assert_eq!(commit.matches("\"dataChange\":false").count(), 9, "{commit}");
    assert!(!commit.contains("\"txn\""), "{commit}");
    store.shutdown().await.unwrap();
}

/// QRY-1: requests, seals and merges all at once; no total ever dips or doubles.
#[tokio::test(flavor = "multi_thread")]
async fn totals_never_dip_or_double_while_rows_come_and_blocks_are_sealed_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    let done = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicU64::new(0));
    let until_done = |store: &Store| (store.clone(), Arc::clone(&done));
    let sealing = tokio::spawn({
        let (store, done) = until_done(&store);
        async move {
            while !done.load(Ordering::SeqCst) {
                store.seal().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let merging = tokio::spawn({
        let (store, done) = until_done(&store);
        async move {
            let mut at = now();
            while !done.load(Ordering::SeqCst) {
                // Time flies, so that files are merged busily and quietly, and deleted at once.
                at += Duration::from_secs(400);
                store.maintain(at).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let watching = tokio::task::spawn_blocking({
        let (store, done) = until_done(&store);
        let begun = Arc::clone(&begun);
        move || {
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                let seen = rows(&store, Table::Spans);
                let begun = begun.load(Ordering::SeqCst);
                assert!(seen >= last && seen <= begun, "{seen} rows after {last}, {begun} sent");
                last = seen;
            }
        }
    });
    let reading = tokio::spawn({
        let (store, done) = until_done(&store);
        async move {
            while !done.load(Ordering::SeqCst) {
                // Every file of the snapshot can be read to its end, and no number comes twice.
                let mut numbers = span_numbers(&store).await;
                let count = numbers.len();
                numbers.dedup();
                assert_eq!(numbers.len(), count);
                tokio::task::yield_now().await;
            }
        }
    });
    let mut sent = 0;
    while sent < 150 || store.stats().compactions_total < 5 {
        begun.store(sent + 1, Ordering::SeqCst);
        send(&store, Signal::Traces, span(sent)).await;
        sent += 1;
        assert_eq!(rows(&store, Table::Spans), sent);
    }
    done.store(true, Ordering::SeqCst);
    sealing.await.unwrap();
    merging.await.unwrap();
    watching.await.unwrap();
    reading.await.unwrap();
    assert_eq!(span_numbers(&store).await, (0..sent).collect::<Vec<_>>());
    assert_eq!(store.stats().upkeep_failures_total, 0);
    store.shutdown().await.unwrap();
    let store = open(by_hand(dir.path())).await;
    assert_eq!(span_numbers(&store).await, (0..sent).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_looks_after_its_blocks_by_itself_and_stops_with_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = by_hand(dir.path());
    options.maintenance.interval = Some(Duration::from_millis(2));
    let store = open(options.clone()).await;
    fill(&store, 9).await;
    let merged = async {
        while store.stats().compactions_total == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), merged).await.unwrap();
    assert_eq!(span_numbers(&store).await, expected_spans(9));
    store.shutdown().await.unwrap();
    assert!(matches!(store.maintain(now()).await, Err(Error::Stopped { .. })));
    // Another process may have the directory at once.
    let clock = Arc::new(LogicalClock::starting_at(now()));
    let store = Store::open(options, clock).await.unwrap();
    assert_eq!(span_numbers(&store).await, expected_spans(9));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_cannot_be_merged_is_left_alone_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store, 8).await;
    let blocks = all_blocks(&store).swap_remove(Table::Logs.index());
    store.object_store().put(&blocks[3].path, "damaged".into()).await.unwrap();
    let report = store.maintain(now()).await.unwrap();
    assert_eq!(report.merges, 3, "the other tables are merged");
    assert_eq!(block_names(&store, Table::Logs).len(), 8);
    let stats = store.stats();
    assert_eq!(stats.upkeep_failures_total, 1);
    assert!(stats.last_error.unwrap().contains("Parquet"), "the operator hears of it");
    assert_eq!(store.maintain(now()).await.unwrap().merges, 0, "not again at once");
    assert_eq!(store.stats().upkeep_failures_total, 1);
    store.maintain(now() + MINUTES_11).await.unwrap();
    assert_eq!(store.stats().upkeep_failures_total, 2);
    store.shutdown().await.unwrap();
}

/// Two days of commits: the log is cut at a checkpoint, and everything still works on what is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn old_commits_of_the_delta_log_go_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    let log = dir.path().join("tables/spans/_delta_log");
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let commits = || {
        let names = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".json")).count()
    };
    let mut most = 0;
    for number in 0..140 {
        send(&store, Signal::Traces, span(number)).await;
        store.seal().await.unwrap();
        if number % 8 == 7 {
            store.maintain(now()).await.unwrap();
        }
        if number == 100 {
            for entry in std::fs::read_dir(&log).unwrap() {
                let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
                file.set_modified(old).unwrap();
            }
        }
        most = most.max(commits());
    }
    assert!(most >= 128 && commits() < 100, "{} commits are left of {most}", commits());
    assert_eq!(store.stats().upkeep_failures_total, 0);
    assert_eq!(span_numbers(&store).await, (0..140).collect::<Vec<_>>());
    let before = all_blocks(&store);
    drop(store);
    let store = open(by_hand(dir.path())).await;
    assert_eq!(all_blocks(&store), before);
    assert_eq!(store.stats().head_rows, 0, "BLK-1: the covered position is in the checkpoint");
    assert_eq!(span_numbers(&store).await, (0..140).collect::<Vec<_>>());
    store.maintain(now()).await.unwrap();
    let kept = store.maintain(now() + MINUTES_11 * 2).await.unwrap();
    assert!(kept.orphans_removed > 0, "files that were merged before the restart go");
    store.maintain(now() + MINUTES_11 * 4).await.unwrap();
    assert_eq!(files(dir.path(), Table::Spans), block_names(&store, Table::Spans));
    store.shutdown().await.unwrap();
}

fn append_commit(dir: &Path, action: &str) {
    let log = dir.join("tables/spans/_delta_log");
    let version =
        (0..).find(|version| !log.join(format!("{version:020}.json")).try_exists().unwrap()).unwrap();
    let commit =
        format!("{{\"commitInfo\":{{\"operation\":\"DELETE\",\"operationParameters\":{{}}}}}}\n{action}\n");
    std::fs::write(log.join(format!("{version:020}.json")), commit).unwrap();
}

/// Another program writes to the same Delta table between our commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_never_brings_back_what_another_program_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    fill(&store, 8).await;
    // One that touches nothing of ours is no reason to give up.
    append_commit(dir.path(), r#"{"txn":{"appId":"another","version":1}}"#);
    send(&store, Signal::Traces, spans(80..85)).await;
    let mut blocks = all_blocks(&store).swap_remove(Table::Spans.index());
    blocks.sort_by_key(|block| block.wal_position);
    let block = &blocks[3];
    append_commit(
        dir.path(),
        &format!(
            r#"{{"remove":{{"path":"{}","dataChange":true,"deletionTimestamp":1777905120000,"extendedFileMetadata":true,"partitionValues":{{"tenant":"default","date":"2026-05-04"}},"size":{}}}}}"#,
            block.path_in_table(),
            block.size_bytes
        ),
    );
    let report = store.maintain(now()).await.unwrap();
    assert_eq!(report.merges, 3, "the other tables");
    assert_eq!(store.stats().upkeep_failures_total, 1);
    assert_eq!(span_numbers(&store).await.len(), 45, "nothing of ours is lost meanwhile");
    // The next round reads the log again.
    store.maintain(now() + MINUTES_11).await.unwrap();
    let expected: Vec<u64> =
        (0..9).filter(|round| *round != 3).flat_map(|round| round * 10..round * 10 + 5).collect();
    assert_eq!(span_numbers(&store).await, expected);
    store.seal().await.unwrap();
    store.maintain(now() + MINUTES_11 * 2).await.unwrap();
    store.maintain(now() + MINUTES_11 * 4).await.unwrap();
    assert_eq!(span_numbers(&store).await, expected);
    assert_eq!(block_names(&store, Table::Spans).len(), 2, "the last seal is too small to be worth it");
    store.shutdown().await.unwrap();
    let store = open(by_hand(dir.path())).await;
    assert_eq!(span_numbers(&store).await, expected);
    store.shutdown().await.unwrap();
}
