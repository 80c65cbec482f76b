use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringBuilder};
use hindsight_model::{SpanId, TraceId, attributes_to_json};
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, exemplar::Value};

use super::columns::{Finished, Offsets, Times};
use crate::DecodeError;
use crate::attributes::read_attributes;
use crate::tally::{Remark, Tally};

#[derive(Default)]
pub(super) struct Exemplars {
    offsets: Offsets,
    times: Times,
    values: Vec<Option<f64>>,
    value_ints: Vec<Option<i64>>,
    trace_ids: StringBuilder,
    span_ids: StringBuilder,
    attributes: StringBuilder,
}

impl Exemplars {
    pub(super) fn push_row(
        &mut self,
        exemplars: Vec<Exemplar>,
        tally: &mut Tally<'_>,
    ) -> Result<(), DecodeError> {
        for exemplar in exemplars {
            self.times.push(exemplar.time_unix_nano);
            let (value, value_int) = match exemplar.value {
                Some(Value::AsDouble(number)) => (Some(number), None),
                Some(Value::AsInt(number)) => (Some(number as f64), Some(number)),
                None => (None, None),
            };
            self.values.push(value);
            self.value_ints.push(value_int);
            if !matches!(exemplar.trace_id.len(), 0 | 16) || !matches!(exemplar.span_id.len(), 0 | 8) {
                tally.remark(Remark::BadExemplarIds);
            }
            let trace = TraceId::from_bytes(&exemplar.trace_id).ok();
            let span = SpanId::from_bytes(&exemplar.span_id).ok();
            self.trace_ids.append_option(trace.map(|id| id.to_string()));
            self.span_ids.append_option(span.map(|id| id.to_string()));
            let attributes = read_attributes(exemplar.filtered_attributes, tally)?;
            self.attributes.append_value(attributes_to_json(&attributes));
        }
        self.offsets.end_row(self.values.len());
        Ok(())
    }

    pub(super) fn finish(mut self, finished: &mut Finished) -> Result<(), DecodeError> {
        let (timestamp, nanos) = self.times.finish();
        let values: Vec<ArrayRef> = vec![
            Arc::new(timestamp),
            Arc::new(nanos),
            Arc::new(Float64Array::from(self.values)),
            Arc::new(Int64Array::from(self.value_ints)),
            Arc::new(self.trace_ids.finish()),
            Arc::new(self.span_ids.finish()),
            Arc::new(self.attributes.finish()),
        ];
        finished.put_list("exemplars", self.offsets.0, values)
    }
}
