use std::sync::Arc;

use arrow::array::{Int32Array, StringBuilder};
use hindsight_model::{Rows, Table, severity_word};
use opentelemetry_proto::tonic::common::v1::{AnyValue as Proto, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use super::columns::{Counts, OptionalTimes, OwnerKeys, Room, Texts, Times};
use super::entries::{AttributeColumns, Entry, write_body};
use super::ids::{append_hex, valid};
use super::owner::{Group, each_record};
use super::pass::Pass;
use super::reader::{Fields, Odd, once};
use super::spans::ENTRY_BYTES;
use super::stop::Stop;
use crate::reject::cut;
use crate::tally::{Remark, Tally};
use crate::{DecodeError, RejectReason};

pub(crate) fn write_logs(body: &[u8], pass: &mut Pass<'_>) -> Result<Vec<(Table, Rows)>, Stop> {
    let mut rows = LogRows::new(pass.room(Table::Logs));
    let mut log = LogWire::default();
    each_record(body, pass, |wire, group, pass| {
        pass.charge(size_of::<LogRecord>())?;
        log.read(wire, pass)?;
        match log.check(group, &mut pass.tally) {
            Ok(time) => rows.push(&mut log, &time, group, pass),
            Err(reason) => {
                // A refused record must still be one, or the request is not OTLP.
                let log = LogRecord::decode(wire).map_err(|_| Odd)?;
                pass.tally.reject(reason, group.service(), || excerpt(&log));
                Ok(())
            }
        }
    })?;
    let tables = rows.finish()?;
    pass.note_rows(&tables);
    Ok(tables)
}

/// A log record as it stands in the request.
#[derive(Default)]
struct LogWire<'a> {
    time: u64,
    observed: u64,
    severity_number: i32,
    severity_text: &'a str,
    body: Option<&'a [u8]>,
    attributes: Vec<Entry<'a>>,
    dropped_attributes: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a str,
}

/// Which of a log's times became its `timestamp` (rule 17).
struct LogTime {
    unix_nano: u64,
    source: &'static str,
}

impl<'a> LogWire<'a> {
    /// Reads `wire` into `self`, whose list keeps its memory.
    fn read(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<(), Stop> {
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        *self = Self { attributes, ..Self::default() };
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => self.time = value.fixed64()?,
                2 => self.severity_number = value.int32()?,
                3 => self.severity_text = value.text()?,
                5 => once(&mut self.body, value.bytes()?)?,
                6 => {
                    pass.charge(ENTRY_BYTES)?;
                    self.attributes.push(Entry::read(value.bytes()?)?);
                }
                7 => self.dropped_attributes = value.uint32()?,
                8 => self.flags = value.fixed32()?,
                9 => self.trace_id = value.bytes()?,
                10 => self.span_id = value.bytes()?,
                11 => self.observed = value.fixed64()?,
                12 => self.event_name = value.text()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn timestamp(&self, tally: &Tally<'_>) -> LogTime {
        if self.time != 0 {
            LogTime { unix_nano: self.time, source: "time" }
        } else if self.observed != 0 {
            LogTime { unix_nano: self.observed, source: "observed" }
        } else {
            LogTime { unix_nano: tally.arrival_nanos(), source: "arrival" }
        }
    }

    fn check(&self, group: &Group, tally: &mut Tally<'_>) -> Result<LogTime, RejectReason> {
        let time = self.timestamp(tally);
        // Arrival is our own clock's; the window is there for the sender's.
        if time.source != "arrival" {
            tally.check_time(time.unix_nano)?;
        }
        group.check()?;
        if self.attributes.len() > tally.context.limits.attributes_max {
            return Err(RejectReason::TooManyAttributes);
        }
        tally.take_shared(group.row_bytes)?;
        Ok(time)
    }
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
    owners: OwnerKeys,
    times: Times,
    source: StringBuilder,
    observed: OptionalTimes,
    severity_number: Vec<i32>,
    severity: Texts,
    severity_text: Texts,
    body: Texts,
    body_type: Texts,
    event_name: Texts,
    trace_id: Texts,
    span_id: Texts,
    flags: Counts,
    attributes: AttributeColumns,
    dropped_attributes: Counts,
}

impl LogRows {
    fn new(room: Room) -> Self {
        Self {
            owners: OwnerKeys::default(),
            times: room.times(),
            source: room.builder(8),
            observed: room.optional_times(),
            severity_number: room.vec(),
            severity: room.texts(8),
            severity_text: room.texts(8),
            body: room.texts(200),
            body_type: room.texts(8),
            event_name: room.texts(24),
            trace_id: room.texts(32),
            span_id: room.texts(16),
            flags: Counts::default(),
            attributes: AttributeColumns::new(Table::Logs.promoted_list(), room),
            dropped_attributes: Counts::default(),
        }
    }

    fn push(
        &mut self,
        log: &mut LogWire<'_>,
        time: &LogTime,
        group: &Arc<Group>,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        let row = self.owners.len();
        let tally = &mut pass.tally;
        if let Some(body) = log.body {
            let body_type = write_body(body, self.body.at(row), tally)?;
            self.body_type.set(row, body_type);
        }
        self.push_ids(row, log.trace_id, log.span_id, tally);
        self.attributes.push(row, &mut log.attributes, tally)?;
        self.times.push(time.unix_nano);
        self.source.append_value(time.source);
        self.observed.set(row, log.observed);
        self.severity_number.push(log.severity_number);
        if let Some(word) = severity_word(log.severity_number) {
            self.severity.set(row, word);
        }
        self.severity_text.set_unless_empty(row, log.severity_text);
        self.event_name.set_unless_empty(row, log.event_name);
        self.flags.set(row, log.flags.into());
        self.dropped_attributes.set(row, log.dropped_attributes.into());
        self.owners.push(&group.owner);
        tally.accept(time.unix_nano);
        Ok(())
    }

    /// An id of the wrong length or of zeros is left out, the log stays (rule 18). Zeros are many SDKs' way to
    /// say "no span here", so only a wrong length is worth a remark.
    fn push_ids(&mut self, row: usize, trace_id: &[u8], span_id: &[u8], tally: &mut Tally<'_>) {
        if !matches!(trace_id.len(), 0 | 16) || !matches!(span_id.len(), 0 | 8) {
            tally.remark(Remark::BadLogIds);
        }
        if let Some(id) = valid::<16>(trace_id) {
            append_hex(self.trace_id.at(row), id);
        }
        if let Some(id) = valid::<8>(span_id) {
            append_hex(self.span_id.at(row), id);
        }
    }

    fn finish(mut self) -> Result<Vec<(Table, Rows)>, DecodeError> {
        let rows = self.owners.len();
        if rows == 0 {
            return Ok(Vec::new());
        }
        let mut finished = self.owners.finish(Table::Logs);
        let (timestamp, nanos) = self.times.finish();
        finished.put("timestamp", timestamp);
        finished.put("timestamp_nanos", nanos);
        finished.put_array("timestamp_source", self.source.finish());
        finished.put_times("observed_timestamp", "observed_timestamp_nanos", self.observed.finish(rows));
        finished.put_array("severity_number", Int32Array::from(self.severity_number));
        finished.put("severity", self.severity.finish(rows));
        finished.put("severity_text", self.severity_text.finish(rows));
        finished.put("body", self.body.finish(rows));
        finished.put("body_type", self.body_type.finish(rows));
        finished.put("event_name", self.event_name.finish(rows));
        finished.put("trace_id", self.trace_id.finish(rows));
        finished.put("span_id", self.span_id.finish(rows));
        finished.put("flags", self.flags.finish(rows));
        self.attributes.finish(&mut finished);
        finished.put("dropped_attributes_count", self.dropped_attributes.finish(rows));
        Ok(vec![finished.done()?])
    }
}
