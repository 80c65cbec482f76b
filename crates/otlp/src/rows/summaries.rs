use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch};
use hindsight_model::Table;
use opentelemetry_proto::tonic::metrics::v1::SummaryDataPoint;

use super::columns::{Offsets, bits};
use super::points::{Descriptor, Point, PointRows};
use crate::DecodeError;
use crate::tally::Tally;

/// Rows of `metric_summaries`.
pub(super) struct SummaryRows {
    points: PointRows,
    count: Vec<i64>,
    sum: Vec<f64>,
    offsets: Offsets,
    quantile: Vec<f64>,
    value: Vec<f64>,
}

impl SummaryRows {
    pub(super) fn new() -> Self {
        Self {
            points: PointRows::new(Table::MetricSummaries),
            count: Vec::new(),
            sum: Vec::new(),
            offsets: Offsets::default(),
            quantile: Vec::new(),
            value: Vec::new(),
        }
    }

    pub(super) fn push_all(
        &mut self,
        points: Vec<SummaryDataPoint>,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        for point in points {
            match metric.check(point.time_unix_nano, &point.attributes, &[], tally) {
                Ok(()) => self.push(point, metric, tally)?,
                Err(reason) => metric.reject(reason, point.time_unix_nano, tally),
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        point: SummaryDataPoint,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        self.count.push(bits(point.count));
        self.sum.push(point.sum);
        for at in point.quantile_values {
            self.quantile.push(at.quantile);
            self.value.push(at.value);
        }
        self.offsets.end_row(self.value.len());
        let point = Point {
            time_unix_nano: point.time_unix_nano,
            start_time_unix_nano: point.start_time_unix_nano,
            attributes: point.attributes,
            flags: point.flags,
        };
        self.points.push(point, metric, tally)
    }

    pub(super) fn finish(self, tally: &Tally<'_>) -> Result<Option<(Table, RecordBatch)>, DecodeError> {
        if self.points.rows() == 0 {
            return Ok(None);
        }
        let mut finished = self.points.finish(tally);
        finished.put("count", Int64Array::from(self.count));
        finished.put("sum", Float64Array::from(self.sum));
        let (quantile, value) = (Float64Array::from(self.quantile), Float64Array::from(self.value));
        finished.put_list("quantiles", self.offsets.0, vec![Arc::new(quantile), Arc::new(value)])?;
        Ok(Some((Table::MetricSummaries, finished.batch()?)))
    }
}
