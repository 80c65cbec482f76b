//! OTLP records to rows: one writer per table, which checks a record whole before it writes any of it.

mod columns;
mod common;
mod exemplars;
mod histograms;
mod logs;
mod metrics;
mod numbers;
mod owner;
mod points;
mod promoted;
mod span_lists;
mod spans;
mod summaries;

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};

pub(crate) use logs::write_logs;
pub(crate) use metrics::write_metrics;
pub(crate) use points::TEMPORALITIES;
pub(crate) use spans::{KINDS, STATUS_CODES, write_traces};

/// The data points of a metric; one for a metric without data, which is refused as one.
pub(crate) fn points(metric: &Metric) -> usize {
    match &metric.data {
        None => 1,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    }
}
