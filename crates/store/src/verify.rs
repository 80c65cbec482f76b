//! Is this data directory what the program wrote, whole and consistent? Reads everything and changes nothing.
//!
//! What it compares: the log's frames with their checksums and positions; the log with what the tables' commits
//! say they cover; each Delta log with the files that are there; each file with its entry, row by row. It reports
//! every fault it can reach instead of stopping at the first. `state.db` is checked by `hindsight_state`.
//!
//! Reading order: `finding` (what a fault is told as), `directory`, `wal`, `listing` and `history` (a table's
//! log), `table` and `block` (its files); `tables_dir` and `remote_tables` are where those lie.

use std::path::{Path, PathBuf};

use hindsight_model::{NodeId, Table};

pub use finding::{FINDINGS_MAX, Finding, Findings, Severity};

use self::table::Looked;
use crate::replay::Covered;
use crate::{DataDirLock, Result, TablesLocation};

mod block;
mod directory;
mod finding;
mod history;
mod listing;
mod remote_tables;
mod table;
mod tables_dir;
mod wal;

pub(crate) use listing::{Listed, Listing, list};
pub(crate) use remote_tables::RemoteTables;
pub(crate) use tables_dir::{LOG_DIR, TablesDir};

/// What to look at.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where its tables are.
    pub tables: TablesLocation,
    /// Leave out what needs the rows: checksums of files, sort order, statistics, dates, bodies of log records.
    pub quick: bool,
}

/// How far a check has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being looked at.
    pub doing: String,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes to do; 0 when not known.
    pub total_bytes: u64,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Segments of the log.
    pub wal_segments: u64,
    /// Records in them.
    pub wal_records: u64,
    /// Records that some table's commits do not cover: a start decodes them again.
    pub wal_records_to_replay: u64,
    /// Tables that exist.
    pub tables: u64,
    /// Commits of their logs that are there to read.
    pub commits: u64,
    /// Files that the logs list.
    pub blocks: u64,
    /// Bytes of those files.
    pub block_bytes: u64,
    /// Rows that the logs say those files have.
    pub block_rows: u64,
    /// Rows that were read and compared; 0 with [`VerifyOptions::quick`].
    pub rows_read: u64,
    /// Files that a log no longer lists and that wait for removal.
    pub blocks_waiting_for_removal: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Faults and oddities, in the order of the check.
    pub findings: Findings,
    /// How much was looked at.
    pub checked: Checked,
}

impl VerifyReport {
    /// Whether nothing is wrong; warnings do not count.
    pub fn is_clean(&self) -> bool {
        self.findings.problems() == 0
    }
}

/// Checks everything in the data directory that the store wrote. `_lock` proves that nobody writes meanwhile.
///
/// # Errors
/// When the directory cannot be read at all, or object storage does not answer. What is wrong inside is in the report.
pub async fn verify(
    options: &VerifyOptions,
    _lock: &DataDirLock,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<VerifyReport> {
    let data_dir = std::path::absolute(&options.data_dir)
        .map_err(crate::Error::io("find the directory", &options.data_dir))?;
    let mut report = VerifyReport::default();
    let node = directory::check(&data_dir, &mut report.findings)?;
    let tables = TablesDir::of(&options.tables, &data_dir)?;
    let mut looked: Vec<Option<Looked>> = Vec::with_capacity(Table::ALL.len());
    for table in Table::ALL {
        progress(Progress { doing: format!("the log of {table}"), done_bytes: 0, total_bytes: 0 });
        looked.push(table::check_log(table, &tables, node, &mut report).await?);
    }
    wal::check(&data_dir, covered(&looked), options.quick, &mut report, progress).await?;
    table::check_files(&tables, &looked, options.quick, &mut report, progress).await?;
    Ok(report)
}

/// The last log position that each table's commits cover.
fn covered(looked: &[Option<Looked>]) -> Covered {
    let mut covered = Covered::default();
    for (position, looked) in covered.iter_mut().zip(looked) {
        *position = looked.as_ref().map_or(0, |looked| looked.listing.covered);
    }
    covered
}

/// A path as findings show it: within the data directory.
fn shown(data_dir: &Path, path: &Path) -> String {
    path.strip_prefix(data_dir).unwrap_or(path).display().to_string()
}

/// `<node id>/<table>`, as the commits' transactions name the writer (BLK-1).
fn app_id(node: NodeId, table: Table) -> String {
    format!("{node}/{}", table.name())
}
