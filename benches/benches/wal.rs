//! Records into the log and on the disk, a sync for each group.
//!
//! Rival in the same run: the same bytes with the standard library's write and `sync_data`, without checksum, kind or
//! position.

use std::io::Write;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_wal::{Options, Wal};

/// About what a request of a hundred logs takes.
const RECORD_BYTES: usize = 48 * 1024;
const KIND: u8 = 1;

fn wal(criterion: &mut Criterion) {
    let record: Vec<u8> = (0..RECORD_BYTES).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut group = criterion.benchmark_group(format!("wal/record_bytes={RECORD_BYTES}"));
    group.throughput(Throughput::Bytes(RECORD_BYTES as u64)).sample_size(10);
    for records in [1, 16] {
        let name = format!("records_a_sync={records}");
        group.bench_function(BenchmarkId::new("log", &name), |bencher| {
            bencher.iter_custom(|count| append(&record, count, records));
        });
        group.bench_function(BenchmarkId::new("rival/std_write", &name), |bencher| {
            bencher.iter_custom(|count| write(&record, count, records));
        });
    }
    group.finish();
}

fn append(record: &[u8], count: u64, records_a_sync: u64) -> Duration {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (mut wal, _) = Wal::open(dir.path(), Options::default()).expect("an empty log opens");
    let start = Instant::now();
    for number in 1..=count {
        wal.append(KIND, record).expect("the disk has room");
        if number.is_multiple_of(records_a_sync) || number == count {
            wal.sync().expect("the disk is well");
        }
    }
    let elapsed = start.elapsed();
    assert!(wal.size_bytes() >= count * record.len() as u64);
    elapsed
}

fn write(record: &[u8], count: u64, records_a_sync: u64) -> Duration {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    let start = Instant::now();
    for number in 1..=count {
        file.write_all(record).expect("the disk has room");
        if number.is_multiple_of(records_a_sync) || number == count {
            file.sync_data().expect("the disk is well");
        }
    }
    let elapsed = start.elapsed();
    assert_eq!(file.metadata().expect("the file is open").len(), count * record.len() as u64);
    elapsed
}

criterion_group!(benches, wal);
criterion_main!(benches);
