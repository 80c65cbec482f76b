//! The store as a whole: what a client sees, what a crash leaves, what a reader of the files finds.

mod admission;
mod backup;
mod blocks;
mod clock;
mod compaction;
mod crash;
mod disk_full;
mod excerpt;
mod faulty;
mod late;
mod many_files;
mod requests;
mod retention;
#[cfg(feature = "s3")]
mod s3;
mod series_limit;
mod upkeep_crash;
mod upkeep_random;
mod vacuum;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use hindsight_model::{LogicalClock, Rows, Signal, Table, Tenant};
use hindsight_otlp::Encoding;
use jiff::Timestamp;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{BlockFile, Error, Ingest, Ingested, MaintenanceOptions, Store, StoreOptions};

const NOW: &str = "2026-05-04T14:32:00Z";

/// How many cases a property takes that is dear: ten times as many in the long suite. `PROPTEST_CASES` overrides it.
pub(crate) fn cases(usual: u32) -> u32 {
    if std::env::var_os("HINDSIGHT_LONG").is_some() { usual * 10 } else { usual }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Options under which nothing is sealed until the test says so or the head is large, not even after a failure.
fn options(dir: &Path) -> StoreOptions {
    let never = Duration::from_secs(3_600);
    StoreOptions { seal_age: never, seal_retry: never, ..StoreOptions::new(dir) }
}

/// Options under which blocks are looked after only when the test says so.
fn by_hand(dir: &Path) -> StoreOptions {
    let maintenance = MaintenanceOptions { interval: None, fan_in: 8, ..MaintenanceOptions::default() };
    StoreOptions { maintenance, ..options(dir) }
}

/// Opens the store; one that was just dropped may still be ending a seal, and holds its lock until then.
async fn open(options: StoreOptions) -> Store {
    let opened = async {
        loop {
            let clock = Arc::new(LogicalClock::starting_at(now()));
            match Store::open(options.clone(), clock).await {
                Err(Error::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => return opened.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.unwrap()
}

/// One span whose name, and whose `n` attribute, is `number`; even numbers belong to service `even`.
fn span(number: u64) -> Vec<u8> {
    spans(number..number + 1)
}

fn spans(numbers: std::ops::Range<u64>) -> Vec<u8> {
    let spans: Vec<String> = numbers.clone().map(span_json).collect();
    let service = if numbers.start.is_multiple_of(2) { "even" } else { "odd" };
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},
           "scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    )
    .into_bytes()
}

fn span_json(number: u64) -> String {
    // Later numbers are earlier in time, so that sorting has something to do.
    let start = u64::try_from(now().as_nanosecond()).unwrap() - (number + 1) * 1_000_000;
    format!(
        r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"{number}","kind":2,
           "startTimeUnixNano":"{start}","endTimeUnixNano":"{}"}}"#,
        number + 1,
        number + 1,
        start + 1_000
    )
}

/// A log record of tenant-wide uniqueness, and a gauge and a histogram point: every signal has its table.
fn log(number: u64) -> Vec<u8> {
    log_with(u64::try_from(now().as_nanosecond()).unwrap() - number, number)
}

fn log_at(at: Timestamp) -> Vec<u8> {
    log_with(u64::try_from(at.as_nanosecond()).unwrap(), 0)
}

fn log_with(at: u64, number: u64) -> Vec<u8> {
    format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{at}","severityNumber":9,
           "body":{{"stringValue":"{number}"}}}}]}}]}}]}}"#
    )
    .into_bytes()
}

fn points(number: u64) -> Vec<u8> {
    let at = u64::try_from(now().as_nanosecond()).unwrap() - number;
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
           {{"name":"queue","gauge":{{"dataPoints":[{{"timeUnixNano":"{at}","asInt":"{number}"}}]}}}},
           {{"name":"latency","histogram":{{"aggregationTemporality":1,"dataPoints":[{{"timeUnixNano":"{at}",
              "count":"3","sum":6.0,"bucketCounts":["1","2"],"explicitBounds":[5.0]}}]}}}}]}}]}}]}}"#
    )
    .into_bytes()
}

async fn send_as(store: &Store, tenant: &str, signal: Signal, body: Vec<u8>) -> Ingested {
    store.ingest(request(tenant, signal, body)).await.unwrap()
}

async fn send(store: &Store, signal: Signal, body: Vec<u8>) -> Ingested {
    send_as(store, "default", signal, body).await
}

fn request(tenant: &str, signal: Signal, body: Vec<u8>) -> Ingest {
    Ingest {
        tenant: tenant.parse().unwrap(),
        signal,
        encoding: Encoding::Json,
        body: body.into(),
        sender: Some("127.0.0.1:5000".to_owned()),
    }
}

fn rows(store: &Store, table: Table) -> u64 {
    store.snapshot(&Tenant::default()).table(table).rows()
}

/// The numbers of all spans the tenant has, from blocks and head, sorted: a repeat shows as a repeat.
async fn span_numbers(store: &Store) -> Vec<u64> {
    let snapshot = store.snapshot(&Tenant::default());
    let table = snapshot.table(Table::Spans);
    let mut batches = flat(&table.head);
    for block in &table.blocks {
        batches.extend(read_block(store, block).await);
    }
    let mut numbers: Vec<u64> =
        batches.iter().flat_map(|batch| texts(batch, "name")).map(|name| name.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// Head rows as the table's schema has them.
fn flat(head: &[Rows]) -> Vec<RecordBatch> {
    head.iter().map(|rows| rows.to_batch(&Tenant::default()).unwrap()).collect()
}

/// One decoded log whose flags are `number` + 1.
pub(crate) fn decoded_logs(number: u32) -> Rows {
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"flags":{},"body":{{"stringValue":"x"}}}}]}}]}}]}}"#,
        number + 1
    );
    let (limits, interner) = (hindsight_otlp::Limits::default(), hindsight_otlp::Interner::new());
    let now = "2026-05-04T14:32:00Z".parse().unwrap();
    let context = hindsight_otlp::DecodeContext {
        arrival: now,
        now,
        limits: &limits,
        interner: &interner,
        series: &hindsight_otlp::AdmitAll,
    };
    let decoded = hindsight_otlp::decode(Signal::Logs, Encoding::Json, body.as_bytes(), &context).unwrap();
    decoded.batches[0].1.clone()
}

/// Reads a block as any program would: the plain Parquet reader, no hints.
async fn read_block(store: &Store, block: &BlockFile) -> Vec<RecordBatch> {
    let bytes = store.object_store().get(&block.path).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, block.size_bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

fn micros(batch: &RecordBatch) -> Vec<i64> {
    let column =
        arrow::compute::cast(batch.column_by_name("timestamp").unwrap(), &arrow::datatypes::DataType::Int64);
    column.unwrap().as_primitive::<Int64Type>().values().to_vec()
}

/// The block files on disk, by their names, sorted; those of unfinished writes too.
fn files(dir: &Path, table: Table) -> Vec<String> {
    let mut names = Vec::new();
    let mut dirs = vec![dir.join("tables").join(table.name())];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if name != "_delta_log" {
                    dirs.push(entry.path());
                }
            } else {
                names.push(name);
            }
        }
    }
    names.sort();
    names
}

/// The names of the table's blocks, sorted.
fn block_names(store: &Store, table: Table) -> Vec<String> {
    let snapshot = store.snapshot(&Tenant::default());
    let blocks = &snapshot.table(table).blocks;
    let mut names: Vec<String> =
        blocks.iter().map(|block| block.path.filename().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn all_blocks(store: &Store) -> Vec<Vec<BlockFile>> {
    let snapshot = store.snapshot(&Tenant::default());
    Table::ALL
        .map(|table| snapshot.table(table).blocks.iter().map(|block| BlockFile::clone(block)).collect())
        .to_vec()
}
