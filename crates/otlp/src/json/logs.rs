use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use serde::de::MapAccess;

use super::message::{Message, optional, repeated};
use super::scalar::{Enum, Hex, Text, U32, U64, scalar};

impl Message for ExportLogsServiceRequest {
    const NAME: &'static str = "ExportLogsServiceRequest";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "resourceLogs" | "resource_logs" => self.resource_logs = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ResourceLogs {
    const NAME: &'static str = "ResourceLogs";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "resource" => self.resource = optional(map)?,
            "scopeLogs" | "scope_logs" => self.scope_logs = repeated(map)?,
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ScopeLogs {
    const NAME: &'static str = "ScopeLogs";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "scope" => self.scope = optional(map)?,
            "logRecords" | "log_records" => self.log_records = repeated(map)?,
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for LogRecord {
    const NAME: &'static str = "LogRecord";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "observedTimeUnixNano" | "observed_time_unix_nano" => {
                self.observed_time_unix_nano = scalar::<U64, M>(map)?;
            }
            "severityNumber" | "severity_number" => self.severity_number = scalar::<Enum, M>(map)?,
            "severityText" | "severity_text" => self.severity_text = scalar::<Text, M>(map)?,
            "body" => self.body = optional(map)?,
            "attributes" => self.attributes = repeated(map)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.dropped_attributes_count = scalar::<U32, M>(map)?;
            }
            "flags" => self.flags = scalar::<U32, M>(map)?,
            "traceId" | "trace_id" => self.trace_id = scalar::<Hex, M>(map)?,
            "spanId" | "span_id" => self.span_id = scalar::<Hex, M>(map)?,
            "eventName" | "event_name" => self.event_name = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
