//! Windows over series say the same of blocks of any layout, whether the rows had to be sorted or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hindsight_model::{Rows, SqlRequest, SqlSource, Table, Tenant};
use hindsight_store::BlockFile;
use object_store::local::LocalFileSystem;
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{TEN, batch};
use super::layout::write_block_with;
use crate::{MemorySource, QueryEngine, QueryOptions, Snapshot};

/// One point; where it lies besides.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    series: usize,
    second: i64,
    value: Option<f64>,
    start: Option<i64>,
    place: usize,
}

impl Row {
    /// Names and ids are in different orders.
    fn metric(&self) -> &'static str {
        ["b", "a"][self.series % 2]
    }

    fn service(&self) -> &'static str {
        ["shop", "cart", "auth"][self.series / 2 % 3]
    }

    fn id(&self) -> i64 {
        [30, -7, 12, 44, -100, 3, 9, 1][self.series]
    }

    fn is_delta(&self) -> bool {
        self.series == 3
    }

    fn json(&self) -> Value {
        let temporality = if self.is_delta() { "delta" } else { "cumulative" };
        let start = self
            .start
            .map(|second| hindsight_model::timestamp_from_micros(TEN + second).unwrap().to_string());
        json!({"timestamp": TEN + self.second * 1_000_000, "metric_name": self.metric(), "metric_type": "sum",
            "service_name": self.service(), "series_id": self.id(), "temporality": temporality, "value": self.value,
            "start_timestamp": start, "tenant": "default"})
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let length = prop_oneof![1 => Just(0_usize), 3 => 1..4_usize, 3 => 20..120_usize, 1 => 200..400_usize];
    let plain = any::<bool>();
    let series = (length, plain).prop_flat_map(|(length, plain)| {
        let value = prop_oneof![1 => Just(None), 9 => (0..50_i32).prop_map(|value| Some(f64::from(value)))];
        let value = value.prop_map(move |value| if plain { Some(value.unwrap_or(7.0)) } else { value });
        let start = prop_oneof![1 => Just(None), 9 => (0..2_i64).prop_map(Some)];
        let start = start.prop_map(move |start| if plain { Some(1) } else { start });
        prop::collection::vec((0..3_i64, value, start, 0..3_usize), length)
    });
    prop::collection::vec(series, 1..8).prop_map(|all| {
        let mut rows = Vec::new();
        for (series, points) in all.into_iter().enumerate() {
            let mut second = 0;
            let mut last: Option<Row> = None;
            for (step, value, start, place) in points {
                second += step;
                let row = match last {
                    // A point that came twice is the same.
                    Some(last) if step == 0 => Row { place, ..last },
                    _ => Row { series, second, value, start, place },
                };
                rows.push(row.clone());
                last = Some(row);
            }
        }
        rows
    })
}

/// A block of ours: in order, in small groups and pages.
fn block(dir: &Path, name: &str, rows: &[Row]) -> Option<Arc<BlockFile>> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (row.metric(), row.service(), row.id(), row.second));
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    if rows.is_empty() {
        return None;
    }
    let leaves = ArrowSchemaConverter::new().convert(&Table::Metrics.schema()).unwrap();
    let leaf = |name: &&str| leaves.columns().iter().position(|leaf| leaf.path().string() == *name).unwrap();
    // Two columns are in the path.
    let key = Table::Metrics.sort_key().iter().map(|name| i32::try_from(leaf(name) - 2).unwrap());
    let key = key.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true });
    let properties = WriterProperties::builder()
        .set_sorting_columns(Some(key.collect()))
        .set_max_row_group_row_count(Some(64))
        .set_data_page_row_count_limit(16)
        .set_write_batch_size(16)
        .build();
    let batch = batch(Table::Metrics, &rows);
    let dir = dir.join(name);
    let mut block = write_block_with(&dir, Table::Metrics, &Tenant::default(), &batch, Some(properties));
    block.path = format!("{name}/{}", block.path).as_str().into();
    block.wal_position = 1;
    Some(Arc::new(block))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Laid {
    OneBlock,
    Blocks,
    BlocksAndHead,
    /// A block for each place.
    Many,
}

fn engine(dir: &Path, rows: &[Row], laid: Laid, threads: usize) -> QueryEngine {
    let mut snapshot = Snapshot::default();
    let place = &mut snapshot.tables[Table::Metrics.index()];
    let of = |wanted: usize| rows.iter().filter(|row| row.place == wanted).cloned().collect::<Vec<_>>();
    let blocks = match laid {
        Laid::OneBlock => vec![block(dir, "all", rows)],
        Laid::Blocks => vec![block(dir, "0", &of(0)), block(dir, "1", &of(1)), block(dir, "2", &of(2))],
        Laid::BlocksAndHead => vec![block(dir, "0", &of(0)), block(dir, "1", &of(1))],
        Laid::Many => {
            let places = rows.iter().map(|row| row.place).max().map_or(0..0, |last| 0..last + 1);
            places.map(|place| block(dir, &place.to_string(), &of(place))).collect()
        }
    };
    place.blocks = blocks.into_iter().flatten().collect();
    if laid == Laid::BlocksAndHead {
        let head = of(2).into_iter().map(|row| batch(Table::Metrics, &[row.json()]));
        place.head = head.map(|batch| Rows::from_batch(Table::Metrics, &batch).unwrap()).collect();
    }
    let source = MemorySource::over(Arc::new(LocalFileSystem::new_with_prefix(dir).unwrap()));
    let source = source.with(Tenant::default(), snapshot);
    QueryEngine::new(Arc::new(source), Vec::new(), QueryOptions { threads, ..Default::default() }).unwrap()
}

/// What each point adds, and the value before it, of the points that a filter leaves.
fn expected(rows: &[Row], filter: impl Fn(&Row) -> bool) -> Vec<String> {
    let mut series: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    rows.iter().filter(|row| filter(row)).for_each(|row| series.entry(row.id()).or_default().push(row));
    let mut found = Vec::new();
    for (id, points) in series {
        let (mut counted, mut before): (Option<&Row>, Option<Option<f64>>) = (None, None);
        for (number, row) in points.into_iter().enumerate() {
            let more = row.value.and_then(|value| match counted {
                _ if row.is_delta() => Some(value),
                None => None,
                Some(last) => {
                    let restarted = last.start.is_some() && row.start.is_some() && last.start != row.start;
                    let from = last.value.unwrap();
                    Some(if restarted || value < from { value } else { value - from })
                }
            });
            let text = |value: Option<f64>| value.map_or("null".to_owned(), |value| value.to_string());
            let (second, value) = (row.second, text(row.value));
            let lag = text(before.flatten());
            found.push(format!("{id} {second} {value} {} {lag} {}", text(more), number + 1));
            before = Some(row.value);
            counted = if row.value.is_some() { Some(row) } else { counted };
        }
    }
    found.sort();
    found
}

/// Whether a filter leaves a row.
type Keeps<'a> = &'a dyn Fn(&Row) -> bool;

const WINDOWS: &str = "increment(value, temporality, start_timestamp) OVER w AS more, lag(value) OVER w AS earlier, \
                       row_number() OVER w AS number";

async fn answered(engine: &QueryEngine, sql: &str) -> Vec<String> {
    let answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
    let rows = answer.rows().unwrap().into_iter();
    let text = |value: &hindsight_model::SqlValue| match value {
        hindsight_model::SqlValue::Null => "null".to_owned(),
        value => value.to_string(),
    };
    let mut rows: Vec<String> = rows.map(|row| row.iter().map(text).collect::<Vec<_>>().join(" ")).collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn windows_are_the_same_however_the_rows_lie(
        rows in rows(),
        laid in prop_oneof![1 => Just(Laid::OneBlock), 2 => Just(Laid::Blocks), 2 => Just(Laid::BlocksAndHead)],
        threads in 1..4_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path(), &rows, laid, threads);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let filters: [(&str, Keeps<'_>); 6] = [
            ("true", &|_| true),
            ("metric_name = 'a'", &|row| row.metric() == "a"),
            ("metric_name IN ('a', 'b') AND service_name = 'shop'", &|row| row.service() == "shop"),
            ("value > 20", &|row| row.value.is_some_and(|value| value > 20.0)),
            ("timestamp >= '2026-05-04T10:00:30Z'", &|row| row.second >= 30),
            ("metric_name = 'c'", &|_| false),
        ];
        runtime.block_on(async {
            for (filter, keeps) in filters {
                let points = format!("SELECT series_id, timestamp, value, {WINDOWS} FROM metrics WHERE {filter} \
                                      WINDOW w AS (PARTITION BY series_id ORDER BY timestamp)");
                let second = "(extract(epoch FROM timestamp) - 1777888800)::bigint";
                let all = format!("SELECT series_id, {second}, value, more, earlier, number FROM ({points})");
                let expected = expected(&rows, keeps);
                // Sorted by something else, rows may come in any order; by itself, the order is the sort's.
                for sql in [format!("{all} ORDER BY value"), all] {
                    assert_eq!(answered(&engine, &sql).await, expected, "{laid:?} {sql}");
                }
                let sums = format!("SELECT count(*), count(more), count(earlier), sum(number) FROM ({points})");
                let plan = answered(&engine, &format!("EXPLAIN {sums}")).await.concat();
                if expected.is_empty() { continue; }
                // Other blocks may have been ruled out.
                let is_alone = plan.contains("blocks=1 of") && !plan.contains("UnionExec");
                assert!(is_alone || laid != Laid::OneBlock, "{plan}");
                // One worker may merge what it sorted of each, and leaves the rest to the engine.
                let is_ours = plan.contains("SeriesWindowExec");
                assert!(is_ours || threads == 1 && plan.contains("UnionExec"), "{plan}");
                let in_order = is_ours && plan.contains("file_groups");
                assert_eq!(plan.contains("by=series"), in_order, "{laid:?} {plan}");
                assert_eq!(plan.contains("SeriesSortExec"), !in_order, "{laid:?} {plan}");
                assert_eq!(plan.contains("SeriesMergeExec"), in_order && !is_alone, "{laid:?} {plan}");
                let column = |place: usize| expected.iter().filter_map(move |row| row.split(' ').nth(place));
                let count = |place| column(place).filter(|value| *value != "null").count();
                let numbers: u64 = column(5).map(|number| number.parse::<u64>().unwrap()).sum();
                let counts = format!("{} {} {} {numbers}", expected.len(), count(3), count(4));
                assert_eq!(answered(&engine, &sums).await, [counts], "{laid:?} {sums}");
                let some = format!("SELECT count(*) FROM (SELECT more FROM ({points}) LIMIT 3)");
                assert_eq!(answered(&engine, &some).await, [expected.len().min(3).to_string()]);
            }
        });
    }
}

/// Where a query counts on the order or the distribution that the sort gives, the sort stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_counts_on_the_order_of_series_has_it() {
    let rows = (0..900).map(|point| Row {
        series: point % 6,
        second: i64::try_from(point / 6).unwrap(),
        value: Some(1.0),
        start: None,
        place: 0,
    });
    let rows: Vec<Row> = rows.collect();
    let dir = tempfile::tempdir().unwrap();
    for threads in [1, 2] {
        let engine = engine(dir.path(), &rows, Laid::OneBlock, threads);
        let points = "SELECT series_id, timestamp, row_number() OVER (PARTITION BY series_id ORDER BY timestamp) AS n \
                      FROM metrics";
        for (sql, found) in [
            (
                format!("SELECT series_id, n FROM ({points}) ORDER BY series_id, timestamp LIMIT 2"),
                vec!["-100 1", "-100 2"],
            ),
            (
                format!(
                    "SELECT sum(n) FROM (SELECT n FROM ({points}) ORDER BY series_id, timestamp LIMIT 151)"
                ),
                vec![&*format!("{}", 150 * 151 / 2 + 1)],
            ),
            (
                format!("SELECT series_id, max(n) FROM ({points}) WHERE series_id < 0 GROUP BY series_id"),
                vec!["-100 150", "-7 150"],
            ),
        ] {
            assert_eq!(answered(&engine, &sql).await, found, "{threads} {sql}");
        }
    }
}

/// Readers of many blocks are few for each worker, and very many blocks are sorted.
#[tokio::test(flavor = "multi_thread")]
async fn many_blocks_are_merged_by_few_and_more_are_sorted() {
    for (blocks, threads, shares) in [(12, 3, Some(3)), (20, 8, Some(3)), (32, 4, Some(2)), (33, 2, None)] {
        let rows = (0..blocks * 15).map(|point| Row {
            series: point % 5,
            second: i64::try_from(point / 5).unwrap(),
            value: Some(1.0),
            start: None,
            place: point / 15,
        });
        let rows: Vec<Row> = rows.collect();
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path(), &rows, Laid::Many, threads);
        let sql = "SELECT sum(n), count(more) FROM (SELECT row_number() OVER w AS n, increment(value) OVER w AS more \
                   FROM metrics WINDOW w AS (PARTITION BY series_id ORDER BY timestamp))";
        let points = blocks * 3;
        let expected = format!("{} {}", 5 * points * (points + 1) / 2, 5 * (points - 1));
        assert_eq!(answered(&engine, sql).await, [expected], "{blocks}");
        let plan = answered(&engine, &format!("EXPLAIN {sql}")).await.concat();
        assert_eq!(plan.contains("SeriesSortExec"), shares.is_none(), "{plan}");
        let groups = shares.map(|shares| format!("file_groups={{{} groups", shares * blocks));
        assert!(groups.is_none_or(|groups| plan.contains(&groups)), "{plan}");
    }
}

/// What another program wrote is in no order that is known, and a block that says it is in none is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_are_not_in_order_are_sorted() {
    let rows = (0..300).map(|point| Row {
        series: point % 5,
        second: i64::try_from(point / 5).unwrap(),
        value: Some(2.0),
        start: None,
        place: 0,
    });
    let rows: Vec<Row> = rows.collect();
    let batch = batch(Table::Metrics, &rows.iter().map(Row::json).collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let sql = "SELECT sum(n) FROM (SELECT row_number() OVER (PARTITION BY series_id ORDER BY timestamp) AS n \
               FROM metrics)";
    for (wal_position, right) in [(0, true), (1, false)] {
        let mut block = write_block_with(dir.path(), Table::Metrics, &Tenant::default(), &batch, None);
        block.wal_position = wal_position;
        let mut snapshot = Snapshot::default();
        snapshot.tables[Table::Metrics.index()].blocks = [Arc::new(block)].into_iter().collect();
        let source = MemorySource::over(Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap()));
        let source = source.with(Tenant::default(), snapshot);
        let options = QueryOptions { threads: 2, ..Default::default() };
        let engine = QueryEngine::new(Arc::new(source), Vec::new(), options).unwrap();
        match engine.sql(SqlRequest::new(sql)).await {
            Ok(answer) => {
                assert!(right);
                assert_eq!(answer.rows().unwrap()[0][0].to_string(), (5 * 60 * 61 / 2).to_string());
            }
            Err(error) => assert!(!right && error.to_string().contains("does not say"), "{error}"),
        }
    }
}
