use std::sync::Arc;

use arrow::array::StringBuilder;
use hindsight_model::{Rows, Table};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::columns::{Counts, OwnerKeys, Room, Texts, Times};
use super::entries::{AttributeColumns, Entry};
use super::ids::{append_hex, valid};
use super::owner::{Group, each_record};
use super::pass::Pass;
use super::reader::{Fields, Odd, once};
use super::span_lists::{Event, Events, Link, Links};
use super::stop::Stop;
use crate::reject::cut;
use crate::tally::{Remark, Tally};
use crate::{DecodeError, RejectReason};

/// The words of `spans.kind` by OTLP's number.
pub(crate) const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// The words of `spans.status_code` by OTLP's number.
pub(crate) const STATUS_CODES: [&str; 3] = ["unset", "ok", "error"];

pub(crate) fn write_traces(body: &[u8], pass: &mut Pass<'_>) -> Result<Vec<(Table, Rows)>, Stop> {
    let mut rows = SpanRows::new(pass.room(Table::Spans));
    let mut span = SpanWire::default();
    each_record(body, pass, |wire, group, pass| {
        pass.charge(size_of::<Span>())?;
        span.read(wire, pass)?;
        match span.check(group, &mut pass.tally) {
            Ok(checked) => rows.push(&mut span, &checked, group, pass),
            Err(reason) => {
                // A refused span must still be one, or the request is not OTLP.
                let span = Span::decode(wire).map_err(|_| Odd)?;
                pass.tally.reject(reason, group.service(), || excerpt(&span));
                Ok(())
            }
        }
    })?;
    let tables = rows.finish()?;
    pass.note_rows(&tables);
    Ok(tables)
}

/// A span as it stands in the request.
#[derive(Default)]
struct SpanWire<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a str,
    parent_span_id: &'a [u8],
    flags: u32,
    name: &'a str,
    kind: i32,
    start: u64,
    end: u64,
    attributes: Vec<Entry<'a>>,
    dropped_attributes: u32,
    events: Vec<Event<'a>>,
    dropped_events: u32,
    links: Vec<Link<'a>>,
    dropped_links: u32,
    status: Status<'a>,
    /// Attributes of the events and links, which say where theirs are.
    inner: Vec<Entry<'a>>,
}

#[derive(Default)]
struct Status<'a> {
    message: &'a str,
    code: i32,
}

impl<'a> SpanWire<'a> {
    /// Reads `wire` into `self`, whose lists keep their memory.
    fn read(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<(), Stop> {
        let (mut attributes, mut events, mut links, mut inner) = (
            std::mem::take(&mut self.attributes),
            std::mem::take(&mut self.events),
            std::mem::take(&mut self.links),
            std::mem::take(&mut self.inner),
        );
        attributes.clear();
        events.clear();
        links.clear();
        inner.clear();
        *self = Self { attributes, events, links, inner, ..Self::default() };
        let mut status = None;
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => self.trace_id = value.bytes()?,
                2 => self.span_id = value.bytes()?,
                3 => self.trace_state = value.text()?,
                4 => self.parent_span_id = value.bytes()?,
                5 => self.name = value.text()?,
                6 => self.kind = value.int32()?,
                7 => self.start = value.fixed64()?,
                8 => self.end = value.fixed64()?,
                9 => {
                    pass.charge(ENTRY_BYTES)?;
                    self.attributes.push(Entry::read(value.bytes()?)?);
                }
                10 => self.dropped_attributes = value.uint32()?,
                11 => self.events.push(Event::read(value.bytes()?, &mut self.inner, pass)?),
                12 => self.dropped_events = value.uint32()?,
                13 => self.links.push(Link::read(value.bytes()?, &mut self.inner, pass)?),
                14 => self.dropped_links = value.uint32()?,
                15 => once(&mut status, value.bytes()?)?,
                16 => self.flags = value.fixed32()?,
                _ => {}
            }
        }
        self.status = Status::read(status.unwrap_or_default())?;
        Ok(())
    }

    fn check(&self, group: &Group, tally: &mut Tally<'_>) -> Result<Checked<'a>, RejectReason> {
        let trace_id = valid::<16>(self.trace_id).ok_or(RejectReason::InvalidTraceId)?;
        let span_id = valid::<8>(self.span_id).ok_or(RejectReason::InvalidSpanId)?;
        if self.start == 0 || self.end == 0 {
            return Err(RejectReason::ZeroTime);
        }
        tally.check_time(self.start)?;
        let duration = i128::from(self.end) - i128::from(self.start);
        let duration_nano = i64::try_from(duration).map_err(|_| RejectReason::DurationTooLong)?;
        group.check()?;
        let max = tally.context.limits.attributes_max;
        let too_many = self.attributes.len() > max
            || self.events.iter().any(|event| event.attributes.len() > max)
            || self.links.iter().any(|link| link.attributes.len() > max);
        if too_many {
            return Err(RejectReason::TooManyAttributes);
        }
        tally.take_shared(group.row_bytes)?;
        Ok(Checked { trace_id, span_id, duration_nano })
    }
}

impl<'a> Status<'a> {
    fn read(wire: &'a [u8]) -> Result<Self, Odd> {
        let mut status = Self::default();
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                2 => status.message = value.text()?,
                3 => status.code = value.int32()?,
                _ => {}
            }
        }
        Ok(status)
    }
}

/// What an attribute may unpack to.
pub(super) const ENTRY_BYTES: usize = size_of::<opentelemetry_proto::tonic::common::v1::KeyValue>();

/// A span that passed the checks has these.
struct Checked<'a> {
    trace_id: &'a [u8; 16],
    span_id: &'a [u8; 8],
    duration_nano: i64,
}

fn excerpt(span: &Span) -> String {
    format!(
        "trace_id={} span_id={} start={} end={} name={}",
        hex::encode(&span.trace_id[..span.trace_id.len().min(20)]),
        hex::encode(&span.span_id[..span.span_id.len().min(20)]),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        cut(&span.name, 100),
    )
}

struct SpanRows {
    owners: OwnerKeys,
    times: Times,
    duration: Vec<i64>,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    parent_span_id: Texts,
    trace_state: Texts,
    flags: Counts,
    name: StringBuilder,
    kind: StringBuilder,
    status_code: StringBuilder,
    status_message: Texts,
    events: Events,
    dropped_events: Counts,
    links: Links,
    dropped_links: Counts,
    attributes: AttributeColumns,
    dropped_attributes: Counts,
}

impl SpanRows {
    fn new(room: Room) -> Self {
        Self {
            owners: OwnerKeys::default(),
            times: room.times(),
            duration: room.vec(),
            trace_id: room.builder(32),
            span_id: room.builder(16),
            parent_span_id: room.texts(16),
            trace_state: room.texts(32),
            flags: Counts::default(),
            name: room.builder(24),
            kind: room.builder(8),
            status_code: room.builder(8),
            status_message: room.texts(8),
            events: Events::default(),
            dropped_events: Counts::default(),
            links: Links::default(),
            dropped_links: Counts::default(),
            attributes: AttributeColumns::new(Table::Spans.promoted_list(), room),
            dropped_attributes: Counts::default(),
        }
    }

    fn push(
        &mut self,
        span: &mut SpanWire<'_>,
        checked: &Checked<'_>,
        group: &Arc<Group>,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        let row = self.owners.len();
        let tally = &mut pass.tally;
        append_hex(&mut self.trace_id, checked.trace_id);
        append_hex(&mut self.span_id, checked.span_id);
        if !span.parent_span_id.is_empty() {
            match valid::<8>(span.parent_span_id) {
                Some(id) => append_hex(self.parent_span_id.at(row), id),
                None => tally.remark(Remark::BadParentIds),
            }
        }
        self.events.push_row(row, &span.events, &mut span.inner, tally)?;
        let refused = self.links.push_row(row, &span.links, &mut span.inner, tally)?;
        self.attributes.push(row, &mut span.attributes, tally)?;
        self.times.push(span.start);
        self.duration.push(checked.duration_nano);
        self.trace_state.set_unless_empty(row, span.trace_state);
        self.flags.set(row, span.flags.into());
        self.name.append_value(span.name);
        push_word(&mut self.kind, &KINDS, span.kind);
        push_word(&mut self.status_code, &STATUS_CODES, span.status.code);
        self.status_message.set_unless_empty(row, span.status.message);
        self.dropped_events.set(row, span.dropped_events.into());
        self.dropped_links.set(row, i64::from(span.dropped_links) + refused);
        self.dropped_attributes.set(row, span.dropped_attributes.into());
        self.owners.push(&group.owner);
        tally.accept(span.start);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<(Table, Rows)>, DecodeError> {
        let rows = self.owners.len();
        if rows == 0 {
            return Ok(Vec::new());
        }
        let mut finished = self.owners.finish(Table::Spans);
        let (timestamp, nanos) = self.times.finish();
        finished.put("timestamp", timestamp);
        finished.put("timestamp_nanos", nanos);
        finished.put_array("duration_nano", arrow::array::Int64Array::from(self.duration));
        finished.put_array("trace_id", self.trace_id.finish());
        finished.put_array("span_id", self.span_id.finish());
        finished.put("parent_span_id", self.parent_span_id.finish(rows));
        finished.put("trace_state", self.trace_state.finish(rows));
        finished.put("flags", self.flags.finish(rows));
        finished.put_array("name", self.name.finish());
        finished.put_array("kind", self.kind.finish());
        finished.put_array("status_code", self.status_code.finish());
        finished.put("status_message", self.status_message.finish(rows));
        self.events.finish(&mut finished)?;
        finished.put("dropped_events_count", self.dropped_events.finish(rows));
        self.links.finish(&mut finished)?;
        finished.put("dropped_links_count", self.dropped_links.finish(rows));
        self.attributes.finish(&mut finished);
        finished.put("dropped_attributes_count", self.dropped_attributes.finish(rows));
        Ok(vec![finished.done()?])
    }
}

/// The word of an enum's number; the number itself when OTLP has no word for it.
fn push_word(column: &mut StringBuilder, words: &[&str], number: i32) {
    match usize::try_from(number).ok().and_then(|index| words.get(index)) {
        Some(word) => column.append_value(word),
        None => column.append_value(number.to_string()),
    }
}
