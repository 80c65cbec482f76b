//! Messages to OTLP/JSON: defaults are left out, except where leaving out means something else.

mod metrics;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, EntityRef, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Map, Value};

use crate::Request;

/// Writes a request.
pub(crate) fn encode(request: &Request) -> Vec<u8> {
    let top = match request {
        Request::Traces(request) => Object::new().list("resourceSpans", &request.resource_spans, |group| {
            Object::new()
                .optional("resource", group.resource.as_ref(), resource)
                .list("scopeSpans", &group.scope_spans, |scope_spans| {
                    Object::new()
                        .optional("scope", scope_spans.scope.as_ref(), scope)
                        .list("spans", &scope_spans.spans, span)
                        .text("schemaUrl", &scope_spans.schema_url)
                        .into()
                })
                .text("schemaUrl", &group.schema_url)
                .into()
        }),
        Request::Metrics(request) => {
            Object::new().list("resourceMetrics", &request.resource_metrics, metrics::resource_metrics)
        }
        Request::Logs(request) => Object::new().list("resourceLogs", &request.resource_logs, |group| {
            Object::new()
                .optional("resource", group.resource.as_ref(), resource)
                .list("scopeLogs", &group.scope_logs, |scope_logs| {
                    Object::new()
                        .optional("scope", scope_logs.scope.as_ref(), scope)
                        .list("logRecords", &scope_logs.log_records, log_record)
                        .text("schemaUrl", &scope_logs.schema_url)
                        .into()
                })
                .text("schemaUrl", &group.schema_url)
                .into()
        }),
    };
    Value::from(top).to_string().into_bytes()
}

fn resource(resource: &Resource) -> Value {
    Object::new()
        .list("attributes", &resource.attributes, key_value)
        .number("droppedAttributesCount", resource.dropped_attributes_count)
        .list("entityRefs", &resource.entity_refs, entity_ref)
        .into()
}

fn entity_ref(entity: &EntityRef) -> Value {
    Object::new()
        .text("schemaUrl", &entity.schema_url)
        .text("type", &entity.r#type)
        .list("idKeys", &entity.id_keys, |key| Value::from(key.as_str()))
        .list("descriptionKeys", &entity.description_keys, |key| Value::from(key.as_str()))
        .into()
}

fn scope(scope: &InstrumentationScope) -> Value {
    Object::new()
        .text("name", &scope.name)
        .text("version", &scope.version)
        .list("attributes", &scope.attributes, key_value)
        .number("droppedAttributesCount", scope.dropped_attributes_count)
        .into()
}

fn key_value(entry: &KeyValue) -> Value {
    Object::new()
        .text("key", &entry.key)
        .optional("value", entry.value.as_ref(), any_value)
        .number("keyStrindex", entry.key_strindex)
        .into()
}

fn any_value(any: &AnyValue) -> Value {
    let object = Object::new();
    match &any.value {
        None => object,
        Some(Any::StringValue(text)) => object.put("stringValue", text.as_str()),
        Some(Any::BoolValue(flag)) => object.put("boolValue", *flag),
        Some(Any::IntValue(number)) => object.put("intValue", number.to_string()),
        Some(Any::DoubleValue(number)) => object.put("doubleValue", double(*number)),
        Some(Any::BytesValue(bytes)) => object.put("bytesValue", BASE64.encode(bytes)),
        Some(Any::ArrayValue(array)) => {
            object.put("arrayValue", Object::new().list("values", &array.values, any_value))
        }
        Some(Any::KvlistValue(list)) => {
            object.put("kvlistValue", Object::new().list("values", &list.values, key_value))
        }
        Some(Any::StringValueStrindex(index)) => object.put("stringValueStrindex", *index),
    }
    .into()
}

fn span(span: &Span) -> Value {
    Object::new()
        .id("traceId", &span.trace_id)
        .id("spanId", &span.span_id)
        .text("traceState", &span.trace_state)
        .id("parentSpanId", &span.parent_span_id)
        .number("flags", span.flags)
        .text("name", &span.name)
        .number("kind", span.kind)
        .long("startTimeUnixNano", span.start_time_unix_nano)
        .long("endTimeUnixNano", span.end_time_unix_nano)
        .list("attributes", &span.attributes, key_value)
        .number("droppedAttributesCount", span.dropped_attributes_count)
        .list("events", &span.events, event)
        .number("droppedEventsCount", span.dropped_events_count)
        .list("links", &span.links, link)
        .number("droppedLinksCount", span.dropped_links_count)
        .optional("status", span.status.as_ref(), status)
        .into()
}

fn event(event: &Event) -> Value {
    Object::new()
        .long("timeUnixNano", event.time_unix_nano)
        .text("name", &event.name)
        .list("attributes", &event.attributes, key_value)
        .number("droppedAttributesCount", event.dropped_attributes_count)
        .into()
}

fn link(link: &Link) -> Value {
    Object::new()
        .id("traceId", &link.trace_id)
        .id("spanId", &link.span_id)
        .text("traceState", &link.trace_state)
        .list("attributes", &link.attributes, key_value)
        .number("droppedAttributesCount", link.dropped_attributes_count)
        .number("flags", link.flags)
        .into()
}

fn status(status: &Status) -> Value {
    Object::new().text("message", &status.message).number("code", status.code).into()
}

fn log_record(log: &LogRecord) -> Value {
    Object::new()
        .long("timeUnixNano", log.time_unix_nano)
        .long("observedTimeUnixNano", log.observed_time_unix_nano)
        .number("severityNumber", log.severity_number)
        .text("severityText", &log.severity_text)
        .optional("body", log.body.as_ref(), any_value)
        .list("attributes", &log.attributes, key_value)
        .number("droppedAttributesCount", log.dropped_attributes_count)
        .number("flags", log.flags)
        .id("traceId", &log.trace_id)
        .id("spanId", &log.span_id)
        .text("eventName", &log.event_name)
        .into()
}

/// A double; the kinds JSON lacks are words.
fn double(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// A JSON object being filled. Each method but `put` leaves the field out when it is proto3's default.
struct Object(Map<String, Value>);

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

impl Object {
    fn new() -> Self {
        Self(Map::new())
    }

    fn put(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0.insert(field.to_owned(), value.into());
        self
    }

    fn text(self, field: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.put(field, text) }
    }

    fn id(self, field: &str, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.put(field, hex::encode(bytes)) }
    }

    fn number<N: Default + PartialEq + Into<Value>>(self, field: &str, number: N) -> Self {
        if number == N::default() { self } else { self.put(field, number) }
    }

    fn long(self, field: &str, number: u64) -> Self {
        if number == 0 { self } else { self.put(field, number.to_string()) }
    }

    /// Minus zero is not the default.
    fn double(self, field: &str, number: f64) -> Self {
        if number.to_bits() == 0 { self } else { self.put(field, double(number)) }
    }

    fn optional<T>(self, field: &str, present: Option<&T>, write: impl Fn(&T) -> Value) -> Self {
        match present {
            None => self,
            Some(present) => self.put(field, write(present)),
        }
    }

    fn list<T>(self, field: &str, items: &[T], write: impl Fn(&T) -> Value) -> Self {
        if items.is_empty() { self } else { self.put(field, items.iter().map(write).collect::<Vec<_>>()) }
    }
}
