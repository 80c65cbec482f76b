//! What was seen, as OTLP requests of ten seconds.

use std::collections::BTreeMap;

use hindsight_otlp::Request;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::system::System;
use crate::SECOND;
use crate::values::{text, text_body};

/// How long is gathered for one request.
const BATCH: u64 = 10 * SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKindOf {
    Server,
    Client,
    Database,
    Internal,
}

#[derive(Clone, Debug)]
pub(super) struct SpanLine {
    pub(super) service: usize,
    pub(super) version: &'static str,
    pub(super) kind: SpanKindOf,
    pub(super) name: String,
    pub(super) trace: [u8; 16],
    pub(super) id: [u8; 8],
    pub(super) parent: Vec<u8>,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) failed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct LogLine {
    pub(super) service: usize,
    pub(super) version: &'static str,
    pub(super) at: u64,
    pub(super) context: Option<([u8; 16], [u8; 8])>,
    pub(super) severity: i32,
    pub(super) body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meter {
    Gauge,
    /// Cumulative since the start.
    Counter,
}

#[derive(Clone, Debug)]
pub(super) struct MetricLine {
    pub(super) service: usize,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) meter: Meter,
    pub(super) value: f64,
    pub(super) at: u64,
    pub(super) start: u64,
    /// Whether an agent sent it that knows pods, not services.
    pub(super) by_container: bool,
    pub(super) pod: String,
    pub(super) owner: String,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) spans: Vec<SpanLine>,
    pub(super) logs: Vec<LogLine>,
    pub(super) metrics: Vec<MetricLine>,
}

impl Written {
    pub(super) fn traces(&self, system: &System) -> Vec<Request> {
        let mut batches: BTreeMap<u64, BTreeMap<(usize, &str), Vec<Span>>> = BTreeMap::new();
        for line in &self.spans {
            let batch = batches.entry(line.end / BATCH).or_default();
            batch.entry((line.service, line.version)).or_default().push(span(line, system));
        }
        let resource_spans = |groups: BTreeMap<(usize, &str), Vec<Span>>| -> Vec<ResourceSpans> {
            let group = |((service, version), spans)| ResourceSpans {
                resource: Some(resource(system, service, version)),
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            };
            groups.into_iter().map(group).collect()
        };
        batches
            .into_values()
            .map(|groups| {
                Request::Traces(ExportTraceServiceRequest { resource_spans: resource_spans(groups) })
            })
            .collect()
    }

    pub(super) fn logs(&self, system: &System) -> Vec<Request> {
        let mut batches: BTreeMap<u64, BTreeMap<(usize, &str), Vec<LogRecord>>> = BTreeMap::new();
        for line in &self.logs {
            let batch = batches.entry(line.at / BATCH).or_default();
            batch.entry((line.service, line.version)).or_default().push(record(line));
        }
        let resource_logs = |groups: BTreeMap<(usize, &str), Vec<LogRecord>>| -> Vec<ResourceLogs> {
            let group = |((service, version), log_records)| ResourceLogs {
                resource: Some(resource(system, service, version)),
                scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            };
            groups.into_iter().map(group).collect()
        };
        batches
            .into_values()
            .map(|groups| Request::Logs(ExportLogsServiceRequest { resource_logs: resource_logs(groups) }))
            .collect()
    }

    pub(super) fn metrics(&self) -> Vec<Request> {
        let mut batches: BTreeMap<u64, BTreeMap<(usize, bool), Vec<&MetricLine>>> = BTreeMap::new();
        for line in &self.metrics {
            let batch = batches.entry(line.at / BATCH).or_default();
            batch.entry((line.service, line.by_container)).or_default().push(line);
        }
        let resource_metrics = |groups: BTreeMap<(usize, bool), Vec<&MetricLine>>| -> Vec<ResourceMetrics> {
            let group = |lines: Vec<&MetricLine>| {
                let first = lines.first()?;
                let resource = if first.by_container {
                    Resource { attributes: vec![text("telemetry.sdk.name", "agent")], ..Resource::default() }
                } else {
                    Resource {
                        attributes: vec![
                            text("service.name", &*first.owner),
                            text("k8s.pod.name", &*first.pod),
                        ],
                        ..Resource::default()
                    }
                };
                Some(ResourceMetrics {
                    resource: Some(resource),
                    scope_metrics: vec![ScopeMetrics {
                        metrics: lines.into_iter().map(metric_of).collect(),
                        ..ScopeMetrics::default()
                    }],
                    ..ResourceMetrics::default()
                })
            };
            groups.into_values().filter_map(group).collect()
        };
        batches
            .into_values()
            .map(|groups| {
                Request::Metrics(ExportMetricsServiceRequest { resource_metrics: resource_metrics(groups) })
            })
            .collect()
    }
}

fn resource(system: &System, service: usize, version: &str) -> Resource {
    let known = &system.services[service];
    let attributes = vec![
        text("service.name", &*known.name),
        text("service.version", version),
        text("service.instance.id", &*known.pod),
        text("k8s.pod.name", &*known.pod),
    ];
    Resource { attributes, ..Resource::default() }
}

fn span(line: &SpanLine, system: &System) -> Span {
    let mut attributes = Vec::new();
    if line.kind == SpanKindOf::Database {
        attributes.push(text("db.system.name", "postgresql"));
        attributes.extend(
            system.services[line.service].database.as_ref().map(|name| text("server.address", &**name)),
        );
    }
    let kind = match line.kind {
        SpanKindOf::Server => SpanKind::Server,
        SpanKindOf::Client | SpanKindOf::Database => SpanKind::Client,
        SpanKindOf::Internal => SpanKind::Internal,
    };
    let status = line.failed.then(|| Status { code: StatusCode::Error.into(), message: String::new() });
    Span {
        trace_id: line.trace.to_vec(),
        span_id: line.id.to_vec(),
        parent_span_id: line.parent.clone(),
        name: line.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: line.start,
        end_time_unix_nano: line.end,
        attributes,
        status,
        ..Span::default()
    }
}

fn record(line: &LogLine) -> LogRecord {
    let (trace_id, span_id) =
        line.context.map_or_else(Default::default, |(trace, span)| (trace.to_vec(), span.to_vec()));
    LogRecord {
        time_unix_nano: line.at,
        observed_time_unix_nano: line.at,
        severity_number: line.severity,
        body: Some(text_body(line.body.clone())),
        trace_id,
        span_id,
        ..LogRecord::default()
    }
}

fn metric_of(line: &MetricLine) -> Metric {
    let attributes = if line.by_container {
        vec![text("k8s.pod.name", &*line.pod), text("k8s.namespace.name", "prod")]
    } else {
        Vec::new()
    };
    let is_counter = line.meter == Meter::Counter;
    let point = NumberDataPoint {
        attributes,
        start_time_unix_nano: if is_counter { line.start } else { 0 },
        time_unix_nano: line.at,
        value: Some(Number::AsDouble(line.value)),
        ..NumberDataPoint::default()
    };
    let data_points = vec![point];
    let data = if is_counter {
        metric::Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        })
    } else {
        metric::Data::Gauge(Gauge { data_points })
    };
    Metric { name: line.name.to_owned(), unit: line.unit.to_owned(), data: Some(data), ..Metric::default() }
}
