//! Requests as a shop's services send them: 100 spans, 12 attributes each, under one resource.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

pub(crate) const SPANS: u64 = 100;

/// Bodies that differ in one trace id each, so that none is an exact repeat of another.
pub(crate) struct Bodies {
    template: Vec<u8>,
    marker_at: usize,
    made: u64,
}

/// The trace id that is overwritten; nothing else in the request looks like it.
const MARKER: [u8; 16] = *b"\xF0a marker here\xF1\xF2";

impl Bodies {
    pub(crate) fn new(now_unix_nano: u64) -> Self {
        let template = request(now_unix_nano).encode_to_vec();
        let marker_at =
            template.windows(16).position(|bytes| bytes == MARKER).expect("the first span has it");
        Self { template, marker_at, made: 0 }
    }

    pub(crate) fn next_body(&mut self) -> Vec<u8> {
        self.made += 1;
        let mut body = self.template.clone();
        body[self.marker_at..self.marker_at + 8].copy_from_slice(&self.made.to_le_bytes());
        body
    }

    pub(crate) fn take(&mut self, count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.next_body()).collect()
    }
}

fn request(now: u64) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text("service.name", "checkout"),
            text("service.namespace", "shop"),
            text("service.version", "4.2.0"),
            text("service.instance.id", "checkout-7d9f5b6c4-x2x9k"),
            text("deployment.environment.name", "production"),
            text("host.name", "node-14"),
            text("telemetry.sdk.language", "java"),
            text("telemetry.sdk.version", "1.49.0"),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "io.opentelemetry.tomcat-10.0".to_owned(),
        version: "2.15.0".to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = (0..SPANS).map(|index| span(index, now)).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            schema_url: String::new(),
        }],
    }
}

fn span(index: u64, now: u64) -> Span {
    let start = now - 5_000_000_000 + index * 10_000_000;
    let duration = 1_200_000 + (index * 7_919) % 90 * 1_000_000;
    let failed = index.is_multiple_of(40);
    Span {
        trace_id: if index == 0 { MARKER.to_vec() } else { id(index / 5, 16) },
        span_id: id(index, 8),
        parent_span_id: if index.is_multiple_of(5) { Vec::new() } else { id(index - 1, 8) },
        name: "POST /api/checkout/{cart}".to_owned(),
        kind: if index.is_multiple_of(5) { 2 } else { 3 },
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration,
        attributes: vec![
            text("http.request.method", "POST"),
            text("http.route", "/api/checkout/{cart}"),
            int("http.response.status_code", if failed { 503 } else { 200 }),
            text("url.path", &format!("/api/checkout/{:08x}", index.wrapping_mul(2_654_435_761))),
            text("server.address", "checkout.shop.svc.cluster.local"),
            int("server.port", 8080),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "shop-frontend/12.4 (node 22)"),
            text("client.address", &format!("10.4.{}.{}", index % 7, index % 251)),
            text("thread.name", &format!("http-nio-8080-exec-{}", index % 20)),
            int("cart.items", i64::try_from(index % 9).unwrap_or(0)),
            text("cart.currency", "EUR"),
        ],
        status: Some(Status { message: String::new(), code: if failed { 2 } else { 0 } }),
        ..Span::default()
    }
}

/// Bytes that look random and are the same in every run.
fn id(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3] | 1
        })
        .collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    key_value(key, Value::IntValue(value))
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
