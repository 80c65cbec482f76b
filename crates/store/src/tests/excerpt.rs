//! What leaves in an excerpt, and that it is the same elsewhere.

use futures::TryStreamExt as _;

use super::*;
use crate::{Excerpt, Plant, plant};

async fn excerpt(store: &Store, from_ms: u64, to_ms: u64) -> Excerpt {
    let (from, to) = (now() - Duration::from_millis(from_ms), now() - Duration::from_millis(to_ms));
    store.excerpt(&Tenant::default(), from, to, Arc::new(|_| {})).await.unwrap()
}

/// Writes the files of an excerpt to a folder and makes a data directory of them.
async fn planted(excerpt: &Excerpt, dir: &Path) -> crate::Result<()> {
    let mut plants = Vec::new();
    for (number, file) in excerpt.files().iter().enumerate() {
        let bytes: Vec<_> = excerpt.read(file).await?.try_collect().await?;
        let bytes = bytes.concat();
        assert_eq!(bytes.len() as u64, file.size_bytes);
        let path = dir.join(format!("{number}.parquet"));
        std::fs::write(&path, bytes).unwrap();
        plants.push(Plant {
            table: file.table,
            date: file.date,
            file: path,
            rows: file.rows,
            stats: file.stats.clone(),
            all_promoted: file.all_promoted,
        });
    }
    plant(&dir.join("data"), &Tenant::default(), plants, now()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_the_window_and_no_others_leave_whether_sealed_or_not() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(options(dir.path())).await;
    // Span n is n + 1 ms before now: a block that reaches over the window's begin, one within, one beyond.
    send(&store, Signal::Traces, spans(80..120)).await;
    store.seal().await.unwrap();
    send(&store, Signal::Traces, spans(20..60)).await;
    send(&store, Signal::Logs, log(50_000_000)).await;
    store.seal().await.unwrap();
    send(&store, Signal::Traces, spans(0..5)).await;
    store.seal().await.unwrap();
    // In the head: some within, some not; and another tenant's.
    send(&store, Signal::Traces, spans(5..16)).await;
    send(&store, Signal::Traces, spans(60..62)).await;
    send_as(&store, "other", Signal::Traces, spans(30..40)).await;
    let before = all_blocks(&store);

    let taken = excerpt(&store, 101, 11).await;
    assert_eq!(all_blocks(&store), before, "nothing in the store has changed");
    assert_eq!(taken.files().iter().map(|file| file.rows).sum::<u64>(), 21 + 40 + 1 + 6 + 2);
    planted(&taken, elsewhere.path()).await.unwrap();
    store.shutdown().await.unwrap();

    let there = open(options(&elsewhere.path().join("data"))).await;
    let expected: Vec<u64> = (10..16).chain(20..62).chain(80..101).collect();
    assert_eq!(span_numbers(&there).await, expected);
    assert_eq!(rows(&there, Table::Logs), 1);
    let snapshot = there.snapshot(&Tenant::default());
    for block in &snapshot.table(Table::Spans).blocks {
        let times: Vec<i64> = read_block(&there, block).await.iter().flat_map(micros).collect();
        let bound = |at: Option<Timestamp>| at.map(hindsight_model::to_micros);
        assert_eq!(bound(block.min_timestamp), times.iter().min().copied());
        assert_eq!(bound(block.max_timestamp), times.iter().max().copied());
    }
    // It is a data directory like any other.
    send(&there, Signal::Traces, span(500)).await;
    there.seal().await.unwrap();
    assert_eq!(rows(&there, Table::Spans), expected.len() as u64 + 1);
    there.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excerpt_outlives_the_blocks_it_was_taken_from() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(by_hand(dir.path())).await;
    for round in 0..8 {
        send(&store, Signal::Traces, spans(round * 10..round * 10 + 10)).await;
        store.seal().await.unwrap();
    }
    let taken = excerpt(&store, 1_000, 0).await;
    // Two days later the date is finished: its blocks are merged and their files go, if nobody has them.
    store.maintain(now() + Duration::from_secs(2 * 86_400)).await.unwrap();
    assert!(store.snapshot(&Tenant::default()).table(Table::Spans).blocks.len() < 8);
    planted(&taken, elsewhere.path()).await.unwrap();
    let there = open(options(&elsewhere.path().join("data"))).await;
    assert_eq!(span_numbers(&there).await, (0..80).collect::<Vec<_>>());
    there.shutdown().await.unwrap();
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_fit_its_table_is_refused_by_name() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, spans(0..3)).await;
    let taken = excerpt(&store, 1_000, 0).await;
    let [file] = taken.files() else { panic!("{taken:?}") };
    let bytes: Vec<_> = taken.read(file).await.unwrap().try_collect().await.unwrap();
    let path = elsewhere.path().join("file");
    let sound = Plant {
        table: file.table,
        date: file.date,
        file: path.clone(),
        rows: file.rows,
        stats: file.stats.clone(),
        all_promoted: false,
    };
    let wrong = [
        (Plant { rows: 4, ..sound.clone() }, "3 rows instead of 4"),
        (Plant { table: Table::Logs, ..sound.clone() }, "of its own"),
        (Plant { stats: "{}".to_owned(), ..sound.clone() }, "numRecords"),
        (Plant { stats: r#"{"numRecords":9}"#.to_owned(), ..sound.clone() }, "count other rows"),
    ];
    std::fs::write(&path, bytes.concat()).unwrap();
    for (number, (file, said)) in wrong.into_iter().enumerate() {
        let data_dir = elsewhere.path().join(number.to_string());
        let error = plant(&data_dir, &Tenant::default(), vec![file], now()).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    std::fs::write(&path, b"PAR1 is not enough PAR1").unwrap();
    let error = plant(&elsewhere.path().join("5"), &Tenant::default(), vec![sound], now()).await.unwrap_err();
    assert!(error.to_string().contains("no Parquet file"), "{error}");
    store.shutdown().await.unwrap();
}
