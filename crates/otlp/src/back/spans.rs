use hindsight_model::Table;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::source::{AttributeCells, Ints, List, Source, Texts, Times};
use crate::TableError;
use crate::rows::{KINDS, STATUS_CODES};

pub(super) struct Spans<'a> {
    start: Times<'a>,
    duration: Ints<'a>,
    trace_id: Texts<'a>,
    span_id: Texts<'a>,
    parent_span_id: Texts<'a>,
    trace_state: Texts<'a>,
    flags: Ints<'a>,
    name: Texts<'a>,
    kind: Texts<'a>,
    status_code: Texts<'a>,
    status_message: Texts<'a>,
    attributes: AttributeCells<'a>,
    dropped_attributes: Ints<'a>,
    events: List<'a>,
    dropped_events: Ints<'a>,
    links: List<'a>,
    dropped_links: Ints<'a>,
}

impl<'a> Spans<'a> {
    pub(super) fn of(source: Source<'a>) -> Result<Self, TableError> {
        Ok(Self {
            start: source.times("timestamp", "timestamp_nanos")?,
            duration: source.ints("duration_nano")?,
            trace_id: source.texts("trace_id")?,
            span_id: source.texts("span_id")?,
            parent_span_id: source.texts("parent_span_id")?,
            trace_state: source.texts("trace_state")?,
            flags: source.ints("flags")?,
            name: source.texts("name")?,
            kind: source.texts("kind")?,
            status_code: source.texts("status_code")?,
            status_message: source.texts("status_message")?,
            attributes: source.attributes("attributes", Table::Spans.promoted())?,
            dropped_attributes: source.ints("dropped_attributes_count")?,
            events: source.list("events")?,
            dropped_events: source.ints("dropped_events_count")?,
            links: source.list("links")?,
            dropped_links: source.ints("dropped_links_count")?,
        })
    }

    pub(super) fn read(&self, row: usize) -> Result<Span, TableError> {
        let start = self.start.get(row)?;
        let duration = self.duration.get(row);
        let end = start.checked_add_signed(duration).ok_or_else(|| TableError::Cell {
            row,
            column: "duration_nano",
            value: duration.to_string(),
        })?;
        Ok(Span {
            trace_id: self.trace_id.trace_id(row)?,
            span_id: self.span_id.span_id(row)?,
            trace_state: self.trace_state.owned(row),
            parent_span_id: self.parent_span_id.span_id(row)?,
            flags: self.flags.u32(row)?,
            name: self.name.owned(row),
            kind: self.kind.enumeration(row, &KINDS)?,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: self.attributes.read(row)?,
            dropped_attributes_count: self.dropped_attributes.u32(row)?,
            events: self.events(row)?,
            dropped_events_count: self.dropped_events.u32(row)?,
            links: self.links(row)?,
            dropped_links_count: self.dropped_links.u32(row)?,
            status: Some(Status {
                message: self.status_message.owned(row),
                code: self.status_code.enumeration(row, &STATUS_CODES)?,
            }),
        })
    }

    fn events(&self, row: usize) -> Result<Vec<Event>, TableError> {
        let events = self.events.structs()?;
        let times = events.times("timestamp", "timestamp_nanos")?;
        let names = events.texts("name")?;
        let attributes = events.texts("attributes")?;
        let dropped = events.ints("dropped_attributes_count")?;
        let read = |at| {
            Ok(Event {
                time_unix_nano: times.get(at)?,
                name: names.owned(at),
                attributes: attributes.key_values(at)?,
                dropped_attributes_count: dropped.u32(at)?,
            })
        };
        self.events.range(row).map(read).collect()
    }

    fn links(&self, row: usize) -> Result<Vec<Link>, TableError> {
        let links = self.links.structs()?;
        let trace_ids = links.texts("trace_id")?;
        let span_ids = links.texts("span_id")?;
        let trace_states = links.texts("trace_state")?;
        let attributes = links.texts("attributes")?;
        let dropped = links.ints("dropped_attributes_count")?;
        let flags = links.ints("flags")?;
        let read = |at| {
            Ok(Link {
                trace_id: trace_ids.trace_id(at)?,
                span_id: span_ids.span_id(at)?,
                trace_state: trace_states.owned(at),
                attributes: attributes.key_values(at)?,
                dropped_attributes_count: dropped.u32(at)?,
                flags: flags.u32(at)?,
            })
        };
        self.links.range(row).map(read).collect()
    }
}
