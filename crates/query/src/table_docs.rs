//! What the tables, views and their columns hold, in words: one sentence for each, for `\d`, the relation
//! `documentation` and `docs/tables.md`.

use hindsight_model::{Since, Table};

use crate::views::VIEWS;

/// What a row of a signal table or a view is; empty for other tables, which say it themselves.
pub(crate) fn of_table(name: &str) -> &'static str {
    let view = || VIEWS.iter().find(|view| view.name == name).map_or("", |view| view.doc);
    Table::from_name(name).map_or_else(view, of_signal)
}

/// What a column of a signal table or a view holds; empty for other tables.
pub(crate) fn of_column(table: &str, column: &str) -> &'static str {
    let is_view = VIEWS.iter().any(|view| view.name == table);
    match Table::from_name(table) {
        Some(_) => of_stored(table, column),
        None if is_view => of_viewed(table, column),
        None => "",
    }
}

fn of_signal(table: Table) -> &'static str {
    match table {
        Table::Logs => "one row for each log record or event",
        Table::Spans => "one row for each span",
        Table::Metrics => "one row for each number point of a gauge or sum",
        Table::MetricHistograms => "one row for each point of an explicit-bucket histogram",
        Table::MetricExpHistograms => "one row for each point of an exponential histogram",
        Table::MetricSummaries => "one row for each point of a summary",
    }
}

/// Most columns mean the same wherever they stand.
fn of_stored(table: &str, column: &str) -> &'static str {
    match (table, column) {
        ("spans", "timestamp") => "when the span began, in microseconds UTC",
        ("spans", "trace_id") => "the trace that the span belongs to, 32 lower-case hex digits",
        ("spans", "span_id") => "the span's own id, 16 lower-case hex digits",
        ("spans", "name") => "what was done, as the instrumentation names it",
        ("spans", "flags") => "W3C trace flags in the low byte, and whether the parent is remote above",
        ("logs", "timestamp") => {
            "when it happened, in microseconds UTC; timestamp_source says by whose clock"
        }
        ("logs", "trace_id") => {
            "the trace in which it was written, 32 lower-case hex digits; null outside one"
        }
        ("logs", "span_id") => "the span in which it was written, 16 lower-case hex digits; null outside one",
        ("logs", "flags") => "W3C trace flags in the low byte",
        (_, "flags") => "1 when the point says that no value was recorded",
        ("metric_summaries", "sum") => "sum of the observed values",
        (_, column) => of_shared(column),
    }
}

fn of_shared(column: &str) -> &'static str {
    match column {
        "tenant" => "whose row it is",
        "date" => "UTC date of timestamp; the partition",
        "timestamp" => "when it was measured, in microseconds UTC",
        "timestamp_nanos" => "nanoseconds of timestamp below its microsecond, 0 to 999",
        "time_unix_nano" => "timestamp and timestamp_nanos as nanoseconds since 1970",
        "timestamp_source" => "which time became timestamp: time, observed or arrival",
        "observed_timestamp" => "when the collector saw it",
        "observed_timestamp_nanos" => "nanoseconds of observed_timestamp below its microsecond",
        "severity" => "trace, debug, info, warn, error or fatal; null when not given",
        "severity_number" => "1 to 24, 0 when not given",
        "severity_text" => "the severity as the sender wrote it",
        "body" => "the message; JSON text when body_type is not string",
        "body_type" => "kind of the body as sent",
        "event_name" => "the name that makes a log record an event",
        "duration_nano" => "end minus start in nanoseconds; negative when the sender's clock ran backwards",
        "name" => "the name",
        "kind" => "server, client, producer, consumer, internal or unspecified",
        "status_code" => "ok, error or unset",
        "status_message" => "what the sender says about an error",
        "parent_span_id" => "span_id of the caller; null for a root span",
        "trace_state" => "W3C tracestate as sent",
        "events" => "what happened during the span; one row each in span_events",
        "dropped_events_count" => "events that the sender left out",
        "links" => "other spans this one refers to; one row each in span_links",
        "dropped_links_count" => "links that the sender left out",
        "exemplars" => "sample measurements with their traces; one row each in the view exemplars",
        "attributes" => "JSON text; ask with attributes->>'key'",
        "dropped_attributes_count" => "attributes that the sender left out",
        "resource_attributes" => "JSON text; ask with resource_attributes->>'key'",
        "resource_dropped_attributes_count" => "resource attributes that the sender left out",
        "resource_entity_refs" => "the resource's entities, JSON text",
        "resource_schema_url" => "version of the conventions that the resource keeps to",
        "scope_name" => "the instrumentation library",
        "scope_version" => "its version",
        "scope_attributes" => "JSON text; ask with scope_attributes->>'key'",
        "scope_dropped_attributes_count" => "scope attributes that the sender left out",
        "scope_schema_url" => "version of the conventions that the scope keeps to",
        "metric_name" => "the metric",
        "metric_type" => "gauge, sum, histogram, exponential_histogram or summary",
        "unit" => "unit in UCUM, as sent",
        "description" => "what the metric measures, in the sender's words",
        "metadata" => "the metric's own metadata, JSON text",
        "temporality" => "delta or cumulative; null where the kind has none",
        "is_monotonic" => "whether a sum only rises; null where the kind has no such thing",
        "start_timestamp" => "since when a sum or histogram has been counting",
        "start_timestamp_nanos" => "nanoseconds of start_timestamp below its microsecond",
        "series_id" => "stable hash of the series' identity",
        "value" => "the number as a double",
        "value_int" => "the number when it was sent as an integer, exact",
        "count" => "observed values, their number",
        "sum" => "sum of the observed values; null when not sent",
        "min" => "smallest observed value; null when not sent",
        "max" => "largest observed value; null when not sent",
        "explicit_bounds" => "upper bounds of the buckets but the last, ascending",
        "bucket_counts" => "values in each bucket, one more than there are bounds",
        "scale" => "resolution: bucket bounds are powers of 2^(2^-scale)",
        "zero_count" => "values that count as zero",
        "zero_threshold" => "how far from zero a value may lie to count as zero",
        "positive_offset" => "index of the first of positive_counts",
        "positive_counts" => "values in each bucket above zero",
        "negative_offset" => "index of the first of negative_counts",
        "negative_counts" => "values in each bucket below zero",
        "quantiles" => "quantiles with their values, as the sender computed them",
        _ => of_promoted(column),
    }
}

/// Attributes with a column of their own.
fn of_promoted(column: &str) -> &'static str {
    match column {
        "service_name" => "the service, resource attribute service.name",
        "service_namespace" => "resource attribute service.namespace",
        "service_instance_id" => "resource attribute service.instance.id",
        "service_version" => "resource attribute service.version",
        "deployment_environment_name" => "resource attribute deployment.environment.name",
        "host_name" => "resource attribute host.name",
        "k8s_namespace_name" => "resource attribute k8s.namespace.name",
        "k8s_pod_name" => "resource attribute k8s.pod.name",
        "http_request_method" => "attribute http.request.method",
        "http_route" => "attribute http.route",
        "http_response_status_code" => "attribute http.response.status_code",
        "url_path" => "attribute url.path",
        "url_full" => "attribute url.full",
        "server_address" => "attribute server.address",
        "server_port" => "attribute server.port",
        "rpc_system" => "attribute rpc.system",
        "rpc_service" => "attribute rpc.service",
        "rpc_method" => "attribute rpc.method",
        "rpc_grpc_status_code" => "attribute rpc.grpc.status_code",
        "db_system_name" => "attribute db.system.name",
        "db_namespace" => "attribute db.namespace",
        "db_operation_name" => "attribute db.operation.name",
        "db_query_text" => "attribute db.query.text",
        "messaging_system" => "attribute messaging.system",
        "messaging_destination_name" => "attribute messaging.destination.name",
        "messaging_operation_name" => "attribute messaging.operation.name",
        "peer_service" => "attribute peer.service",
        "error_type" => "attribute error.type",
        "exception_type" => "attribute exception.type",
        "exception_message" => "attribute exception.message",
        "exception_stacktrace" => "attribute exception.stacktrace",
        "client_address" => "who called, attribute client.address",
        "enduser_id" => "the user as the application knows them, attribute enduser.id",
        "user_id" => "the user, attribute user.id",
        "session_id" => "the user's session, attribute session.id",
        _ => of_operators(column),
    }
}

/// What the operator has promoted.
fn of_operators(column: &str) -> &'static str {
    let all = Table::ALL.into_iter().flat_map(Table::promoted);
    let docs = all.filter(|promoted| promoted.column == column).find_map(|promoted| match promoted.since {
        Since::Operator(doc) => Some(doc),
        Since::Version(_) => None,
    });
    docs.unwrap_or("")
}

fn of_viewed(view: &str, column: &str) -> &'static str {
    match (view, column) {
        ("span_events", "timestamp") => "when the event happened",
        ("span_events", "name") => "the event, for example exception",
        ("span_events", "attributes") => "the event's own, JSON text",
        ("span_events", "dropped_attributes_count") => "attributes of the event that the sender left out",
        ("span_events", "trace_id" | "span_id") => "of the span in which it happened",
        ("span_links", "timestamp") => "when the span that refers began",
        ("span_links", "trace_id" | "span_id") => "of the span that refers",
        ("span_links", "linked_trace_id" | "linked_span_id") => "of the span referred to",
        ("span_links", "trace_state") => "W3C tracestate of the span referred to",
        ("span_links", "attributes") => "the link's own, JSON text",
        ("span_links", "dropped_attributes_count") => "attributes of the link that the sender left out",
        ("span_links", "flags") => "W3C trace flags of the span referred to",
        ("exemplars", "value") => "the measured value as a double",
        ("exemplars", "value_int") => "the measured value when it was sent as an integer, exact",
        ("exemplars", "trace_id" | "span_id") => "where it was measured; null outside a trace",
        ("exemplars", "filtered_attributes") => "attributes that the series does not have, JSON text",
        ("traces", "trace_id") => "32 lower-case hex digits",
        ("traces", "timestamp") => "when its first span began",
        ("traces", "duration_nano") => "from its first start to its last end, in nanoseconds",
        ("traces", "root_service") => "service of the root span; null when that has not come",
        ("traces", "root_name") => "name of the root span; null when that has not come",
        ("traces", "spans") => "its spans, their number",
        ("traces", "errors") => "spans that ended in an error",
        ("traces", "services") => "services that took part, their number",
        ("services", "first_seen") => "earliest timestamp of anything it sent",
        ("services", "last_seen") => "latest timestamp of anything it sent",
        ("services", "spans") => "its spans, their number",
        ("services", "errors") => "spans that ended in an error",
        ("services", "logs") => "its log records, their number",
        ("services", "metric_points") => "its metric points, their number",
        ("service_edges", "caller") => "the service that called",
        ("service_edges", "callee") => "the service that served",
        ("service_edges", "calls") => "calls, their number",
        ("service_edges", "errors") => "calls that ended in an error on either side",
        ("red_1m", "minute") => "beginning of the minute",
        ("red_1m", "calls") => "calls served, their number",
        ("red_1m", "errors") => "calls that ended in an error",
        ("red_1m", "p50_nano") => "median duration in nanoseconds, approximate",
        ("red_1m", "p95_nano") => "duration in nanoseconds that 95 % stay below, approximate",
        ("red_1m", "p99_nano") => "duration in nanoseconds that 99 % stay below, approximate",
        ("metric_series", "attributes") => "what tells the series of a metric apart, JSON text",
        ("metric_series", "first_seen") => "timestamp of its first point",
        ("metric_series", "last_seen") => "timestamp of its last point",
        ("metric_series", "points") => "its points, their number",
        (_, "span_name") => "name of that span",
        (_, column) => of_shared(column),
    }
}

#[cfg(test)]
mod tests {
    use hindsight_model::RESOURCE_PROMOTED;

    use super::*;

    #[test]
    fn a_promoted_column_names_its_attribute() {
        for table in Table::ALL {
            for promoted in table.promoted().iter().chain(RESOURCE_PROMOTED) {
                let doc = of_column(table.name(), promoted.column);
                assert!(
                    doc.ends_with(&format!("attribute {}", promoted.attribute)),
                    "{}: {doc}",
                    promoted.column
                );
            }
        }
    }
}
