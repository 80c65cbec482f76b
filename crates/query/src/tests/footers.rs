//! A block's footer is read once for many queries.

use std::path::Path;

use hindsight_model::{SqlRequest, SqlSource};

use super::layout::{Layout, lay};
use crate::QueryOptions;

const QUESTION: &str = "SELECT name FROM spans WHERE service_name IS NOT NULL";

/// Overwrites what every Parquet file ends with, so that nobody can open it any more.
fn spoil(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let end = bytes.len();
            bytes[end - 8..].fill(0);
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_query_finds_its_way_by_the_footers_of_the_first() {
    let laid = lay(Layout::Blocks, QueryOptions::default());
    let first = laid.engine.sql(SqlRequest::new(QUESTION)).await.unwrap();
    spoil(laid.dir());
    let second = laid.engine.sql(SqlRequest::new(QUESTION)).await.unwrap();
    assert_eq!(first.row_count(), second.row_count());
    let forgetful = lay(Layout::Blocks, QueryOptions { footer_bytes: 1, ..QueryOptions::default() });
    forgetful.engine.sql(SqlRequest::new(QUESTION)).await.unwrap();
    spoil(forgetful.dir());
    forgetful.engine.sql(SqlRequest::new(QUESTION)).await.unwrap_err();
}
