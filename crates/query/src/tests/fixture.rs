//! A small story: at 2026-05-04 10:00 a checkout calls payments twice, through a proxy without spans; one call
//! fails. The day before, a lone span of the same service. Another tenant has rows of its own.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use hindsight_model::{Table, timestamp_from_micros};
use serde_json::{Value, json};

/// 2026-05-04T10:00:00Z in microseconds.
pub(super) const TEN: i64 = 1_777_888_800_000_000;
const DAY: i64 = 86_400_000_000;

/// One row by column; columns left out are null, or empty where null is not allowed.
pub(super) fn batch(table: Table, rows: &[Value]) -> RecordBatch {
    let schema = table.schema();
    let decoder = arrow::json::ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(rows.len().max(1));
    let mut decoder = decoder.build_decoder().unwrap();
    for row in rows {
        let mut row = row.clone();
        for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
            if row.get(field.name()).is_none() {
                row[field.name()] = empty(field.name(), field.data_type());
            }
        }
        let micros = row["timestamp"].as_i64().unwrap();
        row["timestamp"] = json!(timestamp_from_micros(micros).unwrap().to_string());
        row["date"] = json!(&row["timestamp"].as_str().unwrap()[..10]);
        decoder.decode(row.to_string().as_bytes()).unwrap();
    }
    decoder.flush().unwrap().unwrap()
}

fn empty(name: &str, data_type: &DataType) -> Value {
    match data_type {
        DataType::Utf8 if name.ends_with("attributes") || name == "metadata" => json!("{}"),
        DataType::Utf8 => json!(""),
        DataType::List(_) => json!([]),
        _ => json!(0),
    }
}

/// The rows of one tenant's table, in time order.
pub(super) fn rows(tenant: &str, table: Table) -> Vec<Value> {
    let mut rows = match (tenant, table) {
        ("default", Table::Spans) => spans(),
        ("default", Table::Logs) => logs(),
        ("default", Table::Metrics) => metrics(),
        ("default", Table::MetricHistograms) => histograms(),
        ("default", Table::MetricExpHistograms) => exp_histograms(),
        ("default", Table::MetricSummaries) => summaries(),
        ("other", Table::Spans) => vec![json!({
            "timestamp": TEN, "trace_id": "ff", "span_id": "f1", "name": "secret", "kind": "server",
            "status_code": "ok", "service_name": "vault"})],
        ("other", Table::Logs) => vec![json!({"timestamp": TEN, "body": "secret", "service_name": "vault"})],
        _ => Vec::new(),
    };
    for row in &mut rows {
        row["tenant"] = json!(tenant);
    }
    rows
}

fn spans() -> Vec<Value> {
    let event = json!({"timestamp": timestamp_from_micros(TEN + 5_000).unwrap().to_string(), "timestamp_nanos": 7,
        "name": "exception", "attributes": r#"{"exception.type":"Timeout"}"#, "dropped_attributes_count": 0});
    let link = json!({"trace_id": "a2", "span_id": "b1", "attributes": "{}", "dropped_attributes_count": 0,
        "flags": 0});
    vec![
        json!({"timestamp": TEN - DAY, "duration_nano": 9_000, "trace_id": "a0", "span_id": "01", "name": "warm up",
            "kind": "internal", "status_code": "unset", "service_name": "checkout"}),
        json!({"timestamp": TEN, "timestamp_nanos": 42, "duration_nano": 30_000_000, "trace_id": "a1",
            "span_id": "01", "name": "POST /checkout", "kind": "server", "status_code": "error",
            "service_name": "checkout", "http_route": "/checkout", "http_response_status_code": 502,
            "attributes": r#"{"cart.items":3,"flag":true,"ratio":0.5,"tags":["a","b"],"user":"ann"}"#,
            "resource_attributes": r#"{"cloud.region":"eu-1"}"#, "events": [event], "links": [link]}),
        json!({"timestamp": TEN + 1_000, "duration_nano": 20_000_000, "trace_id": "a1", "span_id": "02",
            "parent_span_id": "01", "name": "pay", "kind": "client", "status_code": "error",
            "service_name": "checkout", "server_address": "proxy"}),
        json!({"timestamp": TEN + 2_000, "duration_nano": 10_000_000, "trace_id": "a1", "span_id": "03",
            "parent_span_id": "02", "name": "POST /pay", "kind": "server", "status_code": "unset",
            "service_name": "payments", "http_route": "/pay", "attributes": r#"{"user":"bob"}"#}),
        json!({"timestamp": TEN + 60_000_000, "duration_nano": 4_000_000, "trace_id": "a2", "span_id": "b1",
            "name": "pay", "kind": "client", "status_code": "unset", "service_name": "checkout"}),
        // The route arrived as a number, which its column cannot hold: it stays in the JSON.
        json!({"timestamp": TEN + 60_001_000, "duration_nano": 2_000_000, "trace_id": "a2", "span_id": "b2",
            "parent_span_id": "b1", "name": "POST /pay", "kind": "server", "status_code": "ok",
            "service_name": "payments", "http_response_status_code": 200, "attributes": r#"{"http.route":7}"#}),
    ]
}

fn logs() -> Vec<Value> {
    vec![
        json!({"timestamp": TEN, "timestamp_source": "time", "severity_number": 9, "severity": "info",
            "body": "order placed", "body_type": "string", "service_name": "checkout",
            "attributes": r#"{"order":17}"#}),
        json!({"timestamp": TEN + 3_000, "timestamp_source": "time", "severity_number": 17, "severity": "error",
            "body": "payment failed", "body_type": "string", "service_name": "payments", "trace_id": "a1",
            "span_id": "03", "exception_type": "Timeout"}),
        json!({"timestamp": TEN + 4_000, "timestamp_source": "arrival", "body": r#"{"k":1}"#, "body_type": "kvlist"}),
    ]
}

fn metrics() -> Vec<Value> {
    let point = |offset: i64, value: f64, pool: &str| {
        json!({"timestamp": TEN + offset, "metric_name": "db.client.connections.usage", "metric_type": "gauge",
            "value": value, "series_id": if pool == "main" { 1 } else { 2 }, "service_name": "checkout",
            "attributes": json!({"pool.name": pool}).to_string()})
    };
    let exemplar = json!({"timestamp": timestamp_from_micros(TEN).unwrap().to_string(), "timestamp_nanos": 0,
        "value": 1.5, "trace_id": "a1", "span_id": "01", "filtered_attributes": "{}"});
    vec![
        point(-120_000_000, 0.5, "main"),
        point(0, 0.75, "main"),
        point(0, 0.25, "replica"),
        point(60_000_000, 1.0, "main"),
        json!({"timestamp": TEN, "metric_name": "requests", "metric_type": "sum", "temporality": "cumulative",
            "is_monotonic": true, "value": 9.007_199_254_740_992e15, "value_int": 9_007_199_254_740_993_i64,
            "series_id": 3, "service_name": "checkout", "exemplars": [exemplar]}),
    ]
}

fn histograms() -> Vec<Value> {
    vec![json!({"timestamp": TEN, "metric_name": "http.server.request.duration", "metric_type": "histogram",
        "unit": "s", "temporality": "delta", "series_id": 4, "service_name": "checkout", "count": 3, "sum": 1.5,
        "explicit_bounds": [0.1, 1.0], "bucket_counts": [1, 1, 1]})]
}

fn exp_histograms() -> Vec<Value> {
    vec![json!({"timestamp": TEN, "metric_name": "queue.wait", "metric_type": "exponential_histogram",
        "temporality": "delta", "series_id": 5, "service_name": "payments", "count": 2, "scale": 3,
        "zero_count": 1, "positive_offset": 4, "positive_counts": [1]})]
}

fn summaries() -> Vec<Value> {
    vec![json!({"timestamp": TEN, "metric_name": "gc.pause", "metric_type": "summary", "series_id": 6,
        "service_name": "payments", "count": 4, "sum": 0.25,
        "quantiles": [{"quantile": 0.5, "value": 0.05}, {"quantile": 0.99, "value": 0.1}]})]
}
