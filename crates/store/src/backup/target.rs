//! The folder that backups go into: one at a time, the last finished one stays whole until the next is.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{Clock, NodeId};

use super::BackupError;
use super::copy::{modified_ns, read_through};
use super::manifest::{FileEntry, KEPT_DIR, Manifest, SCHEMA, below, digest, generation_dir};
use super::round::{Fault, Gathered, Known, Round};
use crate::TablesLocation;
use crate::durable_fs::create_dir_durably;
use crate::verify::{Progress, TablesDir};

/// Marks the folder as ours, and is held while a backup goes into it.
const LOCK_FILE: &str = "hindsight-backup.lock";
/// A server that takes things away again and again is not followed for ever (LIM-1).
const ROUNDS_MAX: u32 = 20;
/// What a server may need to end what it is at.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);

/// A folder opened for one backup.
#[derive(Debug)]
pub struct BackupTarget {
    folder: PathBuf,
    data_dir: PathBuf,
    tables: TablesDir,
    node: NodeId,
    previous: Option<Manifest>,
    generation: u64,
    _lock: File,
}

/// What a backup consists of and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Counts the backups into the folder.
    pub generation: u64,
    /// Files of the backup.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that had to be copied.
    pub copied_files: u64,
    /// Bytes of those.
    pub copied_bytes: u64,
    /// Files of earlier backups that were removed.
    pub removed_files: u64,
    /// Tries it took; more than one when the server removed something meanwhile.
    pub rounds: u32,
    /// Every log record below this position is in the backup.
    pub wal_next: u64,
}

impl BackupTarget {
    /// Opens `folder`, making it if it is not there, for a backup of `data_dir` and of its tables, which are at
    /// `location`.
    ///
    /// # Errors
    /// When the folder holds something else, another node's backup, or is in use.
    pub fn open(folder: &Path, data_dir: &Path, location: &TablesLocation) -> Result<Self, BackupError> {
        let data_dir = fs::canonicalize(data_dir).map_err(BackupError::io("find", data_dir))?;
        let folder = std::path::absolute(folder).map_err(BackupError::io("find", folder))?;
        if folder.starts_with(&data_dir) {
            return Err(BackupError::Nested { folder, data_dir });
        }
        create_dir_durably(&folder).map_err(BackupError::io("make the folder", &folder))?;
        let folder = fs::canonicalize(&folder).map_err(BackupError::io("find", &folder))?;
        if folder.starts_with(&data_dir) || data_dir.starts_with(&folder) {
            return Err(BackupError::Nested { folder, data_dir });
        }
        let lock = take_lock(&folder)?;
        let node = read_node_id(&data_dir)?;
        let previous = Manifest::read(&folder)?;
        if let Some(other) = previous.as_ref().filter(|previous| previous.node_id != node.to_string()) {
            let (found, wanted) = (other.node_id.clone(), node.to_string());
            return Err(BackupError::OtherNode { folder, found, wanted });
        }
        let generation = previous.as_ref().map_or(1, |previous| previous.generation + 1);
        let tables = TablesDir::of(location, &data_dir).map_err(BackupError::store)?;
        let target = Self { folder, data_dir, tables, node, previous, generation, _lock: lock };
        // What an interrupted backup has left there belongs to nothing.
        let own = target.own_dir();
        match fs::remove_dir_all(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BackupError::io("remove", &own)(error))
            }
            _ => Ok(target),
        }
    }

    /// Where a copy of `state.db` must be put before [`BackupTarget::run`] for the backup to hold it. It is to be made
    /// first, so that no decision in it rests on telemetry that the backup lacks.
    ///
    /// # Errors
    /// When the folder for it cannot be made.
    pub fn state_path(&self) -> Result<PathBuf, BackupError> {
        let own = self.own_dir();
        create_dir_durably(&own).map_err(BackupError::io("make the folder", &own))?;
        Ok(own.join("state.db"))
    }

    /// Copies the directory, which a server may be writing to, and makes the result the folder's backup.
    ///
    /// # Errors
    /// When something cannot be read or written, is damaged, or keeps changing. The earlier backup is then still
    /// the folder's.
    pub async fn run(
        self,
        clock: Arc<dyn Clock>,
        tell: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<BackupReport, BackupError> {
        let started_at = clock.now().to_string();
        let state = self.state_entry()?;
        let entries = self.previous.iter().flat_map(|manifest| &manifest.files);
        let known = Known {
            entries: entries.map(|entry| (entry.path.clone(), entry.clone())).collect(),
            ..Known::default()
        };
        let mut round = Round {
            data_dir: self.data_dir.clone(),
            tables: self.tables.clone(),
            folder: self.folder.clone(),
            generation: self.generation,
            node: self.node,
            tell,
            known,
        };
        let mut rounds = 0;
        let gathered = loop {
            rounds += 1;
            let (back, result) = round.run().await;
            round = back;
            match result {
                Ok(gathered) => break gathered,
                Err(Fault::Failed(error)) => return Err(error),
                Err(Fault::Changing(error)) if rounds == ROUNDS_MAX => return Err(error),
                Err(Fault::Moved(reason)) if rounds == ROUNDS_MAX => {
                    return Err(BackupError::Restless { rounds, reason });
                }
                Err(fault) => {
                    tracing::info!(rounds, ?fault, "the directory changed under the backup; once more");
                }
            }
            tokio::time::sleep(BETWEEN_ROUNDS).await;
        };
        let manifest = self.manifest(gathered, state, started_at, clock.now().to_string());
        sync_folders(&self.folder, &manifest.files)?;
        manifest.write(&self.folder)?;
        let removed_files = remove_others(&self.folder, &manifest);
        Ok(BackupReport {
            generation: self.generation,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            copied_files: round.known.copied_files,
            copied_bytes: round.known.copied_bytes,
            removed_files,
            rounds,
            wal_next: manifest.wal_next,
        })
    }

    fn own_dir(&self) -> PathBuf {
        self.folder.join(generation_dir(self.generation))
    }

    fn state_entry(&self) -> Result<Option<FileEntry>, BackupError> {
        let path = self.own_dir().join("state.db");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("open", &path)(error)),
        };
        let read = || -> io::Result<FileEntry> {
            file.sync_all()?;
            let modified_ns = modified_ns(&file.metadata()?)?;
            let copied = read_through(&mut file, &mut |_| {})?;
            Ok(FileEntry {
                path: "state.db".to_owned(),
                stored: format!("{}/state.db", generation_dir(self.generation)),
                size: copied.size,
                sha256: copied.sha256,
                modified_ns,
            })
        };
        let mut read = read;
        read().map(Some).map_err(BackupError::io("read", &path))
    }

    fn manifest(
        &self,
        gathered: Gathered,
        state: Option<FileEntry>,
        started_at: String,
        ended_at: String,
    ) -> Manifest {
        let mut files = gathered.files;
        files.extend(state);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Manifest {
            schema: SCHEMA.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: self.node.to_string(),
            generation: self.generation,
            started_at,
            ended_at,
            wal_next: gathered.wal_next,
            tables: gathered.tables,
            files_sha256: digest(&files),
            files,
        }
    }
}

fn take_lock(folder: &Path) -> Result<File, BackupError> {
    let path = folder.join(LOCK_FILE);
    let is_ours = path.try_exists().map_err(BackupError::io("look for", &path))?;
    let mut entries = fs::read_dir(folder).map_err(BackupError::io("list", folder))?;
    if !is_ours && entries.next().is_some() {
        return Err(BackupError::NotABackup { folder: folder.into() });
    }
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(BackupError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::Busy { folder: folder.into() }),
        Err(TryLockError::Error(error)) => Err(BackupError::io("lock", &path)(error)),
    }
}

fn read_node_id(data_dir: &Path) -> Result<NodeId, BackupError> {
    let path = data_dir.join("node.id");
    let text = fs::read_to_string(&path).map_err(BackupError::io("read", &path))?;
    text.parse().map_err(|source| BackupError::store(crate::Error::NodeId { path, source }))
}

/// Makes the names of all stored files durable before a manifest relies on them.
fn sync_folders(folder: &Path, files: &[FileEntry]) -> Result<(), BackupError> {
    let mut folders = BTreeSet::from([folder.to_path_buf()]);
    for file in files {
        let stored = below(folder, &file.stored);
        let parents = stored.ancestors().skip(1).take_while(|parent| parent.starts_with(folder));
        folders.extend(parents.map(Path::to_path_buf));
    }
    for dir in folders {
        let synced = File::open(&dir).and_then(|dir| dir.sync_all());
        synced.map_err(BackupError::io("sync the directory", &dir))?;
    }
    Ok(())
}

/// Removes what earlier backups stored and this one does not need. Failing at it costs space only.
fn remove_others(folder: &Path, manifest: &Manifest) -> u64 {
    let needed: HashSet<PathBuf> = manifest.files.iter().map(|file| below(folder, &file.stored)).collect();
    let mut removed = 0;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == KEPT_DIR || name.starts_with("generation-") {
            removed += remove_below(&entry.path(), &needed);
        }
    }
    removed
}

fn remove_below(dir: &Path, needed: &HashSet<PathBuf>) -> u64 {
    let mut removed = 0;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove_below(&path, needed);
        } else if !needed.contains(&path) {
            match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(path = %path.display(), %error, "could not remove an old file"),
            }
        }
    }
    // Succeeds when nothing is left in it.
    let _ = fs::remove_dir(dir);
    removed
}
