//! A sender that repeats itself, nearly: what one interner saw before changes nothing in what decoding gives.

use hindsight_model::{Signal, Tenant};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    metric::Data, number_data_point,
};
use proptest::prelude::*;
use prost::Message as _;

use super::at;
use crate::{DecodeContext, Decoded, Encoding, Interner, Limits, SeriesGate};

/// Whose points these are: scope, metric, series. Few of each, so that requests resemble one another.
type Item = (u8, u8, Vec<u8>);

/// Refuses every third series, unless its stamp ends in 1, and says that it will keep to that.
struct Gate {
    stamp: u64,
}

impl SeriesGate for Gate {
    fn admit(&self, series_id: i64) -> bool {
        self.stamp % 10 == 1 || series_id.rem_euclid(3) != 0
    }

    fn stamp(&self) -> u64 {
        self.stamp
    }
}

fn attribute(number: u8) -> Vec<KeyValue> {
    // One of them is over the limit below, which gives rise to a remark.
    let text = if number == 5 { "long".repeat(20) } else { number.to_string() };
    let value = AnyValue { value: Some(Value::StringValue(text)) };
    vec![KeyValue { key: "k".to_owned(), value: Some(value), ..KeyValue::default() }]
}

fn metric(number: u8, series: &[u8]) -> Metric {
    let data = if number == 2 {
        let point = |key: &u8| HistogramDataPoint {
            time_unix_nano: at(-1),
            count: u64::from(*key),
            attributes: attribute(*key),
            ..HistogramDataPoint::default()
        };
        Data::Histogram(Histogram {
            data_points: series.iter().map(point).collect(),
            aggregation_temporality: 2,
        })
    } else {
        let point = |key: &u8| NumberDataPoint {
            time_unix_nano: if *key == 4 { 0 } else { at(-1) },
            value: Some(number_data_point::Value::AsInt(i64::from(*key))),
            attributes: attribute(*key),
            ..NumberDataPoint::default()
        };
        Data::Gauge(Gauge { data_points: series.iter().map(point).collect() })
    };
    Metric { name: format!("metric.{number}"), data: Some(data), ..Metric::default() }
}

fn body(items: &[Item]) -> Vec<u8> {
    let scope = |(scope, number, series): &Item| ScopeMetrics {
        scope: Some(InstrumentationScope { name: scope.to_string(), ..InstrumentationScope::default() }),
        metrics: vec![metric(*number, series)],
        ..ScopeMetrics::default()
    };
    let scope_metrics = items.iter().map(scope).collect();
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = (0..2_u8, 0..3_u8, proptest::collection::vec(0..6_u8, 0..4));
    proptest::collection::vec(item, 1..6)
}

/// What happens between two requests.
#[derive(Clone, Debug)]
enum Then {
    Again,
    Shorter,
    Other(Vec<Item>),
    Swapped(prop::sample::Index, prop::sample::Index),
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        4 => Just(Then::Again),
        1 => Just(Then::Shorter),
        1 => items().prop_map(Then::Other),
        1 => any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(a, b)| Then::Swapped(a, b)),
    ]
}

fn decode(body: &[u8], interner: &Interner, stamp: u64) -> Decoded {
    let limits = Limits { value_bytes_max: 60, ..Limits::default() };
    let (now, series) = (super::now(), Gate { stamp });
    let context = DecodeContext { arrival: now, now, limits: &limits, interner, series: &series };
    crate::decode(Signal::Metrics, Encoding::Protobuf, body, &context).unwrap()
}

/// Everything about a request, and its rows as a query sees them: which owners are one object may differ.
fn told(mut decoded: Decoded) -> String {
    let tables: Vec<_> = std::mem::take(&mut decoded.batches)
        .into_iter()
        .map(|(table, rows)| (table, rows.to_batch(&Tenant::default()).unwrap()))
        .collect();
    format!("{decoded:?} {tables:?}")
}

proptest! {
    #[test]
    fn what_came_before_changes_nothing(first in items(), steps in proptest::collection::vec((then(), 0..4_u64), 1..8)) {
        let interner = Interner::new();
        let mut current = first;
        for (then, stamp) in steps {
            let bytes = body(&current);
            prop_assert_eq!(told(decode(&bytes, &interner, stamp)), told(decode(&bytes, &Interner::new(), stamp)));
            match then {
                Then::Again => {}
                Then::Shorter => drop(current.pop()),
                Then::Other(other) => current = other,
                Then::Swapped(a, b) if !current.is_empty() => {
                    let (a, b) = (a.index(current.len()), b.index(current.len()));
                    current.swap(a, b);
                }
                Then::Swapped(..) => {}
            }
        }
    }
}

#[test]
fn the_same_scrape_shares_its_owners_with_the_one_before() {
    let interner = Interner::new();
    let bytes = body(&[(0, 0, vec![0, 1, 2]), (0, 2, vec![0, 1])]);
    let list = |decoded: &Decoded, table: usize| decoded.batches[table].1.owners().as_ptr();
    let first = decode(&bytes, &interner, 1);
    let second = decode(&bytes, &interner, 1);
    let third = decode(&bytes, &interner, 11);
    assert_ne!(list(&first, 0), list(&second, 0), "the first is only written down");
    assert_eq!(list(&second, 0), list(&third, 0));
    assert_eq!(list(&second, 1), list(&third, 1));
}
