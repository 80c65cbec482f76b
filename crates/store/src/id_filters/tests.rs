use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use hindsight_model::Tenant;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;

fn hex(number: u64) -> String {
    format!("{number:032x}")
}

/// A file of spans `0..rows` in row groups of 1,000; every tenth has no id.
fn file(rows: u64, with_filters: bool) -> Bytes {
    let ids: StringArray = (0..rows).map(|number| (number % 10 != 9).then(|| hex(number))).collect();
    let ids: ArrayRef = Arc::new(ids);
    let batch = RecordBatch::try_from_iter([("trace_id", Arc::clone(&ids)), ("span_id", ids)]).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1_000))
        .set_bloom_filter_enabled(with_filters)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

fn block(number: u32, size_bytes: u64) -> BlockFile {
    BlockFile {
        table: Table::Spans,
        path: Path::from(format!("spans/{number}")),
        size_bytes,
        rows: 1,
        tenant: Tenant::default(),
        date: jiff::civil::Date::constant(1970, 1, 1),
        min_timestamp: None,
        max_timestamp: Some(Timestamp::from_second(i64::from(number)).unwrap()),
        columns: Default::default(),
        wal_position: 0,
        checksum: None,
        all_promoted: false,
    }
}

fn check(filter: &BlockFilter, rows: u64) {
    for number in (0..rows).filter(|number| number % 10 != 9) {
        assert!(filter.may_contain("trace_id", &hex(number)), "{number}");
        assert!(filter.may_contain("span_id", &hex(number)), "{number}");
    }
    let wrong = (rows..rows + 1_000).filter(|number| filter.may_contain("trace_id", &hex(*number))).count();
    assert!(wrong < 100, "{wrong} of 1,000 over three row groups");
    assert!(filter.may_contain("name", "anything"), "a column without a filter may hold anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_the_same_from_bytes_and_from_storage_with_parquets_own_and_without() {
    let files: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for with_filters in [false, true] {
        let bytes = file(2_500, with_filters);
        let block = block(1, bytes.len() as u64);
        files.put(&block.path, bytes.clone().into()).await.unwrap();
        let from_bytes = BlockFilter::of_file(Table::Spans, &bytes).unwrap();
        check(&from_bytes, 2_500);
        let from_storage = rebuild::read(&files, &block).await.unwrap();
        check(&from_storage, 2_500);
        assert_eq!(from_storage.bytes(), from_bytes.bytes());
        assert!(from_bytes.bytes() < 2 * 2_250 * 20 / 8 + 6 * 100, "{}", from_bytes.bytes());
        assert_eq!(BlockFilter::of_file(Table::Metrics, &bytes).unwrap().bytes(), 0);
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let files: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let good = file(300, true);
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x55;
        bytes.truncate(good.len() - at % 3);
        let block = block(1, bytes.len() as u64);
        files.put(&block.path, bytes.into()).await.unwrap();
        // Some damage lies in columns that are not read; then there is a filter.
        let _ = rebuild::read(&files, &block).await;
    }
}

#[test]
fn when_memory_is_full_the_blocks_with_the_oldest_rows_may_hold_anything() {
    let filter = BlockFilter::of_file(Table::Spans, &file(100, false)).unwrap();
    let filters = IdFilters::new(3 * filter.bytes());
    for number in [5, 1, 4, 2, 3] {
        let block = block(number, 1);
        assert!(filters.wants(&block));
        filters.insert(&block, filter.clone());
    }
    let denies = |number| !filters.may_contain(&block(number, 1), "trace_id", "nobody");
    assert_eq!([1, 2, 3, 4, 5].map(denies), [false, false, true, true, true]);
    assert_eq!(filters.size(), (3, 3 * filter.bytes() as u64));
    assert!(!filters.wants(&block(2, 1)), "there was no room for it");
    assert!(filters.wants(&block(6, 1)) && !filters.wants(&block(5, 1)));
    filters.insert(&block(5, 1), filter.clone());
    assert_eq!(filters.size().0, 3, "the same block again takes no more room");

    let stays = block(5, 1).path;
    filters.retain(&HashSet::from([&stays]));
    assert_eq!(filters.size(), (1, filter.bytes() as u64));
    assert!(filters.wants(&block(2, 1)), "there is room again");
    assert!(!IdFilters::default().wants(&block(9, 1)));
}
