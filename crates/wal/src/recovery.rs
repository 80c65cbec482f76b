//! What a start finds: the segments in order, checked, and their records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::Files;
use crate::segment::{self, Header};
use crate::{Error, Position, Result, SegmentId};

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub position: Position,
    /// What the writer said it is; never 0.
    pub kind: u8,
    /// The writer's bytes.
    pub payload: Vec<u8>,
}

/// The records that were in the log when it was opened, in order, read one segment at a time.
///
/// Everything was checked once by [`crate::Wal::open`]; an error here means that the files changed since.
#[derive(Debug)]
pub struct Recovered {
    files: Arc<dyn Files>,
    segments: std::vec::IntoIter<Segment>,
    current: Option<Reading>,
    torn_bytes: u64,
}

impl Recovered {
    pub(crate) fn new(files: Arc<dyn Files>, segments: Vec<Segment>, torn_bytes: u64) -> Self {
        Self { files, segments: segments.into_iter(), current: None, torn_bytes }
    }

    /// Bytes of the torn tail that was cut, 0 when there was none (WAL-3).
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.current.as_mut().map(Reading::next).transpose()?.flatten() {
                return Ok(Some(record));
            }
            let Some(segment) = self.segments.next() else { return Ok(None) };
            let bytes = self.files.read(&segment.path).map_err(Error::io("read", &segment.path))?;
            let next = segment.header.first;
            self.current = Some(Reading { segment, bytes, at: segment::HEADER_BYTES, next });
        }
    }
}

impl Iterator for Recovered {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

#[derive(Debug)]
struct Reading {
    segment: Segment,
    bytes: Vec<u8>,
    at: usize,
    next: Position,
}

impl Reading {
    fn next(&mut self) -> Result<Option<Record>> {
        if self.next == self.segment.end {
            return Ok(None);
        }
        if self.at >= self.bytes.len() {
            return Err(self.damaged("the file has become shorter since it was checked".to_owned()));
        }
        let frame = segment::frame_at(&self.bytes, self.at, self.next)
            .map_err(|bad| self.damaged(bad.to_string()))?;
        let record = Record { position: frame.position, kind: frame.kind, payload: frame.payload.to_vec() };
        self.at += frame.size_bytes();
        self.next = self.next.next();
        Ok(Some(record))
    }

    fn damaged(&self, what: String) -> Error {
        Error::Damaged { path: self.segment.path.clone(), offset: self.at as u64, what }
    }
}

/// A checked segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    /// The position after its last record.
    pub(crate) end: Position,
    /// Bytes of header and good frames.
    pub(crate) length: u64,
}

/// All segments of a directory, checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) segments: Vec<Segment>,
    pub(crate) torn_bytes: u64,
}

/// Reads and checks every segment in `dir`, and removes files that a crash left before they had their name.
pub(crate) fn check(files: &dyn Files, dir: &Path) -> Result<Checked> {
    let ids = segment_ids(files, dir)?;
    let mut segments: Vec<Segment> = Vec::with_capacity(ids.len());
    let mut torn_bytes = 0;
    for (index, id) in ids.iter().copied().enumerate() {
        let path = dir.join(id.file_name());
        if let Some(before) = segments.last()
            && id != before.header.id.next()
        {
            return Err(Error::Missing { path: dir.join(before.header.id.next().file_name()) });
        }
        let bytes = files.read(&path).map_err(Error::io("read", &path))?;
        let header = Header::decode(&bytes, id, &path)?;
        check_order(segments.last(), header, &path)?;
        let scan = segment::scan(&bytes, header);
        if let Some(bad) = scan.bad {
            // Segments before the last were synced whole before the next was made: there is no tail to tear.
            let is_last = index + 1 == ids.len();
            if !is_last || bad.was_durable {
                return Err(Error::Damaged { path, offset: scan.good_bytes, what: bad.what });
            }
            torn_bytes = bytes.len() as u64 - scan.good_bytes;
            tracing::warn!(
                segment.id = id.0,
                offset = scan.good_bytes,
                torn_bytes,
                reason = bad.what,
                "cut a torn tail off the write-ahead log; nothing in it had been acknowledged"
            );
        }
        segments.push(Segment { header, path, end: scan.next, length: scan.good_bytes });
    }
    Ok(Checked { segments, torn_bytes })
}

fn check_order(before: Option<&Segment>, header: Header, path: &Path) -> Result<()> {
    match before {
        Some(before) if before.end != header.first => Err(Error::Damaged {
            path: path.into(),
            offset: 20,
            what: format!("it begins at position {}, {} was expected", header.first, before.end),
        }),
        _ => Ok(()),
    }
}

fn segment_ids(files: &dyn Files, dir: &Path) -> Result<Vec<SegmentId>> {
    let names = segment_names(files, dir)?;
    for path in names.unfinished {
        files.remove(&path).map_err(Error::io("remove the unfinished", &path))?;
    }
    Ok(names.ids)
}

/// The files of a log's directory.
pub(crate) struct SegmentNames {
    /// In order.
    pub(crate) ids: Vec<SegmentId>,
    /// What a crash left before it had its name.
    pub(crate) unfinished: Vec<PathBuf>,
}

pub(crate) fn segment_names(files: &dyn Files, dir: &Path) -> Result<SegmentNames> {
    let mut names = SegmentNames { ids: Vec::new(), unfinished: Vec::new() };
    for name in files.list(dir).map_err(Error::io("list", dir))? {
        if let Some(id) = SegmentId::from_file_name(&name) {
            names.ids.push(id);
        } else if name.ends_with(".wal.tmp") {
            names.unfinished.push(dir.join(&name));
        }
    }
    names.ids.sort_unstable();
    Ok(names)
}
