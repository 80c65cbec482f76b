use arrow::datatypes::{Float64Type, Int64Type};
use hindsight_model::{Rows, Table};
use opentelemetry_proto::tonic::metrics::v1::NumberDataPoint;

use super::columns::{Numbers, Room};
use super::exemplars::Exemplars;
use super::owner::Group;
use super::pass::Pass;
use super::points::{Metric, NO_RECORDED_VALUE, PointRows, PointWire};
use super::reader::Fields;
use super::stop::Stop;
use crate::{DecodeError, RejectReason};

/// Rows of `metrics`: the points of gauges and sums.
pub(super) struct NumberRows<'a> {
    point: PointWire<'a>,
    points: PointRows,
    value: Numbers<Float64Type>,
    value_int: Numbers<Int64Type>,
    exemplars: Exemplars,
}

/// A value as OTLP sends it, for points and exemplars.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Double(f64),
    Int(i64),
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Double(number) => number,
            Self::Int(number) => number as f64,
        }
    }
}

impl<'a> NumberRows<'a> {
    pub(super) fn new(room: Room) -> Self {
        Self {
            point: PointWire::default(),
            points: PointRows::new(Table::Metrics, room),
            value: room.numbers(),
            value_int: room.numbers(),
            exemplars: Exemplars::default(),
        }
    }

    pub(super) fn push(
        &mut self,
        wire: &'a [u8],
        metric: &Metric,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        pass.charge(size_of::<NumberDataPoint>())?;
        let number = self.read(wire, pass)?;
        let checked = if number.is_none() && self.point.flags & NO_RECORDED_VALUE == 0 {
            Err(RejectReason::NoValue)
        } else {
            metric.check(&self.point, &mut pass.tally)
        };
        if let Err(reason) = checked {
            return metric.reject(reason, group, &self.point, &mut pass.tally);
        }
        let row = self.points.rows();
        if !self.points.push(&self.point, metric, group, pass)? {
            return Ok(());
        }
        // A gap stays a gap, even if its sender filled in a number (rule 20).
        if let Some(number) = number.filter(|_| self.point.flags & NO_RECORDED_VALUE == 0) {
            self.value.set(row, number.as_f64());
            if let Number::Int(number) = number {
                self.value_int.set(row, number);
            }
        }
        self.exemplars.push_row(row, &mut self.point.exemplars, &mut pass.tally)
    }

    fn read(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<Option<Number>, Stop> {
        let point = &mut self.point;
        point.clear();
        let mut number = None;
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                2 => point.start = value.fixed64()?,
                3 => point.time = value.fixed64()?,
                4 => number = Some(Number::Double(value.double()?)),
                5 => point.add_exemplar(value.bytes()?, pass)?,
                6 => number = Some(Number::Int(value.fixed64()?.cast_signed())),
                7 => point.add_attribute(value.bytes()?, pass)?,
                8 => point.flags = value.uint32()?,
                _ => {}
            }
        }
        Ok(number)
    }

    pub(super) fn finish(self, pass: &mut Pass<'_>) -> Result<Option<(Table, Rows)>, DecodeError> {
        let rows = self.points.rows();
        if rows == 0 {
            return Ok(None);
        }
        let mut finished = self.points.finish(pass);
        finished.put("value", self.value.finish(rows));
        finished.put("value_int", self.value_int.finish(rows));
        self.exemplars.finish(&mut finished)?;
        finished.done().map(Some)
    }
}
