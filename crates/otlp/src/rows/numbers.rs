use std::rc::Rc;

use arrow::array::{Float64Array, Int64Array, RecordBatch};
use hindsight_model::Table;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, number_data_point::Value};

use super::exemplars::Exemplars;
use super::points::{Descriptor, NO_RECORDED_VALUE, Point, PointRows};
use crate::tally::Tally;
use crate::{DecodeError, RejectReason};

/// Rows of `metrics`: the points of gauges and sums.
pub(super) struct NumberRows {
    points: PointRows,
    value: Vec<Option<f64>>,
    value_int: Vec<Option<i64>>,
    exemplars: Exemplars,
}

impl NumberRows {
    pub(super) fn new() -> Self {
        Self {
            points: PointRows::new(Table::Metrics),
            value: Vec::new(),
            value_int: Vec::new(),
            exemplars: Exemplars::default(),
        }
    }

    pub(super) fn push_all(
        &mut self,
        points: Vec<NumberDataPoint>,
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
        point: NumberDataPoint,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        // A gap stays a gap, even if its sender filled in a number (rule 20).
        let recorded = point.value.filter(|_| point.flags & NO_RECORDED_VALUE == 0);
        let (value, value_int) = match recorded {
            Some(Value::AsDouble(number)) => (Some(number), None),
            Some(Value::AsInt(number)) => (Some(number as f64), Some(number)),
            None => (None, None),
        };
        self.value.push(value);
        self.value_int.push(value_int);
        self.exemplars.push_row(point.exemplars, tally)?;
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
        finished.put("value", Float64Array::from(self.value));
        finished.put("value_int", Int64Array::from(self.value_int));
        self.exemplars.finish(&mut finished)?;
        Ok(Some((Table::Metrics, finished.batch()?)))
    }
}

fn check(point: &NumberDataPoint, metric: &Descriptor, tally: &mut Tally<'_>) -> Result<(), RejectReason> {
    if point.value.is_none() && point.flags & NO_RECORDED_VALUE == 0 {
        return Err(RejectReason::NoValue);
    }
    metric.check(point.time_unix_nano, &point.attributes, &point.exemplars, tally)
}
