use std::ops::Range;

use arrow::array::{Array, BooleanArray, Float64Array, Int64Array};
use hindsight_model::Table;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, metric::Data, number_data_point,
};

use super::groups::runs;
use super::source::Source;
use crate::TableError;
use crate::rows::TEMPORALITIES;

const METRIC_COLUMNS: [&str; 7] =
    ["metric_name", "metric_type", "unit", "description", "metadata", "temporality", "is_monotonic"];

/// The metrics of rows that share a scope.
pub(super) fn read(table: Table, source: Source<'_>, rows: Range<usize>) -> Result<Vec<Metric>, TableError> {
    let mut metrics = Vec::new();
    for run in runs(source, &METRIC_COLUMNS, rows)? {
        let first = run.start;
        metrics.push(Metric {
            name: source.texts("metric_name")?.owned(first),
            description: source.texts("description")?.owned(first),
            unit: source.texts("unit")?.owned(first),
            metadata: source.texts("metadata")?.key_values(first)?,
            data: Some(read_data(table, source, run)?),
        });
    }
    Ok(metrics)
}

fn read_data(table: Table, source: Source<'_>, rows: Range<usize>) -> Result<Data, TableError> {
    let first = rows.start;
    let types = source.texts("metric_type")?;
    let temporality = || source.texts("temporality")?.enumeration(first, &TEMPORALITIES);
    Ok(match (table, types.get(first)) {
        (Table::Metrics, "gauge") => {
            Data::Gauge(Gauge { data_points: each(rows, |row| number(source, row))? })
        }
        (Table::Metrics, "sum") => Data::Sum(Sum {
            data_points: each(rows, |row| number(source, row))?,
            aggregation_temporality: temporality()?,
            is_monotonic: source.typed::<BooleanArray>("is_monotonic")?.value(first),
        }),
        (Table::MetricHistograms, _) => Data::Histogram(Histogram {
            data_points: each(rows, |row| histogram(source, row))?,
            aggregation_temporality: temporality()?,
        }),
        (Table::MetricExpHistograms, _) => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: each(rows, |row| exp_histogram(source, row))?,
            aggregation_temporality: temporality()?,
        }),
        (Table::MetricSummaries, _) => {
            Data::Summary(Summary { data_points: each(rows, |row| summary(source, row))? })
        }
        _ => return Err(types.wrong(first)),
    })
}

fn each<T>(rows: Range<usize>, read: impl Fn(usize) -> Result<T, TableError>) -> Result<Vec<T>, TableError> {
    rows.map(read).collect()
}

fn number(source: Source<'_>, row: usize) -> Result<NumberDataPoint, TableError> {
    let value = match (source.doubles("value")?.optional(row), source.ints("value_int")?.optional(row)) {
        (_, Some(number)) => Some(number_data_point::Value::AsInt(number)),
        (Some(number), None) => Some(number_data_point::Value::AsDouble(number)),
        (None, None) => None,
    };
    Ok(NumberDataPoint {
        attributes: attributes(source, row)?,
        start_time_unix_nano: start(source, row)?,
        time_unix_nano: time(source, row)?,
        exemplars: exemplars(source, row)?,
        flags: source.ints("flags")?.u32(row)?,
        value,
    })
}

fn histogram(source: Source<'_>, row: usize) -> Result<HistogramDataPoint, TableError> {
    let bounds = source.list("explicit_bounds")?;
    Ok(HistogramDataPoint {
        attributes: attributes(source, row)?,
        start_time_unix_nano: start(source, row)?,
        time_unix_nano: time(source, row)?,
        count: source.ints("count")?.bits(row),
        sum: source.doubles("sum")?.optional(row),
        bucket_counts: counts(source, "bucket_counts", row)?,
        explicit_bounds: bounds.elements::<Float64Array>()?.values()[bounds.range(row)].to_vec(),
        exemplars: exemplars(source, row)?,
        flags: source.ints("flags")?.u32(row)?,
        min: source.doubles("min")?.optional(row),
        max: source.doubles("max")?.optional(row),
    })
}

fn exp_histogram(source: Source<'_>, row: usize) -> Result<ExponentialHistogramDataPoint, TableError> {
    Ok(ExponentialHistogramDataPoint {
        attributes: attributes(source, row)?,
        start_time_unix_nano: start(source, row)?,
        time_unix_nano: time(source, row)?,
        count: source.ints("count")?.bits(row),
        sum: source.doubles("sum")?.optional(row),
        scale: source.small("scale")?.value(row),
        zero_count: source.ints("zero_count")?.bits(row),
        positive: buckets(source, "positive_offset", "positive_counts", row)?,
        negative: buckets(source, "negative_offset", "negative_counts", row)?,
        flags: source.ints("flags")?.u32(row)?,
        exemplars: exemplars(source, row)?,
        min: source.doubles("min")?.optional(row),
        max: source.doubles("max")?.optional(row),
        zero_threshold: source.doubles("zero_threshold")?.get(row),
    })
}

fn buckets(
    source: Source<'_>,
    offset: &'static str,
    counted: &'static str,
    row: usize,
) -> Result<Option<Buckets>, TableError> {
    let offsets = source.small(offset)?;
    if offsets.is_null(row) {
        return Ok(None);
    }
    Ok(Some(Buckets { offset: offsets.value(row), bucket_counts: counts(source, counted, row)? }))
}

fn counts(source: Source<'_>, column: &'static str, row: usize) -> Result<Vec<u64>, TableError> {
    let list = source.list(column)?;
    let counts = &list.elements::<Int64Array>()?.values()[list.range(row)];
    Ok(counts.iter().map(|count| count.cast_unsigned()).collect())
}

fn summary(source: Source<'_>, row: usize) -> Result<SummaryDataPoint, TableError> {
    let list = source.list("quantiles")?;
    let quantiles = list.structs()?.doubles("quantile")?;
    let values = list.structs()?.doubles("value")?;
    Ok(SummaryDataPoint {
        attributes: attributes(source, row)?,
        start_time_unix_nano: start(source, row)?,
        time_unix_nano: time(source, row)?,
        count: source.ints("count")?.bits(row),
        sum: source.doubles("sum")?.get(row),
        quantile_values: list
            .range(row)
            .map(|at| ValueAtQuantile { quantile: quantiles.get(at), value: values.get(at) })
            .collect(),
        flags: source.ints("flags")?.u32(row)?,
    })
}

fn attributes(source: Source<'_>, row: usize) -> Result<Vec<KeyValue>, TableError> {
    source.attributes("attributes", Table::Metrics.promoted())?.read(row)
}

fn time(source: Source<'_>, row: usize) -> Result<u64, TableError> {
    source.times("timestamp", "timestamp_nanos")?.get(row)
}

fn start(source: Source<'_>, row: usize) -> Result<u64, TableError> {
    source.times("start_timestamp", "start_timestamp_nanos")?.get(row)
}

fn exemplars(source: Source<'_>, row: usize) -> Result<Vec<Exemplar>, TableError> {
    let list = source.list("exemplars")?;
    let exemplars = list.structs()?;
    let times = exemplars.times("timestamp", "timestamp_nanos")?;
    let (values, value_ints) = (exemplars.doubles("value")?, exemplars.ints("value_int")?);
    let (trace_ids, span_ids) = (exemplars.texts("trace_id")?, exemplars.texts("span_id")?);
    let attributes = exemplars.texts("filtered_attributes")?;
    let read = |at| {
        let value = match (values.optional(at), value_ints.optional(at)) {
            (_, Some(number)) => Some(exemplar::Value::AsInt(number)),
            (Some(number), None) => Some(exemplar::Value::AsDouble(number)),
            (None, None) => None,
        };
        Ok(Exemplar {
            filtered_attributes: attributes.key_values(at)?,
            time_unix_nano: times.get(at)?,
            span_id: span_ids.span_id(at)?,
            trace_id: trace_ids.trace_id(at)?,
            value,
        })
    };
    list.range(row).map(read).collect()
}
