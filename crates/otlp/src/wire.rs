//! A first walk over protobuf bytes, before anything is allocated: are lengths within the body, is text UTF-8, how
//! deep and how many are the messages? It knows just enough of OTLP's messages to say where something is wrong,
//! which the generated decoder cannot (OTLP.md rule 25).

use hindsight_model::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::DecodeError;

/// Messages inside messages at most; the generated decoder itself stops at 100.
const MESSAGES_DEEP_MAX: usize = 90;

/// Memory that a request's messages may unpack to: this times its length, plus [`UNPACKED_BYTES_FREE`]. Honest
/// requests stay below 10; empty messages, two bytes each on the wire, would come to 150.
pub(crate) const UNPACKED_BYTES_RATIO: usize = 12;

/// Memory that any request may unpack to.
pub(crate) const UNPACKED_BYTES_FREE: usize = 4 << 20;

/// What a request of so many bytes may unpack to.
pub(crate) fn unpacked_bytes_max(body_bytes: usize) -> usize {
    body_bytes.saturating_mul(UNPACKED_BYTES_RATIO).saturating_add(UNPACKED_BYTES_FREE)
}

/// Looks over a request of this signal.
pub(crate) fn check(signal: Signal, body: &[u8]) -> Result<(), DecodeError> {
    let budget = unpacked_bytes_max(body.len());
    let mut walk = Walk { body, at: 0, bytes_left: budget, budget };
    let shape = match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    };
    walk.message(shape, body.len(), 0)
}

/// A message's name, its bytes in memory, and those of its fields that are text or messages.
struct Shape {
    name: &'static str,
    bytes: usize,
    fields: &'static [(u32, &'static str, Kind)],
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Message(&'static Shape),
}

use Kind::{Message, Text};

static TRACES: Shape = shape(
    "ExportTraceServiceRequest",
    size_of::<ExportTraceServiceRequest>(),
    &[(1, "resource_spans", Message(&RESOURCE_SPANS))],
);
static RESOURCE_SPANS: Shape = shape(
    "ResourceSpans",
    size_of::<ResourceSpans>(),
    &[
        (1, "resource", Message(&RESOURCE)),
        (2, "scope_spans", Message(&SCOPE_SPANS)),
        (3, "schema_url", Text),
    ],
);
static SCOPE_SPANS: Shape = shape(
    "ScopeSpans",
    size_of::<ScopeSpans>(),
    &[(1, "scope", Message(&SCOPE)), (2, "spans", Message(&SPAN)), (3, "schema_url", Text)],
);
static SPAN: Shape = shape(
    "Span",
    size_of::<Span>(),
    &[
        (3, "trace_state", Text),
        (5, "name", Text),
        (9, "attributes", Message(&KEY_VALUE)),
        (11, "events", Message(&EVENT)),
        (13, "links", Message(&LINK)),
        (15, "status", Message(&STATUS)),
    ],
);
static EVENT: Shape =
    shape("Span.Event", size_of::<Event>(), &[(2, "name", Text), (3, "attributes", Message(&KEY_VALUE))]);
static LINK: Shape = shape(
    "Span.Link",
    size_of::<Link>(),
    &[(3, "trace_state", Text), (4, "attributes", Message(&KEY_VALUE))],
);
static STATUS: Shape = shape("Status", size_of::<Status>(), &[(2, "message", Text)]);

static LOGS: Shape = shape(
    "ExportLogsServiceRequest",
    size_of::<ExportLogsServiceRequest>(),
    &[(1, "resource_logs", Message(&RESOURCE_LOGS))],
);
static RESOURCE_LOGS: Shape = shape(
    "ResourceLogs",
    size_of::<ResourceLogs>(),
    &[(1, "resource", Message(&RESOURCE)), (2, "scope_logs", Message(&SCOPE_LOGS)), (3, "schema_url", Text)],
);
static SCOPE_LOGS: Shape = shape(
    "ScopeLogs",
    size_of::<ScopeLogs>(),
    &[(1, "scope", Message(&SCOPE)), (2, "log_records", Message(&LOG_RECORD)), (3, "schema_url", Text)],
);
static LOG_RECORD: Shape = shape(
    "LogRecord",
    size_of::<LogRecord>(),
    &[
        (3, "severity_text", Text),
        (5, "body", Message(&ANY_VALUE)),
        (6, "attributes", Message(&KEY_VALUE)),
        (12, "event_name", Text),
    ],
);

static METRICS: Shape = shape(
    "ExportMetricsServiceRequest",
    size_of::<ExportMetricsServiceRequest>(),
    &[(1, "resource_metrics", Message(&RESOURCE_METRICS))],
);
static RESOURCE_METRICS: Shape = shape(
    "ResourceMetrics",
    size_of::<ResourceMetrics>(),
    &[
        (1, "resource", Message(&RESOURCE)),
        (2, "scope_metrics", Message(&SCOPE_METRICS)),
        (3, "schema_url", Text),
    ],
);
static SCOPE_METRICS: Shape = shape(
    "ScopeMetrics",
    size_of::<ScopeMetrics>(),
    &[(1, "scope", Message(&SCOPE)), (2, "metrics", Message(&METRIC)), (3, "schema_url", Text)],
);
static METRIC: Shape = shape(
    "Metric",
    size_of::<Metric>(),
    &[
        (1, "name", Text),
        (2, "description", Text),
        (3, "unit", Text),
        (5, "gauge", Message(&GAUGE)),
        (7, "sum", Message(&SUM)),
        (9, "histogram", Message(&HISTOGRAM)),
        (10, "exponential_histogram", Message(&EXP_HISTOGRAM)),
        (11, "summary", Message(&SUMMARY)),
        (12, "metadata", Message(&KEY_VALUE)),
    ],
);
static GAUGE: Shape = shape("Gauge", size_of::<Gauge>(), &[(1, "data_points", Message(&NUMBER_POINT))]);
static SUM: Shape = shape("Sum", size_of::<Sum>(), &[(1, "data_points", Message(&NUMBER_POINT))]);
static HISTOGRAM: Shape =
    shape("Histogram", size_of::<Histogram>(), &[(1, "data_points", Message(&HISTOGRAM_POINT))]);
static EXP_HISTOGRAM: Shape = shape(
    "ExponentialHistogram",
    size_of::<ExponentialHistogram>(),
    &[(1, "data_points", Message(&EXP_HISTOGRAM_POINT))],
);
static SUMMARY: Shape =
    shape("Summary", size_of::<Summary>(), &[(1, "data_points", Message(&SUMMARY_POINT))]);
static NUMBER_POINT: Shape = shape(
    "NumberDataPoint",
    size_of::<NumberDataPoint>(),
    &[(5, "exemplars", Message(&EXEMPLAR)), (7, "attributes", Message(&KEY_VALUE))],
);
static HISTOGRAM_POINT: Shape = shape(
    "HistogramDataPoint",
    size_of::<HistogramDataPoint>(),
    &[(8, "exemplars", Message(&EXEMPLAR)), (9, "attributes", Message(&KEY_VALUE))],
);
static EXP_HISTOGRAM_POINT: Shape = shape(
    "ExponentialHistogramDataPoint",
    size_of::<ExponentialHistogramDataPoint>(),
    &[
        (1, "attributes", Message(&KEY_VALUE)),
        (8, "positive", Message(&BUCKETS)),
        (9, "negative", Message(&BUCKETS)),
        (11, "exemplars", Message(&EXEMPLAR)),
    ],
);
static BUCKETS: Shape = shape("Buckets", size_of::<Buckets>(), &[]);
static SUMMARY_POINT: Shape = shape(
    "SummaryDataPoint",
    size_of::<SummaryDataPoint>(),
    &[(6, "quantile_values", Message(&QUANTILE)), (7, "attributes", Message(&KEY_VALUE))],
);
static QUANTILE: Shape = shape("ValueAtQuantile", size_of::<ValueAtQuantile>(), &[]);
static EXEMPLAR: Shape =
    shape("Exemplar", size_of::<Exemplar>(), &[(7, "filtered_attributes", Message(&KEY_VALUE))]);

static RESOURCE: Shape = shape(
    "Resource",
    size_of::<Resource>(),
    &[(1, "attributes", Message(&KEY_VALUE)), (3, "entity_refs", Message(&ENTITY_REF))],
);
static ENTITY_REF: Shape = shape(
    "EntityRef",
    size_of::<EntityRef>(),
    &[(1, "schema_url", Text), (2, "type", Text), (3, "id_keys", Text), (4, "description_keys", Text)],
);
static SCOPE: Shape = shape(
    "InstrumentationScope",
    size_of::<InstrumentationScope>(),
    &[(1, "name", Text), (2, "version", Text), (3, "attributes", Message(&KEY_VALUE))],
);
static KEY_VALUE: Shape =
    shape("KeyValue", size_of::<KeyValue>(), &[(1, "key", Text), (2, "value", Message(&ANY_VALUE))]);
static ANY_VALUE: Shape = shape(
    "AnyValue",
    size_of::<AnyValue>(),
    &[
        (1, "string_value", Text),
        (5, "array_value", Message(&ARRAY_VALUE)),
        (6, "kvlist_value", Message(&KVLIST_VALUE)),
    ],
);
static ARRAY_VALUE: Shape =
    shape("ArrayValue", size_of::<ArrayValue>(), &[(1, "values", Message(&ANY_VALUE))]);
static KVLIST_VALUE: Shape =
    shape("KeyValueList", size_of::<KeyValueList>(), &[(1, "values", Message(&KEY_VALUE))]);

const fn shape(name: &'static str, bytes: usize, fields: &'static [(u32, &'static str, Kind)]) -> Shape {
    Shape { name, bytes, fields }
}

struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    bytes_left: usize,
    budget: usize,
}

impl Walk<'_> {
    fn message(&mut self, shape: &Shape, end: usize, depth: usize) -> Result<(), DecodeError> {
        if depth > MESSAGES_DEEP_MAX {
            let place = format!("{} at byte {}", shape.name, self.at);
            return Err(DecodeError::TooDeep { place, max: MESSAGES_DEEP_MAX });
        }
        match self.bytes_left.checked_sub(shape.bytes) {
            Some(left) => self.bytes_left = left,
            None => return Err(DecodeError::Unpacks { max: self.budget }),
        }
        while self.at < end {
            let (tag, wire_type) = self.key(shape, end)?;
            match shape.fields.iter().find(|field| field.0 == tag) {
                Some((_, name, kind)) => self.known(shape, name, *kind, wire_type, end, depth)?,
                None => self.skip(shape, tag, wire_type, end, depth)?,
            }
        }
        Ok(())
    }

    fn known(
        &mut self,
        shape: &Shape,
        name: &str,
        kind: Kind,
        wire_type: u64,
        end: usize,
        depth: usize,
    ) -> Result<(), DecodeError> {
        if wire_type != 2 {
            return Err(self.wrong(shape, name, "the field has another wire type than OTLP gives it"));
        }
        let length = self.length(shape, name, end)?;
        match kind {
            Message(inner) => self.message(inner, self.at + length, depth + 1),
            Text => {
                if let Err(error) = std::str::from_utf8(&self.body[self.at..self.at + length]) {
                    self.at += error.valid_up_to();
                    return Err(self.wrong(shape, name, "the text is not UTF-8"));
                }
                self.at += length;
                Ok(())
            }
        }
    }

    fn skip(
        &mut self,
        shape: &Shape,
        tag: u32,
        wire_type: u64,
        end: usize,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let length = match wire_type {
            0 => return self.varint(shape, "a number", end).map(|_| ()),
            1 => 8,
            2 => self.length(shape, "a field", end)?,
            3 => return self.group(shape, tag, end, depth + 1),
            5 => 4,
            _ => return Err(self.wrong(shape, "a field", "there is no such wire type here")),
        };
        if length > end - self.at {
            return Err(self.wrong(shape, "a field", "the message ends within it"));
        }
        self.at += length;
        Ok(())
    }

    /// A group, long out of use: skipped up to its end tag.
    fn group(&mut self, shape: &Shape, tag: u32, end: usize, depth: usize) -> Result<(), DecodeError> {
        if depth > MESSAGES_DEEP_MAX {
            let place = format!("a group in {} at byte {}", shape.name, self.at);
            return Err(DecodeError::TooDeep { place, max: MESSAGES_DEEP_MAX });
        }
        while self.at < end {
            let (inner, wire_type) = self.key(shape, end)?;
            if wire_type == 4 {
                if inner == tag {
                    return Ok(());
                }
                break;
            }
            self.skip(shape, inner, wire_type, end, depth)?;
        }
        Err(self.wrong(shape, "a group", "the group has no end"))
    }

    fn key(&mut self, shape: &Shape, end: usize) -> Result<(u32, u64), DecodeError> {
        let key = self.varint(shape, "a field number", end)?;
        match u32::try_from(key >> 3) {
            Ok(tag) if tag != 0 && key <= u64::from(u32::MAX) => Ok((tag, key & 7)),
            _ => Err(self.wrong(shape, "a field number", "there is no such field number")),
        }
    }

    fn length(&mut self, shape: &Shape, name: &str, end: usize) -> Result<usize, DecodeError> {
        let length = self.varint(shape, name, end)?;
        match usize::try_from(length) {
            Ok(length) if length <= end - self.at => Ok(length),
            _ => Err(self.wrong(shape, name, "its length goes beyond the end of the message")),
        }
    }

    fn varint(&mut self, shape: &Shape, name: &str, end: usize) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (index, byte) in self.body[self.at..end].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(self.wrong(shape, name, "the message ends within a number, or the number has over ten bytes"))
    }

    fn wrong(&self, shape: &Shape, name: &str, what: &'static str) -> DecodeError {
        DecodeError::Protobuf { offset: self.at, field: format!("{}.{name}", shape.name), what }
    }
}
