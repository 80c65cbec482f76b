//! Blocks that cannot hold an answer stay closed, however the question is spelled.

use std::sync::Arc;

use hindsight_model::{LogicalClock, SqlRequest, SqlSource, SqlStats, timestamp_from_micros};

use super::fixture::TEN;
use super::layout::{Layout, lay};
use crate::QueryOptions;
use crate::output::to_json;

async fn stats(sql: &str) -> (usize, SqlStats) {
    let now = timestamp_from_micros(TEN + 60_000_000).unwrap();
    let clock = Arc::new(LogicalClock::starting_at(now));
    let laid = lay(Layout::Blocks, QueryOptions { clock, ..QueryOptions::default() });
    let answer = laid.engine.sql(SqlRequest::new(sql).param("now", now)).await.unwrap();
    (answer.row_count(), answer.stats)
}

async fn check(sql: &str, rows: usize, scanned: u64, pruned: u64) {
    let (found, stats) = stats(sql).await;
    assert_eq!((found, stats.files_scanned, stats.files_pruned), (rows, scanned, pruned), "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_date_rule_out_whole_days() {
    check("SELECT name FROM spans", 6, 2, 0).await;
    check("SELECT name FROM spans WHERE timestamp >= $now - INTERVAL '2 minutes'", 5, 1, 1).await;
    check("SELECT name FROM spans WHERE timestamp >= now() - INTERVAL '2 minutes'", 5, 1, 1).await;
    check("SELECT name FROM spans WHERE date >= current_date", 5, 1, 1).await;
    check("SELECT name FROM spans WHERE date >= CAST(now() - INTERVAL '1 minute' AS DATE)", 5, 1, 1).await;
    check("SELECT now()::date", 1, 0, 0).await;
    check("SELECT name FROM spans WHERE date = '2026-05-03'", 1, 1, 1).await;
    check("SELECT name FROM spans WHERE timestamp > $now AND timestamp < $now + INTERVAL '1 hour'", 1, 1, 1)
        .await;
    check("SELECT name FROM spans WHERE timestamp > $now + INTERVAL '1 hour'", 0, 0, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_rule_out_blocks_under_every_spelling() {
    // The block of the day before holds `checkout` only, and no service is null there.
    check("SELECT name FROM spans WHERE service_name = 'payments'", 2, 1, 1).await;
    check("SELECT name FROM spans WHERE resource_attributes->>'service.name' = 'payments'", 2, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_default_parameters_rule_out_blocks_too() {
    check("SELECT span_id FROM trace_tree('a0')", 1, 1, 1).await;
    check("SELECT span_id FROM critical_path('a1')", 3, 1, 1).await;
    check("SELECT name FROM spans WHERE timestamp >= $from AND timestamp < $to", 3, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_was_ruled_out_also_when_nothing_is_left() {
    for (layout, sql, told) in [
        (Layout::Blocks, "WHERE timestamp < '2026-05-04'", "blocks=1 of 2 (bounds ruled out 1)"),
        (Layout::Blocks, "WHERE timestamp < '2020-01-01'", "blocks=0 of 2 (bounds ruled out 2)"),
        (Layout::Half, "WHERE timestamp < '2020-01-01'", "blocks=0 of 2 (bounds ruled out 2)"),
        (Layout::Blocks, "WHERE timestamp < '2020-01-01' ORDER BY timestamp DESC LIMIT 5", "blocks=0 of 2"),
    ] {
        for verb in ["EXPLAIN", "EXPLAIN FORMAT INDENT", "EXPLAIN ANALYZE"] {
            for columns in ["name, duration_nano", "upper(name)", "time_unix_nano + 1"] {
                let laid = lay(layout, QueryOptions::default());
                let sql = format!("{verb} SELECT {columns} FROM spans {sql}");
                let answer = laid.engine.sql(SqlRequest::new(&sql)).await.unwrap();
                let plan = to_json(&answer).unwrap().to_string();
                assert!(plan.contains(told), "{sql}\n{plan}");
            }
        }
    }
    let all_in_memory = lay(Layout::Head, QueryOptions::default());
    let sql = "EXPLAIN SELECT name FROM spans WHERE timestamp < '2020-01-01'";
    let answer = all_in_memory.engine.sql(SqlRequest::new(sql)).await.unwrap();
    assert!(!to_json(&answer).unwrap().to_string().contains("blocks="), "there is none to rule out");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_scanned_counts_blocks_and_head() {
    let laid = lay(Layout::Half, QueryOptions::default());
    let answer = laid
        .engine
        .sql(SqlRequest::new("SELECT max(duration_nano) FROM spans WHERE name = 'pay'"))
        .await
        .unwrap();
    // Three head rows, and of three sealed ones the two whose block may hold the name.
    assert_eq!(answer.stats.rows_scanned, 5);
}
