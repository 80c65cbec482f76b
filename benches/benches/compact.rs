//! What joining sealed blocks costs a row: eight blocks of one day become one, committed to the table's log.
//!
//! Rival in the same run: the Parquet library alone reads the same eight files, sorts their rows and writes them with
//! its own Arrow writer and zstd, without any log. The data is the recorded sample, sealed eight times on its way in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_benches::sample;
use hindsight_model::{LogicalClock, Signal, Table, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::{Ingest, Store, StoreOptions};
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const BLOCKS: usize = 8;
const SIGNALS: [(Signal, Table); 3] =
    [(Signal::Logs, Table::Logs), (Signal::Traces, Table::Spans), (Signal::Metrics, Table::Metrics)];

fn compact(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads can be started");
    let mut group = criterion.benchmark_group(format!("compact/sample/blocks={BLOCKS}"));
    group.sample_size(10);
    for (signal, table) in SIGNALS {
        let sealed = runtime.block_on(seal(signal));
        let files = files_of(sealed.path(), table);
        let rows: usize = files.iter().map(|file| read(file).num_rows()).sum();
        let largest = files.iter().map(|file| read(file).num_rows()).max().unwrap_or(0);
        assert!(files.len() >= BLOCKS && largest < rows, "{table}: {} files", files.len());
        group.throughput(Throughput::Elements(rows as u64));
        let name = format!("{table}/rows={rows}");
        group.bench_function(BenchmarkId::new("maintain", &name), |bencher| {
            let setup = || runtime.block_on(open_copy(sealed.path()));
            let merge = |(dir, store)| {
                let merged = runtime.block_on(maintain(&store, table, rows));
                (dir, store, merged)
            };
            bencher.iter_batched(setup, merge, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("rival/arrow_read_sort_write", &name), |bencher| {
            bencher.iter(|| read_sort_write(table, &files, rows));
        });
    }
    group.finish();
}

fn now() -> Timestamp {
    "2026-05-05T12:00:00Z".parse().expect("it is a time")
}

async fn open(dir: &Path) -> Store {
    let mut options = StoreOptions::new(dir);
    options.maintenance.interval = None;
    options.seal_age = Duration::from_secs(3_600);
    options.seal_bytes = usize::MAX;
    options.head_bytes_max = usize::MAX;
    let clock = LogicalClock::starting_at(now());
    Store::open(options, Arc::new(clock)).await.expect("a new directory opens")
}

/// A store whose log of one signal was sealed into blocks on its way in.
async fn seal(signal: Signal) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let store = open(dir.path()).await;
    let bodies = sample::bodies(signal);
    for part in bodies.chunks(bodies.len().div_ceil(BLOCKS)) {
        for body in part {
            let request = Ingest {
                tenant: Tenant::default(),
                signal,
                encoding: Encoding::Protobuf,
                body: body.clone().into(),
                sender: None,
            };
            store.ingest(request).await.expect("it was accepted when it was recorded");
        }
        store.seal().await.expect("the disk takes it");
    }
    store.shutdown().await.expect("nothing is left to seal");
    dir
}

fn files_of(dir: &Path, table: Table) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.join("tables").join(table.name())];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("the table was sealed") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().contains("date=") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().map(|path| std::fs::read(path).expect("it can be read").into()).collect()
}

async fn open_copy(from: &Path) -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    copy(from, dir.path());
    let store = open(dir.path()).await;
    (dir, store)
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).expect("it is not there yet");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the disk takes it");
        }
    }
}

/// One round of upkeep; every row is there afterwards, in fewer files.
async fn maintain(store: &Store, table: Table, rows: usize) -> u64 {
    let report = store.maintain(now()).await.expect("the blocks are whole");
    let kept = store.snapshot(&Tenant::default()).table(table).rows();
    assert!(report.merges > 0 && report.files_merged >= BLOCKS as u64, "{report:?}");
    assert_eq!(kept, rows as u64);
    report.bytes_written
}

fn read(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("it is a Parquet file");
    let schema = Arc::clone(reader.schema());
    let batches: Result<Vec<_>, _> = reader.build().expect("its columns can be read").collect();
    concat_batches(&schema, &batches.expect("its pages are whole")).expect("they are of one schema")
}

fn read_sort_write(table: Table, files: &[Bytes], rows: usize) -> usize {
    let batches: Vec<RecordBatch> = files.iter().map(read).collect();
    let all = concat_batches(&batches[0].schema(), &batches).expect("they are of one table");
    let column = |name: &&str| SortColumn {
        values: ArrayRef::clone(all.column_by_name(name).expect("a table has its key")),
        options: None,
    };
    let key: Vec<SortColumn> = table.sort_key().iter().map(column).collect();
    let order: UInt32Array = lexsort_to_indices(&key, None).expect("the key can be compared");
    let sorted = take_record_batch(&all, &order).expect("the order is of these rows");
    assert_eq!(sorted.num_rows(), rows);
    let level = ZstdLevel::try_new(1).expect("1 is a level");
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), sorted.schema(), Some(properties))
        .expect("the schema has a Parquet form");
    writer.write(&sorted).expect("memory takes it");
    writer.into_inner().expect("memory takes it").len()
}

criterion_group!(benches, compact);
criterion_main!(benches);
