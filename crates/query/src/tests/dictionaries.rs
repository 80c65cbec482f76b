//! The values of a column are those of its dictionaries, and the rows behind these are not read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hindsight_model::{LogicalClock, Rows, Signal, SqlRequest, SqlSource, Table, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::{BlockFile, Ingest, Store, StoreOptions};
use object_store::local::LocalFileSystem;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{TEN, batch};
use super::layout::write_block_with;
use crate::{MemorySource, QueryEngine, QueryOptions, Snapshot};

const TOLD: &str = "dictionaries=read for rows where they tell";
/// Texts and whole numbers of each width, some of them null and some always.
const COLUMNS: [&str; 7] =
    ["metric_name", "unit", "service_name", "series_id", "start_timestamp_nanos", "value_int", "description"];

/// Row groups of seven rows in pages of three.
fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(7))
        .set_data_page_row_count_limit(3)
        .set_write_batch_size(1)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Writer {
    Ours,
    /// With dictionaries that say all, which nobody promised.
    Other,
    /// As ours, with pages of values behind those with keys.
    Mixed,
}

fn block(dir: &Path, rows: &[Value], writer: Writer) -> BlockFile {
    let properties = match writer {
        Writer::Mixed => properties().set_dictionary_page_size_limit(12),
        _ => properties(),
    };
    let rows = batch(Table::Metrics, rows);
    let mut block =
        write_block_with(dir, Table::Metrics, &Tenant::default(), &rows, Some(properties.build()));
    block.wal_position = u64::from(writer != Writer::Other);
    block
}

/// Blocks of so many rows, and the rest in memory.
fn engine(
    dir: &Path,
    rows: &[Value],
    blocks: &[Range<usize>],
    writer: Writer,
    threads: usize,
) -> QueryEngine {
    let mut snapshot = Snapshot::default();
    let place = &mut snapshot.tables[Table::Metrics.index()];
    let sealed = blocks.iter().filter(|block| !block.is_empty());
    place.blocks = sealed.map(|sealed| Arc::new(block(dir, &rows[sealed.clone()], writer))).collect();
    let rest = &rows[blocks.last().map_or(0, |last| last.end)..];
    if !rest.is_empty() {
        place.head = vec![Rows::from_batch(Table::Metrics, &batch(Table::Metrics, rest)).unwrap()];
    }
    let source = MemorySource::over(Arc::new(LocalFileSystem::new_with_prefix(dir).unwrap()));
    let options = QueryOptions { threads, ..QueryOptions::default() };
    QueryEngine::new(Arc::new(source.with(Tenant::default(), snapshot)), Vec::new(), options).unwrap()
}

/// The answer's rows, sorted.
async fn answer(engine: &QueryEngine, sql: &str) -> Vec<String> {
    let rows = engine.sql(SqlRequest::new(sql)).await.unwrap().rows().unwrap();
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// What the plan says of the scan of blocks.
async fn scan(engine: &QueryEngine, sql: &str) -> String {
    let answer = engine.sql(SqlRequest::new(sql)).await.unwrap().rows().unwrap();
    let plan = answer.iter().map(|row| row[1].to_string()).collect::<String>();
    plan.lines().find(|line| line.contains("blocks=")).unwrap_or(&plan).to_owned()
}

fn unit() -> impl Strategy<Value = Option<String>> {
    let long = "[ab]".prop_map(|end| format!("{}{end}", "a long unit ".repeat(8)));
    prop::option::of(prop_oneof![2 => "[a-c]".boxed(), 1 => Just(String::new()).boxed(), 2 => long.boxed()])
}

prop_compose! {
    fn row()(
        unit in unit(),
        service in prop::option::of("[ab]"),
        series in -2..3_i64,
        nanos in prop::option::of(0..3_i16),
        value in prop::option::of(prop_oneof![Just(i64::MIN), Just(i64::MAX), 0..3_i64]),
    ) -> Value {
        json!({"metric_name": "m", "metric_type": "gauge", "tenant": "default", "unit": unit,
            "service_name": service, "series_id": series, "start_timestamp_nanos": nanos, "value_int": value})
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn values_are_the_same_as_those_of_the_rows(
        rows in prop::collection::vec(row(), 1..60),
        cuts in prop::collection::vec(0..60_usize, 2),
        within in (0..60_i64, 0..60_i64),
        threads in 1..4_usize,
        mixed: bool,
        filter in 0..6_usize,
    ) {
        let rows: Vec<Value> = (TEN..).zip(rows).map(|(at, mut row)| { row["timestamp"] = json!(at); row }).collect();
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
        ends.sort_unstable();
        let blocks = [0..ends[0], ends[0]..ends[1]];
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let writer = if mixed { Writer::Mixed } else { Writer::Ours };
        let ours = engine(dirs[0].path(), &rows, &blocks, writer, threads);
        let theirs = engine(dirs[1].path(), &rows, &blocks, Writer::Other, threads);
        let time = |number: i64| format!("to_timestamp_micros({})", TEN + number);
        let filters = [
            String::new(),
            format!("WHERE timestamp >= {} AND timestamp < {}", time(within.0), time(within.0 + within.1)),
            format!("WHERE timestamp < {} AND series_id >= 0", time(within.0)),
            format!("WHERE timestamp < {} AND unit = 'a'", time(within.0)),
            "WHERE unit IS NOT NULL".to_owned(),
            "WHERE series_id = 1 AND service_name <> 'a'".to_owned(),
        ];
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let filter = &filters[filter];
        for column in COLUMNS {
            for select in [
                format!("SELECT DISTINCT {column} FROM metrics {filter}"),
                format!("SELECT {column} FROM metrics {filter} GROUP BY {column}"),
                format!("SELECT count(DISTINCT {column}) FROM metrics {filter}"),
                format!("SELECT DISTINCT {column} FROM metrics {filter} ORDER BY {column} DESC LIMIT 2"),
                format!("SELECT {column}, count(*) FROM metrics {filter} GROUP BY 1 ORDER BY 1 LIMIT 2"),
            ] {
                let found = runtime.block_on(answer(&ours, &select));
                prop_assert_eq!(found, runtime.block_on(answer(&theirs, &select)), "{}", select);
            }
        }
    }
}

fn forty() -> Vec<Value> {
    let row = |number: i64| {
        json!({"timestamp": TEN + number, "metric_name": format!("m{}", number % 3), "metric_type": "gauge",
            "tenant": "default", "service_name": ([Some("a"), Some("b"), None][number as usize % 3]), "series_id": number % 4,
            "value": number as f64})
    };
    (0..40).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_behind_dictionaries_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let ours = engine(dir.path(), &forty(), &[0..21, 21..35], Writer::Ours, 2);
    let within = format!("WHERE timestamp >= to_timestamp_micros({})", TEN + 10);
    for (sql, read) in [
        ("SELECT DISTINCT series_id FROM metrics", "output_rows=0,"),
        ("SELECT series_id FROM metrics GROUP BY 1 ORDER BY 1 LIMIT 3", "output_rows=0,"),
        ("SELECT count(DISTINCT service_name) FROM metrics", "output_rows=0,"),
        ("SELECT DISTINCT series_id FROM metrics WHERE metric_type = 'gauge'", "output_rows=0,"),
        // The second of five groups is cut, in its second page of three rows. The third page has one row, and one name.
        (&format!("SELECT DISTINCT series_id FROM metrics {within}"), "output_rows=4,"),
        (&format!("SELECT count(DISTINCT metric_name) FROM metrics {within}"), "output_rows=3,"),
    ] {
        assert!(scan(&ours, &format!("EXPLAIN {sql}")).await.contains(TOLD), "{sql}");
        let ran = scan(&ours, &format!("EXPLAIN ANALYZE {sql}")).await;
        assert!(ran.contains(TOLD) && ran.contains(read), "{sql}: {ran}");
    }
    let counted = |column: &str| format!("SELECT count(DISTINCT {column}), min({column}) FROM metrics");
    for (sql, told) in [
        ("SELECT count(DISTINCT series_id) FROM metrics".to_owned(), "[[Int(4)]]"),
        ("SELECT count(DISTINCT service_name) FROM metrics".to_owned(), "[[Int(2)]]"),
        (format!("SELECT count(*) FROM (SELECT DISTINCT service_name FROM metrics {within})"), "[[Int(3)]]"),
    ] {
        let rows = ours.sql(SqlRequest::new(&sql)).await.unwrap().rows().unwrap();
        assert_eq!(format!("{rows:?}"), told, "{sql}");
    }
    // Where more is asked, or of more than one column, of a column without dictionaries, or through a function.
    for sql in [
        counted("series_id"),
        "SELECT series_id, count(*) FROM metrics GROUP BY 1".to_owned(),
        "SELECT DISTINCT series_id, service_name FROM metrics".to_owned(),
        "SELECT DISTINCT series_id % 2 FROM metrics".to_owned(),
        "SELECT DISTINCT value FROM metrics".to_owned(),
        "SELECT DISTINCT series_id FROM metrics WHERE value > 3".to_owned(),
    ] {
        assert!(!scan(&ours, &format!("EXPLAIN {sql}")).await.contains(TOLD), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_and_pages_of_values_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = forty();
    rows.iter_mut().zip(0..).for_each(|(row, number)| row["series_id"] = json!(number));
    let sql = "SELECT DISTINCT series_id FROM metrics";
    for (writer, told) in [(Writer::Other, false), (Writer::Mixed, true)] {
        let engine = engine(dir.path(), &rows, &[0..20, 20..40], writer, 2);
        let ran = scan(&engine, &format!("EXPLAIN ANALYZE {sql}")).await;
        assert_eq!(ran.contains(TOLD), told, "{ran}");
        assert!(ran.contains("output_rows=40,"), "{ran}");
        assert_eq!(answer(&engine, sql).await.len(), 40);
    }
}

/// Every byte of a dictionary's page is changed, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_an_error_that_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let compressed = properties().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    for properties in [properties().build(), compressed] {
        let rows = batch(Table::Metrics, &forty());
        let mut block =
            write_block_with(dir.path(), Table::Metrics, &Tenant::default(), &rows, Some(properties));
        block.wal_position = 1;
        let path = dir.path().join(block.path.as_ref());
        let whole = std::fs::read(&path).unwrap();
        let metadata =
            ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(whole.clone())).unwrap();
        let mut snapshot = Snapshot::default();
        snapshot.tables[Table::Metrics.index()].blocks = [Arc::new(block)].into_iter().collect();
        let source = MemorySource::over(Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap()));
        let source = Arc::new(source.with(Tenant::default(), snapshot));
        let engine = QueryEngine::new(source, Vec::new(), QueryOptions::default()).unwrap();
        for column in ["series_id", "metric_name"] {
            let sql = format!("SELECT DISTINCT {column} FROM metrics");
            answer(&engine, &sql).await;
            let mut chunks = metadata.row_group(2).columns().iter();
            let chunk = chunks.find(|chunk| chunk.column_path().string() == column).unwrap();
            let page = chunk.dictionary_page_offset().unwrap()..chunk.data_page_offset();
            let mut damaged = 0;
            for (at, bits) in page.flat_map(|at| [0x80, 0xff, 1].map(|bits| (at, bits))) {
                let mut bytes = whole.clone();
                bytes[usize::try_from(at).unwrap()] ^= bits;
                std::fs::write(&path, bytes).unwrap();
                if let Err(error) = engine.sql(SqlRequest::new(&sql)).await {
                    let told = error.to_string();
                    let place = format!("has a damaged dictionary of `{column}` in its group of rows 2");
                    assert!(told.contains(&place) && told.contains("run `hindsight verify`"), "{told}");
                    damaged += 1;
                }
            }
            std::fs::write(&path, &whole).unwrap();
            assert!(damaged > 10, "{column}: {damaged}");
        }
    }
}

/// So many logs as one request, each of a service and a severity by its number.
fn logs(from: i64, count: i64) -> Ingest {
    let of = |number: i64| {
        let record =
            format!(r#"{{"timeUnixNano":"{}000","severityNumber":{}}}"#, TEN + number, number % 5 + 1);
        let service = format!(
            r#"{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s{}"}}}}]}}"#,
            number % 7
        );
        format!(r#"{{"resource":{service},"scopeLogs":[{{"logRecords":[{record}]}}]}}"#)
    };
    let resources = (from..from + count).map(of).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"resourceLogs":[{resources}]}}"#).into_bytes().into();
    Ingest { tenant: Tenant::default(), signal: Signal::Logs, encoding: Encoding::Json, body, sender: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_the_store_are_answered_from_their_dictionaries() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::from_microsecond(TEN + 60_000_000).unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.maintenance.interval = None;
    options.maintenance.fan_in = 4;
    let store = Store::open(options, Arc::new(LogicalClock::starting_at(now))).await.unwrap();
    let engine = QueryEngine::new(
        Arc::new(store.clone()),
        Vec::new(),
        QueryOptions { threads: 2, ..QueryOptions::default() },
    )
    .unwrap();
    for block in 0..4 {
        store.ingest(logs(block * 50, 50)).await.unwrap();
        store.seal().await.unwrap();
    }
    for merged in [false, true] {
        if merged {
            assert_eq!(store.maintain(now).await.unwrap().merges, 1);
        }
        for (column, values) in [("service_name", 7), ("severity_number", 5), ("flags", 1)] {
            for filter in ["", "WHERE timestamp > '2026-05-04' AND severity_number >= 0"] {
                let sql = format!("SELECT DISTINCT {column} FROM logs {filter}");
                let found = answer(&engine, &sql).await;
                assert_eq!(found.len(), values, "{sql}: {found:?}");
                let ran = scan(&engine, &format!("EXPLAIN ANALYZE {sql}")).await;
                assert!(ran.contains("output_rows=0,"), "{sql}: {ran}");
            }
        }
    }
    store.shutdown().await.unwrap();
}
