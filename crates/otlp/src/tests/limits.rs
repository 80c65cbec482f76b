//! OTLP.md rule 25 and the limits: errors, never panics and never unbounded memory.

use hindsight_model::{Signal, Table};

use super::{at, cell, decode_now, decode_with, now};
use crate::wire::UNPACKED_BYTES_FREE;
use crate::{BODY_BYTES_MAX, DecodeError, Encoding, Limits, decode_request, encode_request};

fn log_with_body(value: &str) -> String {
    let time = at(-1);
    format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{time}","body":{value}}}]}}]}}]}}"#
    )
}

fn nested(levels: usize) -> String {
    let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels));
    log_with_body(&format!(r#"{open}{{"intValue":1}}{close}"#))
}

#[test]
fn values_may_nest_up_to_the_limit_and_no_deeper() {
    let limits = Limits { depth_max: 8, ..Limits::default() };
    let decode = |levels| decode_with(&limits, Signal::Logs, Encoding::Json, nested(levels).as_bytes());
    assert_eq!(decode(8).unwrap().accepted, 1);
    let error = decode(9).unwrap_err();
    assert!(matches!(error, DecodeError::TooDeep { max: 8, .. }), "{error}");
}

#[test]
fn both_encodings_reach_the_default_depth() {
    let decode = |encoding, levels: usize| {
        let open = r#"{"kvlistValue":{"values":[{"key":"k","value":"#.repeat(levels);
        let body = log_with_body(&format!(r#"{open}{{"intValue":1}}{}"#, "}]}}".repeat(levels)));
        let request = decode_request(Signal::Logs, Encoding::Json, body.as_bytes()).unwrap();
        decode_now(Signal::Logs, encoding, &encode_request(&request, encoding))
    };
    let max = Limits::default().depth_max;
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        assert_eq!(decode(encoding, max).unwrap().accepted, 1);
        let error = decode(encoding, max + 1).unwrap_err();
        assert!(matches!(error, DecodeError::TooDeep { max: 24, .. }), "{error}");
    }
}

#[test]
fn json_that_nests_without_end_is_an_error_with_its_place() {
    let error = decode_now(Signal::Logs, Encoding::Json, nested(5_000).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("nests too deep"), "{error}");
    let unknown = format!(r#"{{"x":{}"#, "[".repeat(100_000));
    assert!(decode_now(Signal::Logs, Encoding::Json, unknown.as_bytes()).is_err());
}

/// A message of one field that holds the next, `levels` times.
fn nested_protobuf(levels: usize) -> Vec<u8> {
    let mut inner = Vec::new();
    for level in 0..levels {
        // AnyValue.array_value (5) around ArrayValue.values (1), by turns.
        let key = if level % 2 == 0 { 0x2a } else { 0x0a };
        inner = field(key, &inner);
    }
    // request.resource_logs.scope_logs.log_records.body
    for key in [0x2a, 0x12, 0x12, 0x0a] {
        inner = field(key, &inner);
    }
    inner
}

fn field(key: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    prost::encode_length_delimiter(content.len(), &mut out).unwrap();
    out.extend(content);
    out
}

#[test]
fn protobuf_that_nests_without_end_is_an_error_with_its_place() {
    let error = decode_now(Signal::Logs, Encoding::Protobuf, &nested_protobuf(2_001)).unwrap_err();
    assert!(matches!(error, DecodeError::TooDeep { .. }), "{error}");
    assert!(error.to_string().contains("at byte"), "{error}");
    assert!(decode_now(Signal::Logs, Encoding::Protobuf, &nested_protobuf(21)).is_ok());
}

#[test]
fn a_truncated_message_and_bad_text_are_errors_with_their_byte() {
    let check = |body: &[u8], expected: &str| {
        let text = decode_now(Signal::Logs, Encoding::Protobuf, body).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    };
    check(
        &[0x0a, 0x05, 0x12],
        "at byte 2, in ExportLogsServiceRequest.resource_logs: its length goes beyond",
    );
    check(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "its length goes beyond");
    check(
        &[0x0a, 0x04, 0x1a, 0x02, b'x', 0xff],
        "at byte 5, in ResourceLogs.schema_url: the text is not UTF-8",
    );
    check(
        &[0x08, 0x01],
        "at byte 1, in ExportLogsServiceRequest.resource_logs: the field has another wire type",
    );
    check(&[0x80], "a number");
    check(&[0x00], "no such field number");
    check(&[0x7b, 0x08, 0x01], "the group has no end");
}

#[test]
fn unknown_fields_of_every_wire_type_are_skipped() {
    let body =
        [0x78, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 0x01, 0, 0x7d, 1, 2, 3, 4, 0x7b, 0x08, 1, 0x7c];
    assert_eq!(decode_now(Signal::Logs, Encoding::Protobuf, &body).unwrap().accepted, 0);
}

#[test]
fn millions_of_empty_messages_are_refused_before_they_take_memory() {
    let scope_logs = field(0x12, &[0x12, 0x00].repeat(1 << 20));
    let error = decode_now(Signal::Logs, Encoding::Protobuf, &field(0x0a, &scope_logs)).unwrap_err();
    assert!(matches!(error, DecodeError::Unpacks { .. }), "{error}");
    let json = format!(r#"{{"resourceLogs":[{}{{}}]}}"#, "{},".repeat(1 << 20));
    let error = decode_now(Signal::Logs, Encoding::Json, json.as_bytes()).unwrap_err();
    assert!(matches!(error, DecodeError::Unpacks { .. }), "{error}");
}

#[test]
fn many_small_but_honest_attributes_are_no_such_thing() {
    // KeyValue { key: "k", value: true }, in spans of a hundred.
    let attribute = field(0x4a, &[0x0a, 1, b'k', 0x12, 2, 0x10, 1]);
    let span = field(0x12, &attribute.repeat(100));
    let body = field(0x0a, &field(0x12, &span.repeat(8 << 10)));
    assert!(body.len() > UNPACKED_BYTES_FREE);
    assert_eq!(decode_now(Signal::Traces, Encoding::Protobuf, &body).unwrap().rejected, 8 << 10);
    let json = r#"{"key":"k","value":{"boolValue":true}},"#.repeat(200_000);
    let json = format!(r#"{{"resourceLogs":[{{"resource":{{"attributes":[{json}{{}}]}}}}]}}"#);
    assert!(json.len() > UNPACKED_BYTES_FREE);
    assert!(decode_now(Signal::Logs, Encoding::Json, json.as_bytes()).is_ok());
}

#[test]
fn braces_inside_a_text_are_no_messages() {
    let text = "{\\\"".repeat(1 << 18);
    let body = log_with_body(&format!(r#"{{"stringValue":"{text}"}}"#));
    assert_eq!(decode_now(Signal::Logs, Encoding::Json, body.as_bytes()).unwrap().accepted, 1);
}

#[test]
fn a_body_over_the_maximum_is_refused_unread() {
    let error = decode_now(Signal::Logs, Encoding::Json, &vec![b' '; BODY_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
}

#[test]
fn long_values_are_cut_at_a_character_and_counted() {
    let limits = Limits { value_bytes_max: 4, ..Limits::default() };
    for (value, body) in [
        (r#"{"stringValue":"abcé"}"#, "abc"),
        (r#"{"stringValue":"abcd"}"#, "abcd"),
        (r#"{"bytesValue":"AAAAAAAA"}"#, r#"{"$bytes":"AAAAAA=="}"#),
        (
            r#"{"arrayValue":{"values":[{"stringValue":"ab"},{"stringValue":"cd"},{"intValue":1}]}}"#,
            r#"["ab",""]"#,
        ),
        (r#"{"kvlistValue":{"values":[{"key":"abc"},{"key":"d"}]}}"#, r#"{"abc":{"$empty":true}}"#),
    ] {
        let decoded =
            decode_with(&limits, Signal::Logs, Encoding::Json, log_with_body(value).as_bytes()).unwrap();
        assert_eq!(cell(&decoded, Table::Logs, "body", 0), body);
        let cut = u64::from(body != "abcd");
        assert_eq!((decoded.cut_values, decoded.remarks.len() as u64), (cut, cut), "{value}");
    }
}

#[test]
fn rejections_are_kept_up_to_the_limit_and_counted_beyond() {
    let limits = Limits { rejections_kept_max: 3, ..Limits::default() };
    let records = [r#"{"timeUnixNano":"1"}"#; 10].join(",");
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#);
    let decoded = decode_with(&limits, Signal::Logs, Encoding::Json, body.as_bytes()).unwrap();
    assert_eq!((decoded.rejections.len(), decoded.rejected), (3, 10));
}

struct OnlyOnce(std::sync::Mutex<Option<i64>>);

impl crate::SeriesGate for OnlyOnce {
    fn admit(&self, series_id: i64) -> bool {
        *self.0.lock().unwrap().get_or_insert(series_id) == series_id
    }
}

#[test]
fn a_point_of_a_series_that_may_not_come_in_is_refused_and_its_neighbours_stay() {
    let time = at(-1);
    let point = |key: &str| {
        format!(
            r#"{{"timeUnixNano":"{time}","asInt":"1","attributes":[{{"key":"{key}","value":{{"intValue":1}}}}]}}"#
        )
    };
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{},{},{}]}}}}]}}]}}]}}"#,
        point("a"),
        point("b"),
        point("a")
    );
    let (limits, interner) = (Limits::default(), crate::Interner::new());
    let series = OnlyOnce(std::sync::Mutex::default());
    let context = crate::DecodeContext {
        arrival: now(),
        now: now(),
        limits: &limits,
        interner: &interner,
        series: &series,
    };
    let decoded = crate::decode(Signal::Metrics, Encoding::Json, body.as_bytes(), &context).unwrap();
    assert_eq!((decoded.accepted, decoded.rejected), (2, 1));
    assert_eq!(decoded.reasons.get(&crate::RejectReason::TooManySeries), Some(&1));
}
