//! Requests that fill every table, the same for the same start; numbers are multiples of a quarter, so that their
//! sums are exact in whatever order they are added.

use anyhow::ensure;
use hindsight_model::Signal;
use prost::Message as _;
use serde_json::{Value, json};

use crate::otlp::{self, JSON, PROTOBUF};
use crate::server::Server;

/// What a table is summed up as: rows, a sum, services, first and last time. `timestamp` is in microseconds.
pub(crate) const TABLES: [(&str, &str); 6] = [
    ("logs", "severity_number"),
    ("spans", "duration_nano"),
    ("metrics", "coalesce(value, value_int)"),
    ("metric_histograms", "sum"),
    ("metric_exp_histograms", "sum"),
    ("metric_summaries", "sum"),
];

/// The summary of one table in SQL.
pub(crate) fn summary(table: &str, summed: &str) -> String {
    format!(
        "SELECT count(*) AS rows, CAST(sum({summed}) AS DOUBLE) AS total, count(DISTINCT service_name) AS services, \
         CAST(min(timestamp) AS BIGINT) AS first, CAST(max(timestamp) AS BIGINT) AS last FROM {table}"
    )
}

/// A body and what it is.
pub(crate) struct Body {
    pub(crate) signal: Signal,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// One request of each kind for each of `rounds` seconds from `start` on, in nanoseconds.
pub(crate) fn bodies(start: u64, rounds: u64) -> Vec<Body> {
    let mut bodies = Vec::new();
    for round in 0..rounds {
        let at = start + round * 1_000_000_000 + 123_456_789;
        let service = format!("shop-{}", round % 3);
        let marks = |n: u64| {
            let session = format!("s-{}", round % 2);
            vec![
                otlp::text("round", &round.to_string()),
                otlp::text("n", &n.to_string()),
                otlp::text("session.id", &session),
            ]
        };
        let named = [("open the door", marks(0)), ("ring the bell", marks(1)), ("türe", marks(2))];
        let mut spans = otlp::spans(&service, at, &named);
        if round % 4 == 3 {
            spans = otlp::failed(spans);
        }
        bodies.push(protobuf(Signal::Traces, spans.encode_to_vec()));
        bodies.push(protobuf(Signal::Logs, otlp::logs(&service, at + 1, &named).encode_to_vec()));
        bodies.push(text(Signal::Logs, &log(&service, at + 2, round)));
        bodies.push(text(Signal::Metrics, &metrics(&service, at + 3, round)));
    }
    bodies
}

fn protobuf(signal: Signal, bytes: Vec<u8>) -> Body {
    Body { signal, content_type: PROTOBUF, bytes }
}

fn text(signal: Signal, body: &Value) -> Body {
    Body { signal, content_type: JSON, bytes: body.to_string().into_bytes() }
}

fn resource(service: &str) -> Value {
    json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": service}},
        {"key": "deployment.environment.name", "value": {"stringValue": "test"}},
    ]})
}

fn log(service: &str, at: u64, round: u64) -> Value {
    json!({"resourceLogs": [{"resource": resource(service), "scopeLogs": [{"scope": {"name": "door"}, "logRecords": [{
        "timeUnixNano": at.to_string(),
        "severityNumber": 1 + round % 24,
        "severityText": "as it came",
        "body": {"kvlistValue": {"values": [{"key": "round", "value": {"intValue": round.to_string()}}]}},
        "attributes": [
            {"key": "exception.type", "value": {"stringValue": "Locked"}},
            {"key": "half", "value": {"doubleValue": 0.5}},
            {"key": "user.id", "value": {"stringValue": format!("u-{}", round % 3)}},
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {"bytesValue": "AQI="}]}}},
        ],
        "traceId": format!("{:032x}", round + 1),
        "spanId": format!("{:016x}", round + 1),
    }]}]}]})
}

fn metrics(service: &str, at: u64, round: u64) -> Value {
    let (time, start) = (at.to_string(), (at - 60_000_000_000).to_string());
    let quarter = round as f64 / 4.0;
    let point = |more: Value| {
        let mut point = json!({"timeUnixNano": time, "startTimeUnixNano": start,
            "attributes": [{"key": "door", "value": {"stringValue": format!("d{}", round % 2)}}]});
        let fields = more.as_object().cloned().unwrap_or_default();
        point.as_object_mut().expect("it was just made one").extend(fields);
        point
    };
    json!({"resourceMetrics": [{"resource": resource(service), "scopeMetrics": [{"scope": {"name": "meter"}, "metrics": [
        {"name": "doors.open", "unit": "1", "gauge": {"dataPoints": [point(json!({"asInt": round.to_string()}))]}},
        {"name": "doors.load", "gauge": {"dataPoints": [point(json!({"asDouble": quarter}))]}},
        {"name": "doors.rings", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
            "dataPoints": [point(json!({"asInt": (7 * round).to_string()}))]}},
        {"name": "doors.wait", "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints": [
            point(json!({"count": "3", "sum": quarter, "bucketCounts": ["1", "2"], "explicitBounds": [0.5],
                "exemplars": [{"timeUnixNano": time, "asDouble": 0.25}]}))]}},
        {"name": "doors.size", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            point(json!({"count": "5", "sum": quarter + 1.0, "scale": -2, "zeroCount": "1", "zeroThreshold": 0.25,
                "positive": {"offset": -3, "bucketCounts": ["1", "2"]}, "negative": {"bucketCounts": ["1"]}}))]}},
        {"name": "doors.gc", "summary": {"dataPoints": [point(json!({"count": "2", "sum": quarter + 0.5,
            "quantileValues": [{"quantile": 0.5, "value": 0.25}, {"quantile": 1, "value": 0.5}]}))]}},
    ]}]}]})
}

/// Sends all of them, one after the other.
pub(crate) async fn send(server: &Server, bodies: &[Body]) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for body in bodies {
        let url = server.otlp_url(&body.signal.to_string());
        let post = client.post(url).header("content-type", body.content_type).body(body.bytes.clone());
        let response = post.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status == 200 && !text.contains("rejected"), "{}: {status} {text}", body.signal);
    }
    Ok(())
}
