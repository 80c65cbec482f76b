//! The events and links of spans.

use std::sync::Arc;

use arrow::array::{Int64Array, StringBuilder};
use hindsight_model::{SpanId, TraceId, attributes_to_json};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::columns::{Finished, Offsets, Times, push_text};
use crate::DecodeError;
use crate::attributes::read_attributes;
use crate::tally::{Remark, Tally};

#[derive(Default)]
pub(super) struct Events {
    offsets: Offsets,
    times: Times,
    names: StringBuilder,
    attributes: StringBuilder,
    dropped: Vec<i64>,
}

impl Events {
    pub(super) fn push_row(&mut self, events: Vec<Event>, tally: &mut Tally<'_>) -> Result<(), DecodeError> {
        for event in events {
            self.times.push(event.time_unix_nano);
            self.names.append_value(&event.name);
            self.attributes.append_value(attributes_to_json(&read_attributes(event.attributes, tally)?));
            self.dropped.push(event.dropped_attributes_count.into());
        }
        self.offsets.end_row(self.dropped.len());
        Ok(())
    }

    pub(super) fn finish(mut self, finished: &mut Finished) -> Result<(), DecodeError> {
        let (timestamp, nanos) = self.times.finish();
        let values: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(timestamp),
            Arc::new(nanos),
            Arc::new(self.names.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(Int64Array::from(self.dropped)),
        ];
        finished.put_list("events", self.offsets.0, values)
    }
}

#[derive(Default)]
pub(super) struct Links {
    offsets: Offsets,
    trace_ids: StringBuilder,
    span_ids: StringBuilder,
    trace_states: StringBuilder,
    attributes: StringBuilder,
    dropped: Vec<i64>,
    flags: Vec<i64>,
}

impl Links {
    /// Adds a span's links and returns how many had to be dropped: a link without valid ids leads nowhere.
    pub(super) fn push_row(&mut self, links: Vec<Link>, tally: &mut Tally<'_>) -> Result<i64, DecodeError> {
        let mut refused = 0;
        for link in links {
            let ids = (TraceId::from_bytes(&link.trace_id), SpanId::from_bytes(&link.span_id));
            let (Ok(trace_id), Ok(span_id)) = ids else {
                tally.remark(Remark::BadLinks);
                refused += 1;
                continue;
            };
            self.trace_ids.append_value(trace_id.to_string());
            self.span_ids.append_value(span_id.to_string());
            push_text(&mut self.trace_states, &link.trace_state);
            self.attributes.append_value(attributes_to_json(&read_attributes(link.attributes, tally)?));
            self.dropped.push(link.dropped_attributes_count.into());
            self.flags.push(link.flags.into());
        }
        self.offsets.end_row(self.dropped.len());
        Ok(refused)
    }

    pub(super) fn finish(mut self, finished: &mut Finished) -> Result<(), DecodeError> {
        let values: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(self.trace_ids.finish()),
            Arc::new(self.span_ids.finish()),
            Arc::new(self.trace_states.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(Int64Array::from(self.dropped)),
            Arc::new(Int64Array::from(self.flags)),
        ];
        finished.put_list("links", self.offsets.0, values)
    }
}
