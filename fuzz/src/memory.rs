//! A file system of one directory, in memory, that knows what was synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_wal::{Files, LogFile, OpenMode};

/// Clones share the files.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryFiles(Arc<Mutex<BTreeMap<PathBuf, MemoryFile>>>);

/// Clones are the same file, whatever its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryFile(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// So many of them would outlive a crash.
    synced: usize,
}

impl MemoryFiles {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, MemoryFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every file, in the order of names.
    pub(crate) fn all(&self) -> Vec<(PathBuf, MemoryFile)> {
        self.lock().iter().map(|(path, file)| (path.clone(), file.clone())).collect()
    }

    /// Changes the bytes of a file, behind the back of whoever has it open.
    pub(crate) fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.lock().get(path) {
            change(&mut file.lock().bytes);
        }
    }
}

impl MemoryFile {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a crash leaves of it: all that was synced, and `keep` of 256 parts of the rest.
    pub(crate) fn crash(&self, keep: u8) {
        let mut content = self.lock();
        let unsynced = content.bytes.len().saturating_sub(content.synced);
        let kept = content.synced + unsynced * usize::from(keep) / 256;
        content.bytes.truncate(kept);
    }
}

impl Files for MemoryFiles {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        let files = self.lock();
        Ok(files.keys().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let files = self.lock();
        files.get(path).map(|file| file.lock().bytes.clone()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn LogFile>> {
        let mut files = self.lock();
        let file = match mode {
            OpenMode::Fresh => {
                let file = MemoryFile::default();
                files.insert(path.into(), file.clone());
                file
            }
            OpenMode::Append => files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?,
        };
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile for MemoryFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock().bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut content = self.lock();
        content.synced = content.bytes.len();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut content = self.lock();
        content.bytes.truncate(length);
        content.synced = content.synced.min(length);
        Ok(())
    }
}
