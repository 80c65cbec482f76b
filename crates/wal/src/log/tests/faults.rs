//! A disk that fails on purpose.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{LogFile, OpenMode};

/// Counts down to a failure; `usize::MAX` never fails.
#[derive(Clone, Debug)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// The `n`th call from now fails, and every one after it until the fuse is set again.
    fn set(&self, n: usize) {
        self.0.store(n, Ordering::SeqCst);
    }

    fn burns(&self) -> bool {
        match self.0.load(Ordering::SeqCst) {
            usize::MAX => false,
            0 => true,
            left => {
                self.0.store(left - 1, Ordering::SeqCst);
                false
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Faulty {
    write: Fuse,
    sync: Fuse,
    truncate: Fuse,
}

impl Faulty {
    fn new() -> Self {
        Self { write: Fuse::new(), sync: Fuse::new(), truncate: Fuse::new() }
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn LogFile>,
    faults: Faulty,
}

impl Files for Faulty {
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
        if self.faults.write.burns() {
            self.inner.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        if self.faults.sync.burns() {
            return Err(io::Error::other("injected"));
        }
        self.inner.sync()
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.faults.truncate.burns() {
            return Err(io::Error::other("injected"));
        }
        self.inner.truncate(length)
    }
}

fn faulty(dir: &Path, options: Options) -> (Faulty, Wal) {
    let faults = Faulty::new();
    let (wal, _) = Wal::open_with(Arc::new(faults.clone()), dir, options).unwrap();
    (faults, wal)
}

#[test]
fn after_a_failed_sync_the_log_accepts_nothing_until_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, mut wal) = faulty(dir.path(), Options::default());
    wal.append(1, b"kept").unwrap();
    wal.sync().unwrap();
    wal.append(1, b"unknown").unwrap();
    faults.sync.set(0);
    assert!(matches!(wal.sync(), Err(Error::Io { operation: "sync", .. })));
    faults.sync.set(usize::MAX);
    assert!(matches!(wal.sync(), Err(Error::Poisoned { .. })), "a second sync would prove nothing");
    assert!(matches!(wal.append(1, b"later"), Err(Error::Poisoned { .. })));
    assert!(wal.is_poisoned());
    drop(wal);
    let (mut wal, records) = open(dir.path(), Options::default()).unwrap();
    assert_eq!(records[0], b"kept");
    wal.append(1, b"after restart").unwrap();
    wal.sync().unwrap();
}

#[test]
fn a_full_disk_fails_one_append_and_leaves_no_trace_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, mut wal) = faulty(dir.path(), Options::default());
    wal.append(1, b"one").unwrap();
    faults.write.set(0);
    let error = wal.append(1, b"too much").unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    faults.write.set(usize::MAX);
    assert_eq!(wal.append(1, b"two").unwrap(), Position(2));
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(dir.path(), Options::default()).unwrap().1, [b"one", b"two"]);
}

#[test]
fn half_a_frame_that_cannot_be_taken_back_shuts_the_log_and_is_cut_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, mut wal) = faulty(dir.path(), Options::default());
    wal.append(1, b"one").unwrap();
    faults.write.set(0);
    faults.truncate.set(0);
    assert!(wal.append(1, b"too much").is_err());
    faults.write.set(usize::MAX);
    assert!(matches!(wal.append(1, b"two"), Err(Error::Poisoned { operation: "appending to", .. })));
    drop(wal);
    assert_eq!(open(dir.path(), Options::default()).unwrap().1, [b"one"]);
}

#[test]
fn a_segment_that_cannot_be_made_is_made_by_the_next_append() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, mut wal) = faulty(dir.path(), small_segments(1));
    wal.append(1, b"one").unwrap();
    wal.sync().unwrap();
    faults.write.set(0);
    assert!(wal.append(1, b"two").unwrap_err().is_disk_full());
    faults.write.set(usize::MAX);
    assert_eq!(wal.append(1, b"two").unwrap(), Position(2));
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(dir.path(), small_segments(1)).unwrap().1, [b"one", b"two"]);
}
