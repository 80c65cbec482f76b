//! Column by column, what the signal tables hold (DESIGN §7). The order here is the order of `SELECT *`.
//!
//! Every type is one that Delta has: no unsigned integers, timestamps in microseconds UTC. The nanoseconds below
//! a microsecond have a `…_nanos` column beside each timestamp, so that nothing sent is lost; unsigned 64-bit
//! counts keep their bits in a `BIGINT`.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::{Promoted, RESOURCE_PROMOTED, Table};

pub(crate) fn of(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<[SchemaRef; 6]> = LazyLock::new(|| Table::ALL.map(build));
    Arc::clone(&SCHEMAS[table.index()])
}

fn build(table: Table) -> SchemaRef {
    Arc::new(Schema::new(fields(table, table.promoted())))
}

/// The columns of a table whose records have these attributes promoted.
pub(crate) fn fields(table: Table, promoted: &[Promoted]) -> Vec<Field> {
    let mut fields = vec![
        required("tenant", DataType::Utf8),
        required("date", DataType::Date32),
        required("timestamp", micros()),
        required("timestamp_nanos", DataType::Int16),
    ];
    match table {
        Table::Logs => fields.extend(log_fields()),
        Table::Spans => fields.extend(span_fields()),
        _ => fields.extend(metric_fields(table)),
    }
    fields.extend(promoted.iter().map(|p| optional(p.column, p.kind.data_type())));
    fields.push(required("attributes", DataType::Utf8));
    fields.push(required("dropped_attributes_count", DataType::Int64));
    fields.extend(shared_fields());
    fields
}

/// Resource and scope columns, on every table.
fn shared_fields() -> Vec<Field> {
    let mut fields: Vec<Field> =
        RESOURCE_PROMOTED.iter().map(|p| optional(p.column, p.kind.data_type())).collect();
    fields.extend([
        required("resource_attributes", DataType::Utf8),
        required("resource_dropped_attributes_count", DataType::Int64),
        optional("resource_entity_refs", DataType::Utf8),
        optional("resource_schema_url", DataType::Utf8),
        optional("scope_name", DataType::Utf8),
        optional("scope_version", DataType::Utf8),
        required("scope_attributes", DataType::Utf8),
        required("scope_dropped_attributes_count", DataType::Int64),
        optional("scope_schema_url", DataType::Utf8),
    ]);
    fields
}

fn log_fields() -> Vec<Field> {
    vec![
        // Which of OTLP's times became `timestamp`: `time`, `observed` or `arrival`.
        required("timestamp_source", DataType::Utf8),
        optional("observed_timestamp", micros()),
        optional("observed_timestamp_nanos", DataType::Int16),
        required("severity_number", DataType::Int32),
        // The word of the number's range (`info`, `error`, …); null for number 0.
        optional("severity", DataType::Utf8),
        // What the sender wrote, verbatim.
        optional("severity_text", DataType::Utf8),
        // A string body as it is, any other as canonical JSON; `body_type` tells which.
        optional("body", DataType::Utf8),
        optional("body_type", DataType::Utf8),
        optional("event_name", DataType::Utf8),
        optional("trace_id", DataType::Utf8),
        optional("span_id", DataType::Utf8),
        required("flags", DataType::Int64),
    ]
}

fn span_fields() -> Vec<Field> {
    vec![
        // End minus start; negative when the sender's clocks ran backwards.
        required("duration_nano", DataType::Int64),
        required("trace_id", DataType::Utf8),
        required("span_id", DataType::Utf8),
        optional("parent_span_id", DataType::Utf8),
        optional("trace_state", DataType::Utf8),
        required("flags", DataType::Int64),
        required("name", DataType::Utf8),
        // `unspecified`, `internal`, `server`, `client`, `producer`, `consumer`, or a number OTLP has no word for.
        required("kind", DataType::Utf8),
        // `unset`, `ok`, `error`, or a number OTLP has no word for.
        required("status_code", DataType::Utf8),
        optional("status_message", DataType::Utf8),
        list("events", span_event_fields()),
        required("dropped_events_count", DataType::Int64),
        list("links", span_link_fields()),
        required("dropped_links_count", DataType::Int64),
    ]
}

fn metric_fields(table: Table) -> Vec<Field> {
    let mut fields = vec![
        required("metric_name", DataType::Utf8),
        // `gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`.
        required("metric_type", DataType::Utf8),
        optional("unit", DataType::Utf8),
        optional("description", DataType::Utf8),
        // OTLP's `Metric.metadata`, canonical JSON.
        required("metadata", DataType::Utf8),
        // `delta` or `cumulative`; null where the kind has none.
        optional("temporality", DataType::Utf8),
        optional("is_monotonic", DataType::Boolean),
        optional("start_timestamp", micros()),
        optional("start_timestamp_nanos", DataType::Int16),
        // Hash of the series' identity (OTLP.md rule 24), stable for ever.
        required("series_id", DataType::Int64),
        required("flags", DataType::Int64),
    ];
    fields.extend(match table {
        Table::Metrics => vec![optional("value", DataType::Float64), optional("value_int", DataType::Int64)],
        Table::MetricHistograms => vec![
            required("count", DataType::Int64),
            optional("sum", DataType::Float64),
            optional("min", DataType::Float64),
            optional("max", DataType::Float64),
            numbers("explicit_bounds", DataType::Float64),
            numbers("bucket_counts", DataType::Int64),
        ],
        Table::MetricExpHistograms => vec![
            required("count", DataType::Int64),
            optional("sum", DataType::Float64),
            optional("min", DataType::Float64),
            optional("max", DataType::Float64),
            required("scale", DataType::Int32),
            required("zero_count", DataType::Int64),
            required("zero_threshold", DataType::Float64),
            optional("positive_offset", DataType::Int32),
            numbers("positive_counts", DataType::Int64),
            optional("negative_offset", DataType::Int32),
            numbers("negative_counts", DataType::Int64),
        ],
        _ => vec![
            required("count", DataType::Int64),
            required("sum", DataType::Float64),
            list("quantiles", summary_quantile_fields()),
        ],
    });
    if table != Table::MetricSummaries {
        fields.push(list("exemplars", exemplar_fields()));
    }
    fields
}

/// The struct inside `spans.events`.
pub fn span_event_fields() -> Fields {
    Fields::from(vec![
        required("timestamp", micros()),
        required("timestamp_nanos", DataType::Int16),
        required("name", DataType::Utf8),
        required("attributes", DataType::Utf8),
        required("dropped_attributes_count", DataType::Int64),
    ])
}

/// The struct inside `spans.links`.
pub fn span_link_fields() -> Fields {
    Fields::from(vec![
        required("trace_id", DataType::Utf8),
        required("span_id", DataType::Utf8),
        optional("trace_state", DataType::Utf8),
        required("attributes", DataType::Utf8),
        required("dropped_attributes_count", DataType::Int64),
        required("flags", DataType::Int64),
    ])
}

/// The struct inside `exemplars`.
pub fn exemplar_fields() -> Fields {
    Fields::from(vec![
        required("timestamp", micros()),
        required("timestamp_nanos", DataType::Int16),
        optional("value", DataType::Float64),
        optional("value_int", DataType::Int64),
        optional("trace_id", DataType::Utf8),
        optional("span_id", DataType::Utf8),
        required("filtered_attributes", DataType::Utf8),
    ])
}

/// The struct inside `metric_summaries.quantiles`.
pub fn summary_quantile_fields() -> Fields {
    Fields::from(vec![required("quantile", DataType::Float64), required("value", DataType::Float64)])
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// A list that is never null; empty when the sender sent none. The element is named as Delta names it.
fn list(name: &str, item: Fields) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("element", DataType::Struct(item), false))), false)
}

fn numbers(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("element", item, false))), false)
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_sort_key_and_unique_columns() {
        for table in Table::ALL {
            let schema = table.schema();
            for column in table.sort_key() {
                assert!(schema.index_of(column).is_ok(), "{table} lacks {column}");
            }
            let mut names: Vec<_> = schema.fields().iter().map(|f| f.name().clone()).collect();
            names.sort();
            let before = names.len();
            names.dedup();
            assert_eq!(before, names.len(), "{table} has a column twice");
        }
    }
}
