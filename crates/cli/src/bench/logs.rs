//! Log records: sentences of about 200 bytes, six attributes, a trace and a span id.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;

use super::load::{Plan, Random, any, resource, scope, text, whole};
use super::words::{METHODS, ROUTES, SENTENCES, SERVICES};

/// Records `first` to `first + items` of one process.
pub(super) fn request(plan: &Plan, first: u64, items: u64, random: &mut Random) -> Vec<u8> {
    let (service, instance) = random.process();
    let log_records = (first..first + items).map(|number| record(plan.at(number), random)).collect();
    let scope_logs = vec![ScopeLogs { scope: scope("shop.log"), log_records, ..ScopeLogs::default() }];
    let resource = resource(service, instance);
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn record(at: u64, random: &mut Random) -> LogRecord {
    let (severity_number, severity) = match random.below(100) {
        0..15 => (5, "DEBUG"),
        15..85 => (9, "INFO"),
        85..95 => (13, "WARN"),
        _ => (17, "ERROR"),
    };
    let sentence = random.below(SENTENCES.len() as u64);
    LogRecord {
        time_unix_nano: at + random.below(1_000),
        observed_time_unix_nano: at + 2_000_000,
        severity_number,
        severity_text: severity.to_owned(),
        body: any(Value::StringValue(fill(SENTENCES[usize::try_from(sentence).unwrap_or(0)], random))),
        attributes: vec![
            text("code.file.path", format!("src/handlers/part_{sentence:02}.rs")),
            whole("code.line.number", 30 + sentence * 41 % 400),
            text("thread.name", format!("worker-{}", random.below(32))),
            text("http.request.method", random.pick(&METHODS)),
            whole("http.response.status_code", if severity_number == 17 { 500 } else { 200 }),
            text("enduser.id", format!("customer-{:05}", random.below(50_000))),
        ],
        trace_id: random.bytes(16),
        span_id: random.bytes(8),
        flags: 1,
        ..LogRecord::default()
    }
}

fn fill(sentence: &str, random: &mut Random) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(sentence.len() + 64);
    for letter in sentence.chars() {
        // Writing to a String cannot fail.
        let _ = match letter {
            '#' => write!(out, "{}", random.below(10_000)),
            '@' => write!(out, "{:016x}", random.below(u64::MAX)),
            '%' => write!(out, "{:.2}", random.skewed(20.0)),
            '$' => write!(out, "{}", random.pick(&SERVICES)),
            '~' => write!(out, "{}", random.pick(&ROUTES)),
            other => write!(out, "{other}"),
        };
    }
    out
}
