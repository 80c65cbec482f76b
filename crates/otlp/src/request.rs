use hindsight_model::Signal;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use prost::Message as _;

use crate::{BODY_BYTES_MAX, DecodeError, Encoding, json, wire};

/// One OTLP export request as its protobuf types.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Data points.
    Metrics(ExportMetricsServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

impl Request {
    /// Which signal it carries.
    pub fn signal(&self) -> Signal {
        match self {
            Self::Traces(_) => Signal::Traces,
            Self::Metrics(_) => Signal::Metrics,
            Self::Logs(_) => Signal::Logs,
        }
    }

    /// How many spans, data points or log records it carries.
    pub fn items(&self) -> u64 {
        let items: usize = match self {
            Self::Traces(request) => {
                let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
                scopes.map(|scope| scope.spans.len()).sum()
            }
            Self::Metrics(request) => {
                let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
                scopes.flat_map(|scope| &scope.metrics).map(points).sum()
            }
            Self::Logs(request) => {
                let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
                scopes.map(|scope| scope.log_records.len()).sum()
            }
        };
        items as u64
    }
}

/// The data points of a metric; one for a metric without data, which is refused as one.
fn points(metric: &Metric) -> usize {
    match &metric.data {
        None => 1,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    }
}

/// Reads a request's bytes, without looking at what they mean.
///
/// # Errors
/// When the bytes are not this message in this encoding; the error says where.
pub fn decode_request(signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Request, DecodeError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooLarge { got: body.len(), max: BODY_BYTES_MAX });
    }
    match encoding {
        Encoding::Protobuf => decode_protobuf(signal, body),
        Encoding::Json => json::decode(signal, body),
    }
}

fn decode_protobuf(signal: Signal, body: &[u8]) -> Result<Request, DecodeError> {
    wire::check(signal, body)?;
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(body).map(Request::Traces),
        Signal::Metrics => ExportMetricsServiceRequest::decode(body).map(Request::Metrics),
        Signal::Logs => ExportLogsServiceRequest::decode(body).map(Request::Logs),
    }
    .map_err(DecodeError::Message)
}

/// Writes a request's bytes. JSON follows OTLP's rules: hex ids, integer enums, 64-bit integers as strings,
/// defaults left out.
pub fn encode_request(request: &Request, encoding: Encoding) -> Vec<u8> {
    match (encoding, request) {
        (Encoding::Json, request) => json::encode(request),
        (Encoding::Protobuf, Request::Traces(request)) => request.encode_to_vec(),
        (Encoding::Protobuf, Request::Metrics(request)) => request.encode_to_vec(),
        (Encoding::Protobuf, Request::Logs(request)) => request.encode_to_vec(),
    }
}
