//! A sketch for each group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::sketch::Sketch;
use crate::functions::arguments::{lists, numbers, row_of};

const NAME: &str = "approx_percentile_cont";

/// The groups of one aggregation.
pub(super) struct Groups {
    share: f64,
    answer: DataType,
    sketches: Vec<Sketch>,
    /// What all sketches hold on the heap.
    heap_bytes: usize,
}

impl Groups {
    pub(super) fn new(share: f64, answer: DataType) -> Self {
        Self { share, answer, sketches: Vec::new(), heap_bytes: 0 }
    }

    fn grow_to(&mut self, total: usize) {
        if self.sketches.len() < total {
            self.sketches.resize_with(total, Sketch::default);
        }
    }

    fn add(&mut self, group: usize, value: f64) {
        self.heap_bytes += self.sketches[group].add(value);
    }

    fn emit(&mut self, emit: EmitTo) -> Vec<Sketch> {
        let sketches = emit.take_needed(&mut self.sketches);
        self.heap_bytes -= sketches.iter().map(Sketch::heap_bytes).sum::<usize>();
        sketches
    }

    fn lists(sketches: &[Sketch]) -> Result<Vec<ArrayRef>> {
        let (mut values, mut places, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut value_lengths, mut place_lengths) = (Vec::new(), Vec::new());
        for sketch in sketches {
            let (some, buckets) = sketch.parts();
            values.extend_from_slice(some);
            value_lengths.push(some.len());
            let before = places.len();
            for (place, count) in buckets {
                places.push(place);
                counts.push(count);
            }
            place_lengths.push(places.len() - before);
        }
        Ok(vec![
            list(Arc::new(Float64Array::from(values)), &value_lengths)?,
            list(Arc::new(Int32Array::from(places)), &place_lengths)?,
            list(Arc::new(Int64Array::from(counts)), &place_lengths)?,
        ])
    }
}

fn list(items: ArrayRef, lengths: &[usize]) -> Result<ArrayRef> {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let [values, ..] = values else { return exec_err!("{NAME} was given no values") };
        let values = cast(values, &DataType::Float64)?;
        let values = numbers::<Float64Type>(&values, NAME)?;
        self.grow_to(total);
        if filter.is_none() && values.null_count() == 0 {
            for (group, value) in groups.iter().zip(values.values()) {
                self.add(*group, *value);
            }
            return Ok(());
        }
        for (row, (group, value)) in groups.iter().zip(values).enumerate() {
            let wanted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(value) = value.filter(|_| wanted) {
                self.add(*group, value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let share = self.share;
        let sketches = self.emit(emit);
        let answers: Float64Array = sketches.into_iter().map(|mut sketch| sketch.percentile(share)).collect();
        Ok(cast(&answers, &self.answer)?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Self::lists(&self.emit(emit))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        let [values, places, counts] = states else {
            return exec_err!("{NAME} was given {} columns of state", states.len());
        };
        self.grow_to(total);
        let (values, places, counts) = (lists(values, NAME)?, lists(places, NAME)?, lists(counts, NAME)?);
        for (row, group) in groups.iter().enumerate() {
            let sketch = &mut self.sketches[*group];
            let before = sketch.heap_bytes();
            sketch.merge(
                row_of::<Float64Type>(values, row, NAME)?,
                row_of::<Int32Type>(places, row, NAME)?,
                row_of::<Int64Type>(counts, row, NAME)?,
            );
            self.heap_bytes = self.heap_bytes + sketch.heap_bytes() - before;
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, Array::len);
        let mut each = Self::new(self.share, self.answer.clone());
        each.update_batch(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sketches.capacity() * size_of::<Sketch>() + self.heap_bytes
    }
}

/// All rows are one group.
pub(super) struct Alone(pub(super) Groups);

impl std::fmt::Debug for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alone").field("share", &self.0.share).finish_non_exhaustive()
    }
}

impl Accumulator for Alone {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, Array::len);
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.grow_to(1);
        let share = self.0.share;
        let answer = Float64Array::from(vec![self.0.sketches[0].percentile(share)]);
        ScalarValue::try_from_array(&cast(&answer, &self.0.answer)?, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        // Even without a row there is one group, whose lists are empty.
        self.0.grow_to(1);
        let lists = self.0.state(EmitTo::All)?;
        lists.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, Array::len);
        self.0.merge_batch(states, &vec![0; rows], 1)
    }
}
