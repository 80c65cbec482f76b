use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    SummaryDataPoint, exemplar, metric::Data, number_data_point,
};
use serde_json::Value;

use super::{Object, double, key_value, resource, scope};

pub(super) fn resource_metrics(group: &ResourceMetrics) -> Value {
    Object::new()
        .optional("resource", group.resource.as_ref(), resource)
        .list("scopeMetrics", &group.scope_metrics, |scope_metrics| {
            Object::new()
                .optional("scope", scope_metrics.scope.as_ref(), scope)
                .list("metrics", &scope_metrics.metrics, metric)
                .text("schemaUrl", &scope_metrics.schema_url)
                .into()
        })
        .text("schemaUrl", &group.schema_url)
        .into()
}

fn metric(metric: &Metric) -> Value {
    let object = Object::new()
        .text("name", &metric.name)
        .text("description", &metric.description)
        .text("unit", &metric.unit)
        .list("metadata", &metric.metadata, key_value);
    match &metric.data {
        None => object,
        Some(Data::Gauge(gauge)) => {
            object.put("gauge", Object::new().list("dataPoints", &gauge.data_points, number_point))
        }
        Some(Data::Sum(sum)) => {
            let inner = Object::new()
                .list("dataPoints", &sum.data_points, number_point)
                .number("aggregationTemporality", sum.aggregation_temporality)
                .number("isMonotonic", sum.is_monotonic);
            object.put("sum", inner)
        }
        Some(Data::Histogram(histogram)) => {
            let inner = Object::new()
                .list("dataPoints", &histogram.data_points, histogram_point)
                .number("aggregationTemporality", histogram.aggregation_temporality);
            object.put("histogram", inner)
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let inner = Object::new()
                .list("dataPoints", &histogram.data_points, exp_histogram_point)
                .number("aggregationTemporality", histogram.aggregation_temporality);
            object.put("exponentialHistogram", inner)
        }
        Some(Data::Summary(summary)) => {
            object.put("summary", Object::new().list("dataPoints", &summary.data_points, summary_point))
        }
    }
    .into()
}

fn number_point(point: &NumberDataPoint) -> Value {
    let object = Object::new()
        .list("attributes", &point.attributes, key_value)
        .long("startTimeUnixNano", point.start_time_unix_nano)
        .long("timeUnixNano", point.time_unix_nano)
        .list("exemplars", &point.exemplars, exemplar)
        .number("flags", point.flags);
    match point.value {
        None => object,
        Some(number_data_point::Value::AsDouble(number)) => object.put("asDouble", double(number)),
        Some(number_data_point::Value::AsInt(number)) => object.put("asInt", number.to_string()),
    }
    .into()
}

fn histogram_point(point: &HistogramDataPoint) -> Value {
    Object::new()
        .list("attributes", &point.attributes, key_value)
        .long("startTimeUnixNano", point.start_time_unix_nano)
        .long("timeUnixNano", point.time_unix_nano)
        .long("count", point.count)
        .optional("sum", point.sum.as_ref(), |sum| double(*sum))
        .list("bucketCounts", &point.bucket_counts, long)
        .list("explicitBounds", &point.explicit_bounds, |bound| double(*bound))
        .list("exemplars", &point.exemplars, exemplar)
        .number("flags", point.flags)
        .optional("min", point.min.as_ref(), |min| double(*min))
        .optional("max", point.max.as_ref(), |max| double(*max))
        .into()
}

fn exp_histogram_point(point: &ExponentialHistogramDataPoint) -> Value {
    Object::new()
        .list("attributes", &point.attributes, key_value)
        .long("startTimeUnixNano", point.start_time_unix_nano)
        .long("timeUnixNano", point.time_unix_nano)
        .long("count", point.count)
        .optional("sum", point.sum.as_ref(), |sum| double(*sum))
        .number("scale", point.scale)
        .long("zeroCount", point.zero_count)
        .optional("positive", point.positive.as_ref(), buckets)
        .optional("negative", point.negative.as_ref(), buckets)
        .number("flags", point.flags)
        .list("exemplars", &point.exemplars, exemplar)
        .optional("min", point.min.as_ref(), |min| double(*min))
        .optional("max", point.max.as_ref(), |max| double(*max))
        .double("zeroThreshold", point.zero_threshold)
        .into()
}

fn buckets(buckets: &Buckets) -> Value {
    Object::new().number("offset", buckets.offset).list("bucketCounts", &buckets.bucket_counts, long).into()
}

fn summary_point(point: &SummaryDataPoint) -> Value {
    Object::new()
        .list("attributes", &point.attributes, key_value)
        .long("startTimeUnixNano", point.start_time_unix_nano)
        .long("timeUnixNano", point.time_unix_nano)
        .long("count", point.count)
        .double("sum", point.sum)
        .list("quantileValues", &point.quantile_values, |at| {
            Object::new().double("quantile", at.quantile).double("value", at.value).into()
        })
        .number("flags", point.flags)
        .into()
}

fn exemplar(exemplar: &Exemplar) -> Value {
    let object = Object::new()
        .list("filteredAttributes", &exemplar.filtered_attributes, key_value)
        .long("timeUnixNano", exemplar.time_unix_nano)
        .id("spanId", &exemplar.span_id)
        .id("traceId", &exemplar.trace_id);
    match exemplar.value {
        None => object,
        Some(exemplar::Value::AsDouble(number)) => object.put("asDouble", double(number)),
        Some(exemplar::Value::AsInt(number)) => object.put("asInt", number.to_string()),
    }
    .into()
}

fn long(number: &u64) -> Value {
    number.to_string().into()
}
