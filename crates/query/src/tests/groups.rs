//! Rows are grouped by numbers in the place of texts, and the answers are those of the engine's own grouping.

use hindsight_model::{SqlRequest, SqlSource, SqlValue};

use super::layout::{Layout, lay};
use crate::{QueryEngine, QueryOptions};

async fn rows(engine: &QueryEngine, sql: &str) -> Vec<Vec<SqlValue>> {
    let mut rows = engine.sql(SqlRequest::new(sql)).await.unwrap().rows().unwrap();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

async fn plan(engine: &QueryEngine, sql: &str) -> String {
    format!("{:?}", rows(engine, &format!("EXPLAIN {sql}")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_by_codes_are_the_groups_of_texts() {
    for layout in Layout::ALL {
        let laid = lay(layout, QueryOptions { threads: 2, ..QueryOptions::default() });
        for (table, groups, values) in [
            (
                "spans",
                ["service_name", "name"],
                "count(*), min(duration_nano), max(duration_nano), avg(duration_nano)",
            ),
            ("spans", ["service_name", "parent_span_id"], "count(parent_span_id), sum(duration_nano)"),
            (
                "spans",
                ["kind", "status_code"],
                "approx_percentile_cont(duration_nano, 0.5), bool_or(duration_nano > 9)",
            ),
            ("spans", ["trace_id", "span_id"], "count(DISTINCT duration_nano), max(timestamp)"),
            (
                "logs",
                ["service_name", "severity"],
                "count(*) FILTER (WHERE severity_number > 9), max(body) FILTER (WHERE severity_number < 0)",
            ),
            ("metrics", ["metric_name", "unit"], "sum(value), stddev(value)"),
        ] {
            let grouped = |column: &dyn Fn(&str) -> String, more: &str| {
                let groups = groups.map(column).join(", ");
                format!("SELECT {groups}{more}, {values} FROM {table} GROUP BY {groups}{more}")
            };
            for more in ["", ", date_trunc('minute', timestamp)"] {
                let ours = grouped(&|column| column.to_owned(), more);
                // Views are what codes are made of.
                let theirs = grouped(&|column| format!("arrow_cast({column}, 'LargeUtf8')"), more);
                assert!(plan(&laid.engine, &ours).await.contains("CodedGroupsExec"), "{ours}");
                assert!(!plan(&laid.engine, &theirs).await.contains("CodedGroupsExec"), "{theirs}");
                let found = rows(&laid.engine, &ours).await;
                assert!(!found.is_empty());
                assert_eq!(found, rows(&laid.engine, &theirs).await, "{layout:?} {ours}");
            }
        }
    }
}

/// So many that the engine's own step takes over.
#[tokio::test(flavor = "multi_thread")]
async fn many_groups_are_left_to_the_engine_and_none_is_lost() {
    let laid = lay(Layout::Blocks, QueryOptions { threads: 2, ..QueryOptions::default() });
    for (rows_in_all, groups) in [(100_000_i64, 10), (100_000, 20_000), (400_000, 400_000)] {
        let of = format!("arrow_cast(cast(value % {groups} AS VARCHAR), 'Utf8View')");
        let sql = format!(
            "SELECT count(*), min(n), max(n), sum(s) FROM (SELECT {of} AS g, count(*) AS n, sum(value) AS s \
             FROM generate_series(1, {rows_in_all}) GROUP BY {of})"
        );
        assert!(plan(&laid.engine, &sql).await.contains("CodedGroupsExec"));
        let found: Vec<String> = rows(&laid.engine, &sql).await[0].iter().map(ToString::to_string).collect();
        let (per_group, sum) = (rows_in_all / groups, rows_in_all * (rows_in_all + 1) / 2);
        assert_eq!(found, [groups, per_group, per_group, sum].map(|n| n.to_string()), "{groups}");
    }
}

/// A filter that compares texts by their views leaves the same rows.
#[tokio::test(flavor = "multi_thread")]
async fn texts_are_compared_by_views() {
    for layout in Layout::ALL {
        let laid = lay(layout, QueryOptions { threads: 2, ..QueryOptions::default() });
        let names = rows(&laid.engine, "SELECT DISTINCT name FROM spans").await;
        let names: Vec<String> = names.iter().map(|row| row[0].to_string()).collect();
        assert!(!names.is_empty());
        for name in names.iter().map(String::as_str).chain(["", "no such", "a name that no span has"]) {
            for operator in ["=", "<>"] {
                let sql = |column: &str| {
                    format!(
                        "SELECT count(*), min(duration_nano) FROM spans WHERE {column} {operator} '{name}'"
                    )
                };
                let ours = rows(&laid.engine, &sql("name")).await;
                let theirs = rows(&laid.engine, &sql("arrow_cast(name, 'LargeUtf8')")).await;
                assert_eq!(ours, theirs, "{layout:?} {operator} {name}");
            }
        }
    }
}
