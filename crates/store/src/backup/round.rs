//! One try to copy a live data directory. It fails without harm when the server took something away meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_model::NodeId;
use hindsight_wal::{Files, LogFile, OpenMode, inspect};

use super::BackupError;
use super::copy::{copy, modified_ns};
use super::manifest::{FileEntry, KEPT_DIR, TableEntry, below, generation_dir};
use super::source::{Segments, listings, log_files, open, other_files};
use crate::block_name::checksum_in_name;
use crate::verify::{Listing, Progress};

/// Why a round ended early.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server removed or replaced something: try again.
    Moved(String),
    /// Unreadable; perhaps because it was changing, so try again, and tell this if it stays so.
    Changing(BackupError),
    /// Trying again is no use.
    Failed(BackupError),
}

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        Self::Failed(error)
    }
}

/// How the work is told about.
pub(super) type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a whole round gave.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) files: Vec<FileEntry>,
    pub(super) tables: Vec<TableEntry>,
    pub(super) wal_next: u64,
}

/// Copies so far, kept over rounds: by path in the data directory.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the last finished backup and earlier rounds have stored.
    pub(super) entries: HashMap<String, FileEntry>,
    pub(super) copied_files: u64,
    pub(super) copied_bytes: u64,
}

pub(super) struct Round {
    pub(super) data_dir: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) generation: u64,
    pub(super) node: NodeId,
    pub(super) tell: Tell,
    pub(super) known: Known,
}

impl Round {
    /// Takes the picture, then copies what is new in it. The round comes back for the next try.
    pub(super) async fn run(mut self) -> (Self, Result<Gathered, Fault>) {
        let picture = match self.picture().await {
            Ok(picture) => picture,
            Err(fault) => return (self, Err(fault)),
        };
        let work = tokio::task::spawn_blocking(move || {
            let gathered = self.gather(picture);
            (self, gathered)
        });
        match work.await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Log, tables, log: the segments opened first hold whatever the tables read later do not cover, and those
    /// opened last reach as far as the tables do.
    async fn picture(&self) -> Result<(Segments, Vec<Listing>), Fault> {
        let wal_dir = self.data_dir.join("wal");
        let mut segments = Segments::default();
        segments.open_more(&wal_dir)?;
        let listings = listings(&self.data_dir.join("tables"), self.node).await?;
        segments.open_more(&wal_dir)?;
        segments.check_no_gap()?;
        Ok((segments, listings))
    }

    fn gather(&mut self, picture: (Segments, Vec<Listing>)) -> Result<Gathered, Fault> {
        let (segments, listings) = picture;
        let mut files = Vec::new();
        // What may be taken away first is copied first.
        for listing in &listings {
            files.extend(self.table(listing)?);
        }
        let log = self.segments(segments)?;
        let covered = listings.iter().map(|listing| listing.covered).max().unwrap_or(0);
        let wal_next = check_log(&self.folder, &log, covered)?;
        files.extend(log);
        for path in other_files(&self.data_dir)? {
            files.push(self.changing(&path)?);
        }
        if self.data_dir.join("FORMAT").try_exists().map_err(BackupError::io("look for", &self.data_dir))? {
            files.push(self.changing("FORMAT")?);
        }
        let tables = listings
            .iter()
            .map(|listing| TableEntry {
                table: listing.table.name().to_owned(),
                version: listing.version,
                files: listing.files.len() as u64,
                covered: listing.covered,
            })
            .collect();
        Ok(Gathered { files, tables, wal_next })
    }

    fn table(&mut self, listing: &Listing) -> Result<Vec<FileEntry>, Fault> {
        let root = format!("tables/{}", listing.table.name());
        let mut entries = Vec::new();
        let total_bytes = listing.files.iter().map(|file| file.size_bytes).sum();
        let mut done_bytes = 0;
        for file in &listing.files {
            let path = format!("{root}/{}", file.path);
            self.say(&path, done_bytes, total_bytes);
            let (source, metadata) = open(&below(&self.data_dir, &path))?;
            if metadata.len() != file.size_bytes {
                let what =
                    format!("it has {} bytes, the table's log says {}", metadata.len(), file.size_bytes);
                return Err(BackupError::Damaged { place: path, what }.into());
            }
            entries.push(self.store(&path, source, &metadata, KEPT_DIR)?);
            done_bytes += file.size_bytes;
        }
        let log_dir = format!("{root}/_delta_log");
        for name in log_files(&below(&self.data_dir, &log_dir), listing.version)? {
            let path = format!("{log_dir}/{name}");
            let (source, metadata) = open(&below(&self.data_dir, &path))?;
            entries.push(self.store(&path, source, &metadata, KEPT_DIR)?);
        }
        Ok(entries)
    }

    fn segments(&mut self, segments: Segments) -> Result<Vec<FileEntry>, Fault> {
        let last = segments.open.keys().last().copied();
        let own = generation_dir(self.generation);
        let mut entries = Vec::new();
        for (id, file) in segments.open {
            let path = format!("wal/{}", id.file_name());
            self.say(&path, 0, 0);
            let metadata = file.metadata().map_err(BackupError::io("look at", &path))?;
            // Only the last segment is written to.
            let folder = if Some(id) == last { own.as_str() } else { KEPT_DIR };
            entries.push(self.store(&path, file, &metadata, folder)?);
        }
        Ok(entries)
    }

    fn changing(&mut self, path: &str) -> Result<FileEntry, Fault> {
        let (source, metadata) = open(&below(&self.data_dir, path))?;
        let folder = generation_dir(self.generation);
        self.store(path, source, &metadata, &folder)
    }

    /// Stores a file under `folder`, or finds that it is stored already.
    fn store(
        &mut self,
        path: &str,
        mut source: File,
        metadata: &fs::Metadata,
        folder: &str,
    ) -> Result<FileEntry, Fault> {
        let modified = modified_ns(metadata).map_err(BackupError::io("look at", path))?;
        let known = self.known.entries.get(path);
        if let Some(known) = known
            && (known.size, known.modified_ns) == (metadata.len(), modified)
            && is_there(&self.folder, known)
        {
            return Ok(known.clone());
        }
        // The last finished backup still needs what it stored under this name.
        let is_taken = known.is_some_and(|known| known.stored == format!("{folder}/{path}"));
        let stored = if is_taken {
            format!("{}/{path}", generation_dir(self.generation))
        } else {
            format!("{folder}/{path}")
        };
        let target = below(&self.folder, &stored);
        let copied =
            copy(&mut source, &target, modified, &mut |_| {}).map_err(BackupError::io("copy to", &target))?;
        if let Some(expected) = checksum_in_name(path).filter(|expected| *expected != copied.crc32c) {
            let what = format!("its bytes have checksum {:08x}, its name says {expected:08x}", copied.crc32c);
            return Err(BackupError::Damaged { place: path.to_owned(), what }.into());
        }
        self.known.copied_files += 1;
        self.known.copied_bytes += copied.size;
        let entry = FileEntry {
            path: path.to_owned(),
            stored,
            size: copied.size,
            sha256: copied.sha256,
            modified_ns: modified,
        };
        self.known.entries.insert(path.to_owned(), entry.clone());
        Ok(entry)
    }

    fn say(&self, doing: &str, done_bytes: u64, total_bytes: u64) {
        (self.tell)(Progress { doing: doing.to_owned(), done_bytes, total_bytes });
    }
}

fn is_there(folder: &Path, entry: &FileEntry) -> bool {
    fs::metadata(below(folder, &entry.stored)).is_ok_and(|metadata| metadata.len() == entry.size)
}

/// Reads the copied log as a start would: it must be whole but for its tail, begin no later than where the tables
/// end, and end no earlier. Returns the position after its last record.
fn check_log(folder: &Path, log: &[FileEntry], covered: u64) -> Result<u64, Fault> {
    let files = Stored { by_name: log.iter().map(|entry| named(folder, entry)).collect() };
    let failed = |what: String| {
        Fault::Changing(BackupError::Damaged { place: "the write-ahead log".to_owned(), what })
    };
    let found = inspect(&files, Path::new(""), |_| {}).map_err(|error| failed(error.to_string()))?;
    if let Some(damage) = found.damage.first() {
        return Err(failed(damage.to_string()));
    }
    let (Some(first), Some(next)) = (found.first_position(), found.next_position()) else {
        return Err(failed("it has no segment".to_owned()));
    };
    if first.0 > covered + 1 || next.0 <= covered {
        return Err(failed(format!("it holds positions {first} to {next}, the tables end at {covered}")));
    }
    Ok(next.0)
}

fn named(folder: &Path, entry: &FileEntry) -> (String, PathBuf) {
    let name = entry.path.rsplit('/').next().unwrap_or_default();
    (name.to_owned(), below(folder, &entry.stored))
}

/// Segments that lie in different folders, as the one directory they will be restored to. For reading only.
#[derive(Debug)]
struct Stored {
    by_name: BTreeMap<String, PathBuf>,
}

impl Files for Stored {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.by_name.keys().cloned().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let stored = path.to_str().and_then(|name| self.by_name.get(name)).ok_or(io::ErrorKind::NotFound)?;
        fs::read(stored)
    }

    fn open(&self, _: &Path, _: OpenMode) -> io::Result<Box<dyn LogFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
