//! `histogram_merge` over many groups at once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::columns::{ExplicitRows, explicit_columns, parts};
use super::explicit::Explicit;

pub(super) const NAME: &str = "histogram_merge";
pub(super) const OTHER_BOUNDS: &str =
    "histogram_merge met histograms with different bounds; add explicit_bounds to GROUP BY";

/// A sum for each group.
#[derive(Debug, Default)]
pub(super) struct ExplicitSums {
    sums: Vec<Explicit>,
    /// What the sums hold on the heap.
    heap_bytes: usize,
}

impl ExplicitSums {
    fn add(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        if self.sums.len() < total {
            self.sums.resize_with(total, Explicit::default);
        }
        let parts = parts(columns);
        let rows = ExplicitRows::of(&parts, NAME)?;
        for (row, group) in groups.iter().enumerate() {
            if filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row)) {
                continue;
            }
            let (bounds, counts) = rows.row(row)?;
            let sum = &mut self.sums[*group];
            let before = heap_bytes(sum);
            if sum.add(bounds, counts).is_err() {
                return exec_err!("{OTHER_BOUNDS}");
            }
            self.heap_bytes = self.heap_bytes + heap_bytes(sum) - before;
        }
        Ok(())
    }
}

fn heap_bytes(sum: &Explicit) -> usize {
    (sum.bounds.capacity() + sum.counts.capacity()) * 8
}

impl GroupsAccumulator for ExplicitSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.add(values, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let sums = emit.take_needed(&mut self.sums);
        self.heap_bytes -= sums.iter().map(heap_bytes).sum::<usize>();
        Ok(Arc::new(explicit_columns(&sums)?))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.add(states, groups, None, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, Array::len);
        let mut each = Self::default();
        each.add(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Explicit>() + self.heap_bytes
    }
}
