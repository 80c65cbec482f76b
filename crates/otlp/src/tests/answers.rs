use hindsight_model::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::{Value, json};

use super::{decode_now, fixture};
use crate::{Decoded, Encoding, bad_request, response, status};

#[test]
fn full_success_leaves_partial_success_unset() {
    for signal in Signal::ALL {
        assert_eq!(response(signal, Encoding::Json, &Decoded::default()), b"{}");
        assert_eq!(response(signal, Encoding::Protobuf, &Decoded::default()), b"");
    }
}

#[test]
fn partial_success_counts_in_the_words_of_its_signal() {
    for (fixed, signal, field) in [
        ("rejected/zero_time.span_end.json", Signal::Traces, "rejectedSpans"),
        ("rejected/zero_time.json", Signal::Metrics, "rejectedDataPoints"),
        ("rejected/too_old.json", Signal::Logs, "rejectedLogRecords"),
    ] {
        let decoded = decode_now(signal, Encoding::Json, &fixture(fixed)).unwrap();
        let json: Value = serde_json::from_slice(&response(signal, Encoding::Json, &decoded)).unwrap();
        assert_eq!(json["partialSuccess"][field], json!("1"));
        let message = json["partialSuccess"]["errorMessage"].as_str().unwrap();
        assert!(message.starts_with(&format!("1 of 2 {}s were not stored", signal.item())), "{message}");
        let protobuf = response(signal, Encoding::Protobuf, &decoded);
        let (rejected, text) = match signal {
            Signal::Traces => {
                let partial =
                    ExportTraceServiceResponse::decode(&*protobuf).unwrap().partial_success.unwrap();
                (partial.rejected_spans, partial.error_message)
            }
            Signal::Metrics => {
                let partial =
                    ExportMetricsServiceResponse::decode(&*protobuf).unwrap().partial_success.unwrap();
                (partial.rejected_data_points, partial.error_message)
            }
            Signal::Logs => {
                let partial = ExportLogsServiceResponse::decode(&*protobuf).unwrap().partial_success.unwrap();
                (partial.rejected_log_records, partial.error_message)
            }
        };
        assert_eq!((rejected, text.as_str()), (1, message));
    }
}

#[test]
fn a_remark_is_told_with_nothing_rejected() {
    let body = fixture("accepted/span_full.json");
    let decoded = decode_now(Signal::Traces, Encoding::Json, &body).unwrap();
    let answer = response(Signal::Traces, Encoding::Protobuf, &decoded);
    let partial = ExportTraceServiceResponse::decode(&*answer).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 0);
    assert!(partial.error_message.contains("url.path"));
}

#[test]
fn answers_stay_small() {
    let decoded = Decoded { remarks: vec!["é".repeat(5 << 20)], ..Decoded::default() };
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        assert!(response(Signal::Logs, encoding, &decoded).len() < 5_000);
        assert!(status(encoding, 3, &"é".repeat(5 << 20)).len() < 5_000);
    }
}

#[test]
fn a_status_has_its_code_and_message_in_both_encodings() {
    assert_eq!(status(Encoding::Protobuf, 8, "full"), b"\x08\x08\x12\x04full");
    assert_eq!(
        serde_json::from_slice::<Value>(&status(Encoding::Json, 8, "full")).unwrap(),
        json!({"code": 8, "message": "full"})
    );
}

#[test]
fn a_bad_request_says_what_is_wrong() {
    let error = decode_now(Signal::Logs, Encoding::Json, b"[]").unwrap_err();
    let json: Value = serde_json::from_slice(&bad_request(Encoding::Json, &error)).unwrap();
    assert_eq!(json["code"], 3);
    assert_eq!(json["details"][0]["fieldViolations"][0]["description"], json["message"]);
    assert!(json["message"].as_str().unwrap().contains("line 1"));
    assert!(bad_request(Encoding::Protobuf, &error).starts_with(b"\x08\x03\x12"));
}
