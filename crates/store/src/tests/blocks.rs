//! What a seal writes, what readers find in it, and what queries see while it happens.

use hindsight_model::SystemTable;

use super::*;
use crate::StatValue;

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_sorted_and_split_by_tenant_and_date_and_lack_the_partition_columns() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    for number in [5, 2, 9, 4, 1] {
        send(&store, Signal::Traces, span(number)).await;
    }
    // 60,000 s before 14:32 is the day before.
    send(&store, Signal::Traces, span(60_000_000)).await;
    send_as(&store, "other", Signal::Traces, span(7)).await;
    let report = store.seal().await.unwrap();
    assert_eq!((report.blocks, report.rows, report.wal_position), (3, 7, 7));

    let snapshot = store.snapshot(&Tenant::default());
    let [first, second] = &snapshot.table(Table::Spans).blocks[..] else { panic!("two dates") };
    assert!(first.path.as_ref().starts_with("spans/tenant=default/date=2026-05-03/"), "{}", first.path);
    assert!(second.path.as_ref().starts_with("spans/tenant=default/date=2026-05-04/"), "{}", second.path);
    let [batch] = &read_block(&store, second).await[..] else { panic!("five rows are one batch") };
    assert_eq!(batch.schema().fields(), crate::block_writer::file_schema(Table::Spans).fields());
    let keys: Vec<(String, i64)> = texts(batch, "service_name").into_iter().zip(micros(batch)).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert_eq!(texts(batch, "name"), ["4", "2", "9", "5", "1"]);
    let bounds = &second.columns["service_name"];
    assert_eq!(bounds.min, Some(StatValue::Text("even".to_owned())));
    assert_eq!(bounds.max, Some(StatValue::Text("odd".to_owned())));
    assert_eq!(second.min_timestamp, Some(now() - Duration::from_millis(10)));
    assert_eq!(second.max_timestamp, Some(now() - Duration::from_millis(2)));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_after_a_restart_is_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    for round in 0..3 {
        send(&store, Signal::Traces, spans(round * 10..round * 10 + 3)).await;
        send(&store, Signal::Logs, log(round)).await;
        send(&store, Signal::Metrics, points(round)).await;
        store.seal().await.unwrap();
    }
    let before = all_blocks(&store);
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3, 3, 0, 0]);
    store.shutdown().await.unwrap();
    let store = open(options(dir.path())).await;
    assert_eq!(all_blocks(&store), before);
    let listed = crate::BlocksTable::new(store.clone()).rows(&Tenant::default()).await.unwrap();
    assert_eq!(listed.num_rows(), 12);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_counts_every_row_once_while_seals_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let sealing = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..6 {
                store.seal().await.unwrap();
            }
        })
    };
    let watching = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            let mut last = 0;
            while last < 60 {
                let seen = rows(&store, Table::Spans);
                assert!(seen >= last, "{seen} rows after {last}");
                last = seen;
            }
            last
        })
    };
    for number in 0..60 {
        send(&store, Signal::Traces, span(number)).await;
        // The acknowledgement is the promise: the very next snapshot has the row, and no row twice.
        assert_eq!(rows(&store, Table::Spans), number + 1);
    }
    sealing.await.unwrap();
    assert_eq!(watching.await.unwrap(), 60);
    assert_eq!(span_numbers(&store).await, (0..60).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_sealed_by_age_and_by_size_without_being_asked() {
    for (seal_age, seal_bytes) in [(Duration::from_millis(1), usize::MAX), (Duration::from_secs(3_600), 1)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(StoreOptions { seal_age, seal_bytes, ..options(dir.path()) }).await;
        send(&store, Signal::Traces, span(1)).await;
        let sealed = async {
            while store.stats().seals_total == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), sealed).await.unwrap();
        assert_eq!(store.stats().head_rows, 0);
        assert_eq!(span_numbers(&store).await, [1]);
        store.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_delta_reader_finds_the_same_files_and_the_log_position() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, spans(0..3)).await;
    store.seal().await.unwrap();
    let url = url::Url::from_directory_path(dir.path().join("tables/spans")).unwrap();
    let table = deltalake::DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    let state = table.snapshot().unwrap();
    assert_eq!(state.metadata().partition_columns(), &["tenant", "date"]);
    let names: Vec<String> = state.schema().fields().map(|field| field.name().clone()).collect();
    let ours: Vec<String> = Table::Spans.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ours);
    let files: Vec<String> = state.log_data().iter().map(|file| file.path().into_owned()).collect();
    let blocks = all_blocks(&store).swap_remove(Table::Spans.index());
    assert_eq!(files, [blocks[0].path_in_table()]);
    let node = std::fs::read_to_string(dir.path().join("node.id")).unwrap();
    let app = format!("{}/spans", node.trim());
    let version = state.transaction_version(table.log_store().as_ref(), &app).await.unwrap();
    assert_eq!(version, Some(1));
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_lets_go_of_log_segments_that_hold_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(StoreOptions { wal_segment_bytes: 1, ..options(dir.path()) }).await;
    for number in 0..5 {
        send(&store, Signal::Traces, span(number)).await;
    }
    let segments = || std::fs::read_dir(dir.path().join("wal")).unwrap().count();
    assert_eq!(segments(), 5);
    store.seal().await.unwrap();
    assert!(segments() <= 2, "the last segment and the carried hashes stay: {}", segments());
    store.shutdown().await.unwrap();
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, (0..5).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}
