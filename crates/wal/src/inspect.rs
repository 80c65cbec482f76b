//! A look at the log that changes nothing and does not stop at the first fault: what `hindsight verify` and
//! `hindsight backup` need. Opening for real is `recovery`; both read frames with the same code.

use std::path::{Path, PathBuf};

use crate::files::Files;
use crate::recovery::segment_names;
use crate::segment::{self, Header};
use crate::{Error, Position, Result, SegmentId};

/// A record as it lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its place in the log.
    pub position: Position,
    /// What the writer said it is; never 0.
    pub kind: u8,
    /// The writer's bytes.
    pub payload: &'a [u8],
}

/// What a segment holds as far as its frames are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedSegment {
    /// Its number.
    pub id: SegmentId,
    /// Its file.
    pub path: PathBuf,
    /// The position that its first record has or would have.
    pub first: Position,
    /// The position after its last good record.
    pub end: Position,
    /// Bytes of header and good frames.
    pub good_bytes: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
}

/// The end of the last segment that the next start will cut off (WAL-3); nothing in it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the good frames end.
    pub offset: u64,
    /// Bytes after that.
    pub bytes: u64,
    /// What is wrong with the first frame there.
    pub reason: String,
}

/// Everything that a look found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The segments whose header is good, in order.
    pub segments: Vec<InspectedSegment>,
    /// What would make [`crate::Wal::open`] refuse, in order; each names its file.
    pub damage: Vec<Error>,
    /// What it would cut instead.
    pub torn: Option<TornTail>,
    /// Segments that a crash left before they had their name; the next start removes them.
    pub unfinished: Vec<PathBuf>,
}

impl Inspection {
    /// The oldest position that the log may still hold; `None` without a readable segment.
    pub fn first_position(&self) -> Option<Position> {
        self.segments.first().map(|segment| segment.first)
    }

    /// The position that the next record would have; `None` without a readable segment.
    pub fn next_position(&self) -> Option<Position> {
        self.segments.last().map(|segment| segment.end)
    }
}

/// Reads the log in `dir`, one segment in memory at a time, and shows every good record to `visit` in order.
///
/// # Errors
/// [`Error::Io`] when the directory cannot be listed. A segment that cannot be read is in [`Inspection::damage`].
pub fn inspect(files: &dyn Files, dir: &Path, mut visit: impl FnMut(RecordRef<'_>)) -> Result<Inspection> {
    let names = segment_names(files, dir)?;
    let mut found = Inspection { unfinished: names.unfinished, ..Inspection::default() };
    let mut before: Option<(SegmentId, Option<Position>)> = None;
    for (index, id) in names.ids.iter().copied().enumerate() {
        let gap = before.filter(|(last, _)| last.next() != id);
        if let Some((last, _)) = gap {
            found.damage.push(Error::Missing { path: dir.join(last.next().file_name()) });
        }
        let expected = before.filter(|_| gap.is_none()).and_then(|(_, end)| end);
        let is_last = index + 1 == names.ids.len();
        let place = Place { path: dir.join(id.file_name()), id, expected, is_last };
        let end = look_at(files, place, &mut found, &mut visit).unwrap_or_else(|error| {
            found.damage.push(error);
            None
        });
        before = Some((id, end));
    }
    Ok(found)
}

struct Place {
    path: PathBuf,
    id: SegmentId,
    /// Where it must begin, when that is known.
    expected: Option<Position>,
    is_last: bool,
}

/// Checks one segment; returns where the next must begin, when that is certain.
fn look_at(
    files: &dyn Files,
    place: Place,
    found: &mut Inspection,
    visit: &mut impl FnMut(RecordRef<'_>),
) -> Result<Option<Position>> {
    let Place { path, id, expected, is_last } = place;
    let bytes = files.read(&path).map_err(Error::io("read", &path))?;
    let header = Header::decode(&bytes, id, &path)?;
    if let Some(expected) = expected.filter(|expected| *expected != header.first) {
        found.damage.push(Error::Damaged {
            path: path.clone(),
            offset: 20,
            what: format!("it begins at position {}, {expected} was expected", header.first),
        });
    }
    let scan = segment::scan(&bytes, header);
    show_records(&bytes, header, scan.next, visit);
    let size_bytes = bytes.len() as u64;
    let (first, end) = (header.first, scan.next);
    found.segments.push(InspectedSegment {
        id,
        path: path.clone(),
        first,
        end,
        good_bytes: scan.good_bytes,
        size_bytes,
    });
    match scan.bad {
        None => Ok(Some(end)),
        Some(bad) if is_last && !bad.was_durable => {
            let bytes = size_bytes - scan.good_bytes;
            found.torn = Some(TornTail { path, offset: scan.good_bytes, bytes, reason: bad.what });
            Ok(None)
        }
        Some(bad) => {
            found.damage.push(Error::Damaged { path, offset: scan.good_bytes, what: bad.what });
            Ok(None)
        }
    }
}

fn show_records(bytes: &[u8], header: Header, end: Position, visit: &mut impl FnMut(RecordRef<'_>)) {
    let (mut at, mut next) = (segment::HEADER_BYTES, header.first);
    while next < end {
        // `scan` has just called these frames good, so the loop ends at `end`.
        let Ok(frame) = segment::frame_at(bytes, at, next) else { return };
        visit(RecordRef { position: frame.position, kind: frame.kind, payload: frame.payload });
        at += frame.size_bytes();
        next = next.next();
    }
}

#[cfg(test)]
mod tests;
