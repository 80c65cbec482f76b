//! A file system of one directory, in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_wal::{Files, LogFile, OpenMode};

type Content = BTreeMap<PathBuf, Vec<u8>>;

/// Clones share the files.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryFiles(Arc<Mutex<Content>>);

impl MemoryFiles {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties every file.
    pub(crate) fn clear(&self) {
        self.lock().values_mut().for_each(Vec::clear);
    }

    /// Adds to every file.
    pub(crate) fn append(&self, bytes: &[u8]) {
        self.lock().values_mut().for_each(|file| file.extend_from_slice(bytes));
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
        self.lock().get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn LogFile>> {
        let mut files = self.lock();
        match mode {
            OpenMode::Fresh => drop(files.insert(path.into(), Vec::new())),
            OpenMode::Append => drop(files.get(path).ok_or(io::ErrorKind::NotFound)?),
        }
        Ok(Box::new(MemoryFile { files: self.clone(), path: path.into() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        // An open file keeps writing to its old name, which the log does: it opens before it renames.
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

#[derive(Debug)]
struct MemoryFile {
    files: MemoryFiles,
    path: PathBuf,
}

impl LogFile for MemoryFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.files.lock().entry(self.path.clone()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.files.lock().entry(self.path.clone()).or_default().truncate(length);
        Ok(())
    }
}
