//! Many small batches kept as few larger ones, at the price of copying each row a few times.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

/// This many neighbours of one tier become one batch of the next.
const FAN: usize = 8;
/// A batch of this many rows is large enough for a query and is not copied again.
const ROWS_FULL: usize = 64 * 1024;

/// Batches in arrival order; their number grows with the logarithm of the requests, not with the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiers {
    batches: Vec<Tiered>,
}

#[derive(Clone, Debug)]
struct Tiered {
    batch: RecordBatch,
    tier: u8,
}

/// Neighbours that should become one batch: found under a lock, joined outside it.
#[derive(Debug)]
pub(crate) struct Merge {
    batches: Vec<RecordBatch>,
    tier: u8,
}

impl Tiers {
    pub(crate) fn push(&mut self, batch: RecordBatch) {
        let tier = if batch.num_rows() >= ROWS_FULL { u8::MAX } else { 0 };
        self.batches.push(Tiered { batch, tier });
    }

    /// The last neighbours if they are ready to be joined. Cheap: the columns are shared, not copied.
    pub(crate) fn due(&self) -> Option<Merge> {
        let tier = self.batches.last().map(|last| last.tier).filter(|tier| *tier != u8::MAX)?;
        let run = self.batches.iter().rev().take_while(|tiered| tiered.tier == tier).count();
        if run < FAN {
            return None;
        }
        let start = self.batches.len() - run;
        Some(Merge {
            batches: self.batches[start..].iter().map(|tiered| tiered.batch.clone()).collect(),
            tier,
        })
    }

    /// Puts what [`Merge::join`] made in the place of what it was made of, which must still stand at the end.
    pub(crate) fn replace(&mut self, merge: &Merge, joined: RecordBatch) {
        self.batches.truncate(self.batches.len() - merge.batches.len());
        let tier = if joined.num_rows() >= ROWS_FULL { u8::MAX } else { merge.tier + 1 };
        self.batches.push(Tiered { batch: joined, tier });
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.batches.iter().map(|tiered| &tiered.batch)
    }
}

impl Merge {
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum()
    }

    pub(crate) fn join(&self) -> Result<RecordBatch, ArrowError> {
        concat_batches(&self.batches[0].schema(), &self.batches)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn thousands_of_small_batches_become_few_and_keep_their_order() {
        let mut tiers = Tiers::default();
        for value in 0..5_000 {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            tiers.push(RecordBatch::try_from_iter([("n", column)]).unwrap());
            while let Some(merge) = tiers.due() {
                let joined = merge.join().unwrap();
                tiers.replace(&merge, joined);
            }
        }
        let values: Vec<i64> =
            tiers.batches().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(values, (0..5_000).collect::<Vec<_>>());
        assert!(tiers.batches().count() <= FAN * 5, "{}", tiers.batches().count());
    }
}
