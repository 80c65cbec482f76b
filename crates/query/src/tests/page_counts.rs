//! Rows of pages that hold one value are counted without being read.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_model::{SqlRequest, SqlSource};
use proptest::prelude::*;
use serde_json::json;

use super::fixture::TEN;
use super::small_pages::small_pages;
use crate::{QueryEngine, QueryOptions};

/// Some are longer than the bounds that a block keeps of a page.
fn service() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[ab]",
        1 => Just(String::new()),
        2 => "[ab]".prop_map(|end| format!("{}{end}", "a long name ".repeat(8))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn they_are_as_many_as_there_are(runs in prop::collection::vec((service(), 1..12_i64), 1..8)) {
        let services: Vec<String> =
            runs.into_iter().flat_map(|(service, rows)| vec![service; usize::try_from(rows).unwrap()]).collect();
        let mut expected = BTreeMap::<&str, i64>::new();
        for service in &services {
            *expected.entry(service).or_default() += 1;
        }
        let rows: Vec<_> = (0_i64..)
            .zip(&services)
            .map(|(number, service)| {
                json!({"timestamp": TEN + number, "timestamp_source": "time", "body": "", "tenant": "default",
                    "service_name": service, "severity_number": 9})
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let options = QueryOptions { threads: 2, ..QueryOptions::default() };
        let engine = QueryEngine::new(Arc::new(small_pages(dir.path(), &rows)), Vec::new(), options).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sql = "SELECT service_name, count(*) FROM logs GROUP BY 1 ORDER BY 1";
        for _ in 0..2 {
            let answer = runtime.block_on(engine.sql(SqlRequest::new(sql))).unwrap().rows().unwrap();
            let found: Vec<_> = answer.iter().map(|row| (row[0].to_string(), row[1].to_string())).collect();
            let expected = expected.iter().map(|(service, rows)| ((*service).to_owned(), rows.to_string()));
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_is_left_is_read_by_all_workers() {
    // Two pages.
    let rows: Vec<_> = (0..6)
        .map(|number: i64| {
            json!({"timestamp": TEN + number, "timestamp_source": "time", "body": "", "tenant": "default",
                "service_name": "a", "severity_number": 9, "enduser_id": format!("user {number}")})
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let options = QueryOptions { threads: 2, ..QueryOptions::default() };
    let engine = QueryEngine::new(Arc::new(small_pages(dir.path(), &rows)), Vec::new(), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sql = "EXPLAIN ANALYZE SELECT enduser_id, count(*) FROM logs GROUP BY 1";
    let answer = runtime.block_on(engine.sql(SqlRequest::new(sql))).unwrap().rows().unwrap();
    let plan = answer.iter().map(|row| row[1].to_string()).collect::<String>();
    let scan = plan.lines().find(|line| line.contains("counted by their bounds")).unwrap();
    assert!(scan.contains("output_rows=6, "), "{scan}");
    assert!(!scan.contains("output_rows_skew=100%"), "one worker read it all: {scan}");
}
