//! One file of the log: a header that names the file, then frames.

use std::path::{Path, PathBuf};

use crate::files::{Files, LogFile, OpenMode};
use crate::frame::{self, BadFrame, Frame};
use crate::{Error, Position, Result, SegmentId};

const MAGIC: [u8; 8] = *b"HSWALSEG";
pub(crate) const FORMAT_VERSION: u16 = 1;
/// magic 8, version u16, reserved u16, segment number u64, first position u64, CRC-32C of the 28 before.
pub(crate) const HEADER_BYTES: usize = 32;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: SegmentId,
    /// The position that the segment's first record has or will have.
    pub(crate) first: Position,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.first.0.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header of the file that the directory calls `id`.
    pub(crate) fn decode(bytes: &[u8], id: SegmentId, path: &Path) -> Result<Self> {
        let damaged =
            |offset: u64, what: &str| Error::Damaged { path: path.into(), offset, what: what.into() };
        let header: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| damaged(bytes.len() as u64, "the header is cut short"))?;
        if header[..8] != MAGIC {
            return Err(damaged(0, "it does not begin as a log segment"));
        }
        if crc32c::crc32c(&header[..28]).to_le_bytes() != header[28..] {
            return Err(damaged(28, "the header's checksum does not match"));
        }
        let version = u16::from_le_bytes([header[8], header[9]]);
        if version != FORMAT_VERSION {
            return Err(Error::Version { path: path.into(), found: version, known: FORMAT_VERSION });
        }
        let number =
            |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("the slice has eight bytes"));
        if number(12) != id.0 {
            return Err(damaged(12, "the header names another segment than the file name does"));
        }
        if number(20) == 0 {
            return Err(damaged(20, "the first position is 0"));
        }
        Ok(Self { id, first: Position(number(20)) })
    }
}

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    /// Bytes of the header and whole frames; after a failed write the file may be longer.
    pub(crate) length: u64,
    file: Box<dyn LogFile>,
}

impl ActiveSegment {
    /// Makes a new segment durable before it takes its name, so that a segment never has half a header.
    pub(crate) fn create(files: &dyn Files, dir: &Path, header: Header) -> Result<Self> {
        let path = dir.join(header.id.file_name());
        let staging = dir.join(format!("{}.tmp", header.id.file_name()));
        let mut file = files.open(&staging, OpenMode::Fresh).map_err(Error::io("create", &staging))?;
        file.write_all(&header.encode()).map_err(Error::io("write the header of", &staging))?;
        file.sync().map_err(Error::io("sync", &staging))?;
        files.rename(&staging, &path).map_err(Error::io("rename the new segment to", &path))?;
        files.sync_dir(dir).map_err(Error::io("sync the directory", dir))?;
        Ok(Self { header, path, length: HEADER_BYTES as u64, file })
    }

    /// Opens an existing segment whose good bytes end at `length`, cutting off what follows.
    pub(crate) fn reopen(files: &dyn Files, path: PathBuf, header: Header, length: u64) -> Result<Self> {
        let mut file = files.open(&path, OpenMode::Append).map_err(Error::io("open", &path))?;
        file.truncate(length).map_err(Error::io("cut the torn tail of", &path))?;
        // The records that were found are about to be served as durable; make them so.
        file.sync().map_err(Error::io("sync", &path))?;
        Ok(Self { header, path, length, file })
    }

    /// Adds bytes of whole frames. On error the file may hold a part of them; see [`Self::take_back`].
    pub(crate) fn write(&mut self, frames: &[u8]) -> std::io::Result<()> {
        self.file.write_all(frames)?;
        self.length += frames.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed write left behind.
    pub(crate) fn take_back(&mut self) -> std::io::Result<()> {
        self.file.truncate(self.length)
    }

    pub(crate) fn sync(&mut self) -> std::io::Result<()> {
        self.file.sync()
    }
}

/// What reading a segment from its start found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Where the good frames end.
    pub(crate) good_bytes: u64,
    /// The position after the last good frame.
    pub(crate) next: Position,
    /// What stands after them, if anything.
    pub(crate) bad: Option<Bad>,
}

/// The first bytes that are not a frame.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) what: String,
    /// Whether a later frame says that the record lost here was durable once.
    pub(crate) was_durable: bool,
}

/// Checks every frame of a segment's bytes.
pub(crate) fn scan(bytes: &[u8], header: Header) -> Scan {
    let mut at = HEADER_BYTES;
    let mut next = header.first;
    while at < bytes.len() {
        match frame_at(bytes, at, next) {
            Ok(frame) => {
                at += frame.size_bytes();
                next = next.next();
            }
            Err(bad) => {
                let was_durable = was_durable(&bytes[at..], next, bad);
                return Scan {
                    good_bytes: at as u64,
                    next,
                    bad: Some(Bad { what: bad.to_string(), was_durable }),
                };
            }
        }
    }
    Scan { good_bytes: at as u64, next, bad: None }
}

/// Tells damage from a torn tail. A crash can leave any part of the unsynced frames, in any order, but it cannot
/// make a whole frame with a wrong position, nor can it touch what a later frame calls durable.
fn was_durable(rest: &[u8], expected: Position, bad: BadFrame) -> bool {
    if matches!(bad, BadFrame::Order { .. }) {
        return true;
    }
    frame::calls_durable(rest, expected)
}

/// The frame at `at`, which must carry position `expected`.
pub(crate) fn frame_at(bytes: &[u8], at: usize, expected: Position) -> Result<Frame<'_>, BadFrame> {
    let frame = frame::decode(&bytes[at..])?;
    if frame.position != expected {
        return Err(BadFrame::Order { found: frame.position, expected });
    }
    Ok(frame)
}
