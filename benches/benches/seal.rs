//! From rows in memory to Parquet files: sorted, encoded and compressed.
//!
//! Rival in the same run: Parquet's own Arrow writer with its defaults and zstd, given the same rows flat and
//! unsorted. The data is the recorded sample; each request's rows are one batch, as the head has them.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_benches::sample;
use hindsight_model::{Rows, Table};
use hindsight_store::encode_rows;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

fn seal(criterion: &mut Criterion) {
    let tables = sample::tables();
    let mut group = criterion.benchmark_group("seal/sample");
    group.sample_size(10);
    for (table, requests) in &tables {
        let flat = concat_batches(&table.schema(), requests).expect("all have the table's schema");
        let rows = sample::rows(*table, requests);
        let count = flat.num_rows() as u64;
        check(*table, &rows, count);
        group.throughput(Throughput::Elements(count));
        let name = format!("{table}/rows={count}");
        group.bench_function(BenchmarkId::new("encode", &name), |bencher| {
            bencher.iter(|| encode_rows(*table, &rows).expect("the rows are as the schema promises"));
        });
        group.bench_function(BenchmarkId::new("rival/arrow_writer_unsorted", &name), |bencher| {
            bencher.iter(|| arrow_writer(&flat));
        });
    }
    group.finish();
}

/// The files hold every row.
fn check(table: Table, rows: &[Rows], count: u64) {
    let files = encode_rows(table, rows).expect("the rows are as the schema promises");
    let read = files.iter().map(|file| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("it is a Parquet file");
        u64::try_from(reader.metadata().file_metadata().num_rows()).expect("not negative")
    });
    assert_eq!(read.sum::<u64>(), count, "{table}");
}

fn arrow_writer(flat: &RecordBatch) -> usize {
    let level = ZstdLevel::try_new(3).expect("3 is a level");
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), flat.schema(), Some(properties))
        .expect("the schema has a Parquet form");
    writer.write(flat).expect("memory takes it");
    writer.into_inner().expect("memory takes it").len()
}

criterion_group!(benches, seal);
criterion_main!(benches);
