//! Rows of `metric_histograms` and `metric_exp_histograms`.

use std::sync::Arc;

use arrow::array::{Float64Array, Int32Array, Int64Array};
use arrow::datatypes::{Float64Type, Int32Type};
use hindsight_model::{Rows, Table};
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, HistogramDataPoint};

use super::columns::{Finished, Numbers, Offsets, Room, bits};
use super::exemplars::Exemplars;
use super::owner::Group;
use super::pass::Pass;
use super::points::{Metric, PointRows, PointWire};
use super::reader::{Fields, Odd, once, repeated_fixed64, repeated_varint};
use super::stop::Stop;
use crate::{DecodeError, RejectReason};

/// What both kinds have: the points' own columns and the totals.
struct Totals {
    points: PointRows,
    count: Vec<i64>,
    sum: Numbers<Float64Type>,
    min: Numbers<Float64Type>,
    max: Numbers<Float64Type>,
    exemplars: Exemplars,
}

/// The totals as they stand in the request.
#[derive(Default)]
struct TotalsWire {
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

impl Totals {
    fn new(table: Table, room: Room) -> Self {
        Self {
            points: PointRows::new(table, room),
            count: room.vec(),
            sum: room.numbers(),
            min: room.numbers(),
            max: room.numbers(),
            exemplars: Exemplars::default(),
        }
    }

    /// Adds the row and returns its index; `None` when the point was refused instead.
    fn push(
        &mut self,
        totals: &TotalsWire,
        point: &mut PointWire<'_>,
        metric: &Metric,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<Option<usize>, Stop> {
        let row = self.points.rows();
        if !self.points.push(point, metric, group, pass)? {
            return Ok(None);
        }
        self.count.push(bits(totals.count));
        let columns = [(&mut self.sum, totals.sum), (&mut self.min, totals.min), (&mut self.max, totals.max)];
        for (column, number) in columns {
            if let Some(number) = number {
                column.set(row, number);
            }
        }
        self.exemplars.push_row(row, &mut point.exemplars, &mut pass.tally)?;
        Ok(Some(row))
    }

    fn finish(self, pass: &mut Pass<'_>) -> Result<Finished, DecodeError> {
        let rows = self.points.rows();
        let mut finished = self.points.finish(pass);
        finished.put_array("count", Int64Array::from(self.count));
        finished.put("sum", self.sum.finish(rows));
        finished.put("min", self.min.finish(rows));
        finished.put("max", self.max.finish(rows));
        self.exemplars.finish(&mut finished)?;
        Ok(finished)
    }
}

pub(super) struct HistogramRows<'a> {
    point: PointWire<'a>,
    /// Bounds and counts of the point being read.
    own_bounds: Vec<f64>,
    own_counts: Vec<i64>,
    totals: Totals,
    bounds_offsets: Offsets,
    bounds: Vec<f64>,
    counts_offsets: Offsets,
    counts: Vec<i64>,
}

impl<'a> HistogramRows<'a> {
    pub(super) fn new(room: Room) -> Self {
        Self {
            point: PointWire::default(),
            own_bounds: Vec::new(),
            own_counts: Vec::new(),
            totals: Totals::new(Table::MetricHistograms, room),
            bounds_offsets: Offsets::default(),
            bounds: Vec::new(),
            counts_offsets: Offsets::default(),
            counts: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        wire: &'a [u8],
        metric: &Metric,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        pass.charge(size_of::<HistogramDataPoint>())?;
        let totals = self.read(wire, pass)?;
        let checked = self.check_buckets().and_then(|()| metric.check(&self.point, &mut pass.tally));
        if let Err(reason) = checked {
            return metric.reject(reason, group, &self.point, &mut pass.tally);
        }
        let Some(row) = self.totals.push(&totals, &mut self.point, metric, group, pass)? else {
            return Ok(());
        };
        if !self.own_counts.is_empty() {
            self.bounds.extend_from_slice(&self.own_bounds);
            self.bounds_offsets.end_row(row, self.bounds.len());
            self.counts.extend_from_slice(&self.own_counts);
            self.counts_offsets.end_row(row, self.counts.len());
        }
        Ok(())
    }

    fn read(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<TotalsWire, Stop> {
        let point = &mut self.point;
        point.clear();
        self.own_bounds.clear();
        self.own_counts.clear();
        let mut totals = TotalsWire::default();
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                2 => point.start = value.fixed64()?,
                3 => point.time = value.fixed64()?,
                4 => totals.count = value.fixed64()?,
                5 => totals.sum = Some(value.double()?),
                6 => repeated_fixed64(value, |count| self.own_counts.push(bits(count)))?,
                7 => repeated_fixed64(value, |bound| self.own_bounds.push(f64::from_bits(bound)))?,
                8 => point.add_exemplar(value.bytes()?, pass)?,
                9 => point.add_attribute(value.bytes()?, pass)?,
                10 => point.flags = value.uint32()?,
                11 => totals.min = Some(value.double()?),
                12 => totals.max = Some(value.double()?),
                _ => {}
            }
        }
        Ok(totals)
    }

    /// Rule 21: one more count than bounds, or neither; bounds increase (NaN never does).
    fn check_buckets(&self) -> Result<(), RejectReason> {
        let (counts, bounds) = (self.own_counts.len(), self.own_bounds.len());
        if counts != bounds + 1 && (counts, bounds) != (0, 0) {
            return Err(RejectReason::HistogramBuckets);
        }
        let increase = self.own_bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !increase || self.own_bounds.iter().any(|bound| bound.is_nan()) {
            return Err(RejectReason::HistogramBounds);
        }
        Ok(())
    }

    pub(super) fn finish(self, pass: &mut Pass<'_>) -> Result<Option<(Table, Rows)>, DecodeError> {
        if self.totals.points.rows() == 0 {
            return Ok(None);
        }
        let mut finished = self.totals.finish(pass)?;
        finished.put_list("explicit_bounds", self.bounds_offsets, || {
            vec![Arc::new(Float64Array::from(self.bounds))]
        })?;
        finished.put_list("bucket_counts", self.counts_offsets, || {
            vec![Arc::new(Int64Array::from(self.counts))]
        })?;
        finished.done().map(Some)
    }
}

pub(super) struct ExpHistogramRows<'a> {
    point: PointWire<'a>,
    totals: Totals,
    scale: Vec<i32>,
    zero_count: Vec<i64>,
    zero_threshold: Vec<f64>,
    positive: BucketRows,
    negative: BucketRows,
}

/// An exponential histogram's own fields as they stand in the request.
#[derive(Default)]
struct ExpWire<'a> {
    totals: TotalsWire,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Option<&'a [u8]>,
    negative: Option<&'a [u8]>,
}

impl<'a> ExpHistogramRows<'a> {
    pub(super) fn new(room: Room) -> Self {
        Self {
            point: PointWire::default(),
            totals: Totals::new(Table::MetricExpHistograms, room),
            scale: room.vec(),
            zero_count: room.vec(),
            zero_threshold: room.vec(),
            positive: BucketRows::default(),
            negative: BucketRows::default(),
        }
    }

    pub(super) fn push(
        &mut self,
        wire: &'a [u8],
        metric: &Metric,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        pass.charge(size_of::<ExponentialHistogramDataPoint>())?;
        let exp = self.read(wire, pass)?;
        self.positive.read(exp.positive)?;
        self.negative.read(exp.negative)?;
        if let Err(reason) = metric.check(&self.point, &mut pass.tally) {
            return metric.reject(reason, group, &self.point, &mut pass.tally);
        }
        let Some(row) = self.totals.push(&exp.totals, &mut self.point, metric, group, pass)? else {
            return Ok(());
        };
        self.scale.push(exp.scale);
        self.zero_count.push(bits(exp.zero_count));
        self.zero_threshold.push(exp.zero_threshold);
        self.positive.push(row);
        self.negative.push(row);
        Ok(())
    }

    fn read(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<ExpWire<'a>, Stop> {
        let point = &mut self.point;
        point.clear();
        let mut exp = ExpWire::default();
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => point.add_attribute(value.bytes()?, pass)?,
                2 => point.start = value.fixed64()?,
                3 => point.time = value.fixed64()?,
                4 => exp.totals.count = value.fixed64()?,
                5 => exp.totals.sum = Some(value.double()?),
                6 => exp.scale = value.sint32()?,
                7 => exp.zero_count = value.fixed64()?,
                8 => once(&mut exp.positive, value.bytes()?)?,
                9 => once(&mut exp.negative, value.bytes()?)?,
                10 => point.flags = value.uint32()?,
                11 => point.add_exemplar(value.bytes()?, pass)?,
                12 => exp.totals.min = Some(value.double()?),
                13 => exp.totals.max = Some(value.double()?),
                14 => exp.zero_threshold = value.double()?,
                _ => {}
            }
        }
        Ok(exp)
    }

    pub(super) fn finish(self, pass: &mut Pass<'_>) -> Result<Option<(Table, Rows)>, DecodeError> {
        let rows = self.totals.points.rows();
        if rows == 0 {
            return Ok(None);
        }
        let mut finished = self.totals.finish(pass)?;
        finished.put_array("scale", Int32Array::from(self.scale));
        finished.put_array("zero_count", Int64Array::from(self.zero_count));
        finished.put_array("zero_threshold", Float64Array::from(self.zero_threshold));
        self.positive.finish("positive_offset", "positive_counts", rows, &mut finished)?;
        self.negative.finish("negative_offset", "negative_counts", rows, &mut finished)?;
        finished.done().map(Some)
    }
}

/// One side of exponential histograms; a null offset where the side was not sent.
#[derive(Default)]
struct BucketRows {
    /// Offset and counts of the point being read.
    own_offset: Option<i32>,
    own_counts: Vec<i64>,
    first: Numbers<Int32Type>,
    offsets: Offsets,
    counts: Vec<i64>,
}

impl BucketRows {
    fn read(&mut self, wire: Option<&[u8]>) -> Result<(), Odd> {
        self.own_offset = None;
        self.own_counts.clear();
        let Some(wire) = wire else { return Ok(()) };
        let mut offset = 0;
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => offset = value.sint32()?,
                2 => repeated_varint(value, |count| self.own_counts.push(bits(count)))?,
                _ => {}
            }
        }
        self.own_offset = Some(offset);
        Ok(())
    }

    fn push(&mut self, row: usize) {
        if let Some(offset) = self.own_offset {
            self.first.set(row, offset);
        }
        if !self.own_counts.is_empty() {
            self.counts.extend_from_slice(&self.own_counts);
            self.offsets.end_row(row, self.counts.len());
        }
    }

    fn finish(
        self,
        offset: &str,
        counts: &str,
        rows: usize,
        finished: &mut Finished,
    ) -> Result<(), DecodeError> {
        finished.put(offset, self.first.finish(rows));
        finished.put_list(counts, self.offsets, || vec![Arc::new(Int64Array::from(self.counts))])
    }
}
