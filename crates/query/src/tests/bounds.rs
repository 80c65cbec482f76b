//! QRY-2: each limit fails one query, by name, and leaves the engine well.

use std::path::Path;
use std::time::Duration;

use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource};

use super::layout::{Laid, Layout, lay};
use crate::{QueryEngine, QueryOptions, SpillOptions};

/// Runs for very long, in small memory.
const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 10000000) AS a(value), \
                       generate_series(1, 10000000) AS b(value)";

fn engine(options: QueryOptions) -> Laid {
    lay(Layout::Half, options)
}

async fn ask(engine: &QueryEngine, sql: &str) -> Result<SqlAnswer, SqlError> {
    engine.sql(SqlRequest::new(sql)).await
}

fn check_limit(result: Result<SqlAnswer, SqlError>, name: &str, says: &str) {
    match result {
        Err(SqlError::Limit { limit, message }) => {
            assert_eq!(limit, name);
            assert!(message.contains(says), "{message}");
        }
        other => panic!("expected the limit {name}, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_ends_at_its_timeout_and_the_next_one_runs() {
    let laid = engine(QueryOptions {
        timeout: Duration::from_millis(300),
        threads: 1,
        concurrency: 1,
        ..Default::default()
    });
    check_limit(ask(&laid.engine, ENDLESS).await, "timeout", "300ms");
    assert_eq!(ask(&laid.engine, "SELECT 1").await.unwrap().row_count(), 1);
    let mut hasty = SqlRequest::new(ENDLESS);
    hasty.timeout = Some(Duration::from_millis(20));
    check_limit(laid.engine.sql(hasty).await, "timeout", "20ms");
}

/// Each row of one side is a hundred thousand of the join, and none of them is a row that is read.
const MULTIPLYING: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 100000) AS a(value), \
                           generate_series(1, 10000000000) AS b(value)";

#[tokio::test(flavor = "multi_thread")]
async fn joins_that_multiply_leave_the_threads_to_others_and_end_when_they_are_told() {
    let laid = engine(QueryOptions { threads: 1, concurrency: 3, ..Default::default() });
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (engine, mut request) = (laid.engine.clone(), SqlRequest::new(MULTIPLYING));
            request.timeout = Some(Duration::from_secs(3));
            tokio::spawn(async move { engine.sql(request).await })
        })
        .collect();
    for _ in 0..5 {
        let small =
            tokio::time::timeout(Duration::from_secs(20), ask(&laid.engine, "SELECT count(*) FROM spans"));
        assert_eq!(small.await.expect("the small one waits for the large ones").unwrap().row_count(), 1);
    }
    for busy in busy {
        check_limit(busy.await.unwrap(), "timeout", "3s");
    }
    // They have given up their turns too, not only their answers.
    let all = futures::future::join_all((0..3).map(|_| ask(&laid.engine, "SELECT 1")));
    let all = tokio::time::timeout(Duration::from_secs(20), all).await.expect("the threads are free again");
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hungry_query_ends_at_the_memory_limit_and_the_next_one_runs() {
    let laid = engine(QueryOptions { memory_bytes: 4 * 1024 * 1024, ..Default::default() });
    let sort =
        "SELECT value, repeat('x', 100) AS pad FROM generate_series(1, 3000000) ORDER BY value DESC, pad";
    check_limit(ask(&laid.engine, sort).await, "memory", "4 MiB");
    assert_eq!(ask(&laid.engine, "SELECT count(*) FROM spans").await.unwrap().row_count(), 1);
}

/// More than fits 64 MiB, but not much of an answer.
const LARGE_SORT: &str = "SELECT count(*), max(length(pad)) FROM (SELECT pad FROM (SELECT repeat('x', 100) || value \
                          AS pad FROM generate_series(1, 800000)) ORDER BY pad OFFSET 10)";

fn spilling(dir: &Path, bytes_max: u64) -> QueryOptions {
    let spill = Some(SpillOptions { dir: dir.join("spill"), bytes_max });
    QueryOptions { memory_bytes: 64 * 1024 * 1024, concurrency: 1, threads: 2, spill, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_that_does_not_fit_its_memory_is_done_on_disk_and_leaves_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("spill")).unwrap();
    std::fs::write(dir.path().join("spill/left-by-a-killed-server"), "").unwrap();
    let laid = engine(spilling(dir.path(), 1 << 30));
    let answer = ask(&laid.engine, LARGE_SORT).await.unwrap();
    assert_eq!(answer.rows().unwrap()[0][0].to_string(), "799990");
    assert!(answer.stats.spilled_bytes > 1_000_000, "{:?}", answer.stats);
    assert!((1..=64 << 20).contains(&answer.stats.memory_peak_bytes), "{:?}", answer.stats);
    until_no_file_is_below(dir.path()).await;
    let log =
        ask(&laid.engine, "SELECT spilled_bytes, memory_peak_bytes, outcome FROM query_log").await.unwrap();
    let row: Vec<String> = log.rows().unwrap()[0].iter().map(ToString::to_string).collect();
    assert_eq!(
        row,
        [answer.stats.spilled_bytes.to_string(), answer.stats.memory_peak_bytes.to_string(), "ok".into()]
    );
}

/// A window over a thousand series of 800 points each.
const WINDOW: &str = "SELECT count(*), sum(value - earlier) FROM (SELECT value, lag(value) OVER (PARTITION BY series \
                      ORDER BY at) AS earlier FROM (SELECT value, arrow_cast('the series ' || value % 1000, 'Utf8View') \
                      AS series, arrow_cast(value, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at FROM generate_series(1, 800000)))";

#[tokio::test(flavor = "multi_thread")]
async fn points_are_sorted_by_series_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let little = QueryOptions { memory_bytes: 32 << 20, ..spilling(dir.path(), 1 << 30) };
    for (options, spills) in [(QueryOptions::default(), false), (little, true)] {
        let laid = engine(options);
        let plan = ask(&laid.engine, &format!("EXPLAIN {WINDOW}")).await.unwrap();
        let plan: String = plan.rows().unwrap().iter().map(|row| row[1].to_string()).collect();
        assert!(plan.contains("SeriesSortExec: series=series, time=at"), "{plan}");
        let answer = ask(&laid.engine, WINDOW).await.unwrap();
        let row: Vec<String> = answer.rows().unwrap()[0].iter().map(ToString::to_string).collect();
        assert_eq!(row, ["800000", "799000000"]);
        assert_eq!(answer.stats.spilled_bytes > 0, spills, "{:?}", answer.stats);
    }
    until_no_file_is_below(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_may_put_little_on_disk_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let laid = engine(spilling(dir.path(), 100_000));
    let failed = ask(&laid.engine, LARGE_SORT).await;
    assert!(matches!(failed, Err(SqlError::Limit { limit: "spill", .. })), "{failed:?}");
    until_no_file_is_below(dir.path()).await;
    assert_eq!(ask(&laid.engine, "SELECT count(*) FROM spans").await.unwrap().row_count(), 1);
}

/// A query's other workers end a moment after its answer is there.
async fn until_no_file_is_below(dir: &Path) {
    let gone = async {
        while files_below(dir) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("a spill file stayed");
}

/// Files in the folder and in folders below it.
fn files_below(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stops_at_the_row_limit() {
    let laid = engine(QueryOptions { rows_max: 100, ..Default::default() });
    check_limit(ask(&laid.engine, "SELECT * FROM generate_series(1, 101)").await, "rows", "100");
    assert_eq!(ask(&laid.engine, "SELECT * FROM generate_series(1, 100)").await.unwrap().row_count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_query_too_many_waits_then_is_refused_and_a_cancelled_one_makes_room() {
    let laid = engine(QueryOptions {
        concurrency: 1,
        concurrency_wait: Duration::from_millis(100),
        ..Default::default()
    });
    let busy = laid.engine.clone();
    let endless = tokio::spawn(async move { ask(&busy, ENDLESS).await });
    let id = wait_until_running(&laid.engine).await;
    check_limit(ask(&laid.engine, "SELECT 1").await, "concurrency", "1 queries are running");
    assert!(laid.engine.cancel(id));
    assert!(matches!(endless.await.unwrap(), Err(SqlError::Cancelled)));
    assert!(!laid.engine.cancel(id));
    assert_eq!(ask(&laid.engine, "SELECT 1").await.unwrap().row_count(), 1);
    let log = ask(&laid.engine, "SELECT outcome, rows FROM query_log ORDER BY id").await.unwrap();
    let outcomes: Vec<String> = log.rows().unwrap().iter().map(|row| row[0].to_string()).collect();
    assert_eq!(outcomes, ["cancelled", "concurrency", "ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_queries_wait_for_nobody_and_nobody_takes_their_turns() {
    let laid = engine(QueryOptions {
        concurrency: 1,
        reserved: 1,
        concurrency_wait: Duration::from_millis(100),
        ..Default::default()
    });
    let busy = laid.engine.clone();
    let endless = tokio::spawn(async move { ask(&busy, ENDLESS).await });
    wait_until_running(&laid.engine).await;
    check_limit(ask(&laid.engine, "SELECT 1").await, "concurrency", "1 queries are running");
    assert_eq!(ask(&laid.engine.reserved(), "SELECT 1").await.unwrap().row_count(), 1);
    endless.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_caller_went_away_stops() {
    let laid = engine(QueryOptions { concurrency: 1, ..Default::default() });
    let busy = laid.engine.clone();
    let endless = tokio::spawn(async move { ask(&busy, ENDLESS).await });
    wait_until_running(&laid.engine).await;
    endless.abort();
    assert_eq!(ask(&laid.engine, "SELECT 1").await.unwrap().row_count(), 1);
    assert!(laid.engine.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_long_texts_are_refused_or_answered_but_never_overflow_the_stack() {
    let laid = engine(QueryOptions::default());
    let deeper = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(matches!(ask(&laid.engine, &deeper).await, Err(SqlError::Invalid { .. })));
    let deep = format!("SELECT {}1{}", "(".repeat(9_000), ")".repeat(9_000));
    let error = ask(&laid.engine, &deep).await.unwrap_err();
    assert!(error.to_string().contains("nested deeper than 100"), "{error}");
    let chain = format!("SELECT 1 AS n WHERE 1 = 2 {}", "OR 3 = 4 ".repeat(400));
    assert_eq!(ask(&laid.engine, &chain).await.unwrap().row_count(), 0);
    let longer = format!("SELECT 1 {}", "+1".repeat(20_000));
    let error = ask(&laid.engine, &longer).await.unwrap_err();
    assert!(error.to_string().contains("the limit is 20000"), "{error}");
    let huge = format!("SELECT '{}'", "x".repeat(300_000));
    let error = ask(&laid.engine, &huge).await.unwrap_err();
    assert!(error.to_string().contains("the limit is 262144"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_chains_are_answered_and_longer_ones_refused() {
    let laid = engine(QueryOptions::default());
    let sum = |links: usize| format!("SELECT 1{}", "+1".repeat(links));
    let union = |links: usize| format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(links));
    let answer = ask(&laid.engine, &sum(490)).await.unwrap();
    assert_eq!(answer.rows().unwrap()[0][0].to_string(), "491");
    assert_eq!(ask(&laid.engine, &union(100)).await.unwrap().row_count(), 101);
    for (text, says) in [(sum(9_900), "500 operators"), (union(2_000), "100 UNIONs")] {
        let error = ask(&laid.engine, &text).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

async fn wait_until_running(engine: &QueryEngine) -> u64 {
    let found = async {
        loop {
            if let Some(query) = engine.running().first() {
                return query.id;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap()
}
