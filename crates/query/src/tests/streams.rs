//! Rows handed on as they come: the same rows, under the same limits, in the memory of a few batches.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use hindsight_model::{SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource as _};

use super::layout::{Layout, lay};
use crate::{Answered, QueryEngine, QueryOptions, RowStream, Shape, SpillOptions, Terms};

const MANY: &str = "SELECT value FROM generate_series(1, 100000)";
const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000000) WHERE value < 0";
/// Three hundred megabytes.
const LARGE: &str = "SELECT repeat('x', 1000) AS text FROM generate_series(1, 300000)";

async fn begin(engine: &QueryEngine, sql: &str) -> RowStream {
    engine.begin(SqlRequest::new(sql)).rows().await.unwrap()
}

async fn count(rows: &mut RowStream) -> Result<usize, SqlError> {
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch?.num_rows();
    }
    assert!(rows.next().await.is_none(), "rows after the end");
    Ok(count)
}

/// How the query of this text ended, by the log.
async fn outcome(engine: &QueryEngine, sql: &str) -> (String, i64) {
    let asked = SqlRequest::new("SELECT outcome, rows FROM query_log WHERE sql = $sql").param("sql", sql);
    let answer = engine.sql(asked).await.unwrap();
    let row = answer.rows().unwrap().remove(0);
    let hindsight_model::SqlValue::Int(rows) = row[1] else { panic!("{row:?}") };
    (row[0].as_str().unwrap().to_owned(), rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_every_row_once_and_is_logged_as_any_query() {
    let laid = lay(Layout::Half, QueryOptions::default());
    let mut rows = begin(&laid.engine, MANY).await;
    assert_eq!(rows.schema().field(0).name(), "value");
    assert_eq!(count(&mut rows).await.unwrap(), 100_000);
    assert_eq!(outcome(&laid.engine, MANY).await, ("ok".to_owned(), 100_000));
    let mut none = begin(&laid.engine, "SELECT body FROM logs LIMIT 0").await;
    assert_eq!((none.schema().fields().len(), count(&mut none).await.unwrap()), (1, 0));
    let wrong = laid.engine.begin(SqlRequest::new("SELECT nothing FROM logs")).rows().await.unwrap_err();
    assert!(matches!(wrong, SqlError::Invalid { .. }), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_larger_than_the_memory_limit_goes_through() {
    let options = QueryOptions { memory_bytes: 32 << 20, ..Default::default() };
    let laid = lay(Layout::Half, options);
    for sql in [LARGE.to_owned(), format!("SELECT arrow_cast(text, 'Utf8View') AS text FROM ({LARGE})")] {
        let whole = laid.engine.sql(SqlRequest::new(&sql)).await.map(|answer| answer.row_count());
        assert!(matches!(whole, Err(SqlError::Limit { limit: "memory", .. })), "{whole:?}");
        assert_eq!(count(&mut begin(&laid.engine, &sql).await).await.unwrap(), 300_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_limit_end_the_stream() {
    let laid = lay(Layout::Half, QueryOptions { stream_rows_max: 50_000, ..Default::default() });
    let error = count(&mut begin(&laid.engine, MANY).await).await.unwrap_err();
    assert!(matches!(error, SqlError::Limit { limit: "rows", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cancelled_by_its_id_and_the_next_query_runs() {
    let laid = lay(Layout::Half, QueryOptions { threads: 1, concurrency: 1, ..Default::default() });
    let pending = laid.engine.begin(SqlRequest::new(ENDLESS));
    let id = pending.id();
    let mut rows = pending.rows().await.unwrap();
    assert!(laid.engine.cancel(id));
    assert!(matches!(count(&mut rows).await, Err(SqlError::Cancelled)));
    assert_eq!(outcome(&laid.engine, ENDLESS).await.0, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_frees_its_place() {
    let laid = lay(Layout::Half, QueryOptions { concurrency: 1, ..Default::default() });
    drop(begin(&laid.engine, ENDLESS).await);
    assert_eq!(outcome(&laid.engine, ENDLESS).await.0, "dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cancelled_while_nobody_reads_and_then_dropped_was_cancelled() {
    let laid = lay(Layout::Half, QueryOptions { concurrency: 1, ..Default::default() });
    let pending = laid.engine.begin(SqlRequest::new(ENDLESS));
    let id = pending.id();
    let rows = pending.rows().await.unwrap();
    assert!(laid.engine.cancel(id));
    drop(rows);
    assert_eq!(outcome(&laid.engine, ENDLESS).await.0, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_stops_reading_keeps_his_place_only_until_the_timeout() {
    let timeout = Duration::from_millis(500);
    let wait = Duration::from_secs(20);
    let laid = lay(
        Layout::Half,
        QueryOptions { timeout, concurrency: 1, concurrency_wait: wait, ..Default::default() },
    );
    let mut stalled = begin(&laid.engine, LARGE).await;
    assert!(stalled.next().await.unwrap().is_ok());
    // This one waits until the place is free.
    assert_eq!(laid.engine.sql(SqlRequest::new("SELECT 1")).await.unwrap().row_count(), 1);
    let error = count(&mut stalled).await.unwrap_err();
    assert!(matches!(error, SqlError::Limit { limit: "timeout", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_described_before_it_runs() {
    let laid = lay(Layout::Half, QueryOptions::default());
    let sql = "SELECT service_name, count(*) AS n FROM logs WHERE timestamp > $1 AND severity_number >= $2 GROUP BY 1";
    let described = laid.engine.describe(SqlRequest::new(sql)).await.unwrap();
    let names: Vec<&str> = described.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["service_name", "n"]);
    assert_eq!(described.schema.field(1).data_type(), &DataType::Int64);
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(described.params["1"], Some(timestamp));
    assert!(described.params["2"].as_ref().unwrap().is_integer());
    let bound = SqlRequest::new(sql).param("1", SqlParam::Null).param("2", 9);
    assert!(laid.engine.describe(bound).await.unwrap().params.is_empty());
    for wrong in ["SELECT nothing FROM logs", "DROP TABLE logs"] {
        let refused = laid.engine.describe(SqlRequest::new(wrong)).await.unwrap_err();
        assert!(matches!(refused, SqlError::Invalid { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_logged_with_what_it_took_as_any_query_is() {
    let laid = lay(Layout::Half, QueryOptions::default());
    let sql = "SELECT body FROM logs ORDER BY body";
    let whole = laid.engine.sql(SqlRequest::new(sql)).await.unwrap();
    assert_eq!(count(&mut begin(&laid.engine, sql).await).await.unwrap(), whole.row_count());
    let columns =
        "rows, rows_scanned, files_scanned, files_pruned, bytes_scanned > 0, memory_peak_bytes > 0, outcome";
    let asked =
        SqlRequest::new(format!("SELECT {columns} FROM query_log WHERE sql = $sql")).param("sql", sql);
    let rows = laid.engine.sql(asked).await.unwrap().rows().unwrap();
    let rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    let [at_once, streamed] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(at_once, streamed);
    assert!(whole.stats.rows_scanned > 0 && !streamed.contains("Bool(false)"), "{streamed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_columns_and_rows_of_the_whole_answer() {
    let laid = lay(Layout::Half, QueryOptions::default());
    for sql in [
        "SELECT * FROM logs ORDER BY timestamp, body",
        "SELECT array_agg(DISTINCT service_name ORDER BY service_name) AS names FROM logs",
    ] {
        let whole = laid.engine.sql(SqlRequest::new(sql)).await.unwrap();
        let mut stream = begin(&laid.engine, sql).await;
        assert_eq!(*stream.schema(), whole.schema);
        let described = laid.engine.describe(SqlRequest::new(sql)).await.unwrap().schema;
        let types = |schema: &arrow::datatypes::Schema| -> Vec<DataType> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        assert_eq!(types(&described), types(&whole.schema));
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch.unwrap());
        }
        assert!(whole.row_count() > 0);
        assert_eq!(SqlAnswer::new(Arc::clone(&whole.schema), batches).rows().unwrap(), whole.rows().unwrap());
    }
    let open = SqlRequest::new("SELECT count(*) FROM logs WHERE service_name = $1");
    assert_eq!(laid.engine.describe(open).await.unwrap().params["1"], Some(DataType::Utf8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_spills_what_does_not_fit_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let spill = Some(SpillOptions { dir: dir.path().join("spill"), bytes_max: 1 << 30 });
    let options =
        QueryOptions { memory_bytes: 64 << 20, concurrency: 1, threads: 2, spill, ..Default::default() };
    let laid = lay(Layout::Half, options);
    let sql = "SELECT repeat('x', 100) || value AS pad FROM generate_series(1, 800000) ORDER BY pad";
    assert_eq!(count(&mut begin(&laid.engine, sql).await).await.unwrap(), 800_000);
    let asked = SqlRequest::new("SELECT spilled_bytes FROM query_log WHERE sql = $sql").param("sql", sql);
    let hindsight_model::SqlValue::Int(spilled) = laid.engine.sql(asked).await.unwrap().rows().unwrap()[0][0]
    else {
        panic!("not a number")
    };
    assert!(spilled > 1_000_000, "{spilled}");
    let left: Vec<_> = walk(&dir.path().join("spill"));
    assert!(left.is_empty(), "{left:?}");
}

/// Files below a folder.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// The rows of an answer that may be partial, and the limit that cut it short.
async fn so_far(
    engine: &QueryEngine,
    request: SqlRequest,
    rows_max: Option<usize>,
) -> (usize, Option<&'static str>) {
    let terms = Terms { rows_max, partial: true, whole_bytes_max: 0 };
    let Answered::Rows(mut rows) = engine.begin(request).parts(Plain, terms).await.unwrap() else {
        panic!("nothing is gathered")
    };
    let mut count = 0;
    while let Some(part) = rows.next().await {
        count += part.unwrap();
    }
    let ended = rows.ended().unwrap();
    assert_eq!(ended.rows, count as u64);
    (count, ended.partial)
}

/// Counts rows.
struct Plain;

impl Shape for Plain {
    type Part = usize;
    const ROWS_BYTES: usize = 1_000;

    fn part(&mut self, rows: &arrow::array::RecordBatch) -> Result<usize, SqlError> {
        Ok(rows.num_rows())
    }

    fn bytes(_: &usize) -> usize {
        0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_by_the_limit_is_an_answer_when_that_was_asked_for() {
    let laid = lay(Layout::Half, QueryOptions { stream_rows_max: 50_000, ..Default::default() });
    assert_eq!(so_far(&laid.engine, SqlRequest::new(MANY), Some(12)).await, (12, Some("rows")));
    assert_eq!(outcome(&laid.engine, MANY).await, ("partial".to_owned(), 12));
    assert_eq!(so_far(&laid.engine, SqlRequest::new(MANY), None).await, (50_000, Some("rows")));
    assert_eq!(so_far(&laid.engine, SqlRequest::new("SELECT 1"), Some(1)).await, (1, None));
    let mut endless = SqlRequest::new(ENDLESS);
    endless.timeout = Some(Duration::from_millis(300));
    assert_eq!(so_far(&laid.engine, endless, None).await, (0, Some("timeout")));
    assert_eq!(outcome(&laid.engine, ENDLESS).await, ("partial".to_owned(), 0));
    // An error stays one.
    let wrong = "SELECT 1 / (5 - value) FROM generate_series(1, 10)";
    let terms = Terms { partial: true, ..Terms::default() };
    let Answered::Rows(mut rows) =
        laid.engine.begin(SqlRequest::new(wrong)).parts(Plain, terms).await.unwrap()
    else {
        panic!("nothing is gathered")
    };
    assert!(matches!(rows.next().await, Some(Err(SqlError::Invalid { .. }))));
    assert!(rows.next().await.is_none() && rows.ended().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_stops_reading_gives_up_his_place_when_others_wait_for_it() {
    let wait = Duration::from_secs(60);
    let laid = lay(
        Layout::Half,
        QueryOptions { timeout: wait, concurrency: 1, concurrency_wait: wait, ..Default::default() },
    );
    let mut stalled = begin(&laid.engine, LARGE).await;
    assert!(stalled.next().await.unwrap().is_ok());
    let answer = tokio::time::timeout(Duration::from_secs(20), laid.engine.sql(SqlRequest::new("SELECT 1")));
    assert_eq!(answer.await.expect("it waits for the stalled one").unwrap().row_count(), 1);
    let error = count(&mut stalled).await.unwrap_err();
    assert!(matches!(error, SqlError::Limit { limit: "reader", .. }), "{error}");
    assert_eq!(outcome(&laid.engine, LARGE).await.0, "reader");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_stops_reading_keeps_his_place_while_nobody_wants_it() {
    let laid = lay(Layout::Half, QueryOptions { concurrency: 2, ..Default::default() });
    let mut stalled = begin(&laid.engine, LARGE).await;
    assert!(stalled.next().await.unwrap().is_ok());
    let until = std::time::Instant::now() + Duration::from_millis(1_500);
    while std::time::Instant::now() < until {
        assert_eq!(laid.engine.sql(SqlRequest::new("SELECT 1")).await.unwrap().row_count(), 1);
    }
    assert!(count(&mut stalled).await.unwrap() > 200_000);
}
