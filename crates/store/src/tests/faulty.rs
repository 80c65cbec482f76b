//! A log on a disk that fails when told to.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hindsight_wal::{Files, LogFile, OpenMode, StdFiles};

/// What fails from now on.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultyFiles {
    pub(super) sync_fails: Arc<AtomicBool>,
    pub(super) disk_full: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn LogFile>,
    faults: FaultyFiles,
}

impl Files for FaultyFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        StdFiles.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        StdFiles.list(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        StdFiles.read(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile { inner: StdFiles.open(path, mode)?, faults: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        StdFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        StdFiles.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        StdFiles.sync_dir(dir)
    }
}

impl LogFile for FaultyFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.faults.disk_full.load(Ordering::SeqCst) {
            // A full disk takes part of a write before it refuses the rest.
            self.inner.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.faults.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected: the disk lost the pages"));
        }
        self.inner.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.inner.truncate(length)
    }
}
