//! The newest rows come out of few pages, behind a filter and beside rows in memory too.

use std::sync::Arc;

use hindsight_model::{SqlRequest, SqlSource};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::TEN;
use super::small_pages::small_pages_and_head;
use crate::{QueryEngine, QueryOptions};

/// A log's service, its second and its severity.
type Log = (&'static str, i64, i64);

fn row((service, second, severity): &Log) -> Value {
    json!({"timestamp": TEN + second * 1_000_000, "timestamp_source": "time", "body": "", "tenant": "default",
        "service_name": service, "severity_number": severity})
}

fn engine(dir: &std::path::Path, block: &[Log], head: &[Log]) -> QueryEngine {
    let rows = |logs: &[Log]| logs.iter().map(row).collect::<Vec<_>>();
    let source = small_pages_and_head(dir, &rows(block), &rows(head));
    QueryEngine::new(Arc::new(source), Vec::new(), QueryOptions { threads: 2, ..QueryOptions::default() })
        .unwrap()
}

fn log() -> impl Strategy<Value = Log> {
    (prop_oneof![Just("a"), Just("b")], 0..40_i64, prop_oneof![Just(5), Just(9), Just(17)])
}

type Passes = fn(&Log) -> bool;

const FILTERS: [(&str, Passes); 5] = [
    ("true", |_| true),
    ("severity_number = 17", |log| log.2 == 17),
    ("service_name = 'a'", |log| log.0 == "a"),
    ("service_name = 'b' AND severity_number > 5", |log| log.0 == "b" && log.2 > 5),
    ("severity_number = 4", |_| false),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn they_are_the_newest_and_the_oldest_of_all(
        mut block in prop::collection::vec(log(), 1..60),
        head in prop::collection::vec(log(), 0..10),
        limit in 1..6_usize,
    ) {
        block.sort_unstable();
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path(), &block, &head);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        for (filter, passes) in FILTERS {
            let mut expected: Vec<Log> = block.iter().chain(&head).copied().filter(passes).collect();
            for order in ["ASC", "DESC"] {
                expected.sort_by_key(|log| if order == "ASC" { log.1 } else { -log.1 });
                // The columns that are not asked for are read for the filter alone.
                let sql = format!(
                    "SELECT date_part('epoch', timestamp - to_timestamp_micros({TEN})) AS second, service_name \
                     FROM logs WHERE {filter} ORDER BY timestamp {order} LIMIT {limit}"
                );
                let found = runtime.block_on(engine.sql(SqlRequest::new(&sql))).unwrap().rows().unwrap();
                let found: Vec<(i64, String)> =
                    found.iter().map(|row| (row[0].to_string().parse::<f64>().unwrap() as i64, row[1].to_string())).collect();
                let seconds: Vec<i64> = found.iter().map(|(second, _)| *second).collect();
                prop_assert_eq!(seconds, expected.iter().take(limit).map(|log| log.1).collect::<Vec<_>>(), "{}", sql);
                for (second, service) in &found {
                    prop_assert!(expected.iter().any(|log| (log.1, log.0) == (*second, service.as_str())), "{}", sql);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_pages_are_read_for_them() {
    let logs: Vec<Log> = (0..700).map(|second| ("a", second, if second % 2 == 0 { 9 } else { 17 })).collect();
    let dir = tempfile::tempdir().unwrap();
    let middle: Vec<Log> = (300..305).map(|second| ("a", second, 17)).collect();
    let engine = engine(dir.path(), &logs, &middle);
    for (order, first) in [("DESC", 699), ("ASC", 1)] {
        let sql = format!(
            "SELECT cast(timestamp AS BIGINT) - {TEN} AS t FROM logs WHERE severity_number = 17 \
             ORDER BY timestamp {order} LIMIT 2"
        );
        let answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
        assert_eq!(answer.rows().unwrap()[0][0].to_string(), (first * 1_000_000).to_string());
        // Of 705, five in memory; how many workers have begun before the first has its rows is not said.
        assert!(answer.stats.rows_scanned < 150, "{order}: {}", answer.stats.rows_scanned);
    }
}
