//! What the services say while they work.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use crate::batch::Scope;
use crate::trace::Open;
use crate::values::{text, text_body};
use crate::world::World;

/// A log record in the making.
#[derive(Debug)]
pub(crate) struct Entry {
    severity: SeverityNumber,
    body: AnyValue,
    attributes: Vec<KeyValue>,
    event_name: &'static str,
}

impl Entry {
    pub(crate) fn new(severity: SeverityNumber, body: AnyValue) -> Self {
        Self { severity, body, attributes: Vec::new(), event_name: "" }
    }

    pub(crate) fn debug(body: impl Into<String>) -> Self {
        Self::new(SeverityNumber::Debug, text_body(body))
    }

    pub(crate) fn info(body: impl Into<String>) -> Self {
        Self::new(SeverityNumber::Info, text_body(body))
    }

    pub(crate) fn warn(body: impl Into<String>) -> Self {
        Self::new(SeverityNumber::Warn, text_body(body))
    }

    pub(crate) fn error(body: impl Into<String>) -> Self {
        Self::new(SeverityNumber::Error, text_body(body))
    }

    pub(crate) fn fatal(body: impl Into<String>) -> Self {
        Self::new(SeverityNumber::Fatal, text_body(body))
    }

    pub(crate) fn with(mut self, attribute: KeyValue) -> Self {
        self.attributes.push(attribute);
        self
    }

    pub(crate) fn exception(self, kind: &str, message: &str, stack: &str) -> Self {
        self.with(text("exception.type", kind))
            .with(text("exception.message", message))
            .with(text("exception.stacktrace", stack))
    }

    pub(crate) fn event(mut self, name: &'static str) -> Self {
        self.event_name = name;
        self
    }
}

/// A record said inside a span.
pub(crate) fn say(world: &mut World, span: &Open, at: u64, entry: Entry) {
    let mut record = record(world, span.instance, at, entry);
    record.trace_id = span.trace.to_vec();
    record.span_id = span.id.to_vec();
    record.flags = 1;
    keep(world, span.instance, Scope::App, record);
}

/// A record said outside any request.
pub(crate) fn say_alone(world: &mut World, instance: usize, at: u64, entry: Entry) {
    let record = record(world, instance, at, entry);
    keep(world, instance, Scope::App, record);
}

/// A line that a collector read from a file: it was seen later than it was written.
pub(crate) fn read_line(world: &mut World, instance: usize, at: u64, entry: Entry) {
    let mut record = record(world, instance, at / 1_000_000 * 1_000_000, entry);
    record.observed_time_unix_nano = at + world.dice.latency(120.0, 0.3);
    keep(world, instance, Scope::Receiver, record);
}

fn record(world: &mut World, instance: usize, at: u64, entry: Entry) -> LogRecord {
    let at = world.sharpen(instance, at);
    LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at + 20_000,
        severity_number: entry.severity.into(),
        severity_text: severity_text(entry.severity).to_owned(),
        body: Some(entry.body),
        attributes: entry.attributes,
        event_name: entry.event_name.to_owned(),
        ..LogRecord::default()
    }
}

fn keep(world: &mut World, instance: usize, scope: Scope, record: LogRecord) {
    world.truth.saw_log(&record);
    world.batches.add_log(&world.fleet, instance, scope, record);
}

fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Debug => "DEBUG",
        SeverityNumber::Info => "INFO",
        SeverityNumber::Warn => "WARN",
        SeverityNumber::Error => "ERROR",
        SeverityNumber::Fatal => "FATAL",
        _ => "",
    }
}
