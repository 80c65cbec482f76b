//! Where sorts, aggregates and joins put what does not fit their memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};

use crate::error::{Error, Result};

/// Least and most that one sort puts aside for merging what it has spilled.
const SORT_RESERVATION_BYTES: std::ops::RangeInclusive<usize> = 64 * 1024..=10 * 1024 * 1024;

/// A folder for temporary files of queries, and how much may lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillOptions {
    /// Emptied when an engine starts, so it must be one engine's own.
    pub dir: PathBuf,
    /// All queries' files together; a query that needs more fails.
    pub bytes_max: u64,
}

/// The manager that all queries of an engine share; without options nothing is spilled, and a query that does not fit
/// fails alone.
pub(crate) fn disk_manager(options: Option<&SpillOptions>) -> Result<Arc<DiskManager>> {
    let mut builder = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    if let Some(SpillOptions { dir, bytes_max }) = options {
        empty(dir).map_err(|source| Error::Spill { dir: dir.clone(), source })?;
        builder = builder
            .with_mode(DiskManagerMode::Directories(vec![dir.clone()]))
            .with_max_temp_directory_size(*bytes_max);
    }
    builder.build().map(Arc::new).map_err(|error| Error::Setup { message: error.message().into_owned() })
}

/// What a killed server left there is nobody's.
fn empty(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(dir)
}

/// What a sort puts aside so that it can merge: part of what its query may have in any case, for each thread.
pub(crate) fn sort_reservation(share: usize, threads: usize) -> usize {
    (share / 4 / threads.max(1)).clamp(*SORT_RESERVATION_BYTES.start(), *SORT_RESERVATION_BYTES.end())
}
