//! A first walk over protobuf bytes, before anything is allocated: are lengths within the body, is text UTF-8, how
//! deep and how many are the messages? It knows just enough of OTLP's messages to say where something is wrong,
//! which the generated decoder cannot (OTLP.md rule 25).

use hindsight_model::Signal;

use crate::DecodeError;

/// Messages inside messages at most; the generated decoder itself stops at 100.
const MESSAGES_DEEP_MAX: usize = 90;

/// A message in memory is at most this many bytes, its own vectors not counted.
const MESSAGE_BYTES: usize = 320;

/// Memory that a request may unpack to: this times its length, plus [`UNPACKED_BYTES_FREE`]. Honest requests stay
/// below 10; two-byte empty messages would come to 160.
pub(crate) const UNPACKED_BYTES_RATIO: usize = 24;

/// Memory that any request may unpack to.
pub(crate) const UNPACKED_BYTES_FREE: usize = 4 << 20;

/// Looks over a request of this signal.
pub(crate) fn check(signal: Signal, body: &[u8]) -> Result<(), DecodeError> {
    let budget = body.len().saturating_mul(UNPACKED_BYTES_RATIO).saturating_add(UNPACKED_BYTES_FREE);
    let mut walk = Walk { body, at: 0, messages_left: budget / MESSAGE_BYTES, budget };
    let shape = match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    };
    walk.message(shape, body.len(), 0)
}

/// A message's name and those of its fields that are text or messages.
struct Shape {
    name: &'static str,
    fields: &'static [(u32, &'static str, Kind)],
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Message(&'static Shape),
}

use Kind::{Message, Text};

static TRACES: Shape = shape("ExportTraceServiceRequest", &[(1, "resource_spans", Message(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Shape = shape(
    "ResourceSpans",
    &[
        (1, "resource", Message(&RESOURCE)),
        (2, "scope_spans", Message(&SCOPE_SPANS)),
        (3, "schema_url", Text),
    ],
);
static SCOPE_SPANS: Shape = shape(
    "ScopeSpans",
    &[(1, "scope", Message(&SCOPE)), (2, "spans", Message(&SPAN)), (3, "schema_url", Text)],
);
static SPAN: Shape = shape(
    "Span",
    &[
        (3, "trace_state", Text),
        (5, "name", Text),
        (9, "attributes", Message(&KEY_VALUE)),
        (11, "events", Message(&EVENT)),
        (13, "links", Message(&LINK)),
        (15, "status", Message(&STATUS)),
    ],
);
static EVENT: Shape = shape("Span.Event", &[(2, "name", Text), (3, "attributes", Message(&KEY_VALUE))]);
static LINK: Shape = shape("Span.Link", &[(3, "trace_state", Text), (4, "attributes", Message(&KEY_VALUE))]);
static STATUS: Shape = shape("Status", &[(2, "message", Text)]);

static LOGS: Shape = shape("ExportLogsServiceRequest", &[(1, "resource_logs", Message(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Shape = shape(
    "ResourceLogs",
    &[(1, "resource", Message(&RESOURCE)), (2, "scope_logs", Message(&SCOPE_LOGS)), (3, "schema_url", Text)],
);
static SCOPE_LOGS: Shape = shape(
    "ScopeLogs",
    &[(1, "scope", Message(&SCOPE)), (2, "log_records", Message(&LOG_RECORD)), (3, "schema_url", Text)],
);
static LOG_RECORD: Shape = shape(
    "LogRecord",
    &[
        (3, "severity_text", Text),
        (5, "body", Message(&ANY_VALUE)),
        (6, "attributes", Message(&KEY_VALUE)),
        (12, "event_name", Text),
    ],
);

static METRICS: Shape =
    shape("ExportMetricsServiceRequest", &[(1, "resource_metrics", Message(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Shape = shape(
    "ResourceMetrics",
    &[
        (1, "resource", Message(&RESOURCE)),
        (2, "scope_metrics", Message(&SCOPE_METRICS)),
        (3, "schema_url", Text),
    ],
);
static SCOPE_METRICS: Shape = shape(
    "ScopeMetrics",
    &[(1, "scope", Message(&SCOPE)), (2, "metrics", Message(&METRIC)), (3, "schema_url", Text)],
);
static METRIC: Shape = shape(
    "Metric",
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
static GAUGE: Shape = shape("Gauge", &[(1, "data_points", Message(&NUMBER_POINT))]);
static SUM: Shape = shape("Sum", &[(1, "data_points", Message(&NUMBER_POINT))]);
static HISTOGRAM: Shape = shape("Histogram", &[(1, "data_points", Message(&HISTOGRAM_POINT))]);
static EXP_HISTOGRAM: Shape =
    shape("ExponentialHistogram", &[(1, "data_points", Message(&EXP_HISTOGRAM_POINT))]);
static SUMMARY: Shape = shape("Summary", &[(1, "data_points", Message(&SUMMARY_POINT))]);
static NUMBER_POINT: Shape =
    shape("NumberDataPoint", &[(5, "exemplars", Message(&EXEMPLAR)), (7, "attributes", Message(&KEY_VALUE))]);
static HISTOGRAM_POINT: Shape = shape(
    "HistogramDataPoint",
    &[(8, "exemplars", Message(&EXEMPLAR)), (9, "attributes", Message(&KEY_VALUE))],
);
static EXP_HISTOGRAM_POINT: Shape = shape(
    "ExponentialHistogramDataPoint",
    &[
        (1, "attributes", Message(&KEY_VALUE)),
        (8, "positive", Message(&BUCKETS)),
        (9, "negative", Message(&BUCKETS)),
        (11, "exemplars", Message(&EXEMPLAR)),
    ],
);
static BUCKETS: Shape = shape("Buckets", &[]);
static SUMMARY_POINT: Shape = shape(
    "SummaryDataPoint",
    &[(6, "quantile_values", Message(&QUANTILE)), (7, "attributes", Message(&KEY_VALUE))],
);
static QUANTILE: Shape = shape("ValueAtQuantile", &[]);
static EXEMPLAR: Shape = shape("Exemplar", &[(7, "filtered_attributes", Message(&KEY_VALUE))]);

static RESOURCE: Shape =
    shape("Resource", &[(1, "attributes", Message(&KEY_VALUE)), (3, "entity_refs", Message(&ENTITY_REF))]);
static ENTITY_REF: Shape = shape(
    "EntityRef",
    &[(1, "schema_url", Text), (2, "type", Text), (3, "id_keys", Text), (4, "description_keys", Text)],
);
static SCOPE: Shape = shape(
    "InstrumentationScope",
    &[(1, "name", Text), (2, "version", Text), (3, "attributes", Message(&KEY_VALUE))],
);
static KEY_VALUE: Shape = shape("KeyValue", &[(1, "key", Text), (2, "value", Message(&ANY_VALUE))]);
static ANY_VALUE: Shape = shape(
    "AnyValue",
    &[
        (1, "string_value", Text),
        (5, "array_value", Message(&ARRAY_VALUE)),
        (6, "kvlist_value", Message(&KVLIST_VALUE)),
    ],
);
static ARRAY_VALUE: Shape = shape("ArrayValue", &[(1, "values", Message(&ANY_VALUE))]);
static KVLIST_VALUE: Shape = shape("KeyValueList", &[(1, "values", Message(&KEY_VALUE))]);

const fn shape(name: &'static str, fields: &'static [(u32, &'static str, Kind)]) -> Shape {
    Shape { name, fields }
}

struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    messages_left: usize,
    budget: usize,
}

impl Walk<'_> {
    fn message(&mut self, shape: &Shape, end: usize, depth: usize) -> Result<(), DecodeError> {
        if depth > MESSAGES_DEEP_MAX {
            let place = format!("{} at byte {}", shape.name, self.at);
            return Err(DecodeError::TooDeep { place, max: MESSAGES_DEEP_MAX });
        }
        if self.messages_left == 0 {
            return Err(DecodeError::Unpacks { max: self.budget });
        }
        self.messages_left -= 1;
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
