//! Requests that are accepted whole, as proptest makes them up.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::at;
use crate::Request;

pub(super) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![traces(), logs(), metrics()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-c\"\\\\\u{1f600}\u{0}]{1,4}", any::<String>()]
}

/// A time within the window.
fn time() -> impl Strategy<Value = u64> {
    at(-3_600)..at(60)
}

/// Any time, or none.
fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), any::<u64>(), time()]
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), bytes).prop_map(|mut id| {
        id[0] |= 1;
        id
    })
}

fn maybe_id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), id(bytes)]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::NAN),
    ]
}

/// A double in a field without presence: the protobuf encoder of the tests leaves out minus zero as it does zero.
fn plain_double() -> impl Strategy<Value = f64> {
    double().prop_map(|number| if number == 0.0 { 0.0 } else { number })
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|flag| Some(Value::BoolValue(flag))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        double().prop_map(|number| Some(Value::DoubleValue(number))),
        vec(any::<u8>(), 0..5).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let entry = (key(), option::of(inner.clone())).prop_map(key_value);
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(entry, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key() -> impl Strategy<Value = String> {
    let names = ["service.name", "http.route", "server.port", "exception.type", "$bytes", "a", "b", ""];
    prop_oneof![proptest::sample::select(names.to_vec()).prop_map(str::to_owned), text()]
}

fn key_value((key, value): (String, Option<AnyValue>)) -> KeyValue {
    KeyValue { key, value, key_strindex: 0 }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((key(), option::of(any_value())).prop_map(key_value), 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let entity = (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef {
            schema_url,
            r#type,
            id_keys,
            description_keys,
        },
    );
    option::of((attributes(), any::<u32>(), vec(entity, 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    ))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    option::of((text(), text(), attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    ))
}

fn traces() -> impl Strategy<Value = Request> {
    let scope_spans = (scope(), vec(span(), 0..3), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let group = (resource(), vec(scope_spans, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(group, 0..3).prop_map(|resource_spans| Request::Traces(ExportTraceServiceRequest { resource_spans }))
}

fn span() -> impl Strategy<Value = Span> {
    let event = (any_time(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (id(16), id(8), text(), attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    );
    let status = option::of((text(), -1..5_i32).prop_map(|(message, code)| Status { message, code }));
    let end = prop_oneof![time(), 1..at(0) + (1 << 60)];
    (
        (id(16), id(8), text(), maybe_id(8), any::<u32>(), text(), -1..9_i32),
        (time(), end, attributes(), any::<[u32; 3]>()),
        (vec(event, 0..3), vec(link, 0..3), status),
    )
        .prop_map(|(head, (start, end, attributes, dropped), (events, links, status))| Span {
            trace_id: head.0,
            span_id: head.1,
            trace_state: head.2,
            parent_span_id: head.3,
            flags: head.4,
            name: head.5,
            kind: head.6,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            dropped_attributes_count: dropped[0],
            events,
            dropped_events_count: dropped[1],
            links,
            dropped_links_count: dropped[2],
            status,
        })
}

fn logs() -> impl Strategy<Value = Request> {
    let scope_logs = (scope(), vec(log_record(), 0..3), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let group = (resource(), vec(scope_logs, 0..3), text())
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    vec(group, 0..3).prop_map(|resource_logs| Request::Logs(ExportLogsServiceRequest { resource_logs }))
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let times = prop_oneof![(time(), any_time()), (Just(0), time()), Just((0, 0))];
    (
        (times, any::<i32>(), text(), option::of(any_value()), attributes()),
        (any::<[u32; 2]>(), maybe_id(16), maybe_id(8), text()),
    )
        .prop_map(|((times, severity_number, severity_text, body, attributes), tail)| LogRecord {
            time_unix_nano: times.0,
            observed_time_unix_nano: times.1,
            severity_number,
            severity_text,
            body,
            attributes,
            dropped_attributes_count: tail.0[0],
            flags: tail.0[1],
            trace_id: tail.1,
            span_id: tail.2,
            event_name: tail.3,
        })
}

fn metrics() -> impl Strategy<Value = Request> {
    let scope_metrics = (scope(), vec(metric(), 0..3), text())
        .prop_map(|(scope, metrics, schema_url)| ScopeMetrics { scope, metrics, schema_url });
    let group =
        (resource(), vec(scope_metrics, 0..3), text()).prop_map(|(resource, scope_metrics, schema_url)| {
            ResourceMetrics { resource, scope_metrics, schema_url }
        });
    vec(group, 0..3)
        .prop_map(|resource_metrics| Request::Metrics(ExportMetricsServiceRequest { resource_metrics }))
}

fn metric() -> impl Strategy<Value = Metric> {
    let temporality = || 1..5_i32;
    let data = prop_oneof![
        vec(number_point(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..3), temporality(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic,
            })
        ),
        (vec(histogram_point(), 0..3), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (vec(exp_histogram_point(), 0..3), temporality()).prop_map(
            |(data_points, aggregation_temporality)| Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality,
            })
        ),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    (text(), text(), text(), attributes(), data).prop_map(|(name, description, unit, metadata, data)| {
        Metric { name, description, unit, metadata, data: Some(data) }
    })
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = option::of(prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        any::<i64>().prop_map(exemplar::Value::AsInt),
    ]);
    let one = (attributes(), any_time(), maybe_id(8), maybe_id(16), value).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    );
    vec(one, 0..2)
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![
        double().prop_map(|number| (0, Some(number_data_point::Value::AsDouble(number)))),
        any::<i64>().prop_map(|number| (2, Some(number_data_point::Value::AsInt(number)))),
        Just((1, None)),
        Just((3, Some(number_data_point::Value::AsInt(0)))),
    ];
    (attributes(), any_time(), time(), exemplars(), value).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, (flags, value))| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    )
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let buckets = prop_oneof![
        Just((Vec::new(), Vec::new())),
        (proptest::collection::btree_set(any::<i32>(), 0..4), any::<[u64; 5]>()).prop_map(
            |(bounds, counts)| {
                let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
                (counts[..=bounds.len()].to_vec(), bounds)
            }
        ),
    ];
    (
        (attributes(), any_time(), time(), exemplars(), any::<u32>()),
        (any::<u64>(), option::of(double()), option::of(double()), option::of(double()), buckets),
    )
        .prop_map(|(head, (count, sum, min, max, (bucket_counts, explicit_bounds)))| {
            HistogramDataPoint {
                attributes: head.0,
                start_time_unix_nano: head.1,
                time_unix_nano: head.2,
                exemplars: head.3,
                flags: head.4,
                count,
                sum,
                bucket_counts,
                explicit_bounds,
                min,
                max,
            }
        })
}

fn exp_histogram_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let buckets = || {
        option::of(
            (any::<i32>(), vec(any::<u64>(), 0..4))
                .prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts }),
        )
    };
    (
        (attributes(), any_time(), time(), exemplars(), any::<u32>()),
        (any::<[u64; 2]>(), option::of(double()), option::of(double()), option::of(double())),
        (any::<i32>(), plain_double(), buckets(), buckets()),
    )
        .prop_map(|(head, (counts, sum, min, max), tail)| ExponentialHistogramDataPoint {
            attributes: head.0,
            start_time_unix_nano: head.1,
            time_unix_nano: head.2,
            exemplars: head.3,
            flags: head.4,
            count: counts[0],
            zero_count: counts[1],
            sum,
            min,
            max,
            scale: tail.0,
            zero_threshold: tail.1,
            positive: tail.2,
            negative: tail.3,
        })
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile =
        (plain_double(), plain_double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    (attributes(), any_time(), time(), any::<u64>(), plain_double(), vec(quantile, 0..3), any::<u32>())
        .prop_map(|(attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags)| {
            SummaryDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                quantile_values,
                flags,
            }
        })
}
