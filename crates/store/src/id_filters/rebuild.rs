//! Filters for the blocks that have none: all of them after a restart, and what others than the sealer wrote.

use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::reader::{ChunkReader, Length};

use super::block_filter::ranges;
use super::{BlockFilter, IdFilters};
use crate::BlockFile;
use crate::store::Inner;

/// Blocks whose filters are read at once.
const READS_AT_ONCE: usize = 2;
/// The first read takes this much of a file's end, which holds the whole metadata of most blocks.
const FOOTER_BYTES_HINT: usize = 64 * 1024;
/// How long after storage did not answer the next attempt waits.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// How often the list of blocks is looked at for ones without a filter.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The filling task: ends when the store is gone or closing.
pub(crate) async fn keep_filled(store: Weak<Inner>) {
    let mut seen = None;
    loop {
        let Some(inner) = store.upgrade().filter(|inner| !inner.is_closing()) else { return };
        let (change, blocks) = inner.live.read().catalogue.everything_since(seen);
        let (filters, files) = (Arc::clone(&inner.id_filters), Arc::clone(&inner.object_store));
        drop(inner); // reading may take long, and must not keep a store alive that its users let go
        let mut pause = CHECK_INTERVAL;
        if let Some(blocks) = blocks {
            filters.retain(&blocks.iter().map(|block| &block.path).collect());
            match fill(&store, &filters, &files, blocks).await {
                Ok(()) => seen = Some(change),
                Err(error) => {
                    pause = RETRY_INTERVAL;
                    tracing::warn!(
                        error = crate::stats::chain(&error),
                        "storage does not answer; id filters come later"
                    );
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Reads the filters that are missing, those of the newest rows first. An error is storage's.
async fn fill(
    store: &Weak<Inner>,
    filters: &IdFilters,
    files: &Arc<dyn ObjectStore>,
    mut blocks: Vec<Arc<BlockFile>>,
) -> Result<(), ParquetError> {
    blocks.retain(|block| filters.wants(block));
    if blocks.is_empty() {
        return Ok(());
    }
    blocks.sort_by_key(|block| std::cmp::Reverse(block.max_timestamp));
    let missing = blocks.len();
    let is_open = &|| store.upgrade().is_some_and(|inner| !inner.is_closing());
    futures::stream::iter(blocks.into_iter().map(Ok::<_, ParquetError>))
        .try_for_each_concurrent(READS_AT_ONCE, |block: Arc<BlockFile>| async move {
            // Filters that came meanwhile may have taken the last room.
            if !is_open() || !filters.wants(&block) {
                return Ok(());
            }
            match read(files, &block).await {
                Ok(filter) => filters.insert(&block, filter),
                Err(error) if is_storages(&error) => return Err(error),
                Err(error) => {
                    filters.give_up(&block);
                    tracing::warn!(
                        path = %block.path,
                        error = crate::stats::chain(&error),
                        "could not read the ids of a block; every look-up by id will open it"
                    );
                }
            }
            Ok(())
        })
        .await?;
    let (filtered, bytes) = filters.size();
    tracing::info!(missing, filtered, bytes, "read the id filters of blocks");
    Ok(())
}

/// Whether storage could not be asked: that passes. A file that is damaged, or gone, stays so.
fn is_storages(error: &ParquetError) -> bool {
    let ParquetError::External(cause) = error else { return false };
    let cause = cause.downcast_ref::<object_store::Error>();
    cause.is_some_and(|cause| !matches!(cause, object_store::Error::NotFound { .. }))
}

/// Reads one block's filter: the file's metadata, then a row group at a time.
pub(super) async fn read(
    files: &Arc<dyn ObjectStore>,
    block: &BlockFile,
) -> Result<BlockFilter, ParquetError> {
    let footer = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES_HINT));
    let metadata = footer.load_and_finish(Footer { files, block }, block.size_bytes).await?;
    let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), Default::default())?;
    let mut filter = BlockFilter::default();
    for row_group in 0..metadata.metadata().num_row_groups() {
        let ranges = ranges(block.table, &metadata, row_group)?;
        let bytes = files.get_ranges(&block.path, &ranges).await?;
        let parts = ranges.into_iter().zip(bytes).collect();
        let file = Parts { length: block.size_bytes, parts: Arc::new(parts) };
        let (table, known) = (block.table, metadata.clone());
        let work = tokio::task::spawn_blocking(move || {
            filter.add_row_group(table, &known, row_group, &file)?;
            Ok::<_, ParquetError>(filter)
        });
        filter = work.await.map_err(|error| ParquetError::External(Box::new(error)))??;
    }
    Ok(filter)
}

/// How the metadata reader gets at the end of a block.
struct Footer<'a> {
    files: &'a Arc<dyn ObjectStore>,
    block: &'a BlockFile,
}

impl MetadataFetch for Footer<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        Box::pin(async move { Ok(self.files.get_range(&self.block.path, range).await?) })
    }
}

/// The parts of a file that were fetched.
#[derive(Clone, Debug)]
struct Parts {
    length: u64,
    parts: Arc<Vec<(Range<u64>, Bytes)>>,
}

impl Parts {
    /// What is there from `start` to the end of the part.
    fn rest(&self, start: u64) -> Result<Bytes, ParquetError> {
        let found = self.parts.iter().find(|(range, _)| range.contains(&start));
        let (range, bytes) = found.ok_or_else(|| missing(start))?;
        let skip = usize::try_from(start - range.start).map_err(|_| missing(start))?;
        bytes.len().checked_sub(skip).map(|_| bytes.slice(skip..)).ok_or_else(|| missing(start))
    }
}

fn missing(start: u64) -> ParquetError {
    ParquetError::General(format!("the file's metadata leads to offset {start}, where the column is not"))
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.rest(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut rest = self.rest(start)?;
        if rest.len() < length {
            return Err(missing(start + rest.len() as u64));
        }
        Ok(rest.split_to(length))
    }
}
