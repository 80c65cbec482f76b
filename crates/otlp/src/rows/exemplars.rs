use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use opentelemetry_proto::tonic::metrics::v1::Exemplar;

use super::columns::{Finished, Numbers, Offsets, Texts, Times, inner};
use super::entries::{Entry, json};
use super::ids::{append_hex, valid};
use super::numbers::Number;
use super::pass::Pass;
use super::reader::Fields;
use super::spans::ENTRY_BYTES;
use super::stop::Stop;
use crate::DecodeError;
use crate::tally::{Remark, Tally};

/// An exemplar as it stands in the request.
pub(super) struct ExemplarWire<'a> {
    time: u64,
    value: Option<Number>,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    pub(super) attributes: Vec<Entry<'a>>,
}

impl<'a> ExemplarWire<'a> {
    pub(super) fn read(wire: &'a [u8], pass: &mut Pass<'_>) -> Result<Self, Stop> {
        pass.charge(size_of::<Exemplar>())?;
        let mut exemplar = Self { time: 0, value: None, trace_id: &[], span_id: &[], attributes: Vec::new() };
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                2 => exemplar.time = value.fixed64()?,
                3 => exemplar.value = Some(Number::Double(value.double()?)),
                4 => exemplar.span_id = value.bytes()?,
                5 => exemplar.trace_id = value.bytes()?,
                6 => exemplar.value = Some(Number::Int(value.fixed64()?.cast_signed())),
                7 => {
                    pass.charge(ENTRY_BYTES)?;
                    exemplar.attributes.push(Entry::read(value.bytes()?)?);
                }
                _ => {}
            }
        }
        Ok(exemplar)
    }
}

#[derive(Default)]
pub(super) struct Exemplars {
    offsets: Offsets,
    times: Times,
    values: Numbers<Float64Type>,
    value_ints: Numbers<Int64Type>,
    trace_ids: Texts,
    span_ids: Texts,
    attributes: Texts,
}

impl Exemplars {
    pub(super) fn push_row(
        &mut self,
        row: usize,
        exemplars: &mut [ExemplarWire<'_>],
        tally: &mut Tally<'_>,
    ) -> Result<(), Stop> {
        if exemplars.is_empty() {
            return Ok(());
        }
        for exemplar in exemplars {
            let at = self.times.len();
            self.times.push(exemplar.time);
            if let Some(value) = exemplar.value {
                self.values.set(at, value.as_f64());
            }
            if let Some(Number::Int(number)) = exemplar.value {
                self.value_ints.set(at, number);
            }
            if !matches!(exemplar.trace_id.len(), 0 | 16) || !matches!(exemplar.span_id.len(), 0 | 8) {
                tally.remark(Remark::BadExemplarIds);
            }
            if let Some(id) = valid::<16>(exemplar.trace_id) {
                append_hex(self.trace_ids.at(at), id);
            }
            if let Some(id) = valid::<8>(exemplar.span_id) {
                append_hex(self.span_ids.at(at), id);
            }
            self.attributes.set(at, &json(&mut exemplar.attributes, tally)?);
        }
        self.offsets.end_row(row, self.times.len());
        Ok(())
    }

    pub(super) fn finish(self, finished: &mut Finished) -> Result<(), DecodeError> {
        finished.put_list("exemplars", self.offsets, || {
            let count = self.times.len();
            let (timestamp, nanos) = self.times.finish();
            let values: Vec<ArrayRef> = vec![
                timestamp,
                nanos,
                inner(self.values.finish(count), DataType::Float64, count),
                inner(self.value_ints.finish(count), DataType::Int64, count),
                inner(self.trace_ids.finish(count), DataType::Utf8, count),
                inner(self.span_ids.finish(count), DataType::Utf8, count),
                inner(self.attributes.finish(count), DataType::Utf8, count),
            ];
            values
        })
    }
}
