use std::rc::Rc;

use arrow::array::{Int32Array, Int64Array, RecordBatch, StringBuilder};
use hindsight_model::{AnyValue, SpanId, Table, TraceId, severity_word};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Proto, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::columns::{OptionalTimes, push_text};
use super::common::{Common, check_count};
use super::owner::{Owner, Resource};
use crate::attributes::{read_attributes, read_body};
use crate::reject::cut;
use crate::tally::{Remark, Tally};
use crate::{DecodeError, RejectReason};

pub(crate) fn write_logs(
    request: ExportLogsServiceRequest,
    tally: &mut Tally<'_>,
) -> Result<Vec<(Table, RecordBatch)>, DecodeError> {
    let mut rows = LogRows::new();
    for group in request.resource_logs {
        let resource = Resource::read(group.resource, group.schema_url, tally)?;
        for scope in group.scope_logs {
            let owner = Owner::read(&resource, scope.scope, scope.schema_url, tally)?;
            for log in scope.log_records {
                match check(&log, &owner, tally) {
                    Ok(time) => rows.push(log, &time, &owner, tally)?,
                    Err(reason) => tally.reject(reason, owner.service(), || excerpt(&log)),
                }
            }
        }
    }
    rows.finish(tally)
}

/// Which of a log's times became its `timestamp` (rule 17).
struct LogTime {
    unix_nano: u64,
    source: &'static str,
}

fn log_time(log: &LogRecord, tally: &Tally<'_>) -> LogTime {
    if log.time_unix_nano != 0 {
        LogTime { unix_nano: log.time_unix_nano, source: "time" }
    } else if log.observed_time_unix_nano != 0 {
        LogTime { unix_nano: log.observed_time_unix_nano, source: "observed" }
    } else {
        LogTime { unix_nano: tally.arrival_nanos(), source: "arrival" }
    }
}

fn check(log: &LogRecord, owner: &Owner, tally: &mut Tally<'_>) -> Result<LogTime, RejectReason> {
    let time = log_time(log, tally);
    // Arrival is our own clock's; the window is there for the sender's.
    if time.source != "arrival" {
        tally.check_time(time.unix_nano)?;
    }
    owner.check()?;
    check_count(&log.attributes, tally.context.limits)?;
    tally.take_shared(owner.bytes())?;
    Ok(time)
}

fn excerpt(log: &LogRecord) -> String {
    let body = match &log.body {
        Some(Proto { value: Some(Value::StringValue(text)) }) => cut(text, 120),
        Some(_) => "(not text)",
        None => "(none)",
    };
    format!(
        "time={} observed={} severity_number={} body={body}",
        log.time_unix_nano, log.observed_time_unix_nano, log.severity_number
    )
}

struct LogRows {
    common: Common,
    source: StringBuilder,
    observed: OptionalTimes,
    severity_number: Vec<i32>,
    severity: StringBuilder,
    severity_text: StringBuilder,
    body: StringBuilder,
    body_type: StringBuilder,
    event_name: StringBuilder,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    flags: Vec<i64>,
}

impl LogRows {
    fn new() -> Self {
        Self {
            common: Common::new(Table::Logs),
            source: StringBuilder::new(),
            observed: OptionalTimes::default(),
            severity_number: Vec::new(),
            severity: StringBuilder::new(),
            severity_text: StringBuilder::new(),
            body: StringBuilder::new(),
            body_type: StringBuilder::new(),
            event_name: StringBuilder::new(),
            trace_id: StringBuilder::new(),
            span_id: StringBuilder::new(),
            flags: Vec::new(),
        }
    }

    fn push(
        &mut self,
        log: LogRecord,
        time: &LogTime,
        owner: &Rc<Owner>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        self.source.append_value(time.source);
        self.observed.push(log.observed_time_unix_nano);
        self.severity_number.push(log.severity_number);
        self.severity.append_option(severity_word(log.severity_number));
        push_text(&mut self.severity_text, &log.severity_text);
        self.push_body(log.body, tally)?;
        push_text(&mut self.event_name, &log.event_name);
        self.push_ids(&log.trace_id, &log.span_id, tally);
        self.flags.push(log.flags.into());
        let attributes = read_attributes(log.attributes, tally)?;
        self.common.push(owner, time.unix_nano, attributes, log.dropped_attributes_count, tally);
        Ok(())
    }

    fn push_body(&mut self, body: Option<Proto>, tally: &mut Tally<'_>) -> Result<(), DecodeError> {
        let body = body.map(|body| read_body(body, tally)).transpose()?;
        self.body_type.append_option(body.as_ref().map(AnyValue::type_name));
        match body {
            None => self.body.append_null(),
            Some(AnyValue::String(text)) => self.body.append_value(text),
            Some(other) => self.body.append_value(other.to_json_text()),
        }
        Ok(())
    }

    /// An id of the wrong length or of zeros is left out, the log stays (rule 18). Zeros are many SDKs' way to
    /// say "no span here", so only a wrong length is worth a remark.
    fn push_ids(&mut self, trace_id: &[u8], span_id: &[u8], tally: &mut Tally<'_>) {
        let trace = TraceId::from_bytes(trace_id).ok();
        let span = SpanId::from_bytes(span_id).ok();
        if !matches!(trace_id.len(), 0 | 16) || !matches!(span_id.len(), 0 | 8) {
            tally.remark(Remark::BadLogIds);
        }
        self.trace_id.append_option(trace.map(|id| id.to_string()));
        self.span_id.append_option(span.map(|id| id.to_string()));
    }

    fn finish(mut self, tally: &Tally<'_>) -> Result<Vec<(Table, RecordBatch)>, DecodeError> {
        if self.common.rows() == 0 {
            return Ok(Vec::new());
        }
        let mut finished = self.common.finish(tally.context.tenant);
        finished.put("timestamp_source", self.source.finish());
        let (observed, observed_nanos) = self.observed.finish();
        finished.put("observed_timestamp", observed);
        finished.put("observed_timestamp_nanos", observed_nanos);
        finished.put("severity_number", Int32Array::from(self.severity_number));
        finished.put("severity", self.severity.finish());
        finished.put("severity_text", self.severity_text.finish());
        finished.put("body", self.body.finish());
        finished.put("body_type", self.body_type.finish());
        finished.put("event_name", self.event_name.finish());
        finished.put("trace_id", self.trace_id.finish());
        finished.put("span_id", self.span_id.finish());
        finished.put("flags", Int64Array::from(self.flags));
        Ok(vec![(Table::Logs, finished.batch()?)])
    }
}
