//! A backup becomes a data directory again.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::BackupError;
use super::copy::{Copied, copy, read_through};
use super::manifest::{FileEntry, Manifest, below};
use crate::DataDirLock;
use crate::data_format::{FORMAT_FILE, accept_format, stamp_format, stamp_restoring};
use crate::durable_fs::create_dir_durably;
use crate::verify::Progress;

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

/// Checks every file of the backup in `folder`, then writes them to `data_dir`, which must be new or empty. Until
/// the last file is there nothing opens the directory. Takes long; not for an I/O thread.
///
/// # Errors
/// [`BackupError::Altered`] and the like before anything is written; [`BackupError::Io`] when the disk refuses, and then
/// the directory is left marked as half restored.
pub fn restore(
    folder: &Path,
    data_dir: &Path,
    tell: &dyn Fn(Progress),
) -> Result<RestoreReport, BackupError> {
    let manifest =
        Manifest::read(folder)?.ok_or_else(|| BackupError::NoManifest { folder: folder.into() })?;
    check_empty(data_dir)?;
    check_files(folder, &manifest, tell)?;
    let data_dir = std::path::absolute(data_dir).map_err(BackupError::io("find", data_dir))?;
    create_dir_durably(&data_dir).map_err(BackupError::io("make the directory", &data_dir))?;
    let _lock = DataDirLock::take(&data_dir).map_err(BackupError::store)?;
    stamp_restoring(&data_dir).map_err(BackupError::store)?;
    write_files(folder, &data_dir, &manifest, tell)?;
    finish(folder, &data_dir, &manifest)?;
    Ok(RestoreReport {
        node_id: manifest.node_id.clone(),
        backed_up_at: manifest.started_at.clone(),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        wal_next: manifest.wal_next,
    })
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
    manifest: &Manifest,
    tell: &dyn Fn(Progress),
) -> Result<(), BackupError> {
    let mut steps = Steps { done_bytes: 0, total_bytes: manifest.bytes(), tell };
    for entry in manifest.files.iter().filter(|entry| entry.path != FORMAT_FILE) {
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
fn finish(folder: &Path, data_dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut folders: Vec<_> = manifest
        .files
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

fn compare(entry: &FileEntry, found: &Copied) -> Result<(), String> {
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
