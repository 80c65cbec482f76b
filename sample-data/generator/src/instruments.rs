//! Data points of each kind, as an SDK would make them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets as ExpBuckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};

/// The interval that a point speaks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) at: u64,
}

/// What a metric is called and counts in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

/// How a sum adds up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adds {
    /// Monotonic, since the start.
    Counter,
    /// Monotonic, since the last point.
    DeltaCounter,
    /// Up and down, since the start.
    UpDown,
}

pub(crate) fn gauge(named: Named, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(named, Data::Gauge(Gauge { data_points }))
}

pub(crate) fn sum(named: Named, adds: Adds, data_points: Vec<NumberDataPoint>) -> Metric {
    let temporality = match adds {
        Adds::Counter | Adds::UpDown => AggregationTemporality::Cumulative,
        Adds::DeltaCounter => AggregationTemporality::Delta,
    };
    let is_monotonic = !matches!(adds, Adds::UpDown);
    metric(named, Data::Sum(Sum { data_points, aggregation_temporality: temporality.into(), is_monotonic }))
}

pub(crate) fn histogram(
    named: Named,
    temporality: AggregationTemporality,
    data_points: Vec<HistogramDataPoint>,
) -> Metric {
    metric(named, Data::Histogram(Histogram { data_points, aggregation_temporality: temporality.into() }))
}

pub(crate) fn exponential(named: Named, data_points: Vec<ExponentialHistogramDataPoint>) -> Metric {
    let aggregation_temporality = AggregationTemporality::Delta.into();
    metric(named, Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }))
}

pub(crate) fn summary(named: Named, data_points: Vec<SummaryDataPoint>) -> Metric {
    metric(named, Data::Summary(Summary { data_points }))
}

fn metric(Named(name, unit, description): Named, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// A point of a double, rounded to four places as a person would read it.
pub(crate) fn double_point(span: Span, attributes: Vec<KeyValue>, value: f64) -> NumberDataPoint {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    number(span, attributes, number_data_point::Value::AsDouble(rounded))
}

pub(crate) fn int_point(span: Span, attributes: Vec<KeyValue>, value: u64) -> NumberDataPoint {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    number(span, attributes, number_data_point::Value::AsInt(value))
}

fn number(span: Span, attributes: Vec<KeyValue>, value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.at,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// The bounds that HTTP durations are counted in, seconds (semantic conventions).
pub(crate) const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// An explicit-bucket histogram that fills.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    bounds: &'static [f64],
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    exemplar: Option<Exemplar>,
}

impl Buckets {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = vec![0; bounds.len() + 1];
        Self { bounds, counts, count: 0, sum: 0.0, min: f64::MAX, max: f64::MIN, exemplar: None }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)] += 1;
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Remembers the trace of the slowest measurement since the last point.
    pub(crate) fn keep_slowest(&mut self, at: u64, value: f64, trace: [u8; 16], span: [u8; 8]) {
        let slowest = match self.exemplar.as_ref().and_then(|kept| kept.value) {
            Some(exemplar::Value::AsDouble(kept)) => kept,
            _ => f64::MIN,
        };
        if value > slowest {
            self.exemplar = Some(Exemplar {
                time_unix_nano: at,
                trace_id: trace.to_vec(),
                span_id: span.to_vec(),
                value: Some(exemplar::Value::AsDouble(value)),
                ..Exemplar::default()
            });
        }
    }

    pub(crate) fn point(&mut self, span: Span, attributes: Vec<KeyValue>) -> HistogramDataPoint {
        let any = self.count > 0;
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: span.start,
            time_unix_nano: span.at,
            count: self.count,
            sum: Some((self.sum * 1e6).round() / 1e6),
            bucket_counts: self.counts.clone(),
            explicit_bounds: self.bounds.to_vec(),
            exemplars: self.exemplar.take().into_iter().collect(),
            min: any.then_some(self.min),
            max: any.then_some(self.max),
            ..HistogramDataPoint::default()
        }
    }
}

/// A base-2 exponential histogram of scale 3 that fills.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exponential {
    counts: BTreeMap<i32, u64>,
    zeros: u64,
    sum: f64,
    max: f64,
}

const SCALE: i32 = 3;

impl Exponential {
    #[expect(clippy::cast_possible_truncation, reason = "logarithms of seconds are small")]
    pub(crate) fn add(&mut self, value: f64) {
        self.sum += value;
        self.max = self.max.max(value);
        if value <= 0.0 {
            self.zeros += 1;
            return;
        }
        // Bucket i holds (base^i, base^(i+1)], base = 2^(2^-scale).
        let index = libm::ceil(libm::log2(value) * f64::from(1 << SCALE)) as i32 - 1;
        *self.counts.entry(index).or_default() += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.zeros == 0
    }

    pub(crate) fn point(&self, span: Span, attributes: Vec<KeyValue>) -> ExponentialHistogramDataPoint {
        let first = self.counts.keys().next().copied().unwrap_or(0);
        let last = self.counts.keys().next_back().copied().unwrap_or(-1);
        let bucket_counts = (first..=last).map(|i| self.counts.get(&i).copied().unwrap_or(0)).collect();
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: span.start,
            time_unix_nano: span.at,
            count: self.counts.values().sum::<u64>() + self.zeros,
            sum: Some((self.sum * 1e6).round() / 1e6),
            scale: SCALE,
            zero_count: self.zeros,
            positive: Some(ExpBuckets { offset: first, bucket_counts }),
            max: Some(self.max),
            ..ExponentialHistogramDataPoint::default()
        }
    }
}

/// A summary as older libraries keep it: counts for ever, quantiles of the last interval.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantiles {
    count: u64,
    sum: f64,
    recent: Vec<f64>,
}

impl Quantiles {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.recent.push(value);
    }

    pub(crate) fn point(&mut self, span: Span, attributes: Vec<KeyValue>) -> SummaryDataPoint {
        let mut recent = std::mem::take(&mut self.recent);
        recent.sort_by(f64::total_cmp);
        let quantile = |(quantile, percent): (f64, usize)| ValueAtQuantile {
            quantile,
            value: recent
                .get((recent.len() * percent / 100).min(recent.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0),
        };
        SummaryDataPoint {
            attributes,
            start_time_unix_nano: span.start,
            time_unix_nano: span.at,
            count: self.count,
            sum: (self.sum * 1e6).round() / 1e6,
            quantile_values: [(0.5, 50), (0.9, 90), (0.99, 99)].map(quantile).to_vec(),
            ..SummaryDataPoint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { start: 1, at: 2 };

    #[test]
    fn a_value_on_a_bound_counts_below_it() {
        let mut buckets = Buckets::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.5] {
            buckets.add(value);
        }
        let point = buckets.point(SPAN, Vec::new());
        assert_eq!(point.bucket_counts, [2, 1, 1]);
        assert_eq!((point.count, point.min, point.max), (4, Some(0.5), Some(2.5)));
    }

    #[test]
    fn exponential_buckets_hold_what_their_bounds_say() {
        let base = 2.0_f64.powf(0.125);
        for value in [0.003, 0.9, 1.0, 1.0001, 4.0, 7.3] {
            let mut one = Exponential::default();
            one.add(value);
            let point = one.point(SPAN, Vec::new());
            let index = point.positive.unwrap().offset;
            assert!(base.powi(index) < value * 1.000_000_1, "{value} above the lower bound");
            assert!(value <= base.powi(index + 1) * 1.000_000_1, "{value} not above the upper bound");
        }
    }

    #[test]
    fn the_slowest_measurement_is_the_exemplar_and_only_once() {
        let mut buckets = Buckets::new(SECONDS);
        for (value, id) in [(0.2, 1), (0.9, 2), (0.4, 3)] {
            buckets.add(value);
            buckets.keep_slowest(7, value, [id; 16], [id; 8]);
        }
        let point = buckets.point(SPAN, Vec::new());
        assert_eq!(point.exemplars[0].trace_id, [2; 16]);
        assert!(buckets.point(SPAN, Vec::new()).exemplars.is_empty());
    }
}
