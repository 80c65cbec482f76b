//! Segments in order: appending, syncing, rolling over, removing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{Files, StdFiles};
use crate::frame::{Frame, PAYLOAD_BYTES_MAX};
use crate::recovery::{self, Recovered, Segment};
use crate::segment::{ActiveSegment, Header};
use crate::{Error, Position, Result, SegmentId};

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment that has reached this many bytes is followed by a new one. Default 64 MiB.
    pub segment_bytes: u64,
    /// The position that an empty log begins with, and that a log with records must not end below. A reader that
    /// keeps positions elsewhere (the store's commits) gives the one after the last it has seen. Default 1.
    pub first_position: Position,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, first_position: Position::FIRST }
    }
}

/// The log, open for appending. It has one owner; dropping it loses nothing that was synced.
#[derive(Debug)]
pub struct Wal {
    files: Arc<dyn Files>,
    dir: PathBuf,
    options: Options,
    closed: VecDeque<Segment>,
    active: ActiveSegment,
    next: Position,
    /// Every position below this one is durable.
    durable: Position,
    poison: Option<Poison>,
    scratch: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Poison {
    operation: &'static str,
    path: PathBuf,
}

/// The scratch buffer is given back to the allocator when one large record has blown it up beyond this.
const SCRATCH_BYTES_KEPT: usize = 4 * 1024 * 1024;

impl Wal {
    /// Opens the log in `dir`, making it if there is none: checks every byte, cuts a torn tail off the last
    /// segment, and returns the log with the records it holds.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Missing`] and [`Error::Version`] as WAL-3 tells; [`Error::Behind`];
    /// [`Error::Io`].
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<(Self, Recovered)> {
        Self::open_with(Arc::new(StdFiles), dir, options)
    }

    /// [`Wal::open`] on a file system of the caller's choice.
    ///
    /// # Errors
    /// As [`Wal::open`].
    pub fn open_with(
        files: Arc<dyn Files>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<(Self, Recovered)> {
        let dir = dir.as_ref().to_path_buf();
        files.create_dir(&dir).map_err(Error::io("create the directory", &dir))?;
        let checked = recovery::check(files.as_ref(), &dir)?;
        let recovered = Recovered::new(Arc::clone(&files), checked.segments.clone(), checked.torn_bytes);
        let mut closed = VecDeque::from(checked.segments);
        let active = match closed.pop_back() {
            Some(last) if last.end < options.first_position => {
                return Err(Error::Behind { end: last.end, wanted: options.first_position });
            }
            Some(last) => {
                (last.end, ActiveSegment::reopen(files.as_ref(), last.path, last.header, last.length)?)
            }
            None => {
                let header = Header { id: SegmentId(1), first: options.first_position };
                (header.first, ActiveSegment::create(files.as_ref(), &dir, header)?)
            }
        };
        let (next, active) = active;
        // A crash may have come between a rename and its sync; no record may be acknowledged under such a name.
        files.sync_dir(&dir).map_err(Error::io("sync the directory", &dir))?;
        let wal = Self {
            files,
            dir,
            options,
            closed,
            active,
            next,
            durable: next,
            poison: None,
            scratch: Vec::new(),
        };
        Ok((wal, recovered))
    }

    /// Writes one record after the last and returns its position. `kind` is the caller's, 1 to 255.
    /// The record is in the operating system's hands, and durable only after [`Wal::sync`].
    ///
    /// # Errors
    /// [`Error::Io`] leaves the log as it was before the call, and later calls may succeed (a full disk);
    /// [`Error::TooLarge`]; [`Error::Poisoned`].
    ///
    /// # Panics
    /// When `kind` is 0.
    pub fn append(&mut self, kind: u8, payload: &[u8]) -> Result<Position> {
        assert!(kind != 0, "record kind 0 is reserved");
        self.check_poison()?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::TooLarge { size_bytes: payload.len() });
        }
        let is_empty = self.next == self.active.header.first;
        if !is_empty && self.active.length >= self.options.segment_bytes {
            self.roll()?;
        }
        let position = self.next;
        self.scratch.clear();
        Frame { kind, position, durable: self.durable, payload }.encode(&mut self.scratch);
        let written = self.active.write(&self.scratch);
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
        if let Err(source) = written {
            return Err(self.take_back(source));
        }
        self.next = position.next();
        Ok(position)
    }

    /// Makes every record appended so far durable (WAL-1).
    ///
    /// # Errors
    /// [`Error::Io`] once, and [`Error::Poisoned`] for ever after (WAL-2): the kernel may have dropped the pages
    /// that it could not write, so a second sync that succeeds would prove nothing.
    pub fn sync(&mut self) -> Result<()> {
        self.check_poison()?;
        if self.durable == self.next {
            return Ok(());
        }
        if let Err(source) = self.active.sync() {
            let path = self.active.path.clone();
            self.poison("syncing", &path);
            return Err(Error::Io { operation: "sync", path, source });
        }
        self.durable = self.next;
        Ok(())
    }

    /// Removes whole segments whose every record lies below `position`, and returns how many. The segment being
    /// written stays, so positions are never used twice.
    ///
    /// # Errors
    /// [`Error::Io`]; the remaining segments are removed by a later call.
    pub fn remove_before(&mut self, position: Position) -> Result<usize> {
        let mut removed = 0;
        while let Some(oldest) = self.closed.front()
            && oldest.end <= position
        {
            self.files.remove(&oldest.path).map_err(Error::io("remove", &oldest.path))?;
            tracing::debug!(segment.id = oldest.header.id.0, "removed a segment of the write-ahead log");
            self.closed.pop_front();
            removed += 1;
        }
        if removed > 0 {
            self.files.sync_dir(&self.dir).map_err(Error::io("sync the directory", &self.dir))?;
        }
        Ok(removed)
    }

    /// The position that the next record will have.
    pub fn next_position(&self) -> Position {
        self.next
    }

    /// The oldest position that may still be in the log.
    pub fn first_position(&self) -> Position {
        self.closed.front().map_or(self.active.header.first, |segment| segment.header.first)
    }

    /// Below which position [`Wal::remove_before`] would remove something if asked for `position`.
    pub fn removable_before(&self, position: Position) -> Option<Position> {
        self.closed.iter().take_while(|segment| segment.end <= position).last().map(|segment| segment.end)
    }

    /// Bytes of all segments together.
    pub fn size_bytes(&self) -> u64 {
        self.closed.iter().map(|segment| segment.length).sum::<u64>() + self.active.length
    }

    /// Whether WAL-2 has shut the log.
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_some()
    }

    /// Begins a new segment once the present one is durable as a whole.
    fn roll(&mut self) -> Result<()> {
        self.sync()?;
        let header = Header { id: self.active.header.id.next(), first: self.next };
        let fresh = ActiveSegment::create(self.files.as_ref(), &self.dir, header)?;
        let full = std::mem::replace(&mut self.active, fresh);
        self.closed.push_back(Segment {
            header: full.header,
            path: full.path,
            end: self.next,
            length: full.length,
        });
        Ok(())
    }

    /// After a failed write: cuts off the part that arrived, or else shuts the log.
    fn take_back(&mut self, source: std::io::Error) -> Error {
        let path = self.active.path.clone();
        if let Err(cut) = self.active.take_back() {
            tracing::error!(path = %path.display(), error = %cut, "could not cut off a half-written frame");
            self.poison("appending to", &path);
        }
        Error::Io { operation: "append to", path, source }
    }

    fn poison(&mut self, operation: &'static str, path: &Path) {
        tracing::error!(path = %path.display(), operation, "the write-ahead log accepts nothing until restart");
        self.poison = Some(Poison { operation, path: path.into() });
    }

    fn check_poison(&self) -> Result<()> {
        match &self.poison {
            Some(Poison { operation, path }) => Err(Error::Poisoned { operation, path: path.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
