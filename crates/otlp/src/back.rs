//! Rows back to OTLP: the proof that the tables hold all that was sent.

mod groups;
mod logs;
mod metrics;
mod source;
mod spans;

use arrow::array::RecordBatch;
use hindsight_model::Table;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use crate::{Request, TableError};
use groups::read_groups;
use source::Source;

/// The request whose items are the rows of `batch`, in the same order; neighbours with equal resource, scope and
/// metric share one. What decoding normalised stays so: attributes are sorted by key, an absent message is an
/// empty one, and what was refused or cut is gone.
///
/// # Errors
/// When a column of the table is missing or has another type, or a cell holds what no decoding makes.
pub fn to_requests(table: Table, batch: &RecordBatch) -> Result<Request, TableError> {
    let source = Source::Batch(batch);
    let groups = read_groups(source, batch.num_rows())?;
    match table {
        Table::Spans => {
            let spans = spans::Spans::of(source)?;
            let mut resource_spans = Vec::new();
            for group in groups {
                let mut scope_spans = Vec::new();
                for scope in group.scopes {
                    let spans = scope.rows.map(|row| spans.read(row)).collect::<Result<_, _>>()?;
                    scope_spans.push(ScopeSpans {
                        scope: Some(scope.scope),
                        spans,
                        schema_url: scope.schema_url,
                    });
                }
                let (resource, schema_url) = (Some(group.resource), group.schema_url);
                resource_spans.push(ResourceSpans { resource, scope_spans, schema_url });
            }
            Ok(Request::Traces(ExportTraceServiceRequest { resource_spans }))
        }
        Table::Logs => {
            let logs = logs::Logs::of(source)?;
            let mut resource_logs = Vec::new();
            for group in groups {
                let mut scope_logs = Vec::new();
                for scope in group.scopes {
                    let log_records = scope.rows.map(|row| logs.read(row)).collect::<Result<_, _>>()?;
                    scope_logs.push(ScopeLogs {
                        scope: Some(scope.scope),
                        log_records,
                        schema_url: scope.schema_url,
                    });
                }
                let (resource, schema_url) = (Some(group.resource), group.schema_url);
                resource_logs.push(ResourceLogs { resource, scope_logs, schema_url });
            }
            Ok(Request::Logs(ExportLogsServiceRequest { resource_logs }))
        }
        _ => {
            let mut resource_metrics = Vec::new();
            for group in groups {
                let mut scope_metrics = Vec::new();
                for scope in group.scopes {
                    let metrics = metrics::read(table, source, scope.rows)?;
                    scope_metrics.push(ScopeMetrics {
                        scope: Some(scope.scope),
                        metrics,
                        schema_url: scope.schema_url,
                    });
                }
                let (resource, schema_url) = (Some(group.resource), group.schema_url);
                resource_metrics.push(ResourceMetrics { resource, scope_metrics, schema_url });
            }
            Ok(Request::Metrics(ExportMetricsServiceRequest { resource_metrics }))
        }
    }
}
