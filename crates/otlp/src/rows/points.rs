//! What the data points of every metric kind have in common.

use std::rc::Rc;

use arrow::array::{BooleanArray, Int64Array, StringBuilder};
use hindsight_model::{Table, attributes_to_json};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};

use super::columns::{Finished, OptionalTimes, push_text};
use super::common::{Common, check_count};
use super::owner::Owner;
use crate::attributes::read_attributes;
use crate::reject::cut;
use crate::series::Series;
use crate::tally::Tally;
use crate::{DecodeError, RejectReason};

/// The flag of a point that says "there is no value here" (rule 20).
pub(super) const NO_RECORDED_VALUE: u32 = 1;

/// The words of `temporality` by OTLP's number; 0 is refused.
pub(crate) const TEMPORALITIES: [&str; 3] = ["", "delta", "cumulative"];

/// A metric's columns, turned into texts once for all its points.
pub(super) struct Descriptor {
    pub(super) owner: Rc<Owner>,
    name: String,
    metric_type: &'static str,
    unit: String,
    description: String,
    metadata: String,
    temporality: Option<String>,
    is_monotonic: Option<bool>,
    refused: Option<RejectReason>,
    series: Series,
}

/// What a metric's kind says about it beside its name.
pub(super) struct Kind {
    pub(super) metric_type: &'static str,
    pub(super) temporality: Option<i32>,
    pub(super) is_monotonic: Option<bool>,
}

impl Descriptor {
    pub(super) fn read(
        metric: Metric,
        kind: &Kind,
        owner: &Rc<Owner>,
        tally: &mut Tally<'_>,
    ) -> Result<Rc<Self>, DecodeError> {
        let temporality = kind.temporality.map(temporality_word);
        let counted = check_count(&metric.metadata, tally.context.limits);
        let refused = match kind.temporality {
            Some(0) => Some(RejectReason::UnspecifiedTemporality),
            _ => counted.err().or(owner.check().err()),
        };
        let series = owner.series().of_metric(
            &metric.name,
            &metric.unit,
            kind.metric_type,
            temporality.as_deref(),
            kind.is_monotonic,
        );
        Ok(Rc::new(Self {
            owner: Rc::clone(owner),
            name: metric.name,
            metric_type: kind.metric_type,
            unit: metric.unit,
            description: metric.description,
            metadata: attributes_to_json(&read_attributes(metric.metadata, tally)?),
            temporality,
            is_monotonic: kind.is_monotonic,
            refused,
            series,
        }))
    }

    /// Checks what every kind of point has.
    pub(super) fn check(
        &self,
        unix_nano: u64,
        attributes: &[KeyValue],
        exemplars: &[Exemplar],
        tally: &mut Tally<'_>,
    ) -> Result<(), RejectReason> {
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        if unix_nano == 0 {
            return Err(RejectReason::ZeroTime);
        }
        tally.check_time(unix_nano)?;
        let limits = tally.context.limits;
        check_count(attributes, limits)?;
        exemplars.iter().try_for_each(|exemplar| check_count(&exemplar.filtered_attributes, limits))?;
        let own = self.name.len() + self.unit.len() + self.description.len() + self.metadata.len();
        tally.take_shared(own + self.owner.bytes())
    }

    pub(super) fn reject(&self, reason: RejectReason, unix_nano: u64, tally: &mut Tally<'_>) {
        tally.reject(reason, self.owner.service(), || {
            format!("metric={} type={} time={unix_nano}", cut(&self.name, 180), self.metric_type)
        });
    }
}

fn temporality_word(number: i32) -> String {
    match usize::try_from(number).ok().and_then(|index| TEMPORALITIES.get(index)) {
        Some(word) => (*word).to_owned(),
        None => number.to_string(),
    }
}

/// The columns of every metric table.
pub(super) struct PointRows {
    common: Common,
    descriptors: Vec<(Rc<Descriptor>, usize)>,
    start: OptionalTimes,
    series_id: Vec<i64>,
    flags: Vec<i64>,
}

/// A point's share of [`PointRows`].
pub(super) struct Point {
    pub(super) time_unix_nano: u64,
    pub(super) start_time_unix_nano: u64,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) flags: u32,
}

impl PointRows {
    pub(super) fn new(table: Table) -> Self {
        Self {
            common: Common::new(table),
            descriptors: Vec::new(),
            start: OptionalTimes::default(),
            series_id: Vec::new(),
            flags: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        point: Point,
        metric: &Rc<Descriptor>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        let attributes = read_attributes(point.attributes, tally)?;
        self.series_id.push(metric.series.id(&attributes_to_json(&attributes)));
        self.common.push(&metric.owner, point.time_unix_nano, attributes, 0, tally);
        self.start.push(point.start_time_unix_nano);
        self.flags.push(point.flags.into());
        match self.descriptors.last_mut() {
            Some((last, rows)) if Rc::ptr_eq(last, metric) => *rows += 1,
            _ => self.descriptors.push((Rc::clone(metric), 1)),
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.common.rows()
    }

    pub(super) fn finish(self, tally: &Tally<'_>) -> Finished {
        let mut finished = self.common.finish(tally.context.tenant);
        put_descriptors(&self.descriptors, &mut finished);
        let (start, start_nanos) = self.start.finish();
        finished.put("start_timestamp", start);
        finished.put("start_timestamp_nanos", start_nanos);
        finished.put("series_id", Int64Array::from(self.series_id));
        finished.put("flags", Int64Array::from(self.flags));
        finished
    }
}

fn put_descriptors(descriptors: &[(Rc<Descriptor>, usize)], finished: &mut Finished) {
    let mut name = StringBuilder::new();
    let mut metric_type = StringBuilder::new();
    let mut unit = StringBuilder::new();
    let mut description = StringBuilder::new();
    let mut metadata = StringBuilder::new();
    let mut temporality = StringBuilder::new();
    let mut is_monotonic = Vec::new();
    for (metric, rows) in descriptors {
        for _ in 0..*rows {
            name.append_value(&metric.name);
            metric_type.append_value(metric.metric_type);
            push_text(&mut unit, &metric.unit);
            push_text(&mut description, &metric.description);
            metadata.append_value(&metric.metadata);
            temporality.append_option(metric.temporality.as_deref());
            is_monotonic.push(metric.is_monotonic);
        }
    }
    finished.put("metric_name", name.finish());
    finished.put("metric_type", metric_type.finish());
    finished.put("unit", unit.finish());
    finished.put("description", description.finish());
    finished.put("metadata", metadata.finish());
    finished.put("temporality", temporality.finish());
    finished.put("is_monotonic", BooleanArray::from(is_monotonic));
}
