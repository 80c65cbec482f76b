//! OTLP spans in Jaeger's JSON (OpenTelemetry specification, "OpenTelemetry to Jaeger transformation").

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use serde_json::{Map, Value, json};

/// One trace while it is put together.
#[derive(Default)]
struct Trace {
    spans: Vec<Value>,
    processes: Map<String, Value>,
    /// A process's key by its content.
    known: HashMap<String, String>,
}

/// A trace for each of `ids` that has a span, in their order.
pub(super) fn traces(ids: &[String], request: ExportTraceServiceRequest) -> Vec<Value> {
    let mut traces: HashMap<String, Trace> = HashMap::new();
    for resource_spans in request.resource_spans {
        let process = process(&resource_spans.resource.unwrap_or_default());
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.unwrap_or_default();
            for span in scope_spans.spans {
                let id = hex(&span.trace_id);
                let trace = traces.entry(id.clone()).or_default();
                let process = trace.process(&process);
                trace.spans.push(span_json(&id, &span, &scope, &process));
            }
        }
    }
    let json = |(id, trace): (String, Trace)| json!({"traceID": id, "spans": trace.spans, "processes": trace.processes, "warnings": null});
    ids.iter().filter_map(|id| traces.remove_entry(id)).map(json).collect()
}

impl Trace {
    /// The key of this process, new or known.
    fn process(&mut self, process: &Value) -> String {
        let number = self.processes.len() + 1;
        let key = self.known.entry(process.to_string()).or_insert_with(|| format!("p{number}"));
        if !self.processes.contains_key(key) {
            self.processes.insert(key.clone(), process.clone());
        }
        key.clone()
    }
}

fn process(resource: &Resource) -> Value {
    let is_name = |pair: &&KeyValue| pair.key == "service.name";
    let name = resource.attributes.iter().find(is_name).and_then(|pair| pair.value.as_ref());
    let name = match name.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(name)) => name.as_str(),
        _ => "unknown_service",
    };
    let others = resource.attributes.iter().filter(|pair| pair.key != "service.name");
    json!({"serviceName": name, "tags": others.map(tag).collect::<Vec<_>>()})
}

fn span_json(trace_id: &str, span: &Span, scope: &InstrumentationScope, process: &str) -> Value {
    let mut references = Vec::new();
    if !span.parent_span_id.is_empty() {
        references.push(reference("CHILD_OF", trace_id, &hex(&span.parent_span_id)));
    }
    for link in &span.links {
        references.push(reference("FOLLOWS_FROM", &hex(&link.trace_id), &hex(&link.span_id)));
    }
    let nanos = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    json!({
        "traceID": trace_id,
        "spanID": hex(&span.span_id),
        "operationName": span.name,
        "references": references,
        "startTime": span.start_time_unix_nano / 1_000,
        "duration": nanos / 1_000,
        "tags": span_tags(span, scope),
        "logs": span.events.iter().map(log).collect::<Vec<_>>(),
        "processID": process,
        "warnings": null,
    })
}

fn reference(kind: &str, trace_id: &str, span_id: &str) -> Value {
    json!({"refType": kind, "traceID": trace_id, "spanID": span_id})
}

fn span_tags(span: &Span, scope: &InstrumentationScope) -> Vec<Value> {
    let mut tags: Vec<Value> = span.attributes.iter().map(tag).collect();
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            tags.push(json!({"key": key, "type": "string", "value": value}));
        }
    };
    text("otel.scope.name", &scope.name);
    text("otel.scope.version", &scope.version);
    text("w3c.tracestate", &span.trace_state);
    text(
        "span.kind",
        match span.kind() {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Internal => "internal",
            SpanKind::Unspecified => "",
        },
    );
    let status = span.status.clone().unwrap_or_default();
    text("otel.status_description", &status.message);
    match status.code() {
        StatusCode::Ok => text("otel.status_code", "OK"),
        StatusCode::Error => {
            text("otel.status_code", "ERROR");
            tags.push(json!({"key": "error", "type": "bool", "value": true}));
        }
        StatusCode::Unset => {}
    }
    tags
}

fn log(event: &Event) -> Value {
    let name = json!({"key": "event", "type": "string", "value": event.name});
    let fields: Vec<Value> = std::iter::once(name).chain(event.attributes.iter().map(tag)).collect();
    json!({"timestamp": event.time_unix_nano / 1_000, "fields": fields})
}

fn tag(pair: &KeyValue) -> Value {
    let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
    let (kind, value) = match value {
        Some(Any::BoolValue(flag)) => ("bool", json!(flag)),
        Some(Any::IntValue(number)) => ("int64", json!(number)),
        Some(Any::DoubleValue(number)) if number.is_finite() => ("float64", json!(number)),
        Some(Any::DoubleValue(number)) => ("string", json!(number.to_string())),
        Some(Any::StringValue(text)) => ("string", json!(text)),
        Some(other) => ("string", json!(plain(Some(other)).to_string())),
        None => ("string", json!("")),
    };
    json!({"key": pair.key, "type": kind, "value": value})
}

/// A value as plain JSON; bytes in hexadecimal.
fn plain(value: Option<&Any>) -> Value {
    let inner = |value: &AnyValue| plain(value.value.as_ref());
    match value {
        None => Value::Null,
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(flag)) => json!(flag),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) if number.is_finite() => json!(number),
        Some(Any::DoubleValue(number)) => json!(number.to_string()),
        Some(Any::BytesValue(bytes)) => json!(hex(bytes)),
        Some(Any::ArrayValue(list)) => list.values.iter().map(inner).collect(),
        Some(Any::KvlistValue(list)) => {
            let pair = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, inner));
            Value::Object(list.values.iter().map(pair).collect())
        }
        // A reference into a profile's string table, which traces do not have.
        Some(_) => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
