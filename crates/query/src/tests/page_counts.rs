//! Rows of pages that hold one value are counted without being read.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_model::{LogicalClock, Signal, SqlRequest, SqlSource, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::{Ingest, Store, StoreOptions};
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
        // With a limit the scan is told, while it runs, which services are too late already.
        for limit in [9, 9, 2, 1] {
            let sql = format!("SELECT service_name, count(*) FROM logs GROUP BY 1 ORDER BY 1 LIMIT {limit}");
            let answer = runtime.block_on(engine.sql(SqlRequest::new(&sql))).unwrap().rows().unwrap();
            let found: Vec<_> = answer.iter().map(|row| (row[0].to_string(), row[1].to_string())).collect();
            let expected = expected.iter().map(|(service, rows)| ((*service).to_owned(), rows.to_string()));
            prop_assert_eq!(found, expected.take(limit).collect::<Vec<_>>());
        }
    }
}

type Passes = Box<dyn Fn(i64) -> bool>;

/// Filters of which bounds tell, and some of which they do not, with what each says of the row of that number.
fn filters(from: i64, to: i64) -> Vec<(String, Passes)> {
    let time = |number: i64| format!("to_timestamp_micros({})", TEN + number);
    let (begin, end) = (time(from), time(to));
    vec![
        (
            format!("timestamp >= {begin} AND timestamp < {end}"),
            Box::new(move |row| (from..to).contains(&row)),
        ),
        (format!("{begin} < timestamp"), Box::new(move |row| row > from)),
        (format!("timestamp <= {end} AND severity_number >= 9"), Box::new(move |row| row <= to)),
        (format!("timestamp = {begin}"), Box::new(move |row| row == from)),
        (format!("timestamp > {begin} AND severity_number > 9"), Box::new(|_| false)),
        (format!("timestamp > {begin} OR timestamp < {end}"), Box::new(move |row| row > from || row < to)),
        (format!("timestamp > {begin} AND body = ''"), Box::new(move |row| row > from)),
        (format!("timestamp > {begin} AND service_name = 'a'"), Box::new(move |row| row > from)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn they_are_as_many_as_pass_a_filter(from in -3..43_i64, length in 0..43_i64) {
        // Two services, whose rows lie one after the other and each over all of the time.
        let service = |number: i64| if number % 2 == 0 { "a" } else { "b" };
        let rows: Vec<_> = (0..40_i64)
            .map(|number| {
                json!({"timestamp": TEN + number, "timestamp_source": "time", "body": "", "tenant": "default",
                    "service_name": service(number), "severity_number": 9})
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let options = QueryOptions { threads: 2, ..QueryOptions::default() };
        let engine = QueryEngine::new(Arc::new(small_pages(dir.path(), &rows)), Vec::new(), options).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        for (filter, passes) in filters(from, from + length) {
            let mut expected = BTreeMap::<&str, i64>::new();
            let of_a = filter.contains("service_name");
            for number in (0..40).filter(|number| passes(*number)).filter(|number| !of_a || number % 2 == 0) {
                *expected.entry(service(number)).or_default() += 1;
            }
            let sql = format!("SELECT service_name, count(*) FROM logs WHERE {filter} GROUP BY 1 ORDER BY 1");
            let answer = runtime.block_on(engine.sql(SqlRequest::new(&sql))).unwrap().rows().unwrap();
            let found: Vec<_> = answer.iter().map(|row| (row[0].to_string(), row[1].to_string())).collect();
            let expected = expected.iter().map(|(service, rows)| ((*service).to_owned(), rows.to_string()));
            prop_assert_eq!(found, expected.collect::<Vec<_>>(), "{}", filter);
        }
    }
}

/// Longer than the bounds that are kept of a page, and what is kept of it.
const LONG: &str = "a name of so many words that the bounds of a page are not the whole name of it";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_of_one_text_are_those_that_have_it(
        runs in prop::collection::vec(
            (
                prop::option::of(prop::sample::select(vec!["a", "b", "", LONG, &LONG[..64], &LONG[..63]])),
                prop::option::of(prop::sample::select(vec![200_i64, 500])),
                prop::option::of("[uv]"),
                1..9_usize,
            ),
            1..9,
        ),
    ) {
        let runs = runs.into_iter().flat_map(|(service, status, user, rows)| vec![(service, status, user); rows]);
        let rows: Vec<_> = (0_i64..)
            .zip(runs)
            .map(|(number, (service, status, user))| {
                json!({"timestamp": TEN + number, "timestamp_source": "time", "body": "", "tenant": "default",
                    "service_name": service, "observed_timestamp_nanos": status, "enduser_id": user})
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let options = QueryOptions { threads: 2, ..QueryOptions::default() };
        let engine = QueryEngine::new(Arc::new(small_pages(dir.path(), &rows)), Vec::new(), options).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let answer = |sql: String| {
            let rows = runtime.block_on(engine.sql(SqlRequest::new(&sql))).unwrap().rows().unwrap();
            rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>()
        };
        let texts = ["a", "b", "", LONG, &LONG[..64], &LONG[..63], "c"].map(|text| ("service_name", format!("= '{text}'")));
        let numbers = ["= 200", "> 200", "<= 500", "< 200"].map(|of| ("observed_timestamp_nanos", of.to_owned()));
        for (column, of) in texts.into_iter().chain(numbers) {
            let sql = |column: &str| {
                format!(
                    "SELECT enduser_id, count(*) FROM logs WHERE timestamp > '2026-05-04' AND {column} {of} \
                     GROUP BY 1 ORDER BY 1"
                )
            };
            // Of what a function says bounds know nothing.
            let theirs = answer(sql(&format!("nullif({column}, NULL)")));
            prop_assert_eq!(answer(sql(column)), theirs, "{} {}", column, of);
        }
    }
}

/// A row that has none does not pass, whatever the others of its page have.
#[test]
fn pages_of_a_text_and_nulls_are_read() {
    for (nulls, read) in [(0, 0), (1, 3)] {
        let rows: Vec<_> = (0..21_i64)
            .map(|number| {
                json!({"timestamp": TEN + number, "timestamp_source": "time", "body": "", "tenant": "default",
                    "service_name": (number >= nulls).then_some("a"), "enduser_id": "u"})
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let options = QueryOptions { threads: 2, ..QueryOptions::default() };
        let engine = QueryEngine::new(Arc::new(small_pages(dir.path(), &rows)), Vec::new(), options).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sql = "SELECT enduser_id, count(*) FROM logs WHERE service_name = 'a' GROUP BY 1";
        let answer = |sql: &str| runtime.block_on(engine.sql(SqlRequest::new(sql))).unwrap().rows().unwrap();
        assert_eq!(answer(sql)[0][1].to_string(), (21 - nulls).to_string());
        let plan = answer(&format!("EXPLAIN ANALYZE {sql}"))
            .iter()
            .map(|row| row[1].to_string())
            .collect::<String>();
        let scan = plan.lines().find(|line| line.contains("DataSourceExec")).unwrap();
        assert!(scan.contains("counted by their bounds"), "{scan}");
        assert!(scan.contains(&format!("output_rows={read},")), "{scan}");
    }
}

#[test]
fn pages_that_pass_a_filter_whole_are_not_read() {
    let rows: Vec<_> = (0..40_i64)
        .map(|number| {
            json!({"timestamp": TEN + number, "timestamp_source": "time", "body": "", "tenant": "default",
                "service_name": "a", "severity_number": 9})
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let options = QueryOptions { threads: 2, ..QueryOptions::default() };
    let engine = QueryEngine::new(Arc::new(small_pages(dir.path(), &rows)), Vec::new(), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let from = TEN + 11;
    let sql = format!(
        "EXPLAIN ANALYZE SELECT service_name, count(*) FROM logs WHERE timestamp >= to_timestamp_micros({from}) GROUP BY 1"
    );
    let answer = runtime.block_on(engine.sql(SqlRequest::new(&sql))).unwrap().rows().unwrap();
    let plan = answer.iter().map(|row| row[1].to_string()).collect::<String>();
    let scan = plan.lines().find(|line| line.contains("DataSourceExec")).unwrap();
    // The page with the tenth row, which begins before it.
    assert!(scan.contains("counted by their bounds") && scan.contains("output_rows=3, "), "{scan}");
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
    // It has one group, which is opened in two shares.
    assert!(scan.contains("row_groups_pruned_statistics=2 total"), "one worker read it all: {scan}");
}

/// So many logs of a service as one request, a microsecond between two, from a time on.
fn logs(service: &str, from: i64, count: i64) -> Ingest {
    let record = |number: i64| format!(r#"{{"timeUnixNano":"{}000","severityNumber":9}}"#, from + number);
    let records = (0..count).map(record).collect::<Vec<_>>().join(",");
    let resource =
        format!(r#"{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}}"#);
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#
    );
    let body = body.into_bytes().into();
    Ingest { tenant: Tenant::default(), signal: Signal::Logs, encoding: Encoding::Json, body, sender: None }
}

/// In a block of ours a value that all rows of a group share has one page, whatever pages the others have.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_service_is_counted_by_the_pages_of_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::from_microsecond(TEN + 60_000_000).unwrap();
    let store =
        Store::open(StoreOptions::new(dir.path()), Arc::new(LogicalClock::starting_at(now))).await.unwrap();
    // The first group of rows is of the first service alone.
    for (service, rows) in [("a", 140_000), ("b", 20_000)] {
        for from in (0..rows).step_by(20_000) {
            store.ingest(logs(service, TEN + from, 20_000)).await.unwrap();
        }
    }
    assert_eq!(store.seal().await.unwrap().blocks, 1);
    let options = QueryOptions { threads: 2, ..QueryOptions::default() };
    let engine = QueryEngine::new(Arc::new(store.clone()), Vec::new(), options).unwrap();
    for (from, to) in [(0, 140_000), (0, 1), (30_000, 100_000), (5_000, 15_000), (131_071, 131_073), (7, 7)] {
        let within = format!(
            "timestamp >= to_timestamp_micros({}) AND timestamp < to_timestamp_micros({})",
            TEN + from,
            TEN + to
        );
        let sql = format!("SELECT service_name, count(*) FROM logs WHERE {within} GROUP BY 1 ORDER BY 1");
        let answer = engine.sql(SqlRequest::new(&sql)).await.unwrap().rows().unwrap();
        let found: Vec<_> = answer.iter().map(|row| (row[0].to_string(), row[1].to_string())).collect();
        let of_b = to.min(20_000) - from.min(20_000);
        let expected = [("a", to - from), ("b", of_b)].into_iter().filter(|(_, rows)| *rows > 0);
        let expected: Vec<_> =
            expected.map(|(service, rows)| (service.to_owned(), rows.to_string())).collect();
        assert_eq!(found, expected, "{from}..{to}");
        let answer =
            engine.sql(SqlRequest::new(format!("EXPLAIN ANALYZE {sql}"))).await.unwrap().rows().unwrap();
        let plan = answer.iter().map(|row| row[1].to_string()).collect::<String>();
        let scan = plan.lines().find(|line| line.contains("DataSourceExec"));
        let all = scan.is_some_and(|scan| scan.contains("output_rows=160.0 K"));
        assert!(!all, "{from}..{to}: {plan}");
        if (from, to) == (30_000, 100_000) {
            // A page at either end of the time, and the one with both services.
            assert!(scan.unwrap().contains("output_rows=61.44 K, "), "{plan}");
        }
    }
    store.shutdown().await.unwrap();
}
