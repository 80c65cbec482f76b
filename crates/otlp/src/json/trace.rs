use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::de::MapAccess;

use super::message::{Message, optional, repeated};
use super::scalar::{Enum, Hex, Text, U32, U64, scalar};

impl Message for ExportTraceServiceRequest {
    const NAME: &'static str = "ExportTraceServiceRequest";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "resourceSpans" | "resource_spans" => self.resource_spans = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ResourceSpans {
    const NAME: &'static str = "ResourceSpans";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "resource" => self.resource = optional(map)?,
            "scopeSpans" | "scope_spans" => self.scope_spans = repeated(map)?,
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ScopeSpans {
    const NAME: &'static str = "ScopeSpans";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "scope" => self.scope = optional(map)?,
            "spans" => self.spans = repeated(map)?,
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Span {
    const NAME: &'static str = "Span";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "traceId" | "trace_id" => self.trace_id = scalar::<Hex, M>(map)?,
            "spanId" | "span_id" => self.span_id = scalar::<Hex, M>(map)?,
            "traceState" | "trace_state" => self.trace_state = scalar::<Text, M>(map)?,
            "parentSpanId" | "parent_span_id" => self.parent_span_id = scalar::<Hex, M>(map)?,
            "flags" => self.flags = scalar::<U32, M>(map)?,
            "name" => self.name = scalar::<Text, M>(map)?,
            "kind" => self.kind = scalar::<Enum, M>(map)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                self.start_time_unix_nano = scalar::<U64, M>(map)?;
            }
            "endTimeUnixNano" | "end_time_unix_nano" => self.end_time_unix_nano = scalar::<U64, M>(map)?,
            "attributes" => self.attributes = repeated(map)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.dropped_attributes_count = scalar::<U32, M>(map)?;
            }
            "events" => self.events = repeated(map)?,
            "droppedEventsCount" | "dropped_events_count" => {
                self.dropped_events_count = scalar::<U32, M>(map)?;
            }
            "links" => self.links = repeated(map)?,
            "droppedLinksCount" | "dropped_links_count" => self.dropped_links_count = scalar::<U32, M>(map)?,
            "status" => self.status = optional(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Event {
    const NAME: &'static str = "Span.Event";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "name" => self.name = scalar::<Text, M>(map)?,
            "attributes" => self.attributes = repeated(map)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.dropped_attributes_count = scalar::<U32, M>(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Link {
    const NAME: &'static str = "Span.Link";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "traceId" | "trace_id" => self.trace_id = scalar::<Hex, M>(map)?,
            "spanId" | "span_id" => self.span_id = scalar::<Hex, M>(map)?,
            "traceState" | "trace_state" => self.trace_state = scalar::<Text, M>(map)?,
            "attributes" => self.attributes = repeated(map)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.dropped_attributes_count = scalar::<U32, M>(map)?;
            }
            "flags" => self.flags = scalar::<U32, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Status {
    const NAME: &'static str = "Status";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "message" => self.message = scalar::<Text, M>(map)?,
            "code" => self.code = scalar::<Enum, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
