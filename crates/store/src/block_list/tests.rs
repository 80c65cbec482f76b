use std::collections::BTreeMap;

use hindsight_model::{Table, Tenant};
use object_store::path::Path;
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn block(name: u32, range: Option<(i64, i64)>) -> Arc<BlockFile> {
    Arc::new(BlockFile {
        table: Table::Logs,
        path: Path::from(format!("logs/{name}")),
        size_bytes: 1,
        rows: 1,
        tenant: Tenant::default(),
        date: jiff::civil::Date::constant(1970, 1, 1),
        min_timestamp: range.map(|(min, _)| at(min)),
        max_timestamp: range.map(|(_, max)| at(max)),
        columns: BTreeMap::new(),
        wal_position: 0,
        checksum: None,
        all_promoted: false,
    })
}

fn paths<'a>(blocks: impl IntoIterator<Item = &'a Arc<BlockFile>>) -> Vec<String> {
    let mut paths: Vec<_> = blocks.into_iter().map(|block| block.path.to_string()).collect();
    paths.sort();
    paths
}

fn ranges() -> impl Strategy<Value = Vec<Option<(i64, i64)>>> {
    let range = prop::option::weighted(0.95, (0_i64..100, 0_i64..30).prop_map(|(min, len)| (min, min + len)));
    prop::collection::vec(range, 0..40)
}

proptest! {
    #[test]
    fn a_range_finds_what_a_look_at_every_block_finds(
        ranges in ranges(),
        batch in 1_usize..8,
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        from in prop::option::of(-5_i64..140),
        to in prop::option::of(-5_i64..140),
    ) {
        let mut all: Vec<_> = (0..).zip(ranges).map(|(name, range)| block(name, range)).collect();
        let mut list = BlockList::default();
        for part in all.chunks(batch) {
            list.add(part.iter().cloned());
        }
        for index in removed {
            if all.is_empty() {
                break;
            }
            let gone = all.swap_remove(index.index(all.len()));
            list.remove(&[&gone]);
            list.remove(&[&gone]);
        }
        prop_assert!(list.is_sorted_by(|a, b| key(a) <= key(b)));
        prop_assert_eq!(paths(&list), paths(&all));
        let (from, to) = (from.map(at), to.map(at));
        let wanted = all.iter().filter(|block| {
            let (Some(min), Some(max)) = (block.min_timestamp, block.max_timestamp) else { return true };
            from.is_none_or(|from| max >= from) && to.is_none_or(|to| min <= to)
        });
        prop_assert_eq!(paths(list.overlapping(from, to)), paths(wanted));
    }
}

#[test]
fn a_snapshot_does_not_see_what_comes_after_it() {
    let mut list: BlockList = [block(1, Some((5, 6)))].into_iter().collect();
    let before = list.clone();
    list.add([block(2, Some((1, 2)))]);
    assert_eq!((before.len(), list.len()), (1, 2));
    assert_eq!(list[0].path.as_ref(), "logs/2");
}
