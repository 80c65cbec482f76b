//! The events and links of spans.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use opentelemetry_proto::tonic::trace::v1::span;

use super::columns::{Finished, Offsets, Texts, Times, inner};
use super::entries::{Entry, json};
use super::ids::{append_hex, valid};
use super::pass::Pass;
use super::reader::Fields;
use super::spans::ENTRY_BYTES;
use super::stop::Stop;
use crate::DecodeError;
use crate::tally::{Remark, Tally};

/// An event as it stands in the request.
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    time: u64,
    name: &'a str,
    pub(super) attributes: Range<usize>,
    dropped: u32,
}

impl<'a> Event<'a> {
    /// Its attributes are added to `entries`.
    pub(super) fn read(
        wire: &'a [u8],
        entries: &mut Vec<Entry<'a>>,
        pass: &mut Pass<'_>,
    ) -> Result<Self, Stop> {
        pass.charge(size_of::<span::Event>())?;
        let from = entries.len();
        let mut event = Self { time: 0, name: "", attributes: from..from, dropped: 0 };
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => event.time = value.fixed64()?,
                2 => event.name = value.text()?,
                3 => {
                    pass.charge(ENTRY_BYTES)?;
                    entries.push(Entry::read(value.bytes()?)?);
                }
                4 => event.dropped = value.uint32()?,
                _ => {}
            }
        }
        event.attributes.end = entries.len();
        Ok(event)
    }
}

/// A link as it stands in the request.
#[derive(Clone, Debug)]
pub(super) struct Link<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a str,
    pub(super) attributes: Range<usize>,
    dropped: u32,
    flags: u32,
}

impl<'a> Link<'a> {
    /// Its attributes are added to `entries`.
    pub(super) fn read(
        wire: &'a [u8],
        entries: &mut Vec<Entry<'a>>,
        pass: &mut Pass<'_>,
    ) -> Result<Self, Stop> {
        pass.charge(size_of::<span::Link>())?;
        let from = entries.len();
        let mut link = Self {
            trace_id: &[],
            span_id: &[],
            trace_state: "",
            attributes: from..from,
            dropped: 0,
            flags: 0,
        };
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => link.trace_id = value.bytes()?,
                2 => link.span_id = value.bytes()?,
                3 => link.trace_state = value.text()?,
                4 => {
                    pass.charge(ENTRY_BYTES)?;
                    entries.push(Entry::read(value.bytes()?)?);
                }
                5 => link.dropped = value.uint32()?,
                6 => link.flags = value.fixed32()?,
                _ => {}
            }
        }
        link.attributes.end = entries.len();
        Ok(link)
    }
}

#[derive(Default)]
pub(super) struct Events {
    offsets: Offsets,
    times: Times,
    names: Texts,
    attributes: Texts,
    dropped: Vec<i64>,
}

impl Events {
    pub(super) fn push_row(
        &mut self,
        row: usize,
        events: &[Event<'_>],
        entries: &mut [Entry<'_>],
        tally: &mut Tally<'_>,
    ) -> Result<(), Stop> {
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            let at = self.dropped.len();
            self.times.push(event.time);
            self.names.set(at, event.name);
            self.attributes.set(at, &json(&mut entries[event.attributes.clone()], tally)?);
            self.dropped.push(event.dropped.into());
        }
        self.offsets.end_row(row, self.dropped.len());
        Ok(())
    }

    pub(super) fn finish(self, finished: &mut Finished) -> Result<(), DecodeError> {
        finished.put_list("events", self.offsets, || {
            let count = self.dropped.len();
            let (timestamp, nanos) = self.times.finish();
            vec![
                timestamp,
                nanos,
                inner(self.names.finish(count), DataType::Utf8, count),
                inner(self.attributes.finish(count), DataType::Utf8, count),
                Arc::new(Int64Array::from(self.dropped)),
            ]
        })
    }
}

#[derive(Default)]
pub(super) struct Links {
    offsets: Offsets,
    trace_ids: Texts,
    span_ids: Texts,
    trace_states: Texts,
    attributes: Texts,
    dropped: Vec<i64>,
    flags: Vec<i64>,
}

impl Links {
    /// Adds a span's links and returns how many had to be dropped: a link without valid ids leads nowhere.
    pub(super) fn push_row(
        &mut self,
        row: usize,
        links: &[Link<'_>],
        entries: &mut [Entry<'_>],
        tally: &mut Tally<'_>,
    ) -> Result<i64, Stop> {
        let mut refused = 0;
        for link in links {
            let (Some(trace_id), Some(span_id)) = (valid::<16>(link.trace_id), valid::<8>(link.span_id))
            else {
                tally.remark(Remark::BadLinks);
                refused += 1;
                continue;
            };
            let at = self.dropped.len();
            self.trace_states.set_unless_empty(at, link.trace_state);
            append_hex(self.trace_ids.at(at), trace_id);
            append_hex(self.span_ids.at(at), span_id);
            self.attributes.set(at, &json(&mut entries[link.attributes.clone()], tally)?);
            self.dropped.push(link.dropped.into());
            self.flags.push(link.flags.into());
        }
        if !links.is_empty() {
            self.offsets.end_row(row, self.dropped.len());
        }
        Ok(refused)
    }

    pub(super) fn finish(self, finished: &mut Finished) -> Result<(), DecodeError> {
        finished.put_list("links", self.offsets, || {
            let count = self.dropped.len();
            let values: Vec<ArrayRef> = vec![
                inner(self.trace_ids.finish(count), DataType::Utf8, count),
                inner(self.span_ids.finish(count), DataType::Utf8, count),
                inner(self.trace_states.finish(count), DataType::Utf8, count),
                inner(self.attributes.finish(count), DataType::Utf8, count),
                Arc::new(Int64Array::from(self.dropped)),
                Arc::new(Int64Array::from(self.flags)),
            ];
            values
        })
    }
}
