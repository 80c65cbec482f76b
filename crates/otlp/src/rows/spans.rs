use std::rc::Rc;

use arrow::array::{Int64Array, RecordBatch, StringBuilder};
use hindsight_model::{SpanId, Table, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::columns::push_text;
use super::common::{Common, check_count};
use super::owner::{Owner, Resource};
use super::span_lists::{Events, Links};
use crate::attributes::read_attributes;
use crate::reject::cut;
use crate::tally::{Remark, Tally};
use crate::{DecodeError, RejectReason};

/// The words of `spans.kind` by OTLP's number.
pub(crate) const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// The words of `spans.status_code` by OTLP's number.
pub(crate) const STATUS_CODES: [&str; 3] = ["unset", "ok", "error"];

pub(crate) fn write_traces(
    request: ExportTraceServiceRequest,
    tally: &mut Tally<'_>,
) -> Result<Vec<(Table, RecordBatch)>, DecodeError> {
    let mut rows = SpanRows::new();
    for group in request.resource_spans {
        let resource = Resource::read(group.resource, group.schema_url, tally)?;
        for scope in group.scope_spans {
            let owner = Owner::read(&resource, scope.scope, scope.schema_url, tally)?;
            for span in scope.spans {
                match check(&span, &owner, tally) {
                    Ok(checked) => rows.push(span, &checked, &owner, tally)?,
                    Err(reason) => tally.reject(reason, owner.service(), || excerpt(&span)),
                }
            }
        }
    }
    rows.finish(tally)
}

/// A span that passed the checks has these.
struct Checked {
    trace_id: TraceId,
    span_id: SpanId,
    duration_nano: i64,
}

fn check(span: &Span, owner: &Owner, tally: &mut Tally<'_>) -> Result<Checked, RejectReason> {
    let trace_id = TraceId::from_bytes(&span.trace_id).map_err(|_| RejectReason::InvalidTraceId)?;
    let span_id = SpanId::from_bytes(&span.span_id).map_err(|_| RejectReason::InvalidSpanId)?;
    if span.start_time_unix_nano == 0 || span.end_time_unix_nano == 0 {
        return Err(RejectReason::ZeroTime);
    }
    tally.check_time(span.start_time_unix_nano)?;
    let duration = i128::from(span.end_time_unix_nano) - i128::from(span.start_time_unix_nano);
    let duration_nano = i64::try_from(duration).map_err(|_| RejectReason::DurationTooLong)?;
    let limits = tally.context.limits;
    owner.check()?;
    check_count(&span.attributes, limits)?;
    span.events.iter().try_for_each(|event| check_count(&event.attributes, limits))?;
    span.links.iter().try_for_each(|link| check_count(&link.attributes, limits))?;
    tally.take_shared(owner.bytes())?;
    Ok(Checked { trace_id, span_id, duration_nano })
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
    common: Common,
    duration: Vec<i64>,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    parent_span_id: StringBuilder,
    trace_state: StringBuilder,
    flags: Vec<i64>,
    name: StringBuilder,
    kind: StringBuilder,
    status_code: StringBuilder,
    status_message: StringBuilder,
    events: Events,
    dropped_events: Vec<i64>,
    links: Links,
    dropped_links: Vec<i64>,
}

impl SpanRows {
    fn new() -> Self {
        Self {
            common: Common::new(Table::Spans),
            duration: Vec::new(),
            trace_id: StringBuilder::new(),
            span_id: StringBuilder::new(),
            parent_span_id: StringBuilder::new(),
            trace_state: StringBuilder::new(),
            flags: Vec::new(),
            name: StringBuilder::new(),
            kind: StringBuilder::new(),
            status_code: StringBuilder::new(),
            status_message: StringBuilder::new(),
            events: Events::default(),
            dropped_events: Vec::new(),
            links: Links::default(),
            dropped_links: Vec::new(),
        }
    }

    fn push(
        &mut self,
        span: Span,
        checked: &Checked,
        owner: &Rc<Owner>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        self.duration.push(checked.duration_nano);
        self.trace_id.append_value(checked.trace_id.to_string());
        self.span_id.append_value(checked.span_id.to_string());
        self.parent_span_id.append_option(parent(&span.parent_span_id, tally));
        push_text(&mut self.trace_state, &span.trace_state);
        self.flags.push(span.flags.into());
        self.name.append_value(&span.name);
        push_word(&mut self.kind, &KINDS, span.kind);
        let status = span.status.unwrap_or_default();
        push_word(&mut self.status_code, &STATUS_CODES, status.code);
        push_text(&mut self.status_message, &status.message);
        self.events.push_row(span.events, tally)?;
        self.dropped_events.push(span.dropped_events_count.into());
        let refused = self.links.push_row(span.links, tally)?;
        self.dropped_links.push(i64::from(span.dropped_links_count) + refused);
        let attributes = read_attributes(span.attributes, tally)?;
        self.common.push(owner, span.start_time_unix_nano, attributes, span.dropped_attributes_count, tally);
        Ok(())
    }

    fn finish(mut self, tally: &Tally<'_>) -> Result<Vec<(Table, RecordBatch)>, DecodeError> {
        if self.common.rows() == 0 {
            return Ok(Vec::new());
        }
        let mut finished = self.common.finish(tally.context.tenant);
        finished.put("duration_nano", Int64Array::from(self.duration));
        finished.put("trace_id", self.trace_id.finish());
        finished.put("span_id", self.span_id.finish());
        finished.put("parent_span_id", self.parent_span_id.finish());
        finished.put("trace_state", self.trace_state.finish());
        finished.put("flags", Int64Array::from(self.flags));
        finished.put("name", self.name.finish());
        finished.put("kind", self.kind.finish());
        finished.put("status_code", self.status_code.finish());
        finished.put("status_message", self.status_message.finish());
        self.events.finish(&mut finished)?;
        finished.put("dropped_events_count", Int64Array::from(self.dropped_events));
        self.links.finish(&mut finished)?;
        finished.put("dropped_links_count", Int64Array::from(self.dropped_links));
        Ok(vec![(Table::Spans, finished.batch()?)])
    }
}

fn parent(bytes: &[u8], tally: &mut Tally<'_>) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    let parent = SpanId::from_bytes(bytes);
    if parent.is_err() {
        tally.remark(Remark::BadParentIds);
    }
    parent.ok().map(|id| id.to_string())
}

/// The word of an enum's number; the number itself when OTLP has no word for it.
fn push_word(column: &mut StringBuilder, words: &[&str], number: i32) {
    match usize::try_from(number).ok().and_then(|index| words.get(index)) {
        Some(word) => column.append_value(word),
        None => column.append_value(number.to_string()),
    }
}
