//! A backup becomes a data directory again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::BackupError;
use super::copy::{Copied, copy, read_through};
use super::manifest::{FileEntry, Manifest, below};
use super::upload::{self, Uploads};
use crate::data_format::{FORMAT_FILE, accept_format, stamp_format, stamp_restoring};
use crate::durable_fs::create_dir_durably;
use crate::tables_storage::TablesStorage;
use crate::verify::Progress;
use crate::{DataDirLock, TablesLocation};

/// What was put back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// The node, as before: its log and its tables name it.
    pub node_id: String,
    /// When the backup was begun: what was acknowledged by then is there.
    pub backed_up_at: String,
    /// Files written.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Every log record below this position is there.
    pub wal_next: u64,
}

/// Checks every file of the backup in `folder`, then writes them to `data_dir`, which must be new or empty, and those
/// of the tables to `location`, likewise. Until the last file is there nothing opens the directory.
///
/// # Errors
/// [`BackupError::Altered`] and the like before anything is written; [`BackupError::Io`] when the disk refuses, and
/// then the directory is left marked as half restored, and what object storage has got stays there.
pub async fn restore(
    folder: &Path,
    data_dir: &Path,
    location: &TablesLocation,
    tell: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<RestoreReport, BackupError> {
    let work = Work {
        folder: folder.to_path_buf(),
        data_dir: std::path::absolute(data_dir).map_err(BackupError::io("find", data_dir))?,
        location: location.clone(),
        handle: Handle::current(),
        tell,
    };
    match tokio::task::spawn_blocking(move || work.run()).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// A restore, on a thread that may block.
struct Work {
    folder: PathBuf,
    data_dir: PathBuf,
    location: TablesLocation,
    handle: Handle,
    tell: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Work {
    fn run(&self) -> Result<RestoreReport, BackupError> {
        let Self { folder, data_dir, .. } = self;
        let manifest =
            Manifest::read(folder)?.ok_or_else(|| BackupError::NoManifest { folder: folder.clone() })?;
        check_empty(data_dir)?;
        let uploads = self.uploads()?;
        check_files(folder, &manifest, self.tell.as_ref())?;
        create_dir_durably(data_dir).map_err(BackupError::io("make the directory", data_dir))?;
        let _lock = DataDirLock::take(data_dir).map_err(BackupError::store)?;
        stamp_restoring(data_dir).map_err(BackupError::store)?;
        let (remote, local): (Vec<_>, Vec<_>) =
            manifest.files.iter().partition(|entry| uploads.is_some() && upload::is_of_tables(entry));
        let mut steps = Steps { done_bytes: 0, total_bytes: manifest.bytes(), tell: self.tell.as_ref() };
        if let Some(uploads) = uploads {
            for entry in upload::in_order(&remote) {
                steps.say("writing", entry);
                uploads.put(folder, entry)?;
                steps.done_bytes += entry.size;
            }
        }
        write_files(folder, data_dir, &local, &mut steps)?;
        finish(folder, data_dir, &local)?;
        Ok(RestoreReport {
            node_id: manifest.node_id.clone(),
            backed_up_at: manifest.started_at.clone(),
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            wal_next: manifest.wal_next,
        })
    }

    /// The way to object storage, when the tables are to be there.
    fn uploads(&self) -> Result<Option<Uploads>, BackupError> {
        let TablesLocation::Url(url) = &self.location else { return Ok(None) };
        let storage = TablesStorage::open(&self.location, &self.data_dir).map_err(BackupError::store)?;
        let uploads = Uploads::new(storage.object_store(), url.as_str(), self.handle.clone());
        uploads.check_empty()?;
        Ok(Some(uploads))
    }
}

fn check_empty(data_dir: &Path) -> Result<(), BackupError> {
    match fs::read_dir(data_dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty { data_dir: data_dir.into() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io("list", data_dir)(error)),
    }
}

fn check_files(folder: &Path, manifest: &Manifest, tell: &dyn Fn(Progress)) -> Result<(), BackupError> {
    let mut steps = Steps { done_bytes: 0, total_bytes: manifest.bytes(), tell };
    for entry in &manifest.files {
        steps.say("checking", entry);
        let path = below(folder, &entry.stored);
        let altered = |what: String| BackupError::Altered { path: path.clone(), what };
        let mut file = File::open(&path).map_err(|error| altered(error.to_string()))?;
        let read = read_through(&mut file, &mut |_| {}).map_err(BackupError::io("read", &path))?;
        compare(entry, &read).map_err(altered)?;
        if entry.path == FORMAT_FILE {
            // A backup of a later layout is refused before anything is written.
            let dir = path.parent().unwrap_or(folder);
            accept_format(dir).map_err(BackupError::store)?;
        }
        steps.done_bytes += entry.size;
    }
    Ok(())
}

fn write_files(
    folder: &Path,
    data_dir: &Path,
    entries: &[&FileEntry],
    steps: &mut Steps<'_>,
) -> Result<(), BackupError> {
    for entry in entries.iter().filter(|entry| entry.path != FORMAT_FILE) {
        steps.say("writing", entry);
        let (from, to) = (below(folder, &entry.stored), below(data_dir, &entry.path));
        let mut source = File::open(&from).map_err(BackupError::io("open", &from))?;
        let copied = copy(&mut source, &to, entry.modified_ns, &mut |_| {});
        let copied = copied.map_err(BackupError::io("write", &to))?;
        compare(entry, &copied).map_err(|what| BackupError::Altered { path: from, what })?;
        steps.done_bytes += entry.size;
    }
    Ok(())
}

/// Makes every name durable, and only then the directory one that opens.
fn finish(folder: &Path, data_dir: &Path, entries: &[&FileEntry]) -> Result<(), BackupError> {
    let mut folders: Vec<_> = entries
        .iter()
        .flat_map(|entry| {
            let path = below(data_dir, &entry.path);
            path.ancestors()
                .skip(1)
                .take_while(|dir| dir.starts_with(data_dir))
                .map(Path::to_path_buf)
                .collect::<Vec<_>>()
        })
        .collect();
    folders.sort();
    folders.dedup();
    for dir in folders {
        let synced = File::open(&dir).and_then(|dir| dir.sync_all());
        synced.map_err(BackupError::io("sync the directory", &dir))?;
    }
    // Directories of the first layout may lack the file; they have the layout that this program writes.
    tracing::debug!(from = %folder.display(), to = %data_dir.display(), "a backup was put back");
    stamp_format(data_dir).map_err(BackupError::store)
}

pub(super) fn compare(entry: &FileEntry, found: &Copied) -> Result<(), String> {
    if found.size != entry.size {
        return Err(format!("it has {} bytes instead of {}", found.size, entry.size));
    }
    if found.sha256 != entry.sha256 {
        return Err("its checksum is another".to_owned());
    }
    Ok(())
}

struct Steps<'a> {
    done_bytes: u64,
    total_bytes: u64,
    tell: &'a dyn Fn(Progress),
}

impl Steps<'_> {
    fn say(&self, what: &str, entry: &FileEntry) {
        let doing = format!("{what} {}", entry.path);
        (self.tell)(Progress { doing, done_bytes: self.done_bytes, total_bytes: self.total_bytes });
    }
}
