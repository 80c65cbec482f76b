//! What keeping the head in few large pieces costs a row: the rows of 32 requests joined, owners told apart, columns
//! without a value left out.
//!
//! Rival in the same run: arrow's own `concat_batches` on the same requests as flat batches, every column on every row.
//! The data is the recorded sample.

use arrow::compute::concat_batches;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_benches::sample;
use hindsight_model::Rows;

/// As many as the head joins at a time.
const FAN: usize = 32;

fn head(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("head/sample/requests={FAN}"));
    group.sample_size(20);
    for (table, requests) in sample::tables() {
        let rows = sample::rows(table, &requests);
        let joined = join(&rows);
        let flat: usize = requests
            .chunks(FAN)
            .map(|chunk| concat_batches(&table.schema(), chunk).expect("one schema").num_rows())
            .sum();
        assert_eq!(joined, flat, "{table}");
        group.throughput(Throughput::Elements(joined as u64));
        let name = format!("{table}/rows={joined}");
        group.bench_function(BenchmarkId::new("join", &name), |bencher| bencher.iter(|| join(&rows)));
        group.bench_function(BenchmarkId::new("rival/concat_batches", &name), |bencher| {
            bencher.iter(|| {
                let join = |chunk| concat_batches(&table.schema(), chunk).expect("one schema").num_rows();
                requests.chunks(FAN).map(join).sum::<usize>()
            });
        });
    }
    group.finish();
}

fn join(rows: &[Rows]) -> usize {
    rows.chunks(FAN).map(|chunk| Rows::concat(chunk).expect("one table").num_rows()).sum()
}

criterion_group!(benches, head);
criterion_main!(benches);
