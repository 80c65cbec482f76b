use hindsight_model::Signal;

use super::{fixture, now};
use crate::{Encoding, decode_request, encode_request, shift_request, time_range};

#[test]
fn shifting_moves_every_time_and_leaves_missing_ones() {
    for (name, signal, times) in [
        ("span_full", Signal::Traces, 3),
        ("log_full", Signal::Logs, 2),
        ("metric_sum", Signal::Metrics, 3),
        ("metric_histogram", Signal::Metrics, 3),
        ("metric_exponential_histogram", Signal::Metrics, 2),
        ("metric_summary", Signal::Metrics, 2),
    ] {
        let body = fixture(&format!("accepted/{name}.json"));
        let mut request = decode_request(signal, Encoding::Json, &body).unwrap();
        let before = String::from_utf8(encode_request(&request, Encoding::Json)).unwrap();
        shift_request(&mut request, 3_600_000_000_000);
        let after = String::from_utf8(encode_request(&request, Encoding::Json)).unwrap();
        let texts = |json: &str| -> Vec<u64> {
            json.split("UnixNano\":\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
                .collect()
        };
        let expected: Vec<u64> = texts(&before).iter().map(|time| time + 3_600_000_000_000).collect();
        assert_eq!(expected.len(), times, "{name}");
        assert_eq!(texts(&after), expected, "{name}");
    }
}

#[test]
fn a_shift_beyond_time_stops_at_its_ends() {
    let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":5}]}]}]}"#;
    let mut request = decode_request(Signal::Logs, Encoding::Json, body).unwrap();
    shift_request(&mut request, i64::MIN);
    assert_eq!(time_range(&request), Some((1, 1)), "0 would mean that there is no time");
}

#[test]
fn the_range_spans_starts_and_ends() {
    let body = fixture("accepted/span_full.json");
    let request = decode_request(Signal::Traces, Encoding::Json, &body).unwrap();
    let (from, to) = time_range(&request).unwrap();
    let second = u64::try_from(now().as_second()).unwrap();
    assert_eq!((from / 1_000_000_000, to), (second - 60, (second - 59) * 1_000_000_000));
    assert_eq!(time_range(&decode_request(Signal::Logs, Encoding::Json, b"{}").unwrap()), None);
}
