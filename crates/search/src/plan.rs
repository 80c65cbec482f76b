//! Which index to build next and which to remove. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// A block that may have an index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) latest: Option<Timestamp>,
    /// Whether it is worth an index by now: it will stay, and it is large.
    pub(crate) is_ripe: bool,
}

/// What to do, removals first.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Indexes of these blocks.
    pub(crate) remove: Vec<String>,
    /// Of those, the ones that there was no room for.
    pub(crate) crowded_out: Vec<String>,
    /// The block to build one for.
    pub(crate) build: Option<String>,
}

/// Bytes of index a row until some index tells better.
const ROW_BYTES: u64 = 16;

/// Newer rows are asked for more often: they get their index first, and the oldest index goes when there is no room.
///
/// `indexed`: bytes of each index by its block. `given_up`: blocks not to be tried again.
pub(crate) fn plan(
    candidates: &[Candidate],
    indexed: &BTreeMap<String, u64>,
    given_up: &BTreeSet<String>,
    bytes_max: u64,
) -> Plan {
    let mut newest: Vec<&Candidate> = candidates.iter().collect();
    newest.sort_by(|a, b| (b.latest, &b.path).cmp(&(a.latest, &a.path)));
    let known: BTreeSet<&str> = newest.iter().map(|candidate| candidate.path.as_str()).collect();
    let mut plan = Plan::default();
    plan.remove.extend(indexed.keys().filter(|path| !known.contains(path.as_str())).cloned());
    let row_bytes = bytes_of_a_row(&newest, indexed);
    let mut left = bytes_max;
    for candidate in newest {
        let path = &candidate.path;
        if let Some(&bytes) = indexed.get(path) {
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => plan.crowded_out.push(path.clone()),
            }
        } else if plan.build.is_none() && candidate.is_ripe && !given_up.contains(path) {
            // What is newer is counted already; what is older makes room if it must.
            if let Some(rest) = left.checked_sub(candidate.rows.saturating_mul(row_bytes)) {
                plan.build = Some(path.clone());
                left = rest;
            }
        }
    }
    plan.remove.extend(plan.crowded_out.iter().cloned());
    plan
}

/// What the indexes that there are take for a row.
fn bytes_of_a_row(candidates: &[&Candidate], indexed: &BTreeMap<String, u64>) -> u64 {
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    for candidate in candidates {
        if let Some(of_index) = indexed.get(&candidate.path) {
            rows += candidate.rows;
            bytes += of_index;
        }
    }
    bytes.checked_div(rows).map_or(ROW_BYTES, |bytes| bytes.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(number: u32, rows: u64, is_ripe: bool) -> Candidate {
        let latest = Timestamp::from_second(i64::from(number)).ok();
        Candidate { path: format!("block {number}"), rows, latest, is_ripe }
    }

    #[test]
    fn the_newest_ripe_block_comes_first() {
        let blocks = [candidate(1, 10, true), candidate(2, 10, true), candidate(3, 10, false)];
        let first = plan(&blocks, &BTreeMap::new(), &BTreeSet::new(), 1 << 20);
        assert_eq!(first.build.as_deref(), Some("block 2"));
        let given_up = BTreeSet::from(["block 2".to_owned()]);
        assert_eq!(plan(&blocks, &BTreeMap::new(), &given_up, 1 << 20).build.as_deref(), Some("block 1"));
        assert_eq!(plan(&blocks, &BTreeMap::new(), &BTreeSet::new(), 100).build, None, "no room");
    }

    #[test]
    fn an_index_goes_with_its_block_and_the_oldest_makes_room() {
        let indexed = ["block 1", "block 2", "gone"].map(|path| (path.to_owned(), 100));
        let blocks = [candidate(1, 10, true), candidate(2, 10, true), candidate(3, 5, true)];
        let plan = plan(&blocks, &BTreeMap::from(indexed), &BTreeSet::new(), 200);
        assert_eq!(plan.build.as_deref(), Some("block 3"));
        assert_eq!(plan.remove, ["gone", "block 1"]);
        assert_eq!(plan.crowded_out, ["block 1"]);
    }

    proptest! {
        #[test]
        fn indexes_come_to_rest_within_their_bound(
            rows in proptest::collection::vec((1_u64..100, 0_u64..40), 1..20), bytes_max in 0_u64..4000,
        ) {
            let blocks: Vec<_> = (0_u32..).zip(&rows).map(|(number, (rows, _))| candidate(number, *rows, true)).collect();
            let (mut indexed, mut given_up) = (BTreeMap::new(), BTreeSet::new());
            for _ in 0..rows.len() * 2 + 2 {
                let next = plan(&blocks, &indexed, &given_up, bytes_max);
                indexed.retain(|path, _| !next.remove.contains(path));
                given_up.extend(next.crowded_out);
                prop_assert!(indexed.values().sum::<u64>() <= bytes_max);
                let Some(path) = next.build else { return Ok(()) };
                let built = blocks.iter().position(|block| block.path == path).unwrap();
                indexed.insert(path, rows[built].0 * rows[built].1);
            }
            prop_assert!(false, "it never ends");
        }
    }
}
