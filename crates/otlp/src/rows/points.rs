//! What the data points of every metric kind have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hindsight_model::{Cell, Owner, Table, attributes_to_json};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message as _;

use super::columns::{Counts, Finished, OptionalTimes, Room, Times};
use super::exemplars::ExemplarWire;
use super::owner::Group;
use super::pass::Pass;
use super::reader::{Fields, Odd};
use super::spans::ENTRY_BYTES;
use super::stop::Stop;
use crate::RejectReason;
use crate::attributes::read_attributes;
use crate::reject::cut;
use crate::series::SeriesHash;
use crate::series_gate::SeriesGate;
use crate::tally::{Remark, Tally};

/// The flag of a point that says "there is no value here" (rule 20).
pub(super) const NO_RECORDED_VALUE: u32 = 1;

/// The words of `temporality` by OTLP's number; 0 is refused.
pub(crate) const TEMPORALITIES: [&str; 3] = ["", "delta", "cumulative"];

/// What a metric's kind says about it beside its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) metric_type: &'static str,
    pub(super) temporality: Option<i32>,
    pub(super) is_monotonic: Option<bool>,
}

/// A metric's own fields as they stand in the request.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricWire<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) unit: &'a str,
    pub(super) metadata: Vec<&'a [u8]>,
}

/// A metric, with what reading it gave rise to.
#[derive(Debug)]
pub(super) struct Metric {
    id: u64,
    owner: Arc<Owner>,
    hash: SeriesHash,
    row_bytes: usize,
    name: String,
    metric_type: &'static str,
    refused: Option<RejectReason>,
    remarks: Vec<(Remark, u64)>,
}

/// A series of a metric.
#[derive(Debug)]
pub(super) struct Series {
    id: i64,
    /// The stamp of the gate that admitted it last.
    admitted: AtomicU64,
    pub(super) owner: Arc<Owner>,
    remarks: Vec<(Remark, u64)>,
}

impl MetricWire<'_> {
    /// The metric, known or new.
    pub(super) fn find(&self, kind: Kind, group: &Group, pass: &mut Pass<'_>) -> Result<Arc<Metric>, Stop> {
        let interner = pass.tally.context.interner;
        pass.start_key(group.id);
        let monotonic = kind.is_monotonic.map_or(2, u8::from);
        let temporality = kind.temporality.unwrap_or(0);
        pass.add_to_key(kind.metric_type.as_bytes());
        pass.add_to_key(&[monotonic]);
        pass.add_to_key(&temporality.to_le_bytes());
        for part in [self.name, self.description, self.unit] {
            pass.add_to_key(part.as_bytes());
        }
        for part in &self.metadata {
            pass.add_to_key(part);
        }
        if let Some(metric) = pass.path.metric(&pass.key) {
            return Ok(metric);
        }
        pass.leave_script(group);
        let metric = match interner.metrics.get(&pass.key) {
            Some(metric) => metric,
            None => {
                let metric = Arc::new(self.read(kind, group, pass)?);
                interner.metrics.add(&pass.key, &metric);
                metric
            }
        };
        pass.repeat_remarks(&metric.remarks);
        pass.path.add_metric(&pass.key, &metric);
        Ok(metric)
    }

    fn read(&self, kind: Kind, group: &Group, pass: &mut Pass<'_>) -> Result<Metric, Stop> {
        let temporality = kind.temporality.map(temporality_word);
        let refused = match kind.temporality {
            Some(0) => Some(RejectReason::UnspecifiedTemporality),
            _ if self.metadata.len() > pass.tally.context.limits.attributes_max => {
                Some(RejectReason::TooManyAttributes)
            }
            _ => group.check().err(),
        };
        let hash = group.hash.of_metric(
            self.name,
            self.unit,
            kind.metric_type,
            temporality.as_deref(),
            kind.is_monotonic,
        );
        let before = pass.tally.remarks();
        let metadata = attributes_to_json(&read_attributes(key_values(&self.metadata)?, &mut pass.tally)?);
        let remarks = pass.tally.take_remarks_since(before);
        let owner = Arc::new(Owner::within(
            &group.owner,
            vec![
                Cell::Text(self.name.into()),
                Cell::Text(kind.metric_type.into()),
                Cell::optional(self.unit),
                Cell::optional(self.description),
                Cell::Text(metadata.into()),
                temporality.map_or(Cell::Null, |word| Cell::Text(word.into())),
                kind.is_monotonic.map_or(Cell::Null, Cell::Bool),
            ],
        ));
        Ok(Metric {
            id: pass.tally.context.interner.id(),
            row_bytes: owner.row_bytes(),
            owner,
            hash,
            name: self.name.to_owned(),
            metric_type: kind.metric_type,
            refused,
            remarks,
        })
    }
}

fn key_values(list: &[&[u8]]) -> Result<Vec<KeyValue>, Odd> {
    list.iter().map(|wire| KeyValue::decode(*wire).map_err(|_| Odd)).collect()
}

fn temporality_word(number: i32) -> String {
    match usize::try_from(number).ok().and_then(|index| TEMPORALITIES.get(index)) {
        Some(word) => (*word).to_owned(),
        None => number.to_string(),
    }
}

/// What every kind of point has, as it stands in the request.
#[derive(Default)]
pub(super) struct PointWire<'a> {
    pub(super) start: u64,
    pub(super) time: u64,
    pub(super) flags: u32,
    pub(super) attributes: Vec<&'a [u8]>,
    pub(super) exemplars: Vec<ExemplarWire<'a>>,
}

impl<'a> PointWire<'a> {
    /// Forgets the point before; the lists keep their memory.
    pub(super) fn clear(&mut self) {
        (self.start, self.time, self.flags) = (0, 0, 0);
        self.attributes.clear();
        self.exemplars.clear();
    }

    pub(super) fn add_attribute(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<(), Stop> {
        pass.charge(ENTRY_BYTES)?;
        self.attributes.push(wire);
        Ok(())
    }

    pub(super) fn add_exemplar(&mut self, wire: &'a [u8], pass: &mut Pass<'_>) -> Result<(), Stop> {
        self.exemplars.push(ExemplarWire::read(wire, pass)?);
        Ok(())
    }
}

impl Metric {
    /// Checks what every kind of point has.
    pub(super) fn check(&self, point: &PointWire<'_>, tally: &mut Tally<'_>) -> Result<(), RejectReason> {
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        if point.time == 0 {
            return Err(RejectReason::ZeroTime);
        }
        tally.check_time(point.time)?;
        let max = tally.context.limits.attributes_max;
        let too_many = point.attributes.len() > max
            || point.exemplars.iter().any(|exemplar| exemplar.attributes.len() > max);
        if too_many {
            return Err(RejectReason::TooManyAttributes);
        }
        tally.take_shared(self.row_bytes)
    }

    pub(super) fn reject(
        &self,
        reason: RejectReason,
        group: &Group,
        point: &PointWire<'_>,
        tally: &mut Tally<'_>,
    ) -> Result<(), Stop> {
        // A refused point must still be one, or the request is not OTLP.
        key_values(&point.attributes)?;
        tally.reject(reason, group.service(), || {
            format!("metric={} type={} time={}", cut(&self.name, 180), self.metric_type, point.time)
        });
        Ok(())
    }

    /// The series whose key the pass has, known or new.
    fn series(&self, attributes: &[&[u8]], pass: &mut Pass<'_>) -> Result<Arc<Series>, Stop> {
        let interner = pass.tally.context.interner;
        let series = match interner.series.get(&pass.key) {
            Some(series) => series,
            None => {
                let series = Arc::new(self.read_series(attributes, pass)?);
                interner.series.add(&pass.key, &series);
                series
            }
        };
        pass.repeat_remarks(&series.remarks);
        Ok(series)
    }

    fn read_series(&self, attributes: &[&[u8]], pass: &mut Pass<'_>) -> Result<Series, Stop> {
        let before = pass.tally.remarks();
        let attributes = attributes_to_json(&read_attributes(key_values(attributes)?, &mut pass.tally)?);
        let remarks = pass.tally.take_remarks_since(before);
        let id = self.hash.id(&attributes);
        let cells = vec![Cell::Int(id), Cell::Text(attributes.into())];
        Ok(Series {
            id,
            admitted: AtomicU64::new(0),
            owner: Arc::new(Owner::within(&self.owner, cells)),
            remarks,
        })
    }
}

impl Series {
    /// Whether its points may come in; the gate is asked once for each of its stamps.
    pub(super) fn is_admitted(&self, gate: &dyn SeriesGate, stamp: u64) -> bool {
        if stamp != 0 && self.admitted.load(Ordering::Relaxed) == stamp {
            return true;
        }
        let admitted = gate.admit(self.id);
        if admitted {
            self.admitted.store(stamp, Ordering::Relaxed);
        }
        admitted
    }
}

/// The columns of every metric table.
pub(super) struct PointRows {
    table: Table,
    times: Times,
    start: OptionalTimes,
    flags: Counts,
}

impl PointRows {
    pub(super) fn new(table: Table, room: Room) -> Self {
        Self { table, times: room.times(), start: room.optional_times(), flags: Counts::default() }
    }

    /// The number of rows so far: the index of the next.
    pub(super) fn rows(&self) -> usize {
        self.times.len()
    }

    /// Adds the row; `false` when the series may not come in and the point was refused instead.
    pub(super) fn push(
        &mut self,
        point: &PointWire<'_>,
        metric: &Metric,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<bool, Stop> {
        pass.start_key(metric.id);
        for attribute in &point.attributes {
            pass.add_to_key(attribute);
        }
        if !pass.follow_point(self.table) {
            pass.leave_script(group);
            let series = metric.series(&point.attributes, pass)?;
            if !series.is_admitted(pass.tally.context.series, pass.gate_stamp) {
                metric.reject(RejectReason::TooManySeries, group, point, &mut pass.tally)?;
                return Ok(false);
            }
            pass.add_point(self.table, &series);
        }
        let row = self.rows();
        self.times.push(point.time);
        self.start.set(row, point.start);
        self.flags.set(row, point.flags.into());
        pass.tally.accept(point.time);
        Ok(true)
    }

    pub(super) fn finish(self, pass: &mut Pass<'_>) -> Finished {
        let rows = self.rows();
        let mut finished = pass.take_owners(self.table).finish(self.table);
        let (timestamp, nanos) = self.times.finish();
        finished.put("timestamp", timestamp);
        finished.put("timestamp_nanos", nanos);
        finished.put_times("start_timestamp", "start_timestamp_nanos", self.start.finish(rows));
        finished.put("flags", self.flags.finish(rows));
        finished
    }
}

/// The fields of a metric's data: the points, and for sums and histograms what they are.
#[derive(Default)]
pub(super) struct DataWire<'a> {
    pub(super) temporality: i32,
    pub(super) is_monotonic: bool,
    wire: &'a [u8],
}

impl<'a> DataWire<'a> {
    /// Field 2 is the temporality and field 3 the monotonicity, where the kind has them.
    pub(super) fn read(wire: &'a [u8], has_temporality: bool, has_monotonicity: bool) -> Result<Self, Odd> {
        let mut data = Self { wire, ..Self::default() };
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => drop(value.bytes()?),
                2 if has_temporality => data.temporality = value.int32()?,
                3 if has_monotonicity => data.is_monotonic = value.varint()? != 0,
                _ => {}
            }
        }
        Ok(data)
    }

    pub(super) fn each_point(&self, mut point: impl FnMut(&'a [u8]) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut fields = Fields::of(self.wire);
        while let Some((field, value)) = fields.next()? {
            if field == 1 {
                point(value.bytes()?)?;
            }
        }
        Ok(())
    }
}
