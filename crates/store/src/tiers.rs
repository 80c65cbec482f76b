//! Many small batches kept as few larger ones, at the price of copying each row a few times.

use arrow::error::ArrowError;
use hindsight_model::Rows;

/// This many neighbours of one tier become one batch of the next.
const FAN: usize = 32;
/// A batch of this many rows is large enough for a query and is not copied again.
const ROWS_FULL: usize = 64 * 1024;

/// Batches in arrival order; their number grows with the logarithm of the requests, not with the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiers {
    batches: Vec<Tiered>,
}

#[derive(Clone, Debug)]
struct Tiered {
    batch: Rows,
    tier: u8,
}

/// Neighbours that should become one batch: found under a lock, joined outside it.
#[derive(Debug)]
pub(crate) struct Merge {
    batches: Vec<Rows>,
    tier: u8,
}

impl Tiers {
    pub(crate) fn push(&mut self, batch: Rows) {
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
    pub(crate) fn replace(&mut self, merge: &Merge, joined: Rows) {
        self.batches.truncate(self.batches.len() - merge.batches.len());
        let tier = if joined.num_rows() >= ROWS_FULL { u8::MAX } else { merge.tier + 1 };
        self.batches.push(Tiered { batch: joined, tier });
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = &Rows> {
        self.batches.iter().map(|tiered| &tiered.batch)
    }
}

impl Merge {
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.memory_bytes() as u64).sum()
    }

    pub(crate) fn join(&self) -> Result<Rows, ArrowError> {
        Rows::concat(&self.batches)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::tests::decoded_logs;

    #[test]
    fn thousands_of_small_batches_become_few_and_keep_their_order() {
        let mut tiers = Tiers::default();
        for number in 0..5_000 {
            tiers.push(decoded_logs(number));
            while let Some(merge) = tiers.due() {
                let joined = merge.join().unwrap();
                tiers.replace(&merge, joined);
            }
        }
        let flags = hindsight_model::Table::Logs.row_column("flags").unwrap();
        let numbers: Vec<i64> = tiers
            .batches()
            .flat_map(|rows| rows.column(flags).unwrap().as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert_eq!(numbers, (1..=5_000).collect::<Vec<_>>());
        assert!(tiers.batches().count() <= FAN * 5, "{}", tiers.batches().count());
    }
}
