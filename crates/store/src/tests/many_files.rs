//! Opening a table of ten thousand files.

use std::collections::BTreeMap;
use std::path::Path as FsPath;
use std::time::Instant;

use hindsight_model::NodeId;
use object_store::path::Path;

use super::*;
use crate::table_log::TableLog;
use crate::tables_storage::TablesStorage;
use crate::{ColumnStats, StatValue};

const FILES: u64 = 10_000;
/// Few files before the 64th commit and most in it: it makes a checkpoint, and a tail of plain commits follows.
const FILES_OF_COMMIT: fn(u64) -> u64 = |commit| match commit {
    ..64 => 1,
    64 => FILES - 63 - 5 * 100,
    _ => 100,
};

fn node() -> NodeId {
    "6c7a1f0e-0000-4000-8000-000000000001".parse().unwrap()
}

/// A span table's log with `FILES` files as seals and compactions leave them: three tenants, thirty days.
async fn log_of_many_files(tables_dir: &FsPath) -> Vec<BlockFile> {
    let tables = TablesStorage::local(tables_dir).unwrap();
    let mut log = TableLog::open(Table::Spans, &tables, node()).await.unwrap();
    let blocks: Vec<BlockFile> = (0..FILES).map(block).collect();
    let mut rest = &blocks[..];
    for commit in 1.. {
        let (files, later) = rest.split_at(FILES_OF_COMMIT(commit) as usize);
        log.commit(files.to_vec(), commit, now()).await.unwrap();
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    blocks
}

fn block(number: u64) -> BlockFile {
    let tenant: Tenant = ["default", "shop", "bank"][(number % 3) as usize].parse().unwrap();
    let min = now() - Duration::from_secs(FILES * 259) + Duration::from_secs(number * 259);
    let max = min + Duration::from_secs(300);
    let date = jiff::tz::TimeZone::UTC.to_datetime(min).date();
    let text = |low: &str, high: &str| ColumnStats {
        min: Some(StatValue::Text(low.to_owned())),
        max: Some(StatValue::Text(high.to_owned())),
        null_count: Some(0),
    };
    let micros = |at: Timestamp| Some(StatValue::Micros(at.as_microsecond()));
    let name = format!("{:020}-{number:032x}.parquet", number / 100 + 1);
    let date_part = format!("date={date}");
    BlockFile {
        table: Table::Spans,
        path: Path::from_iter(["spans", &format!("tenant={tenant}"), &date_part, &name]),
        size_bytes: 40_000_000 + number,
        rows: 900_000,
        tenant,
        date,
        min_timestamp: Some(min),
        max_timestamp: Some(max),
        columns: BTreeMap::from([
            ("timestamp".to_owned(), ColumnStats { min: micros(min), max: micros(max), null_count: Some(0) }),
            ("service_name".to_owned(), text("adservice", "shipping")),
            ("name".to_owned(), text("GET /api/cart", "oteldemo.ShippingService/ShipOrder")),
            ("kind".to_owned(), text("client", "server")),
            ("status_code".to_owned(), text("error", "unset")),
            (
                "duration_nano".to_owned(),
                ColumnStats {
                    min: Some(StatValue::Int(12_000)),
                    max: Some(StatValue::Int(4_200_000_000 + number as i64)),
                    null_count: Some(0),
                },
            ),
        ]),
        wal_position: number / 100 + 1,
        checksum: None,
        all_promoted: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files_are_open_in_seconds_and_each_is_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("node.id"), node().to_string()).unwrap();
    let mut written = log_of_many_files(&dir.path().join("tables")).await;
    let checkpoint = dir.path().join("tables/spans/_delta_log/_last_checkpoint");
    assert!(checkpoint.try_exists().unwrap());

    let began = Instant::now();
    // No room for filters: the files themselves are not there.
    let store = open(StoreOptions { id_filter_bytes_max: 0, ..options(dir.path()) }).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(store.stats().blocks, FILES);

    let mut read: Vec<BlockFile> = Vec::new();
    for tenant in ["default", "shop", "bank"] {
        let snapshot = store.snapshot(&tenant.parse().unwrap());
        read.extend(snapshot.table(Table::Spans).blocks.iter().map(|block| BlockFile::clone(block)));
    }
    read.sort_by(|a, b| a.path.cmp(&b.path));
    written.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(read == written, "the catalogue is not what the log was given");

    // The last hour of thirty days is found without a look at the rest.
    let snapshot = store.snapshot(&Tenant::default());
    let hour = now() - Duration::from_secs(3_600);
    let last: Vec<_> = snapshot.table(Table::Spans).blocks.overlapping(Some(hour), None).collect();
    assert_eq!(last.len(), 5, "a block of this tenant begins every 777 s and lasts 300 s");
    store.shutdown().await.unwrap();
}
