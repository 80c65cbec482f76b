//! A disk in memory that does what real ones do: it forgets what was not synced, in part and out of order, fails
//! calls half-way, and flips bits.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::*;
use crate::{LogFile, OpenMode};

/// What a crash keeps or loses as one: small, so that short test files have many.
const PAGE: usize = 16;

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Write,
    Sync,
    Truncate,
    Open,
    Rename,
    Remove,
    SyncDir,
}

impl Call {
    pub(super) const ALL: [Self; 7] =
        [Self::Write, Self::Sync, Self::Truncate, Self::Open, Self::Rename, Self::Remove, Self::SyncDir];
}

/// A disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees now, by name.
    names: BTreeMap<PathBuf, usize>,
    /// What is sure to be found after a crash.
    durable_names: BTreeMap<PathBuf, usize>,
    /// The changes of names since then, in order: a crash keeps the first so many.
    changes: Vec<BTreeMap<PathBuf, usize>>,
    files: Vec<Content>,
    /// The next call of this kind fails with this error.
    fault: Option<(Call, io::ErrorKind)>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

impl SimDisk {
    /// The next `call` fails with `kind`; a write leaves the first half of its bytes, a sync some of its pages.
    pub(super) fn fail_next(&self, call: Call, kind: io::ErrorKind) {
        self.lock().fault = Some((call, kind));
    }

    pub(super) fn heal(&self) {
        self.lock().fault = None;
    }

    /// The power fails. `dice(n)` picks a number below `n` and decides what of the unsynced is found again.
    pub(super) fn crash(&self, mut dice: impl FnMut(usize) -> usize) {
        let mut state = self.lock();
        state.fault = None;
        let kept = dice(state.changes.len() + 1);
        if let Some(names) = kept.checked_sub(1).map(|last| state.changes[last].clone()) {
            state.durable_names = names;
        }
        state.names = state.durable_names.clone();
        state.changes.clear();
        for file in &mut state.files {
            file.keep_some(&mut dice);
        }
    }

    /// Every file by name, as a reader sees it.
    pub(super) fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        state.names.iter().map(|(path, file)| (path.clone(), state.files[*file].seen.clone())).collect()
    }

    /// A disk that holds these files, all durable.
    pub(super) fn holding(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut state = State::default();
        for (number, (path, bytes)) in files.iter().enumerate() {
            state.names.insert(path.clone(), number);
            state.files.push(Content { seen: bytes.clone(), durable: bytes.clone() });
        }
        state.durable_names = state.names.clone();
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Content {
    /// Some pages as they are seen, some as they were last durable, and a length that either had.
    fn keep_some(&mut self, dice: &mut impl FnMut(usize) -> usize) {
        let (short, long) =
            (self.seen.len().min(self.durable.len()), self.seen.len().max(self.durable.len()));
        let same = self.seen.iter().zip(&self.durable).take_while(|(seen, durable)| seen == durable).count();
        let length =
            if self.seen.len() == self.durable.len() { short } else { short + dice(long - short + 1) };
        let mut kept = self.durable.clone();
        kept.resize(length, 0);
        for start in (same / PAGE * PAGE..length).step_by(PAGE) {
            let end = (start + PAGE).min(length).min(self.seen.len());
            if start < end && dice(3) > 0 {
                kept[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
        // What was durable and is still seen cannot have changed.
        kept[..same.min(length)].copy_from_slice(&self.seen[..same.min(length)]);
        (self.seen, self.durable) = (kept.clone(), kept);
    }
}

impl State {
    fn check(&mut self, call: Call) -> io::Result<()> {
        match self.fault {
            Some((failing, kind)) if failing == call => {
                self.fault = None;
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn renamed(&mut self) {
        let names = self.names.clone();
        self.changes.push(names);
    }
}

impl Files for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        let file = state.file(path)?;
        Ok(state.files[file].seen.clone())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn LogFile>> {
        let mut state = self.lock();
        state.check(Call::Open)?;
        let file = match mode {
            OpenMode::Append => state.file(path)?,
            OpenMode::Fresh => {
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.names.insert(path.to_path_buf(), file);
                state.renamed();
                file
            }
        };
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(Call::Rename)?;
        let file = state.file(from)?;
        state.names.remove(from);
        state.names.insert(to.to_path_buf(), file);
        state.renamed();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(Call::Remove)?;
        state.file(path)?;
        state.names.remove(path);
        state.renamed();
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(Call::SyncDir)?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl LogFile for SimFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let failed = state.check(Call::Write);
        let arrived = if failed.is_err() { bytes.len() / 2 } else { bytes.len() };
        state.files[self.file].seen.extend_from_slice(&bytes[..arrived]);
        failed
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let failed = state.check(Call::Sync);
        let content = &mut state.files[self.file];
        if failed.is_ok() {
            content.durable = content.seen.clone();
        } else {
            // Every second page reached the disk; the others never will, whatever a later sync says.
            let mut turn = 0;
            content.keep_some(&mut |sides| {
                turn += 1;
                (turn % 2) * (sides - 1)
            });
        }
        failed
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(Call::Truncate)?;
        let seen = &mut state.files[self.file].seen;
        assert!(length <= seen.len() as u64, "the log only ever cuts");
        seen.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}
