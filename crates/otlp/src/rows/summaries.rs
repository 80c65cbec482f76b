use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array};
use hindsight_model::{Rows, Table};
use opentelemetry_proto::tonic::metrics::v1::{SummaryDataPoint, summary_data_point::ValueAtQuantile};

use super::columns::{Offsets, Room, bits};
use super::owner::Group;
use super::pass::Pass;
use super::points::{Metric, PointRows, PointWire};
use super::reader::Fields;
use super::stop::Stop;
use crate::DecodeError;

/// Rows of `metric_summaries`.
pub(super) struct SummaryRows<'a> {
    point: PointWire<'a>,
    /// Quantiles and values of the point being read.
    own: Vec<(f64, f64)>,
    points: PointRows,
    count: Vec<i64>,
    sum: Vec<f64>,
    offsets: Offsets,
    quantile: Vec<f64>,
    value: Vec<f64>,
}

impl<'a> SummaryRows<'a> {
    pub(super) fn new(room: Room) -> Self {
        Self {
            point: PointWire::default(),
            own: Vec::new(),
            points: PointRows::new(Table::MetricSummaries, room),
            count: room.vec(),
            sum: room.vec(),
            offsets: Offsets::default(),
            quantile: Vec::new(),
            value: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        wire: &'a [u8],
        metric: &Metric,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        pass.charge(size_of::<SummaryDataPoint>())?;
        let (count, sum) = self.read(wire, pass)?;
        if let Err(reason) = metric.check(&self.point, &mut pass.tally) {
            return metric.reject(reason, group, &self.point, &mut pass.tally);
        }
        let row = self.points.rows();
        if !self.points.push(&self.point, metric, group, pass)? {
            return Ok(());
        }
        self.count.push(bits(count));
        self.sum.push(sum);
        if !self.own.is_empty() {
            self.quantile.extend(self.own.iter().map(|own| own.0));
            self.value.extend(self.own.iter().map(|own| own.1));
            self.offsets.end_row(row, self.value.len());
        }
        Ok(())
    }

    /// Count and sum.
    fn read(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<(u64, f64), Stop> {
        let point = &mut self.point;
        point.clear();
        self.own.clear();
        let (mut count, mut sum) = (0, 0.0);
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                2 => point.start = value.fixed64()?,
                3 => point.time = value.fixed64()?,
                4 => count = value.fixed64()?,
                5 => sum = value.double()?,
                6 => {
                    pass.charge(size_of::<ValueAtQuantile>())?;
                    self.own.push(quantile(value.bytes()?)?);
                }
                7 => point.add_attribute(value.bytes()?, pass)?,
                8 => point.flags = value.uint32()?,
                _ => {}
            }
        }
        Ok((count, sum))
    }

    pub(super) fn finish(self, pass: &mut Pass<'_>) -> Result<Option<(Table, Rows)>, DecodeError> {
        if self.points.rows() == 0 {
            return Ok(None);
        }
        let mut finished = self.points.finish(pass);
        finished.put_array("count", Int64Array::from(self.count));
        finished.put_array("sum", Float64Array::from(self.sum));
        finished.put_list("quantiles", self.offsets, || {
            vec![Arc::new(Float64Array::from(self.quantile)), Arc::new(Float64Array::from(self.value))]
        })?;
        finished.done().map(Some)
    }
}

/// A quantile and its value.
fn quantile(wire: &[u8]) -> Result<(f64, f64), Stop> {
    let mut pair = (0.0, 0.0);
    let mut fields = Fields::of(wire);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => pair.0 = value.double()?,
            2 => pair.1 = value.double()?,
            _ => {}
        }
    }
    Ok(pair)
}
