use hindsight_model::{Signal, Table};

use super::{cell, decode_json, decode_now, decode_with, fixture, fixtures, signal_of};
use crate::{DecodeError, Encoding, Limits, RejectReason, decode_request, encode_request};

#[test]
fn every_accepted_fixture_is_stored_whole_and_means_the_same_in_protobuf() {
    for (name, body) in fixtures("accepted") {
        let signal = signal_of(&body);
        let json = decode_now(signal, Encoding::Json, &body).unwrap();
        assert_eq!(json.rejected, 0, "{name}: {:?}", json.rejections);
        assert!(json.accepted > 0, "{name}");
        let request = decode_request(signal, Encoding::Json, &body).unwrap();
        let protobuf = encode_request(&request, Encoding::Protobuf);
        let decoded = decode_now(signal, Encoding::Protobuf, &protobuf).unwrap();
        assert_eq!(format!("{:?}", decoded.batches), format!("{:?}", json.batches), "{name}");
        let again =
            decode_request(signal, Encoding::Json, &encode_request(&request, Encoding::Json)).unwrap();
        assert_eq!(encode_request(&again, Encoding::Protobuf), protobuf, "{name}");
    }
}

#[test]
fn pairs_that_mean_the_same_decode_to_equal_batches() {
    let files = fixtures("same");
    for pair in files.chunks(2) {
        let [(name, a), (_, b)] = pair else { panic!("a fixture without its pair") };
        let signal = signal_of(a);
        let a = decode_now(signal, Encoding::Json, a).unwrap();
        let b = decode_now(signal, Encoding::Json, b).unwrap();
        assert!(a.accepted > 0 && a.rejected == 0, "{name}");
        assert_eq!(format!("{:?}", a.batches), format!("{:?}", b.batches), "{name}");
    }
}

#[test]
fn every_reason_refuses_its_item_and_keeps_the_neighbour() {
    let files = fixtures("rejected");
    // Whether there are too many series is not in the bytes; `limits` has that.
    for reason in RejectReason::ALL.into_iter().filter(|reason| *reason != RejectReason::TooManySeries) {
        let of_reason = |name: &str| name.split('.').next() == Some(reason.as_str());
        assert!(files.iter().any(|(name, _)| of_reason(name)), "no fixture for {reason}");
        for (name, body) in files.iter().filter(|(name, _)| of_reason(name)) {
            check_rejected(reason, name, body);
        }
    }
}

fn check_rejected(reason: RejectReason, name: &str, body: &[u8]) {
    let signal = signal_of(body);
    let mut limits = Limits::default();
    if reason == RejectReason::SharedTextTooLarge {
        limits.shared_bytes_max = 900;
    }
    let request = decode_request(signal, Encoding::Json, body).unwrap();
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let body = encode_request(&request, encoding);
        let decoded = decode_with(&limits, signal, encoding, &body).unwrap();
        assert_eq!((decoded.accepted, decoded.rejected), (1, 1), "{name}: {:?}", decoded.rejections);
        assert_eq!(decoded.rejections[0].reason, reason, "{name}");
        assert_eq!(decoded.reasons[&reason], 1, "{name}");
        assert_eq!(decoded.rejections[0].service.as_deref(), Some("checkout"), "{name}");
        assert!(!decoded.rejections[0].excerpt.is_empty(), "{name}");
        assert!(decoded.message(signal).contains(reason.sentence()), "{name}");
    }
}

#[test]
fn unusable_json_is_refused_with_its_line() {
    for (name, body) in fixtures("unusable") {
        let error = decode_now(Signal::Logs, Encoding::Json, &body).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, DecodeError::Json { line, .. } if line < 40), "{name}: {text}");
        assert_eq!(text.matches(" at line ").count(), 1, "{name}: {text}");
    }
}

#[test]
fn an_error_says_what_and_where() {
    let check = |name: &str, expected: &str| {
        let body = fixture(&format!("unusable/{name}.json"));
        let text = decode_now(Signal::Logs, Encoding::Json, &body).unwrap_err().to_string();
        assert!(text.contains(expected), "{name}: {text}");
    };
    check("enum_name", "OTLP/JSON has no enum names");
    check("id_not_hex", "an id that is not hexadecimal");
    check("bytes_not_base64", "bytes that are not base64");
    check("integer_too_large", "outside of 0 to 2^64-1");
    check("integer_fraction", "not an integer");
    check("array_on_top", "expected a JSON object with the fields of ExportLogsServiceRequest");
    check("null_on_top", "null instead of ExportLogsServiceRequest");
    check("trailing", "trailing characters");
}

#[test]
fn each_kind_of_value_keeps_its_kind() {
    let check = |name: &str, body_type: &str, body: &str, json: &str| {
        let text = String::from_utf8(fixture(&format!("accepted/value_{name}.json"))).unwrap();
        let decoded = decode_json(Signal::Logs, &text);
        assert_eq!(cell(&decoded, Table::Logs, "body_type", 0), body_type, "{name}");
        assert_eq!(cell(&decoded, Table::Logs, "body", 0), body, "{name}");
        assert_eq!(cell(&decoded, Table::Logs, "attributes", 0), format!(r#"{{"k":{json}}}"#), "{name}");
    };
    check("string", "string", "text", r#""text""#);
    check("empty_string", "string", "", r#""""#);
    check("bool", "bool", "false", "false");
    check("int", "int", "9223372036854775807", "9223372036854775807");
    check("double", "double", "1.0", "1.0");
    check("bytes", "bytes", r#"{"$bytes":"AQL/"}"#, r#"{"$bytes":"AQL/"}"#);
    let array = r#"[1,"two",{"$empty":true},[]]"#;
    check("array", "array", array, array);
    let kvlist = r#"{"a":{"$empty":true},"b":true}"#;
    check("kvlist", "kvlist", kvlist, kvlist);
    check("empty", "empty", r#"{"$empty":true}"#, r#"{"$empty":true}"#);
}

#[test]
fn each_metric_kind_reaches_its_table() {
    let check = |name: &str, table: Table, metric_type: &str, cells: &[(&str, &str)]| {
        let text = String::from_utf8(fixture(&format!("accepted/metric_{name}.json"))).unwrap();
        let decoded = decode_json(Signal::Metrics, &text);
        assert_eq!(decoded.batches.len(), 1, "{name}");
        assert_eq!(cell(&decoded, table, "metric_type", 0), metric_type, "{name}");
        for (column, expected) in cells {
            assert_eq!(cell(&decoded, table, column, 0), *expected, "{name}.{column}");
        }
    };
    check(
        "gauge_double",
        Table::Metrics,
        "gauge",
        &[
            ("value", "21.5"),
            ("value_int", "NULL"),
            ("temporality", "NULL"),
            ("is_monotonic", "NULL"),
            ("unit", "Cel"),
            ("description", "NULL"),
            ("timestamp", "2026-05-04T14:31:00.123456Z"),
            ("timestamp_nanos", "789"),
            ("date", "2026-05-04"),
            ("tenant", "default"),
            ("service_name", "checkout"),
            ("resource_attributes", "{}"),
            ("scope_name", "meter"),
            ("scope_version", "NULL"),
        ],
    );
    check("gauge_int", Table::Metrics, "gauge", &[("value_int", "-9007199254740993")]);
    check(
        "sum",
        Table::Metrics,
        "sum",
        &[
            ("value", "12.0"),
            ("value_int", "12"),
            ("temporality", "cumulative"),
            ("is_monotonic", "true"),
            ("metadata", r#"{"source":"proxy"}"#),
            ("attributes", r#"{"route":"/pay"}"#),
        ],
    );
    check(
        "histogram",
        Table::MetricHistograms,
        "histogram",
        &[
            ("count", "3"),
            ("sum", "1.5"),
            ("min", "0.1"),
            ("max", "1.2"),
            ("bucket_counts", "[1, 2, 0]"),
            ("explicit_bounds", "[0.5, 1.25]"),
            ("temporality", "delta"),
            ("is_monotonic", "NULL"),
        ],
    );
    check(
        "exponential_histogram",
        Table::MetricExpHistograms,
        "exponential_histogram",
        &[
            ("scale", "-2"),
            ("zero_count", "1"),
            ("zero_threshold", "0.001"),
            ("positive_offset", "-3"),
            ("positive_counts", "[1, 2]"),
            ("negative_offset", "0"),
            ("negative_counts", "[1]"),
            ("min", "NULL"),
        ],
    );
    check(
        "summary",
        Table::MetricSummaries,
        "summary",
        &[
            ("count", "2"),
            ("sum", "0.3"),
            ("quantiles", "[{quantile: 0.5, value: 0.1}, {quantile: 1.0, value: 0.2}]"),
        ],
    );
    check("no_recorded_value", Table::Metrics, "gauge", &[("value", "NULL"), ("flags", "1")]);
    check("special_doubles", Table::Metrics, "gauge", &[("value", "NaN")]);
}

/// Stored blocks hold these numbers: if this test fails, the hash changed, and that must not be.
#[test]
fn series_ids_never_change() {
    for (name, table, series_id) in [
        ("gauge_double", Table::Metrics, -3671035431724100432_i64),
        ("sum", Table::Metrics, -345268424801741681),
        ("histogram", Table::MetricHistograms, 7634951871115881216),
        ("exponential_histogram", Table::MetricExpHistograms, 8988108939479418236),
        ("summary", Table::MetricSummaries, -1103309877566117676),
    ] {
        let body = fixture(&format!("accepted/metric_{name}.json"));
        let decoded = decode_now(Signal::Metrics, Encoding::Json, &body).unwrap();
        assert_eq!(cell(&decoded, table, "series_id", 0), series_id.to_string(), "{name}");
    }
}
