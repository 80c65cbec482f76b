use std::collections::BTreeSet;

use hindsight_model::Signal;
use hindsight_otlp::decode_request;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use sha2::{Digest as _, Sha256};

use super::*;

const RECORDED: &[u8] = include_bytes!("../../checkout-outage/telemetry.jsonl.zst");
const EXPECTED: &str = include_str!("../../checkout-outage/expected.yaml");

fn hash_of(story: &Story) -> (Truth, Content) {
    let mut hash = Sha256::new();
    let (mut lines, mut bytes) = (0, 0);
    let truth = generate(story, |line| {
        hash.update(line);
        hash.update(b"\n");
        lines += 1;
        bytes += line.len() as u64 + 1;
    });
    (truth, Content { lines, bytes, sha256: hex::encode(hash.finalize()) })
}

fn requests(story: &Story) -> Vec<Request> {
    let mut requests = Vec::new();
    generate(story, |line| {
        let text = std::str::from_utf8(line).expect("JSON is UTF-8");
        let signal = match &text[..text.find(':').expect("an object")] {
            "{\"resourceSpans\"" => Signal::Traces,
            "{\"resourceMetrics\"" => Signal::Metrics,
            "{\"resourceLogs\"" => Signal::Logs,
            other => panic!("a line begins with {other}"),
        };
        requests.push(decode_request(signal, Encoding::Json, line).expect("our own line"));
    });
    requests
}

#[test]
fn the_recorded_seed_tells_the_recorded_story_again() {
    let (truth, content) = hash_of(&Story::default());
    let recorded = zstd::decode_all(RECORDED).unwrap();
    assert_eq!(content.sha256, hex::encode(Sha256::digest(&recorded)), "regenerate the recording");
    assert_eq!(truth.to_yaml(&content), EXPECTED, "regenerate expected.yaml");
}

#[test]
fn another_seed_tells_it_otherwise() {
    let short = Story::default().shortened(90);
    let start = "2026-05-04T21:04:00Z".parse().unwrap();
    let other = Story::new(7, start).unwrap().shortened(90);
    assert_eq!(hash_of(&short).1, hash_of(&short).1);
    assert_ne!(hash_of(&short).1.sha256, hash_of(&other).1.sha256);
}

#[test]
fn every_metric_kind_is_there_and_the_truth_counts_every_item() {
    let story = Story::default().shortened(300);
    let truth = hash_of(&story).0;
    let mut kinds = BTreeSet::new();
    let mut items = 0;
    for request in requests(&story) {
        items += request.items();
        let Request::Metrics(metrics) = request else { continue };
        let scopes = metrics.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics) {
            kinds.insert(match metric.data.as_ref().expect("a metric has data") {
                Data::Gauge(_) => "gauge",
                Data::Sum(_) => "sum",
                Data::Histogram(_) => "histogram",
                Data::ExponentialHistogram(_) => "exponential histogram",
                Data::Summary(_) => "summary",
            });
        }
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    let t = truth.totals;
    let counted =
        [t.spans, t.logs, t.metrics, t.metric_histograms, t.metric_exp_histograms, t.metric_summaries];
    assert_eq!(items, counted.iter().sum::<u64>());
}

#[test]
fn spans_are_sent_in_order_and_soon_after_they_end() {
    let mut latest = 0;
    for request in requests(&Story::default().shortened(300)) {
        let Request::Traces(traces) = request else { continue };
        let scopes = traces.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let ends: Vec<u64> =
            scopes.flat_map(|scope| &scope.spans).map(|span| span.end_time_unix_nano).collect();
        let (first, last) = (ends.iter().min().unwrap(), *ends.iter().max().unwrap());
        assert!(last - first <= batch::BATCH, "a batch spans more than ten seconds");
        assert!(last + batch::BATCH > latest, "a batch is older than the one before by ten seconds");
        latest = latest.max(last);
    }
}

#[test]
fn every_parent_exists_and_ids_are_unique() {
    let (mut ids, mut parents) = (BTreeSet::new(), BTreeSet::new());
    for request in requests(&Story::default().shortened(300)) {
        let Request::Traces(traces) = request else { continue };
        let scopes = traces.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        for span in scopes.flat_map(|scope| &scope.spans) {
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            assert!(ids.insert((span.trace_id.clone(), span.span_id.clone())), "an id comes twice");
            if !span.parent_span_id.is_empty() {
                parents.insert((span.trace_id.clone(), span.parent_span_id.clone()));
            }
        }
    }
    assert!(parents.is_subset(&ids), "a span's parent was never sent");
}
