//! From a request's protobuf bytes to rows, as ingest does it: one walk, with what came before known.
//!
//! Rival in the same run: the generated prost types decode the same bytes into their tree of messages, and nothing is
//! made of it. The data is the recorded sample.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_benches::sample;
use hindsight_model::Signal;
use hindsight_otlp::{Encoding, Interner};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/sample");
    group.sample_size(20);
    for signal in Signal::ALL {
        let bodies = sample::bodies(signal);
        let interner = Interner::new();
        let items = rows(signal, &bodies, &interner);
        let tree: usize = bodies.iter().map(|body| prost(signal, body)).sum();
        assert_eq!(tree, bodies.len(), "every request has something");
        group.throughput(Throughput::Elements(items));
        let name = format!("{}s={items}/requests={}", signal.item(), bodies.len());
        group.bench_function(BenchmarkId::new("rows", &name), |bencher| {
            bencher.iter(|| rows(signal, &bodies, &interner));
        });
        group.bench_function(BenchmarkId::new("rival/prost", &name), |bencher| {
            bencher.iter(|| bodies.iter().map(|body| prost(signal, body)).sum::<usize>());
        });
    }
    group.finish();
}

/// How many items the requests hold.
fn rows(signal: Signal, bodies: &[Vec<u8>], interner: &Interner) -> u64 {
    bodies.iter().map(|body| sample::decode_body(signal, Encoding::Protobuf, body, interner).accepted).sum()
}

/// How many resources the request has; each has something.
fn prost(signal: Signal, body: &[u8]) -> usize {
    let resources = match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(body).map(|request| request.resource_spans.len()),
        Signal::Metrics => {
            ExportMetricsServiceRequest::decode(body).map(|request| request.resource_metrics.len())
        }
        Signal::Logs => ExportLogsServiceRequest::decode(body).map(|request| request.resource_logs.len()),
    };
    resources.expect("we encoded it").min(1)
}

criterion_group!(benches, decode);
criterion_main!(benches);
