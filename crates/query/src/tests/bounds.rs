//! QRY-2: each limit fails one query, by name, and leaves the engine well.

use std::time::Duration;

use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource};

use super::layout::{Laid, Layout, lay};
use crate::{QueryEngine, QueryOptions};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_hungry_query_ends_at_the_memory_limit_and_the_next_one_runs() {
    let laid = engine(QueryOptions { memory_bytes: 4 * 1024 * 1024, ..Default::default() });
    let sort =
        "SELECT value, repeat('x', 100) AS pad FROM generate_series(1, 3000000) ORDER BY value DESC, pad";
    check_limit(ask(&laid.engine, sort).await, "memory", "4 MiB");
    assert_eq!(ask(&laid.engine, "SELECT count(*) FROM spans").await.unwrap().row_count(), 1);
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
