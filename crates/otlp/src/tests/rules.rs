//! OTLP.md rules 17, 18, 20, 22 and the promoted attributes, by example.

use hindsight_model::{Signal, Table};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

use super::{at, cell, decode_json, decode_now, fixture};
use crate::{Encoding, Request};

fn log(fields: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#)
}

fn span(fields: &str) -> String {
    let (start, end) = (at(-60), at(-59));
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"5b8efff798038103d269b633813fc60c",
        "spanId":"eee19b7ec3c1b174","startTimeUnixNano":"{start}","endTimeUnixNano":"{end}",{fields}}}]}}]}}]}}"#
    )
}

#[test]
fn a_log_without_time_takes_its_observed_time_then_its_arrival() {
    let (time, observed) = (at(-60), at(-30));
    for (fields, source, timestamp) in [
        (
            format!(r#""timeUnixNano":"{time}","observedTimeUnixNano":"{observed}""#),
            "time",
            "2026-05-04T14:31:00Z",
        ),
        (format!(r#""observedTimeUnixNano":"{observed}""#), "observed", "2026-05-04T14:31:30Z"),
        (String::new(), "arrival", "2026-05-04T14:32:00Z"),
    ] {
        let decoded = decode_json(Signal::Logs, &log(&fields));
        assert_eq!(cell(&decoded, Table::Logs, "timestamp_source", 0), source);
        assert_eq!(cell(&decoded, Table::Logs, "timestamp", 0), timestamp);
    }
}

#[test]
fn a_log_with_wrong_ids_is_kept_without_them() {
    let decoded = decode_json(Signal::Logs, &log(r#""traceId":"aabb","spanId":"eee19b7ec3c1b174""#));
    assert_eq!(decoded.accepted, 1);
    assert_eq!(cell(&decoded, Table::Logs, "trace_id", 0), "NULL");
    assert_eq!(cell(&decoded, Table::Logs, "span_id", 0), "eee19b7ec3c1b174");
    assert_eq!(decoded.remarks.len(), 1);
    let zeros = format!(r#""traceId":"{}""#, "0".repeat(32));
    let decoded = decode_json(Signal::Logs, &log(&zeros));
    assert_eq!(cell(&decoded, Table::Logs, "trace_id", 0), "NULL");
    assert!(decoded.remarks.is_empty(), "zeros are how many SDKs say that there is no span");
}

#[test]
fn a_wrong_parent_is_left_out_with_a_remark() {
    for parent in ["aabb", "0000000000000000"] {
        let decoded = decode_json(Signal::Traces, &span(&format!(r#""parentSpanId":"{parent}""#)));
        assert_eq!((decoded.accepted, decoded.rejected), (1, 0));
        assert_eq!(cell(&decoded, Table::Spans, "parent_span_id", 0), "NULL");
        assert!(decoded.remarks[0].contains("parent id"), "{:?}", decoded.remarks);
    }
}

#[test]
fn a_link_without_ids_is_dropped_and_counted_as_dropped() {
    let decoded = decode_json(Signal::Traces, &span(r#""links":[{"traceId":"aa"}],"droppedLinksCount":2"#));
    assert_eq!(cell(&decoded, Table::Spans, "links", 0), "[]");
    assert_eq!(cell(&decoded, Table::Spans, "dropped_links_count", 0), "3");
    assert_eq!(decoded.remarks.len(), 1);
}

#[test]
fn numbers_without_a_word_are_stored_as_text() {
    let decoded = decode_json(Signal::Traces, &span(r#""kind":77,"status":{"code":-1}"#));
    assert_eq!(cell(&decoded, Table::Spans, "kind", 0), "77");
    assert_eq!(cell(&decoded, Table::Spans, "status_code", 0), "-1");
    let time = at(-1);
    let sum = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"sum":{{"aggregationTemporality":9,
        "dataPoints":[{{"timeUnixNano":"{time}","asInt":1}}]}}}}]}}]}}]}}"#
    );
    assert_eq!(cell(&decode_json(Signal::Metrics, &sum), Table::Metrics, "temporality", 0), "9");
}

#[test]
fn a_span_that_ends_before_it_starts_has_a_negative_duration() {
    let json = span(r#""flags":1"#).replace(&at(-59).to_string(), &at(-61).to_string());
    assert_eq!(cell(&decode_json(Signal::Traces, &json), Table::Spans, "duration_nano", 0), "-1000000000");
}

#[test]
fn a_gap_stays_a_gap_even_when_its_sender_filled_in_zero() {
    let time = at(-1);
    let gauge = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[
        {{"timeUnixNano":"{time}","asInt":"0","flags":1}}]}}}}]}}]}}]}}"#
    );
    let decoded = decode_json(Signal::Metrics, &gauge);
    assert_eq!(cell(&decoded, Table::Metrics, "value", 0), "NULL");
    assert_eq!(cell(&decoded, Table::Metrics, "value_int", 0), "NULL");
}

#[test]
fn promoted_attributes_move_to_their_columns_and_others_of_their_name_stay() {
    let body = fixture("accepted/span_full.json");
    let decoded = decode_now(Signal::Traces, Encoding::Json, &body).unwrap();
    assert_eq!(cell(&decoded, Table::Spans, "http_response_status_code", 0), "503");
    assert_eq!(cell(&decoded, Table::Spans, "http_route", 0), "", "an empty value is not a missing one");
    assert_eq!(cell(&decoded, Table::Spans, "url_path", 0), "NULL");
    assert_eq!(cell(&decoded, Table::Spans, "attributes", 0), r#"{"url.path":1}"#);
    assert_eq!(decoded.remarks.len(), 1);
    assert!(decoded.remarks[0].contains("url.path"));
    assert_eq!(cell(&decoded, Table::Spans, "kind", 0), "server");
    assert_eq!(cell(&decoded, Table::Spans, "status_code", 0), "error");
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_stays_and_it_is_counted() {
    let twice = r#""attributes":[{"key":"k","value":{"intValue":1}},{"key":"k","value":{"intValue":2}}]"#;
    let decoded = decode_json(Signal::Logs, &log(twice));
    assert_eq!(cell(&decoded, Table::Logs, "attributes", 0), r#"{"k":2}"#);
    assert_eq!((decoded.duplicate_keys, decoded.remarks.len()), (1, 1));
}

#[test]
fn an_empty_request_succeeds() {
    for signal in Signal::ALL {
        for (encoding, body) in [(Encoding::Protobuf, &b""[..]), (Encoding::Json, b"{}")] {
            let decoded = decode_now(signal, encoding, body).unwrap();
            assert_eq!((decoded.accepted, decoded.rejected, decoded.batches.len()), (0, 0, 0));
        }
    }
    assert_eq!(Request::Logs(ExportLogsServiceRequest::default()).items(), 0);
}

#[test]
fn the_span_of_accepted_times_is_told() {
    let (time, observed) = (at(-60), at(-30));
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{observed}"}},
        {{"timeUnixNano":"{time}"}},{{"timeUnixNano":"1"}}]}}]}}]}}"#
    );
    let decoded = decode_json(Signal::Logs, &body);
    assert_eq!(decoded.min_time.unwrap().to_string(), "2026-05-04T14:31:00Z");
    assert_eq!(decoded.max_time.unwrap().to_string(), "2026-05-04T14:31:30Z");
    assert_eq!(decoded.rejected, 1);
}
