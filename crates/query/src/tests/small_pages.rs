//! Logs in one block of row groups of seven rows, in pages of three.

use std::path::Path;
use std::sync::Arc;

use hindsight_model::{Rows, Table, Tenant};
use object_store::local::LocalFileSystem;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use super::fixture::batch;
use super::layout::write_block;
use crate::{MemorySource, Snapshot};

/// The logs, in the order in which they are given, as the only block of the default tenant, in files under `dir`.
pub(super) fn small_pages(dir: &Path, rows: &[Value]) -> MemorySource {
    small_pages_and_head(dir, rows, &[])
}

/// The same, and the logs of `head` in memory.
pub(super) fn small_pages_and_head(dir: &Path, rows: &[Value], head: &[Value]) -> MemorySource {
    let tenant = Tenant::default();
    let rows = batch(Table::Logs, rows);
    let mut block = write_block(dir, Table::Logs, &tenant, &rows);
    let file = dir.join(block.path.as_ref());
    let in_file: Vec<usize> = (0..rows.num_columns())
        .filter(|column| !["tenant", "date"].contains(&rows.schema().field(*column).name().as_str()))
        .collect();
    let rows = rows.project(&in_file).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(7))
        .set_data_page_row_count_limit(3)
        .set_write_batch_size(1)
        .build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    block.size_bytes = std::fs::metadata(&file).unwrap().len();
    let mut snapshot = Snapshot::default();
    let logs = &mut snapshot.tables[Table::Logs.index()];
    logs.blocks = [Arc::new(block)].into_iter().collect();
    if !head.is_empty() {
        logs.head = vec![Rows::from_batch(Table::Logs, &batch(Table::Logs, head)).unwrap()];
    }
    let store = Arc::new(LocalFileSystem::new_with_prefix(dir).unwrap());
    MemorySource::over(store).with(tenant, snapshot)
}
