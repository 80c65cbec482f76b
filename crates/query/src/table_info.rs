//! What the tables and columns are called and mean, for completion and help.

use hindsight_model::Table;

/// A table that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// The name that users type.
    pub name: String,
    /// One sentence on what a row is; empty for tables made elsewhere.
    pub doc: &'static str,
    /// Whether it is made of other tables.
    pub is_view: bool,
    /// Its columns in the order of `SELECT *`.
    pub columns: Vec<ColumnInfo>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// The name that users type.
    pub name: String,
    /// SQL type name, for example `BIGINT`.
    pub sql_type: String,
    /// One sentence on what it holds; empty when the name says it all.
    pub doc: &'static str,
}

/// What a row of a signal table is.
pub(crate) fn table_doc(table: Table) -> &'static str {
    match table {
        Table::Logs => "one row for each log record or event",
        Table::Spans => "one row for each span",
        Table::Metrics => "one row for each number point of a gauge or sum",
        Table::MetricHistograms => "one row for each point of an explicit-bucket histogram",
        Table::MetricExpHistograms => "one row for each point of an exponential histogram",
        Table::MetricSummaries => "one row for each point of a summary",
    }
}

/// What a column of a signal table holds.
pub(crate) fn column_doc(name: &str) -> &'static str {
    match name {
        "tenant" => "whose row it is",
        "date" => "UTC date of timestamp",
        "timestamp" => "when it happened, in microseconds UTC; the start of a span",
        "timestamp_nanos" => "nanoseconds of timestamp below its microsecond, 0 to 999",
        "time_unix_nano" => "timestamp and timestamp_nanos as nanoseconds since 1970",
        "timestamp_source" => "which time became timestamp: time, observed or arrival",
        "observed_timestamp" => "when the collector saw it",
        "severity" => "trace, debug, info, warn, error or fatal; null when not given",
        "severity_number" => "1 to 24, 0 when not given",
        "severity_text" => "the severity as the sender wrote it",
        "body" => "the message; JSON text when body_type is not string",
        "body_type" => "kind of the body as sent",
        "duration_nano" => "end minus start in nanoseconds",
        "kind" => "server, client, producer, consumer, internal or unspecified",
        "status_code" => "ok, error or unset",
        "trace_id" => "32 lower-case hex digits",
        "span_id" => "16 lower-case hex digits",
        "parent_span_id" => "span_id of the caller; null for a root span",
        "events" => "what happened during the span; one row each in span_events",
        "links" => "other spans this one refers to; one row each in span_links",
        "exemplars" => "sample measurements with their traces; one row each in the view exemplars",
        "attributes" => "JSON text; ask with attributes->>'key'",
        "resource_attributes" => "JSON text; ask with resource_attributes->>'key'",
        "scope_attributes" => "JSON text; ask with scope_attributes->>'key'",
        "metric_type" => "gauge, sum, histogram, exponential_histogram or summary",
        "temporality" => "delta or cumulative; null where the kind has none",
        "start_timestamp" => "since when a sum or histogram has been counting",
        "series_id" => "stable hash of the series' identity",
        "value" => "the number as a double",
        "value_int" => "the number when it was sent as an integer, exact",
        _ => "",
    }
}
