//! Rows of `metric_histograms` and `metric_exp_histograms`.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Float64Array, Int32Array, Int64Array, RecordBatch};
use hindsight_model::Table;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, HistogramDataPoint};

use super::columns::{Finished, Offsets, bits};
use super::exemplars::Exemplars;
use super::points::{Descriptor, Point, PointRows};
use crate::tally::Tally;
use crate::{DecodeError, RejectReason};

/// What both kinds have: the points' own columns and the totals.
struct Totals {
    points: PointRows,
    count: Vec<i64>,
    sum: Vec<Option<f64>>,
    min: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
    exemplars: Exemplars,
}

impl Totals {
    fn new(table: Table) -> Self {
        Self {
            points: PointRows::new(table),
            count: Vec::new(),
            sum: Vec::new(),
            min: Vec::new(),
            max: Vec::new(),
            exemplars: Exemplars::default(),
        }
    }

    fn finish(self, tally: &Tally<'_>) -> Result<Finished, DecodeError> {
        let mut finished = self.points.finish(tally);
        finished.put("count", Int64Array::from(self.count));
        finished.put("sum", Float64Array::from(self.sum));
        finished.put("min", Float64Array::from(self.min));
        finished.put("max", Float64Array::from(self.max));
        self.exemplars.finish(&mut finished)?;
        Ok(finished)
    }
}

pub(super) struct HistogramRows {
    totals: Totals,
    bounds_offsets: Offsets,
    bounds: Vec<f64>,
    counts_offsets: Offsets,
    counts: Vec<i64>,
}

impl HistogramRows {
    pub(super) fn new() -> Self {
        Self {
            totals: Totals::new(Table::MetricHistograms),
            bounds_offsets: Offsets::default(),
            bounds: Vec::new(),
            counts_offsets: Offsets::default(),
            counts: Vec::new(),
        }
    }

    pub(super) fn push_all(
        &mut self,
        points: Vec<HistogramDataPoint>,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        for point in points {
            match check(&point, metric, tally) {
                Ok(()) => self.push(point, metric, tally)?,
                Err(reason) => metric.reject(reason, point.time_unix_nano, tally),
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        point: HistogramDataPoint,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        self.totals.count.push(bits(point.count));
        self.totals.sum.push(point.sum);
        self.totals.min.push(point.min);
        self.totals.max.push(point.max);
        self.totals.exemplars.push_row(point.exemplars, tally)?;
        self.bounds.extend(&point.explicit_bounds);
        self.bounds_offsets.end_row(self.bounds.len());
        self.counts.extend(point.bucket_counts.iter().copied().map(bits));
        self.counts_offsets.end_row(self.counts.len());
        let point = Point {
            time_unix_nano: point.time_unix_nano,
            start_time_unix_nano: point.start_time_unix_nano,
            attributes: point.attributes,
            flags: point.flags,
        };
        self.totals.points.push(point, metric, tally)
    }

    pub(super) fn finish(self, tally: &Tally<'_>) -> Result<Option<(Table, RecordBatch)>, DecodeError> {
        if self.totals.points.rows() == 0 {
            return Ok(None);
        }
        let mut finished = self.totals.finish(tally)?;
        let bounds = Arc::new(Float64Array::from(self.bounds));
        finished.put_list("explicit_bounds", self.bounds_offsets.0, vec![bounds])?;
        let counts = Arc::new(Int64Array::from(self.counts));
        finished.put_list("bucket_counts", self.counts_offsets.0, vec![counts])?;
        Ok(Some((Table::MetricHistograms, finished.batch()?)))
    }
}

/// Rule 21: one more count than bounds, or neither; bounds increase (NaN never does).
fn check(point: &HistogramDataPoint, metric: &Descriptor, tally: &mut Tally<'_>) -> Result<(), RejectReason> {
    let (counts, bounds) = (point.bucket_counts.len(), point.explicit_bounds.len());
    if counts != bounds + 1 && (counts, bounds) != (0, 0) {
        return Err(RejectReason::HistogramBuckets);
    }
    let increase = point.explicit_bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !increase || point.explicit_bounds.iter().any(|bound| bound.is_nan()) {
        return Err(RejectReason::HistogramBounds);
    }
    metric.check(point.time_unix_nano, &point.attributes, &point.exemplars, tally)
}

pub(super) struct ExpHistogramRows {
    totals: Totals,
    scale: Vec<i32>,
    zero_count: Vec<i64>,
    zero_threshold: Vec<f64>,
    positive: BucketRows,
    negative: BucketRows,
}

impl ExpHistogramRows {
    pub(super) fn new() -> Self {
        Self {
            totals: Totals::new(Table::MetricExpHistograms),
            scale: Vec::new(),
            zero_count: Vec::new(),
            zero_threshold: Vec::new(),
            positive: BucketRows::default(),
            negative: BucketRows::default(),
        }
    }

    pub(super) fn push_all(
        &mut self,
        points: Vec<ExponentialHistogramDataPoint>,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        for point in points {
            match metric.check(point.time_unix_nano, &point.attributes, &point.exemplars, tally) {
                Ok(()) => self.push(point, metric, tally)?,
                Err(reason) => metric.reject(reason, point.time_unix_nano, tally),
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        point: ExponentialHistogramDataPoint,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        self.totals.count.push(bits(point.count));
        self.totals.sum.push(point.sum);
        self.totals.min.push(point.min);
        self.totals.max.push(point.max);
        self.totals.exemplars.push_row(point.exemplars, tally)?;
        self.scale.push(point.scale);
        self.zero_count.push(bits(point.zero_count));
        self.zero_threshold.push(point.zero_threshold);
        self.positive.push(point.positive.as_ref());
        self.negative.push(point.negative.as_ref());
        let point = Point {
            time_unix_nano: point.time_unix_nano,
            start_time_unix_nano: point.start_time_unix_nano,
            attributes: point.attributes,
            flags: point.flags,
        };
        self.totals.points.push(point, metric, tally)
    }

    pub(super) fn finish(self, tally: &Tally<'_>) -> Result<Option<(Table, RecordBatch)>, DecodeError> {
        if self.totals.points.rows() == 0 {
            return Ok(None);
        }
        let mut finished = self.totals.finish(tally)?;
        finished.put("scale", Int32Array::from(self.scale));
        finished.put("zero_count", Int64Array::from(self.zero_count));
        finished.put("zero_threshold", Float64Array::from(self.zero_threshold));
        self.positive.finish("positive_offset", "positive_counts", &mut finished)?;
        self.negative.finish("negative_offset", "negative_counts", &mut finished)?;
        Ok(Some((Table::MetricExpHistograms, finished.batch()?)))
    }
}

/// One side of exponential histograms; a null offset where the side was not sent.
#[derive(Default)]
struct BucketRows {
    first: Vec<Option<i32>>,
    offsets: Offsets,
    counts: Vec<i64>,
}

impl BucketRows {
    fn push(&mut self, buckets: Option<&Buckets>) {
        self.first.push(buckets.map(|buckets| buckets.offset));
        if let Some(buckets) = buckets {
            self.counts.extend(buckets.bucket_counts.iter().copied().map(bits));
        }
        self.offsets.end_row(self.counts.len());
    }

    fn finish(self, offset: &str, counts: &str, finished: &mut Finished) -> Result<(), DecodeError> {
        finished.put(offset, Int32Array::from(self.first));
        finished.put_list(counts, self.offsets.0, vec![Arc::new(Int64Array::from(self.counts))])
    }
}
