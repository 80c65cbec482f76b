//! Rows are counted by runs of their group, and the counts are the same.

use hindsight_model::{SqlRequest, SqlSource, SqlValue};

use super::layout::{Layout, lay};
use crate::{QueryEngine, QueryOptions};

async fn rows(engine: &QueryEngine, sql: &str) -> Vec<Vec<SqlValue>> {
    let mut rows = engine.sql(SqlRequest::new(sql)).await.unwrap().rows().unwrap();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
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
