//! The telemetry of a rule test as OTLP requests: what a stock exporter would have sent.

use hindsight_model::{Labels, Promoted, PromotedKind, RESOURCE_PROMOTED, Signal, Table};
use hindsight_rules::{Fixture, Metric, MetricKind, Occurrences};
use jiff::Timestamp;
use serde_json::{Value, json};

/// One request in OTLP/JSON, and when it is sent.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) at: Timestamp,
    pub(super) signal: Signal,
    pub(super) body: String,
}

/// Duration of a span that names none, in nanoseconds.
const SPAN_NANOS: u64 = 10_000_000;

/// Everything that a fixture sends, in the order of time.
///
/// # Errors
/// When a label cannot be what its column holds.
pub(super) fn arrivals(fixture: &Fixture, start: Timestamp) -> anyhow::Result<Vec<Arrival>> {
    let mut arrivals = Vec::new();
    for (index, metric) in fixture.metrics.iter().enumerate() {
        metric_arrivals(metric, index, fixture, start, &mut arrivals)?;
    }
    for (index, spans) in fixture.spans.iter().enumerate() {
        occurrences(spans, index, fixture, start, Signal::Traces, &mut arrivals)?;
    }
    for (index, logs) in fixture.logs.iter().enumerate() {
        occurrences(logs, index, fixture, start, Signal::Logs, &mut arrivals)?;
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    Ok(arrivals)
}

fn metric_arrivals(
    metric: &Metric,
    index: usize,
    fixture: &Fixture,
    start: Timestamp,
    arrivals: &mut Vec<Arrival>,
) -> anyhow::Result<()> {
    let (resource, attributes) = split(&metric.labels, &[], &[]);
    let mut at = start;
    for value in &metric.values {
        if let Some(value) = value {
            let mut point = json!({
                "timeUnixNano": nanos(at),
                "asDouble": number(*value),
                "attributes": attributes,
                "startTimeUnixNano": nanos(start),
            });
            let data = match metric.kind {
                MetricKind::Gauge => {
                    point.as_object_mut().map(|point| point.remove("startTimeUnixNano"));
                    json!({"name": metric.name, "gauge": {"dataPoints": [point]}})
                }
                MetricKind::Cumulative => sum(metric, 2, &point),
                MetricKind::Delta => sum(metric, 1, &point),
            };
            let body = json!({"resourceMetrics": [{
                "resource": {"attributes": resource},
                "scopeMetrics": [{"scope": {"name": format!("series {index}")}, "metrics": [data]}],
            }]});
            arrivals.push(Arrival { at, signal: Signal::Metrics, body: body.to_string() });
        }
        at = at.checked_add(fixture.interval)?;
    }
    Ok(())
}

fn sum(metric: &Metric, temporality: u8, point: &Value) -> Value {
    json!({"name": metric.name, "sum": {
        "aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": [point],
    }})
}

/// So many spans or logs in each interval, spread evenly over it.
fn occurrences(
    of: &Occurrences,
    index: usize,
    fixture: &Fixture,
    start: Timestamp,
    signal: Signal,
    arrivals: &mut Vec<Arrival>,
) -> anyhow::Result<()> {
    let make = Maker::new(of, index, signal)?;
    let mut begin = start;
    let mut number = 0_u64;
    for count in &of.counts {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked by the file's reader"
        )]
        let count = count.unwrap_or(0.0) as u32;
        for place in 0..count {
            let at = begin.checked_add(fixture.interval * place / count)?;
            number += 1;
            arrivals.push(Arrival { at, signal, body: make.one(at, number) });
        }
        begin = begin.checked_add(fixture.interval)?;
    }
    Ok(())
}

struct Maker {
    signal: Signal,
    index: usize,
    resource: Vec<Value>,
    attributes: Vec<Value>,
    labels: Labels,
    duration_nanos: u64,
}

impl Maker {
    fn new(of: &Occurrences, index: usize, signal: Signal) -> anyhow::Result<Self> {
        let (fields, promoted): (&[&str], _) = match signal {
            Signal::Logs => (&["severity", "body", "event_name"], Table::Logs.promoted()),
            _ => (&["name", "kind", "status_code", "status_message", "duration"], Table::Spans.promoted()),
        };
        let (resource, attributes) = split(&of.labels, fields, promoted);
        let duration =
            of.labels.get("duration").map(|text| hindsight_model::parse_duration(text)).transpose()?;
        let duration_nanos = duration.map_or(SPAN_NANOS, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        for (label, words) in
            [("kind", &KINDS[..]), ("status_code", &STATUSES[..]), ("severity", &SEVERITIES[..])]
        {
            let value = of.labels.get(label).filter(|_| fields.contains(&label));
            if let Some(value) = value.filter(|value| !words.contains(&value.as_str())) {
                anyhow::bail!("label `{label}` cannot be `{value}`; it is one of {}", words.join(", "));
            }
        }
        Ok(Self { signal, index, resource, attributes, labels: of.labels.clone(), duration_nanos })
    }

    fn one(&self, at: Timestamp, number: u64) -> String {
        let label = |name: &str| self.labels.get(name).cloned();
        let place = |words: &[&str], name: &str| {
            label(name).and_then(|value| words.iter().position(|word| *word == value)).unwrap_or(0)
        };
        let scope = json!({"name": "rule test"});
        let body = match self.signal {
            Signal::Logs => json!({"resourceLogs": [{
                "resource": {"attributes": self.resource},
                "scopeLogs": [{"scope": scope, "logRecords": [{
                    "timeUnixNano": nanos(at),
                    "severityText": label("severity").map(|word| word.to_uppercase()),
                    "severityNumber": 1 + 4 * place(&SEVERITIES, "severity"),
                    "body": {"stringValue": label("body").unwrap_or_default()},
                    "eventName": label("event_name").unwrap_or_default(),
                    "attributes": self.attributes,
                }]}],
            }]}),
            _ => json!({"resourceSpans": [{
                "resource": {"attributes": self.resource},
                "scopeSpans": [{"scope": scope, "spans": [{
                    "traceId": format!("{:016x}{number:016x}", self.index + 1),
                    "spanId": format!("{:08x}{number:08x}", self.index + 1),
                    "name": label("name").unwrap_or_else(|| "span".to_owned()),
                    "kind": place(&KINDS, "kind"),
                    "startTimeUnixNano": nanos(at),
                    "endTimeUnixNano": (at.as_nanosecond() + i128::from(self.duration_nanos)).to_string(),
                    "status": {
                        "code": place(&STATUSES, "status_code"),
                        "message": label("status_message").unwrap_or_default(),
                    },
                    "attributes": self.attributes,
                }]}],
            }]}),
        };
        body.to_string()
    }
}

/// In the order of OTLP's numbers.
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];
/// Every fourth of OTLP's severity numbers begins one.
const SEVERITIES: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// Labels as attributes of the resource and of the item; those named in `fields` are neither.
fn split(labels: &Labels, fields: &[&str], promoted: &[Promoted]) -> (Vec<Value>, Vec<Value>) {
    let (mut resource, mut attributes) = (Vec::new(), Vec::new());
    for (name, text) in labels {
        if let Some(column) = RESOURCE_PROMOTED.iter().find(|column| column.column == name) {
            resource.push(json!({"key": column.attribute, "value": {"stringValue": text}}));
        } else if !fields.contains(&name.as_str()) {
            let column = promoted.iter().find(|column| column.attribute == name || column.column == name);
            let key = column.map_or(name.as_str(), |column| column.attribute);
            let int =
                column.is_some_and(|column| column.kind == PromotedKind::Int) && text.parse::<i64>().is_ok();
            let value = if int { json!({"intValue": text}) } else { json!({"stringValue": text}) };
            attributes.push(json!({"key": key, "value": value}));
        }
    }
    (resource, attributes)
}

fn nanos(at: Timestamp) -> String {
    at.as_nanosecond().to_string()
}

/// As protobuf's JSON writes a double.
fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}
