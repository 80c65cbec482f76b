use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use hindsight_model::{Table, Tenant};
use object_store::memory::InMemory;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;
use crate::block_writer::{file_schema, finished_block};
use crate::durable_fs::DurableFs;
use crate::encode::batches::write_sorted;
use crate::encode::{BlockSink, ROW_GROUP_ROWS_MAX};

use crate::encode::tests::{check_dictionaries, generate};
mod shapes;

/// 2026-05-04T00:00:00Z in microseconds.
const DAY_MICROS: i64 = 1_777_852_800_000_000;

/// What is sorted by, and a number that no other row has.
type Row = (String, Option<String>, i64, u64);

/// Rows of `table` with these keys; columns that do not matter here have some value of their type.
fn batch(table: Table, rows: &[Row]) -> RecordBatch {
    let text = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "metric_name" => text(&|row| Some(row.0.clone())),
            "service_name" => text(&|row| row.1.clone()),
            "attributes" => text(&|row| Some(row.3.to_string())),
            "tenant" => text(&|_| Some("default".to_owned())),
            "timestamp" => {
                let micros = Int64Array::from_iter_values(rows.iter().map(|row| DAY_MICROS + row.2));
                cast(&micros, field.data_type()).unwrap()
            }
            "date" => {
                let days = vec![i32::try_from(DAY_MICROS / 86_400_000_000).unwrap(); rows.len()];
                Arc::new(arrow::array::Date32Array::from(days))
            }
            _ => filler(field.data_type(), rows.len()),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

fn filler(data_type: &DataType, rows: usize) -> ArrayRef {
    match data_type {
        DataType::Utf8 => Arc::new(StringArray::from(vec!["x"; rows])),
        DataType::Boolean => Arc::new(BooleanArray::from(vec![true; rows])),
        DataType::Float64 => Arc::new(Float64Array::from(vec![0.5; rows])),
        DataType::List(item) => {
            let none = OffsetBuffer::from_lengths(vec![0; rows]);
            Arc::new(ListArray::new(Arc::clone(item), none, new_empty_array(item.data_type()), None))
        }
        number => cast(&Int64Array::from(vec![7; rows]), number).unwrap(),
    }
}

fn rows_of(table: Table, batch: &RecordBatch) -> Vec<Row> {
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    let times = cast(batch.column_by_name("timestamp").unwrap(), &DataType::Int64).unwrap();
    let times = times.as_primitive::<Int64Type>();
    let names = (table == Table::Metrics).then(|| text("metric_name"));
    (0..batch.num_rows())
        .map(|at| {
            let name = names.as_ref().map_or(String::new(), |names| names.value(at).to_owned());
            let services = text("service_name");
            let service = services.is_valid(at).then(|| services.value(at).to_owned());
            (name, service, times.value(at) - DAY_MICROS, text("attributes").value(at).parse().unwrap())
        })
        .collect()
}

/// Writes each of `inputs` as a seal would, sorted, and returns the blocks.
async fn seal(store: &Arc<dyn ObjectStore>, table: Table, inputs: &[Vec<Row>]) -> Vec<Arc<BlockFile>> {
    let mut blocks = Vec::new();
    for (at, rows) in inputs.iter().enumerate() {
        let mut rows = rows.clone();
        rows.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
        let (block, bytes) = encoded(table, &batch(table, &rows), at as u64 + 1);
        store.put(&block.path, bytes.into()).await.unwrap();
        blocks.push(Arc::new(block));
    }
    blocks
}

fn encoded(table: Table, rows: &RecordBatch, wal_position: u64) -> (BlockFile, Vec<u8>) {
    let places: Vec<usize> = file_schema(table)
        .fields()
        .iter()
        .map(|field| rows.schema().index_of(field.name()).unwrap())
        .collect();
    let mut sink = BlockSink::new(table, Vec::new()).unwrap();
    write_sorted(&mut sink, &[rows.project(&places).unwrap()], ROW_GROUP_ROWS_MAX).unwrap();
    let date = "2026-05-04".parse().unwrap();
    let encoded = finished_block(table, &Tenant::default(), date, sink.finish().unwrap(), wal_position);
    (encoded.block, encoded.bytes.to_vec())
}

async fn merge_all(store: &Arc<dyn ObjectStore>, blocks: &[Arc<BlockFile>]) -> Result<BlockFile> {
    let dir = tempfile::tempdir().unwrap();
    let files = files(store, dir.path());
    let blocks = blocks.to_vec();
    let merged = tokio::task::spawn_blocking(move || merge(&blocks, &files, &mut |_| Ok(()))).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no copies are left");
    merged.map(|merged| merged.block)
}

fn files(store: &Arc<dyn ObjectStore>, spool: &FsPath) -> MergeFiles {
    MergeFiles {
        store: Arc::clone(store),
        spool: spool.to_owned(),
        handle: Handle::current(),
        memory_bytes: 128 << 20,
    }
}

async fn read(store: &Arc<dyn ObjectStore>, block: &BlockFile) -> Vec<Row> {
    let bytes = store.get(&block.path).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, block.size_bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    reader.flat_map(|batch| rows_of(block.table, &batch.unwrap())).collect()
}

/// The rows of all blocks, one block after the other, sorted by the key without changing the order of equals.
async fn sorted(store: &Arc<dyn ObjectStore>, blocks: &[Arc<BlockFile>]) -> Vec<Row> {
    let mut all = Vec::new();
    for block in blocks {
        all.extend(read(store, block).await);
    }
    all.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    all
}

/// `counts` rows in as many inputs; the multiplier spreads their keys.
fn generated(counts: &[usize], names: u64, services: u64) -> Vec<Vec<Row>> {
    let mut number = 0_u64;
    let mut row = || {
        number += 1;
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let service = (mixed / 7 % (services + 1)).checked_sub(1).map(|service| format!("s{service}"));
        (format!("m{}", mixed % names), service, i64::try_from(mixed / 64 % 5_000).unwrap(), number)
    };
    counts.iter().map(|&count| (0..count).map(|_| row()).collect()).collect()
}

async fn check(store: &Arc<dyn ObjectStore>, table: Table, inputs: &[Vec<Row>]) {
    let mut inputs = inputs.to_vec();
    if table != Table::Metrics {
        inputs.iter_mut().flatten().for_each(|row| row.0 = String::new());
    }
    let blocks = seal(store, table, &inputs).await;
    let merged = merge_all(store, &blocks).await.unwrap();
    assert_eq!(read(store, &merged).await, sorted(store, &blocks).await);
    check_dictionaries(&store.get(&merged.path).await.unwrap().bytes().await.unwrap());
    // What the log will say of it is what a seal of all these rows would say.
    let whole: Vec<Row> = inputs.concat();
    let sealed = &seal(store, table, &[whole]).await[0];
    assert_eq!(merged.columns, sealed.columns);
    assert_eq!((merged.min_timestamp, merged.max_timestamp), (sealed.min_timestamp, sealed.max_timestamp));
    assert_eq!((merged.rows, merged.level()), (sealed.rows, 1));
    assert_eq!(merged.wal_position, blocks.iter().map(|block| block.wal_position).max().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_blocks_have_every_row_once_in_order_whatever_the_runs() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn ObjectStore> = Arc::new(DurableFs::within(dir.path()).unwrap());
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for store in [disk, memory] {
        // Short runs, picked row by row; long ones, copied; and inputs that end at different times.
        check(&store, Table::Metrics, &generated(&[9_000, 5_000, 1, 12_000], 500, 3)).await;
        check(&store, Table::Logs, &generated(&[9_000, 2_048, 4_096], 1, 2)).await;
        check(&store, Table::Spans, &generated(&[10, 20_000], 1, 1)).await;
    }
    let left = std::fs::read_dir(dir.path().join("logs/tenant=default/date=2026-05-04")).unwrap();
    assert!(left.into_iter().all(|file| !file.unwrap().file_name().to_string_lossy().contains('#')));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_told_to_stop_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(DurableFs::within(dir.path()).unwrap());
    let blocks = seal(&store, Table::Logs, &generated(&[20_000, 20_000], 1, 2)).await;
    let (inputs, files) = (blocks.clone(), files(&store, dir.path()));
    let stopped = tokio::task::spawn_blocking(move || {
        let mut batches = 0;
        merge(&inputs, &files, &mut |_| {
            batches += 1;
            if batches == 3 { Err(Error::TestStop) } else { Ok(()) }
        })
    });
    assert!(matches!(stopped.await.unwrap(), Err(Error::TestStop)));
    let left = std::fs::read_dir(dir.path().join("logs/tenant=default/date=2026-05-04")).unwrap().count();
    assert_eq!(left, blocks.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_not_what_the_log_says_is_not_merged() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let blocks = seal(&store, Table::Logs, &generated(&[100, 100], 1, 2)).await;
    let more = Arc::new(BlockFile { rows: 101, ..BlockFile::clone(&blocks[1]) });
    let refused = merge_all(&store, &[Arc::clone(&blocks[0]), more]).await.unwrap_err();
    assert!(refused.to_string().contains("100 rows where the log says 101"), "{refused}");
    // The other's bytes in its place: columns that a log has not.
    let metrics = seal(&store, Table::Metrics, &generated(&[100], 1, 2)).await;
    let bytes = store.get(&metrics[0].path).await.unwrap().bytes().await.unwrap();
    store.put(&blocks[1].path, bytes.into()).await.unwrap();
    let refused = merge_all(&store, &blocks).await.unwrap_err();
    assert!(refused.to_string().contains("of its own"), "{refused}");
    store.put(&blocks[1].path, "damaged".into()).await.unwrap();
    assert!(matches!(merge_all(&store, &blocks).await.unwrap_err(), Error::Parquet { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(crate::tests::cases(24)) })]
    #[test]
    fn any_blocks_merge_to_their_sorted_rows(
        inputs in prop::collection::vec(
            prop::collection::vec(("[ab]{0,2}", prop::option::of("[ab]{0,2}"), 0_i64..20), 1..60),
            1..8,
        ),
        logs: bool,
    ) {
        let mut number = 0;
        let mut numbered = |(name, service, at)| {
            number += 1;
            (name, service, at, number)
        };
        let inputs: Vec<Vec<Row>> =
            inputs.into_iter().map(|rows| rows.into_iter().map(&mut numbered).collect()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table = if logs { Table::Logs } else { Table::Metrics };
        runtime.block_on(check(&store, table, &inputs));
    }
}
