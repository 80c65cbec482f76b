//! An index of words changes which rows are read, never which are found.

use std::sync::Arc;

use hindsight_model::{RowSet, SqlRequest, SqlSource, SqlValue, TextIndex, Wanted, lower_word, words};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::fixture::TEN;
use super::small_pages::small_pages;
use crate::{QueryEngine, QueryOptions};

/// Looks at every text, and names some rows too many.
#[derive(Debug)]
struct Looking {
    bodies: Vec<Option<String>>,
    one_too_many_in: u32,
}

impl TextIndex for Looking {
    fn candidates(&self, path: &str, wanted: &Wanted) -> Option<RowSet> {
        assert!(path.starts_with("logs/tenant=default/"), "{path}");
        let total = u32::try_from(self.bodies.len()).unwrap();
        let is_named = |row: &u32| {
            row.is_multiple_of(self.one_too_many_in) || has(self.bodies[*row as usize].as_deref(), wanted)
        };
        Some(RowSet { total, rows: (0..total).filter(is_named).collect() })
    }
}

fn has(body: Option<&str>, wanted: &Wanted) -> bool {
    let any = |holds: &dyn Fn(&str) -> bool| {
        body.is_some_and(|body| words(body).any(|word| holds(&lower_word(word).collect::<String>())))
    };
    match wanted {
        Wanted::Everything => true,
        Wanted::Word { column, word } => column != "body" || any(&|found| found == word),
        Wanted::Prefix { column, start } => column != "body" || any(&|found| found.starts_with(start)),
        Wanted::All(parts) => parts.iter().all(|part| has(body, part)),
        Wanted::Any(parts) => parts.iter().any(|part| has(body, part)),
    }
}

/// Engines without and with an index over one block of these logs, which has row groups of seven rows in pages of
/// three. The later half of the logs lies before the earlier, as that of another service does in a block.
fn engines(bodies: &[Option<String>], one_too_many_in: u32) -> (tempfile::TempDir, [QueryEngine; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let row = |(number, body): (i64, &Option<String>)| {
        json!({"timestamp": TEN + number, "timestamp_source": "time", "body": body, "tenant": "default",
            "service_name": "shop", "severity_number": number % 3})
    };
    let mut rows: Vec<_> = (0..).zip(bodies).map(row).collect();
    rows.rotate_left(bodies.len() / 2);
    let source = Arc::new(small_pages(dir.path(), &rows));
    let mut bodies = bodies.to_vec();
    let half = bodies.len() / 2;
    bodies.rotate_left(half);
    let index: Arc<dyn TextIndex> = Arc::new(Looking { bodies, one_too_many_in });
    let engine = |text_index| {
        let options = QueryOptions { text_index, threads: 2, ..QueryOptions::default() };
        QueryEngine::new(Arc::clone(&source) as _, Vec::new(), options).unwrap()
    };
    (dir, [engine(None), engine(Some(index))])
}

async fn answer(engine: &QueryEngine, sql: &str) -> Vec<Vec<SqlValue>> {
    engine.sql(SqlRequest::new(sql)).await.unwrap().rows().unwrap()
}

fn some_filter() -> impl Strategy<Value = String> {
    let query = "[ab]{1,2}\\*?( (OR )?-?[ab]{1,2}){0,2}|\"[ab] [ab]{1,2}\"";
    prop_oneof![
        4 => query.prop_map(|query| format!("match(body, '{query}')")),
        2 => "[ab% _.]{1,5}".prop_map(|pattern| format!("body LIKE '{pattern}'")),
        1 => Just("severity_number = 1".to_owned()),
        1 => Just("body IS NULL".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn rows_are_the_same_with_and_without_an_index(
        bodies in vec(proptest::option::weighted(0.9, "([aAbB]{1,2}[ .]){0,3}"), 1..60),
        filters in vec((some_filter(), any::<bool>(), some_filter()), 1..6), one_too_many_in in 1_u32..9,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (_dir, [without, with]) = engines(&bodies, one_too_many_in);
        for (some, is_and, other) in filters {
            let filter = format!("{some} {} {other}", if is_and { "AND" } else { "OR" });
            for sql in [
                format!("SELECT timestamp, body FROM logs WHERE {filter} ORDER BY timestamp"),
                format!("SELECT count(*) FROM logs WHERE {filter}"),
                format!("SELECT body FROM logs WHERE {some} ORDER BY timestamp DESC LIMIT 3"),
            ] {
                let expected = runtime.block_on(answer(&without, &sql));
                prop_assert_eq!(runtime.block_on(answer(&with, &sql)), expected, "{}", sql);
            }
            for order in ["timestamp", "timestamp DESC"] {
                let all = format!("SELECT timestamp, body FROM logs WHERE {some} ORDER BY {order}");
                let mut expected = runtime.block_on(answer(&without, &all));
                expected.truncate(4);
                for engine in [&without, &with] {
                    prop_assert_eq!(&runtime.block_on(answer(engine, &format!("{all} LIMIT 4"))), &expected, "{}", all);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_how_many_rows_the_index_spared() {
    let bodies: Vec<_> = (0..100).map(|number| Some(format!("request {number} came"))).collect();
    let (_dir, [without, with]) = engines(&bodies, 50);
    let sql = "EXPLAIN ANALYZE SELECT body FROM logs WHERE match(body, '\"request 17\"')";
    let plan = format!("{:?}", answer(&with, sql).await);
    assert!(plan.contains("text_index=asked"), "{plan}");
    assert!(plan.contains("rows_skipped_by_index=97"), "{plan}");
    assert!(!format!("{:?}", answer(&without, sql).await).contains("index=asked"));
    let none = "EXPLAIN ANALYZE SELECT body FROM logs WHERE NOT match(body, '17')";
    assert!(!format!("{:?}", answer(&with, none).await).contains("index=asked"));
    let read = with.sql(SqlRequest::new("SELECT body FROM logs WHERE match(body, '17')")).await.unwrap();
    assert_eq!((read.row_count(), read.stats.rows_skipped_by_index), (1, 97));
    let log =
        "SELECT rows_skipped_by_index FROM query_log WHERE sql LIKE '%''17'')' ORDER BY id DESC LIMIT 1";
    assert_eq!(answer(&with, log).await, [[SqlValue::Int(97)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_rows_are_found_without_reading_the_others() {
    let bodies: Vec<_> = (0..700).map(|number| Some(format!("line {number}"))).collect();
    let (_dir, [engine, _]) = engines(&bodies, 50);
    for (order, first) in [("DESC", 699), ("ASC", 0)] {
        let sql =
            format!("SELECT body FROM logs WHERE severity_number < 9 ORDER BY timestamp {order} LIMIT 2");
        let answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
        assert_eq!(answer.rows().unwrap()[0][0].to_string(), format!("line {first}"));
        // Of 700; how many workers have begun before the first has its rows is not said.
        assert!(answer.stats.rows_scanned < 100, "{order}: {}", answer.stats.rows_scanned);
    }
}
