use arrow::array::Int32Array;
use hindsight_model::{AnyValue, Table};
use opentelemetry_proto::tonic::common::v1::AnyValue as Proto;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::source::{AttributeCells, Ints, Source, Texts, Times};
use crate::TableError;
use crate::attributes::write_value;

pub(super) struct Logs<'a> {
    time: Times<'a>,
    source: Texts<'a>,
    observed: Times<'a>,
    severity_number: &'a Int32Array,
    severity_text: Texts<'a>,
    body: Texts<'a>,
    body_type: Texts<'a>,
    event_name: Texts<'a>,
    trace_id: Texts<'a>,
    span_id: Texts<'a>,
    flags: Ints<'a>,
    attributes: AttributeCells<'a>,
    dropped_attributes: Ints<'a>,
}

impl<'a> Logs<'a> {
    pub(super) fn of(source: Source<'a>) -> Result<Self, TableError> {
        Ok(Self {
            time: source.times("timestamp", "timestamp_nanos")?,
            source: source.texts("timestamp_source")?,
            observed: source.times("observed_timestamp", "observed_timestamp_nanos")?,
            severity_number: source.small("severity_number")?,
            severity_text: source.texts("severity_text")?,
            body: source.texts("body")?,
            body_type: source.texts("body_type")?,
            event_name: source.texts("event_name")?,
            trace_id: source.texts("trace_id")?,
            span_id: source.texts("span_id")?,
            flags: source.ints("flags")?,
            attributes: source.attributes("attributes", Table::Logs.promoted())?,
            dropped_attributes: source.ints("dropped_attributes_count")?,
        })
    }

    pub(super) fn read(&self, row: usize) -> Result<LogRecord, TableError> {
        let time_unix_nano = match self.source.get(row) {
            "time" => self.time.get(row)?,
            "observed" | "arrival" => 0,
            _ => return Err(self.source.wrong(row)),
        };
        Ok(LogRecord {
            time_unix_nano,
            observed_time_unix_nano: self.observed.get(row)?,
            severity_number: self.severity_number.value(row),
            severity_text: self.severity_text.owned(row),
            body: self.body(row)?,
            attributes: self.attributes.read(row)?,
            dropped_attributes_count: self.dropped_attributes.u32(row)?,
            flags: self.flags.u32(row)?,
            trace_id: self.trace_id.trace_id(row)?,
            span_id: self.span_id.span_id(row)?,
            event_name: self.event_name.owned(row),
        })
    }

    fn body(&self, row: usize) -> Result<Option<Proto>, TableError> {
        let value = match self.body_type.optional(row) {
            None => return Ok(None),
            Some("string") => AnyValue::String(self.body.owned(row)),
            Some(_) => self.body.value(row)?,
        };
        Ok(Some(write_value(value)))
    }
}
