//! Small OTLP requests whose items can be told apart in SQL.

use hindsight_model::{Clock as _, SystemClock};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

/// The present, in nanoseconds.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemClock.now().as_nanosecond()).expect("the present is after 1970")
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn resource(service: &str) -> Option<Resource> {
    Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() })
}

/// Spans named as given, of one service.
pub(crate) fn number(key: &str, value: i64) -> KeyValue {
    KeyValue { value: Some(AnyValue { value: Some(Value::IntValue(value)) }), ..text(key, "") }
}

pub(crate) fn spans(service: &str, at: u64, named: &[(&str, Vec<KeyValue>)]) -> ExportTraceServiceRequest {
    let spans = named.iter().zip(1_u64..).map(|((name, attributes), number)| Span {
        trace_id: [at.to_be_bytes(), number.to_be_bytes()].concat(),
        span_id: (at + number).to_be_bytes().to_vec(),
        name: (*name).to_owned(),
        kind: 2,
        start_time_unix_nano: at,
        end_time_unix_nano: at + 1_000,
        attributes: attributes.clone(),
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(service),
            scope_spans,
            ..Default::default()
        }],
    }
}

/// The same spans, each ended in an error.
pub(crate) fn failed(mut request: ExportTraceServiceRequest) -> ExportTraceServiceRequest {
    for scope in request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
        for span in &mut scope.spans {
            span.status = Some(Status { message: "out of stock".to_owned(), code: StatusCode::Error.into() });
        }
    }
    request
}

pub(crate) fn logs(service: &str, at: u64, bodies: &[(&str, Vec<KeyValue>)]) -> ExportLogsServiceRequest {
    let log_records = bodies.iter().map(|(body, attributes)| LogRecord {
        time_unix_nano: at,
        body: Some(AnyValue { value: Some(Value::StringValue((*body).to_owned())) }),
        attributes: attributes.clone(),
        ..LogRecord::default()
    });
    let scope_logs = vec![ScopeLogs { log_records: log_records.collect(), ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource(service), scope_logs, ..Default::default() }],
    }
}

/// Points of one gauge, one for each set of attributes.
pub(crate) fn points(service: &str, at: u64, sets: &[Vec<KeyValue>]) -> ExportMetricsServiceRequest {
    let data_points = sets.iter().map(|attributes| NumberDataPoint {
        attributes: attributes.clone(),
        time_unix_nano: at,
        value: Some(number_data_point::Value::AsInt(1)),
        ..NumberDataPoint::default()
    });
    let data = Some(Data::Gauge(Gauge { data_points: data_points.collect() }));
    let metric = Metric { name: "test.items".to_owned(), data, ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource = resource(service);
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }],
    }
}

/// A hundred lines of one service, a minute ago.
pub(crate) fn hundred_lines() -> serde_json::Value {
    let attribute = |key: &str, value: &str| serde_json::json!({"key": key, "value": {"stringValue": value}});
    let at = now() - 60_000_000_000;
    let record = |line: u64| {
        serde_json::json!({
            "timeUnixNano": (at + line * 1_000_000).to_string(), "severityNumber": 9,
            "body": {"stringValue": format!("line {line} \u{2603}")},
            "attributes": [attribute("user", &format!("u{line}"))],
        })
    };
    let records: Vec<serde_json::Value> = (0..100).map(record).collect();
    serde_json::json!({"resourceLogs": [{"resource": {"attributes": [attribute("service.name", "checkout")]},
                             "scopeLogs": [{"logRecords": records}]}]})
}
