//! The tables where they lie, for looking only: nothing is made or changed there.

use std::fs::{self, File};
use std::io;
use std::path::{Path as FsPath, PathBuf};

use deltalake::logstore::LogStoreRef;
use hindsight_model::Table;

use super::remote_tables::RemoteTables;
use crate::tables_storage::TablesStorage;
use crate::{Error, Result, TablesLocation};

/// The folder of a table's log, within the table's.
pub(crate) const LOG_DIR: &str = "_delta_log";
/// How deep partitions lie: `tenant=…/date=…/file`.
const DEPTH_MAX: usize = 4;

/// Where all tables are.
#[derive(Clone, Debug)]
pub(crate) enum TablesDir {
    /// A directory of this disk, by its absolute path; it need not be there.
    Disk(PathBuf),
    /// A prefix in object storage.
    Remote(RemoteTables),
}

/// How much of a file is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Its Parquet metadata, where they are in the file; what comes before may read as zeros.
    Metadata,
}

impl TablesDir {
    /// The tables of the store in `data_dir` (an absolute path), at `location`.
    pub(crate) fn of(location: &TablesLocation, data_dir: &FsPath) -> Result<Self> {
        match location {
            TablesLocation::Local => Ok(Self::Disk(data_dir.join("tables"))),
            TablesLocation::Url(url) => {
                let storage = TablesStorage::open(location, data_dir)?;
                Ok(Self::Remote(RemoteTables::new(&storage, url.as_str(), data_dir)))
            }
        }
    }

    /// A file of a table as findings show it: within the data directory, or with the whole place in object storage.
    pub(crate) fn shown(&self, table: Table, path: &str) -> String {
        match self {
            Self::Disk(_) => format!("tables/{table}/{path}"),
            Self::Remote(remote) => format!("{}/{table}/{path}", remote.name()),
        }
    }

    /// The log of `table` as the Delta library wants it.
    pub(crate) fn log_store(&self, table: Table) -> Result<LogStoreRef> {
        match self {
            Self::Disk(dir) => TablesStorage::as_it_is(dir)?.log_store(table),
            Self::Remote(remote) => remote.log_store(table),
        }
    }

    /// The names in the folder of the table's log, sorted; none when there is no folder.
    pub(crate) async fn log_names(&self, table: Table) -> Result<Vec<String>> {
        match self {
            Self::Disk(dir) => Ok(names_in(&dir.join(table.name()).join(LOG_DIR))),
            Self::Remote(remote) => remote.log_names(table).await,
        }
    }

    /// A file of the table's log, as text. The outer error is storage that does not answer.
    pub(crate) async fn log_text(&self, table: Table, name: &str) -> Result<io::Result<String>> {
        match self {
            Self::Disk(dir) => Ok(fs::read_to_string(dir.join(table.name()).join(LOG_DIR).join(name))),
            Self::Remote(remote) => remote.text(table, &format!("{LOG_DIR}/{name}")).await,
        }
    }

    /// Opens a file of the table, or a copy of the `part` that is needed. When it has not `size_bytes` its content is
    /// of no interest, only its size. The outer error is storage that does not answer.
    pub(crate) async fn open(
        &self,
        table: Table,
        path: &str,
        size_bytes: u64,
        part: Part,
    ) -> Result<io::Result<File>> {
        match self {
            Self::Disk(dir) => Ok(File::open(dir.join(table.name()).join(path))),
            Self::Remote(remote) => remote.open(table, path, size_bytes, part).await,
        }
    }

    /// Every file of the table's partitions, the log left out, by path within the table, sorted.
    pub(crate) async fn files(&self, table: Table) -> Result<Vec<String>> {
        match self {
            Self::Disk(dir) => {
                let root = dir.join(table.name());
                let work = tokio::task::spawn_blocking(move || files_below(&root));
                work.await.map_err(|_| Error::Stopped { worker: "search for stray files" })
            }
            Self::Remote(remote) => {
                let all = remote.objects(table).await?.into_keys();
                Ok(all.filter(|path| path.split('/').next() != Some(LOG_DIR)).collect())
            }
        }
    }
}

fn names_in(folder: &FsPath) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn files_below(root: &FsPath) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned());
            } else if entry.file_name() != LOG_DIR && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            }
        }
    }
    found.sort();
    found
}
