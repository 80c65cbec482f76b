//! Rows are counted by runs of their group, and the counts are the same.

use hindsight_model::{SqlRequest, SqlSource, SqlValue};

use super::layout::{Layout, lay};
use crate::{QueryEngine, QueryOptions};

async fn rows(engine: &QueryEngine, sql: &str) -> Vec<Vec<SqlValue>> {
    let mut rows = in_order(engine, sql).await;
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

async fn in_order(engine: &QueryEngine, sql: &str) -> Vec<Vec<SqlValue>> {
    engine.sql(SqlRequest::new(sql)).await.unwrap().rows().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_by_runs_are_the_counts_of_rows() {
    for layout in Layout::ALL {
        let laid = lay(layout, QueryOptions { threads: 2, ..QueryOptions::default() });
        for (table, groups) in [
            ("logs", "service_name"),
            ("logs", "service_name, date_trunc('minute', timestamp)"),
            ("spans", "service_name, kind, status_code"),
            ("spans", "parent_span_id"),
            ("metrics", "series_id"),
            ("metrics", "series_id % 2, value > 1"),
        ] {
            let counted = format!("SELECT {groups}, count(*), count(1) FROM {table} GROUP BY {groups}");
            // The sum of a value of each row is not taken by runs.
            let summed = counted.replace("count(*)", "sum(length(tenant) / length(tenant))");
            let plan = format!("{:?}", rows(&laid.engine, &format!("EXPLAIN {counted}")).await);
            assert!(plan.contains("CollapseRunsExec"), "{plan}");
            let plan = format!("{:?}", rows(&laid.engine, &format!("EXPLAIN {summed}")).await);
            assert!(!plan.contains("CollapseRunsExec"), "{plan}");
            let counts = rows(&laid.engine, &counted).await;
            assert_eq!(counts, rows(&laid.engine, &summed).await, "{layout:?} {counted}");
            assert!(!counts.is_empty());
            let distinct = format!("SELECT DISTINCT {groups} FROM {table}");
            let plan = format!("{:?}", rows(&laid.engine, &format!("EXPLAIN {distinct}")).await);
            assert!(plan.contains("CollapseRunsExec"), "{plan}");
            let distinct = rows(&laid.engine, &distinct).await;
            let groups: Vec<_> = counts.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
            assert_eq!(distinct, groups, "{layout:?} {table}");
        }
    }
}

/// Pages of one service are counted by what is known of them; so are all of a table, run once or several times.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_group_are_counted_and_not_read() {
    for layout in Layout::ALL {
        let laid = lay(layout, QueryOptions { threads: 2, ..QueryOptions::default() });
        for (table, group) in [
            ("logs", "service_name"),
            ("logs", "service_name AS s"),
            ("spans", "service_name"),
            ("spans", "parent_span_id"),
            ("metrics", "metric_name, service_name"),
            ("metrics", "service_name, metric_name"),
        ] {
            let by = group.trim_end_matches(" AS s");
            let ours = format!("SELECT {group}, count(*) FROM {table} GROUP BY {by}");
            // With a filter that is always true rows are read.
            let theirs =
                format!("SELECT {group}, count(*) FROM {table} WHERE length(tenant) > 0 GROUP BY {by}");
            let plan = |sql: &str| format!("EXPLAIN {sql}");
            let is_counted =
                |plan: Vec<Vec<SqlValue>>| format!("{plan:?}").contains("counted by their bounds");
            let has_blocks = layout != Layout::Head;
            assert_eq!(is_counted(rows(&laid.engine, &plan(&ours)).await), has_blocks, "{layout:?} {ours}");
            assert!(!is_counted(rows(&laid.engine, &plan(&theirs)).await), "{theirs}");
            let counts = rows(&laid.engine, &ours).await;
            assert!(!counts.is_empty());
            assert_eq!(counts, rows(&laid.engine, &theirs).await, "{layout:?} {ours}");
        }
        let again = "WITH RECURSIVE times AS (SELECT 1 AS n, 0 AS all_rows UNION ALL SELECT n + 1, c.c FROM times, \
                     (SELECT sum(c) AS c FROM (SELECT service_name, count(*) AS c FROM logs GROUP BY 1)) AS c \
                     WHERE n < 4) SELECT count(DISTINCT all_rows) FROM times WHERE n > 1";
        assert_eq!(rows(&laid.engine, again).await[0][0].to_string(), "1", "{layout:?}");
    }
}

/// Where rows come in order, nothing above sorts them again.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_rows_come_in_is_kept() {
    let laid = lay(Layout::Blocks, QueryOptions { threads: 2, ..QueryOptions::default() });
    let counted = "SELECT value, count(*) FROM generate_series(1, 100000) GROUP BY value ORDER BY value";
    let numbers: Vec<String> =
        in_order(&laid.engine, counted).await.iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    assert_eq!(numbers, (1..=100_000).map(|value| format!("{value} 1")).collect::<Vec<_>>());
    for (order, first) in [("", ["0", "1"]), ("DESC", ["999", "998"])] {
        let sql = format!(
            "SELECT DISTINCT value / 100 AS g FROM generate_series(1, 99999) ORDER BY g {order} LIMIT 2"
        );
        let found = in_order(&laid.engine, &sql).await;
        assert_eq!(found.iter().map(|row| row[0].to_string()).collect::<Vec<_>>(), first);
    }
}
