//! Lists of rows, rising and each row once. Pure.

/// The rows of both lists.
pub(crate) fn intersection(some: &[u32], others: &[u32]) -> Vec<u32> {
    let (few, many) = if some.len() <= others.len() { (some, others) } else { (others, some) };
    let mut rest = many;
    let mut both = Vec::new();
    for row in few {
        rest = &rest[rest.partition_point(|other| other < row)..];
        if rest.first() == Some(row) {
            both.push(*row);
        }
    }
    both
}

/// The rows of any of the lists.
pub(crate) fn union(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    if lists.len() == 1 {
        return lists.swap_remove(0);
    }
    let mut all = lists.concat();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn list(rows: &BTreeSet<u32>) -> Vec<u32> {
        rows.iter().copied().collect()
    }

    proptest! {
        #[test]
        fn lists_are_met_and_joined_as_sets_are(a in btree_set(0_u32..50, 0..50), b in btree_set(0_u32..50, 0..9)) {
            let both: Vec<u32> = a.intersection(&b).copied().collect();
            prop_assert_eq!(intersection(&list(&a), &list(&b)), both.clone());
            prop_assert_eq!(intersection(&list(&b), &list(&a)), both);
            prop_assert_eq!(union(vec![list(&a), list(&b)]), a.union(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(union(vec![list(&a)]), list(&a));
        }
    }
}
