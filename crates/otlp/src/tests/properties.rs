//! What holds for every request. Equality is of [`items`]: a request as a list of its items, each with its own
//! resource and scope (and metric without other points), encoded. This normalises what protobuf itself cannot
//! tell apart or decoding is meant to settle, and nothing else:
//! - grouping: items one by one, points in the order of their tables; resources, scopes and metrics without items
//!   are gone;
//! - a missing resource, scope, status or attribute value equals an empty one;
//! - attributes are in key order, of a double key the last; every NaN in an attribute is the same NaN;
//! - a number point flagged "no recorded value" has none.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use hindsight_model::{Signal, Table, Tenant, attributes_from_json};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, Gauge, Histogram, Metric, NumberDataPoint, Sum, Summary, metric::Data,
};
use proptest::prelude::*;
use prost::Message as _;

use super::decode_now;
use super::generate::request;
use crate::{DecodeError, Encoding, Request, decode_request, encode_request, to_requests};

const ENCODINGS: [Encoding; 2] = [Encoding::Protobuf, Encoding::Json];

/// Whether a row has a promoted attribute in its JSON.
fn leaves_one(table: Table, batch: &RecordBatch) -> bool {
    let Some(attributes) = batch.column_by_name("attributes") else { return false };
    attributes.as_string::<i32>().iter().flatten().any(|json| {
        let attributes = attributes_from_json(json).unwrap();
        table.promoted().iter().any(|promoted| attributes.contains_key(promoted.attribute))
    })
}

proptest! {
    #[test]
    fn tables_lead_back_to_the_same_request(request in request()) {
        let signal = request.signal();
        for encoding in ENCODINGS {
            let decoded = decode_now(signal, encoding, &encode_request(&request, encoding)).unwrap();
            prop_assert_eq!(decoded.rejected, 0, "{:?}", decoded.rejections);
            prop_assert_eq!(decoded.accepted, request.items());
            let mut back = Vec::new();
            for (table, rows) in &decoded.batches {
                let batch = rows.to_batch(&Tenant::default()).unwrap();
                prop_assert_eq!(batch.schema(), table.schema());
                prop_assert_eq!(rows.all_promoted(), !leaves_one(*table, &batch));
                back.extend(items(to_requests(*table, &batch).unwrap()));
            }
            prop_assert_eq!(&back, &items(request.clone()));
        }
    }

    #[test]
    fn json_and_protobuf_of_one_request_decode_to_equal_batches(request in request()) {
        let signal = request.signal();
        let [protobuf, json] = ENCODINGS
            .map(|encoding| decode_now(signal, encoding, &encode_request(&request, encoding)).unwrap());
        // As text, because NaN does not equal itself.
        prop_assert_eq!(format!("{:?}", protobuf.batches), format!("{:?}", json.batches));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for signal in Signal::ALL {
            for encoding in ENCODINGS {
                if let Ok(decoded) = decode_now(signal, encoding, &bytes) {
                    check_accounts(&decoded);
                }
            }
        }
    }

    #[test]
    fn mutated_requests_never_panic(request in request(), changes in changes()) {
        for encoding in ENCODINGS {
            let bytes = mutate(encode_request(&request, encoding), &changes);
            if let Ok(decoded) = decode_now(request.signal(), encoding, &bytes) {
                check_accounts(&decoded);
            }
        }
    }

    /// The one pass against the generated types, on bytes that are often not quite OTLP.
    #[test]
    fn the_one_pass_takes_a_request_as_the_generated_decoder_does(request in request(), changes in changes()) {
        let signal = request.signal();
        let bytes = mutate(encode_request(&request, Encoding::Protobuf), &changes);
        let decoded = decode_now(signal, Encoding::Protobuf, &bytes);
        let Ok(reference) = decode_request(signal, Encoding::Protobuf, &bytes) else {
            prop_assert!(decoded.is_err(), "it took what is not OTLP");
            return Ok(());
        };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                prop_assert!(matches!(error, DecodeError::TooDeep { .. }), "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(decoded.accepted + decoded.rejected, reference.items());
        let plain = encode_request(&reference, Encoding::Protobuf);
        let again = decode_now(signal, Encoding::Protobuf, &plain).unwrap();
        prop_assert_eq!(format!("{:?}", again), format!("{:?}", decoded));
        // What was refused or cut does not lead back; everything else does.
        let whole = decoded.rejected == 0 && decoded.remarks.is_empty();
        if whole {
            let mut back = Vec::new();
            for (table, rows) in &decoded.batches {
                back.extend(items(to_requests(*table, &rows.to_batch(&Tenant::default()).unwrap()).unwrap()));
            }
            prop_assert_eq!(back, items(reference));
        }
    }

    #[test]
    fn the_walk_refuses_only_what_the_generated_decoder_refuses(request in request(), changes in changes()) {
        let bytes = mutate(encode_request(&request, Encoding::Protobuf), &changes);
        let taken = match request.signal() {
            Signal::Traces => ExportTraceServiceRequest::decode(&*bytes).is_ok(),
            Signal::Metrics => ExportMetricsServiceRequest::decode(&*bytes).is_ok(),
            Signal::Logs => ExportLogsServiceRequest::decode(&*bytes).is_ok(),
        };
        prop_assert_eq!(decode_request(request.signal(), Encoding::Protobuf, &bytes).is_ok(), taken);
    }
}

/// Where, which byte, and what to do with it.
type Change = (prop::sample::Index, u8, u8);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6)
}

fn mutate(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for (index, byte, kind) in changes {
        let at = index.index(bytes.len() + 1);
        match kind {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *byte),
            _ if at == bytes.len() => bytes.push(*byte),
            2 => bytes[at] = *byte,
            _ => bytes[at] ^= 1 << (byte % 8),
        }
    }
    bytes
}

/// Every accepted item is a row, every refused one is counted under its reason.
fn check_accounts(decoded: &crate::Decoded) {
    let rows: usize = decoded.batches.iter().map(|(_, rows)| rows.num_rows()).sum();
    assert_eq!(rows as u64, decoded.accepted);
    assert_eq!(decoded.reasons.values().sum::<u64>(), decoded.rejected);
}

fn items(request: Request) -> Vec<Vec<u8>> {
    match request {
        Request::Traces(request) => {
            let mut items = Vec::new();
            for mut group in request.resource_spans {
                for mut scope in std::mem::take(&mut group.scope_spans) {
                    for mut span in std::mem::take(&mut scope.spans) {
                        sort(&mut span.attributes);
                        span.events.iter_mut().for_each(|event| sort(&mut event.attributes));
                        span.links.iter_mut().for_each(|link| sort(&mut link.attributes));
                        span.status.get_or_insert_default();
                        let owner = owner(&mut group.resource, &mut scope.scope);
                        items.push(
                            [owner, scope.encode_to_vec(), group.encode_to_vec(), span.encode_to_vec()]
                                .concat(),
                        );
                    }
                }
            }
            items
        }
        Request::Logs(request) => {
            let mut items = Vec::new();
            for mut group in request.resource_logs {
                for mut scope in std::mem::take(&mut group.scope_logs) {
                    for mut log in std::mem::take(&mut scope.log_records) {
                        sort(&mut log.attributes);
                        log.body.iter_mut().for_each(settle);
                        let owner = owner(&mut group.resource, &mut scope.scope);
                        items.push(
                            [owner, scope.encode_to_vec(), group.encode_to_vec(), log.encode_to_vec()]
                                .concat(),
                        );
                    }
                }
            }
            items
        }
        Request::Metrics(request) => {
            let mut items = Vec::new();
            for mut group in request.resource_metrics {
                for mut scope in std::mem::take(&mut group.scope_metrics) {
                    for metric in std::mem::take(&mut scope.metrics) {
                        let owner = owner(&mut group.resource, &mut scope.scope);
                        let owner = [owner, scope.encode_to_vec(), group.encode_to_vec()].concat();
                        for (table, point) in single_points(metric) {
                            items.push((table, [&*owner, &point.encode_to_vec()].concat()));
                        }
                    }
                }
            }
            items.sort_by_key(|(table, _)| *table);
            items.into_iter().map(|(_, bytes)| bytes).collect()
        }
    }
}

fn owner(
    resource: &mut Option<opentelemetry_proto::tonic::resource::v1::Resource>,
    scope: &mut Option<opentelemetry_proto::tonic::common::v1::InstrumentationScope>,
) -> Vec<u8> {
    let resource = resource.get_or_insert_default();
    let scope = scope.get_or_insert_default();
    sort(&mut resource.attributes);
    sort(&mut scope.attributes);
    [resource.encode_to_vec(), scope.encode_to_vec()].concat()
}

/// The metric once for each of its points, with the place of its table.
fn single_points(mut metric: Metric) -> Vec<(u8, Metric)> {
    sort(&mut metric.metadata);
    let data: Vec<(u8, Data)> = match metric.data.take() {
        None => Vec::new(),
        Some(Data::Gauge(gauge)) => {
            let points = gauge.data_points.into_iter().map(number);
            points.map(|point| (0, Data::Gauge(Gauge { data_points: vec![point] }))).collect()
        }
        Some(Data::Sum(sum)) => {
            let points = sum.data_points.into_iter().map(number);
            points.map(|point| (0, Data::Sum(Sum { data_points: vec![point], ..sum }))).collect()
        }
        Some(Data::Histogram(histogram)) => histogram
            .data_points
            .into_iter()
            .map(|mut point| {
                sort(&mut point.attributes);
                sort_exemplars(&mut point.exemplars);
                (1, Data::Histogram(Histogram { data_points: vec![point], ..histogram }))
            })
            .collect(),
        Some(Data::ExponentialHistogram(histogram)) => histogram
            .data_points
            .into_iter()
            .map(|mut point| {
                sort(&mut point.attributes);
                sort_exemplars(&mut point.exemplars);
                let single = ExponentialHistogram { data_points: vec![point], ..histogram };
                (2, Data::ExponentialHistogram(single))
            })
            .collect(),
        Some(Data::Summary(summary)) => summary
            .data_points
            .into_iter()
            .map(|mut point| {
                sort(&mut point.attributes);
                (3, Data::Summary(Summary { data_points: vec![point] }))
            })
            .collect(),
    };
    data.into_iter().map(|(table, data)| (table, Metric { data: Some(data), ..metric.clone() })).collect()
}

fn number(mut point: NumberDataPoint) -> NumberDataPoint {
    sort(&mut point.attributes);
    sort_exemplars(&mut point.exemplars);
    if point.flags & 1 == 1 {
        point.value = None;
    }
    point
}

fn sort_exemplars(exemplars: &mut [Exemplar]) {
    exemplars.iter_mut().for_each(|exemplar| sort(&mut exemplar.filtered_attributes));
}

fn sort(attributes: &mut Vec<KeyValue>) {
    let mut last = BTreeMap::new();
    for mut entry in std::mem::take(attributes) {
        settle(entry.value.get_or_insert_default());
        last.insert(entry.key.clone(), entry);
    }
    attributes.extend(last.into_values());
}

fn settle(any: &mut AnyValue) {
    match &mut any.value {
        Some(Value::DoubleValue(number)) if number.is_nan() => *number = f64::NAN,
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(settle),
        Some(Value::KvlistValue(list)) => sort(&mut list.values),
        _ => {}
    }
}
