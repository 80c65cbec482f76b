//! From a request's bytes to its acknowledgement: durable in the log and visible in the head.
//!
//! Rivals in the same run: the same bytes appended to a file with the standard library alone (and synced, one sync a
//! request), and the protobuf decoding alone. What the store adds lies between them.

mod requests;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_model::{Clock, Signal, SystemClock, Table, Tenant};
use hindsight_otlp::Encoding;
use hindsight_store::{Durability, Ingest, Store, StoreOptions};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use requests::{Bodies, SPANS};

fn ingest(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be started");
    let mut bodies = Bodies::new(u64::try_from(SystemClock.now().as_nanosecond()).expect("it is after 1970"));
    let mut group = criterion.benchmark_group("ingest/spans=100/attributes=12");
    group.throughput(Throughput::Elements(SPANS)).sample_size(10);
    for (name, durability) in [("fsync", Durability::Fsync), ("flush", Durability::Flush)] {
        for in_flight in [1, 16] {
            let id = BenchmarkId::new(format!("store/durability={name}"), format!("in_flight={in_flight}"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|requests| {
                    let bodies = bodies.take(requests);
                    runtime.block_on(send_all(bodies, durability, in_flight))
                });
            });
        }
    }
    for sync in [true, false] {
        let id = BenchmarkId::new("rival/std_append", format!("fsync={sync}"));
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|requests| append_all(&bodies.take(requests), sync));
        });
    }
    group.bench_function("rival/prost_decode", |bencher| {
        bencher.iter_custom(|requests| decode_all(&bodies.take(requests)));
    });
    group.finish();
}

/// A fresh store that never seals takes all bodies, `in_flight` at a time.
async fn send_all(bodies: Vec<Vec<u8>>, durability: Durability, in_flight: usize) -> Duration {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let options = StoreOptions {
        durability,
        seal_bytes: usize::MAX,
        seal_age: Duration::from_secs(86_400),
        head_bytes_max: usize::MAX,
        ..StoreOptions::new(dir.path())
    };
    let store = Store::open(options, Arc::new(SystemClock)).await.expect("an empty store opens");
    let requests = bodies.len() as u64;
    let start = Instant::now();
    let mut sending = JoinSet::new();
    for body in bodies {
        if sending.len() == in_flight {
            check(sending.join_next().await);
        }
        let store = store.clone();
        sending.spawn(async move { send(&store, body).await });
    }
    while let Some(sent) = sending.join_next().await {
        check(Some(sent));
    }
    let elapsed = start.elapsed();
    assert_eq!(store.snapshot(&Tenant::default()).table(Table::Spans).rows(), requests * SPANS);
    elapsed
}

async fn send(store: &Store, body: Vec<u8>) -> u64 {
    let request = Ingest {
        tenant: Tenant::default(),
        signal: Signal::Traces,
        encoding: Encoding::Protobuf,
        body: body.into(),
        sender: None,
    };
    let ingested = store.ingest(request).await.expect("the request is good and the disk is well");
    assert!(!ingested.duplicate, "every body differs");
    ingested.decoded.accepted
}

fn check(sent: Option<Result<u64, tokio::task::JoinError>>) {
    let accepted = sent.expect("a request was in flight").expect("sending does not panic");
    assert_eq!(accepted, SPANS);
}

fn append_all(bodies: &[Vec<u8>], sync: bool) -> Duration {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let file: &mut File = file.as_file_mut();
    let start = Instant::now();
    for body in bodies {
        file.write_all(body).expect("the disk has room");
        if sync {
            file.sync_data().expect("the disk is well");
        }
    }
    let elapsed = start.elapsed();
    let written: usize = bodies.iter().map(Vec::len).sum();
    assert_eq!(file.metadata().expect("the file is open").len(), written as u64);
    elapsed
}

fn decode_all(bodies: &[Vec<u8>]) -> Duration {
    let start = Instant::now();
    for body in bodies {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("we encoded it");
        assert_eq!(request.resource_spans[0].scope_spans[0].spans.len() as u64, SPANS);
    }
    start.elapsed()
}

criterion_group!(benches, ingest);
criterion_main!(benches);
