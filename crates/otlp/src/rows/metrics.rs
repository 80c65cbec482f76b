use std::rc::Rc;

use arrow::array::RecordBatch;
use hindsight_model::Table;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};

use super::histograms::{ExpHistogramRows, HistogramRows};
use super::numbers::NumberRows;
use super::owner::{Owner, Resource};
use super::points::{Descriptor, Kind};
use super::summaries::SummaryRows;
use crate::reject::cut;
use crate::tally::Tally;
use crate::{DecodeError, RejectReason};

pub(crate) fn write_metrics(
    request: ExportMetricsServiceRequest,
    tally: &mut Tally<'_>,
) -> Result<Vec<(Table, RecordBatch)>, DecodeError> {
    let mut rows = MetricRows {
        numbers: NumberRows::new(),
        histograms: HistogramRows::new(),
        exp_histograms: ExpHistogramRows::new(),
        summaries: SummaryRows::new(),
    };
    for group in request.resource_metrics {
        let resource = Resource::read(group.resource, group.schema_url, tally)?;
        for scope in group.scope_metrics {
            let owner = Owner::read(&resource, scope.scope, scope.schema_url, tally)?;
            for metric in scope.metrics {
                rows.push(metric, &owner, tally)?;
            }
        }
    }
    let batches = [
        rows.numbers.finish(tally)?,
        rows.histograms.finish(tally)?,
        rows.exp_histograms.finish(tally)?,
        rows.summaries.finish(tally)?,
    ];
    Ok(batches.into_iter().flatten().collect())
}

struct MetricRows {
    numbers: NumberRows,
    histograms: HistogramRows,
    exp_histograms: ExpHistogramRows,
    summaries: SummaryRows,
}

impl MetricRows {
    fn push(
        &mut self,
        mut metric: Metric,
        owner: &Rc<Owner>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        let Some(data) = metric.data.take() else {
            tally.reject(RejectReason::NoData, owner.service(), || {
                format!("metric={}", cut(&metric.name, 200))
            });
            return Ok(());
        };
        let metric = Descriptor::read(metric, &kind(&data), owner, tally)?;
        match data {
            Data::Gauge(gauge) => self.numbers.push_all(gauge.data_points, &metric, tally),
            Data::Sum(sum) => self.numbers.push_all(sum.data_points, &metric, tally),
            Data::Histogram(histogram) => self.histograms.push_all(histogram.data_points, &metric, tally),
            Data::ExponentialHistogram(histogram) => {
                self.exp_histograms.push_all(histogram.data_points, &metric, tally)
            }
            Data::Summary(summary) => self.summaries.push_all(summary.data_points, &metric, tally),
        }
    }
}

fn kind(data: &Data) -> Kind {
    let (metric_type, temporality, is_monotonic) = match data {
        Data::Gauge(_) => ("gauge", None, None),
        Data::Sum(sum) => ("sum", Some(sum.aggregation_temporality), Some(sum.is_monotonic)),
        Data::Histogram(histogram) => ("histogram", Some(histogram.aggregation_temporality), None),
        Data::ExponentialHistogram(histogram) => {
            ("exponential_histogram", Some(histogram.aggregation_temporality), None)
        }
        Data::Summary(_) => ("summary", None, None),
    };
    Kind { metric_type, temporality, is_monotonic }
}
