//! Blocks whose columns are of every shape: uniform in one input, keys into a dictionary in another, flat in a third.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::row::{RowConverter, SortField};
use hindsight_model::Rows;

use super::generate::Generator;
use super::*;
use crate::encode::blocks;

type ByDate = BTreeMap<jiff::civil::Date, Vec<Arc<BlockFile>>>;

/// Puts what a seal of each batch would write.
async fn seal_all(store: &Arc<dyn ObjectStore>, table: Table, batches: &[RecordBatch]) -> ByDate {
    let mut sealed = ByDate::new();
    for (at, batch) in batches.iter().enumerate() {
        let rows = Rows::from_batch(table, batch).unwrap();
        for (days, file) in blocks(table, &[rows], 5_000).unwrap() {
            let date = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(days);
            let encoded = finished_block(table, &Tenant::default(), date, file, at as u64 + 1);
            store.put(&encoded.block.path, encoded.bytes.into()).await.unwrap();
            sealed.entry(date).or_default().push(Arc::new(encoded.block));
        }
    }
    sealed
}

async fn read_all(store: &Arc<dyn ObjectStore>, blocks: &[Arc<BlockFile>]) -> RecordBatch {
    let schema = file_schema(blocks[0].table);
    let mut batches = Vec::new();
    for block in blocks {
        let bytes = store.get(&block.path).await.unwrap().bytes().await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    let batches: Vec<RecordBatch> =
        batches.iter().map(|batch| batch.clone().with_schema(Arc::clone(&schema)).unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The reference: all rows of all inputs, sorted by the key without changing the order of equals.
fn sorted_by_key(table: Table, all: &RecordBatch) -> RecordBatch {
    let key: Vec<ArrayRef> =
        table.sort_key().iter().map(|name| Arc::clone(all.column_by_name(name).unwrap())).collect();
    let fields = key.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let keys = RowConverter::new(fields).unwrap().convert_columns(&key).unwrap();
    let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
    order.sort_by_key(|row| keys.row(*row as usize));
    take_record_batch(all, &UInt32Array::from(order)).unwrap()
}

/// Merges each date's blocks; returns how many inputs went into each.
async fn check_shapes(table: Table, batches: &[RecordBatch], memory_bytes: u64) -> Vec<(usize, u64)> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let dir = tempfile::tempdir().unwrap();
    let mut done = Vec::new();
    for blocks in seal_all(&store, table, batches).await.into_values() {
        let files = MergeFiles { memory_bytes, ..files(&store, dir.path()) };
        let inputs = blocks.clone();
        let merged = tokio::task::spawn_blocking(move || merge(&inputs, &files, &mut |_| Ok(())));
        let merged = merged.await.unwrap().unwrap();
        let expected = sorted_by_key(table, &read_all(&store, &blocks[..merged.inputs]).await);
        let read = read_all(&store, &[Arc::new(merged.block)]).await;
        for (index, field) in expected.schema().fields().iter().enumerate() {
            assert_eq!(read.column(index), expected.column(index), "{}", field.name());
        }
        done.push((merged.inputs, merged.memory_bytes));
    }
    done
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn columns_of_any_shape_merge_to_their_sorted_rows(
        table in prop::sample::select(Table::ALL.to_vec()),
        inputs in prop::collection::vec((any::<u64>(), 1_usize..80), 2..7),
        same_shape: bool,
    ) {
        let first = inputs[0].0;
        let batches = inputs.iter().map(|(seed, rows)| {
            // The seed decides on the shape of each column.
            Generator::new(table, if same_shape { first } else { *seed }).batch(*rows)
        });
        let batches: Vec<RecordBatch> = batches.collect();
        runtime().block_on(check_shapes(table, &batches, 128 << 20));
    }
}

#[test]
fn several_row_groups_and_pages_merge_to_their_sorted_rows() {
    for table in [Table::Spans, Table::Metrics] {
        let batches: Vec<RecordBatch> = [(3, 5_000), (4, 2_000), (5, 6_000)]
            .map(|(seed, rows)| Generator::new(table, seed).batch(rows))
            .into();
        // Half of a megabyte for pages, a third for a column: row groups of the least size.
        runtime().block_on(check_shapes(table, &batches, 1 << 20));
    }
}

#[test]
fn a_merge_takes_as_many_inputs_as_its_memory_holds() {
    let batches: Vec<RecordBatch> =
        (0..6).map(|seed| Generator::new(Table::Spans, 40 + seed).batch(2_000)).collect();
    let whole = runtime().block_on(check_shapes(Table::Spans, &batches, 1 << 30));
    let little = runtime().block_on(check_shapes(Table::Spans, &batches, 1 << 20));
    assert_eq!(whole.len(), little.len());
    let mut fewer = 0;
    for ((all, needed), (some, held)) in whole.iter().zip(&little) {
        assert!(some <= all && held <= needed);
        // Two inputs are read whatever they hold.
        assert!(*some == 2.min(*all) || *held <= 1 << 20, "{some} inputs hold {held} bytes");
        fewer += usize::from(some < all);
    }
    assert!(fewer > 0, "{whole:?} {little:?}");
}
