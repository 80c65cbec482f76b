//! One try to copy a live data directory. It fails without harm when the server took something away meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_model::NodeId;
use hindsight_wal::{Files, LogFile, OpenMode, inspect};
use tokio::runtime::Handle;

use super::BackupError;
use super::copy::copy;
use super::manifest::{FileEntry, KEPT_DIR, TableEntry, below, generation_dir};
use super::remote::RemoteTable;
use super::source::{Segments, Source, listings, log_files, other_files};
use crate::verify::{LOG_DIR, Listing, Progress, TablesDir};

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
    pub(super) tables: TablesDir,
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
        let handle = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let gathered = self.gather(picture, &handle);
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
        let listings = listings(&self.tables, self.node).await?;
        segments.open_more(&wal_dir)?;
        segments.check_no_gap()?;
        Ok((segments, listings))
    }

    fn gather(&mut self, picture: (Segments, Vec<Listing>), handle: &Handle) -> Result<Gathered, Fault> {
        let (segments, listings) = picture;
        let mut files = Vec::new();
        // What may be taken away first is copied first.
        for listing in &listings {
            files.extend(self.table(listing, handle)?);
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

    fn table(&mut self, listing: &Listing, handle: &Handle) -> Result<Vec<FileEntry>, Fault> {
        match self.tables.clone() {
            TablesDir::Disk(dir) => {
                let root = dir.join(listing.table.name());
                let log_files = log_files(&root.join(LOG_DIR), listing.version)?;
                self.table_files(listing, log_files, |path| Source::open_file(&below(&root, path)))
            }
            TablesDir::Remote(tables) => {
                let table = RemoteTable::list(&tables, listing.table, handle)?;
                self.table_files(listing, table.log_files(listing.version), |path| table.source(path))
            }
        }
    }

    /// The files that `listing` names and those of the table's log; `source` finds them by their path within the table.
    fn table_files<'a>(
        &mut self,
        listing: &Listing,
        log_files: Vec<String>,
        source: impl Fn(&str) -> Result<Source<'a>, Fault>,
    ) -> Result<Vec<FileEntry>, Fault> {
        let root = format!("tables/{}", listing.table.name());
        let mut entries = Vec::new();
        let total_bytes = listing.files.iter().map(|file| file.size_bytes).sum();
        let mut done_bytes = 0;
        for file in &listing.files {
            let path = format!("{root}/{}", file.path);
            self.say(&path, done_bytes, total_bytes);
            let source = source(&file.path)?;
            if source.size != file.size_bytes {
                let what = format!("it has {} bytes, the table's log says {}", source.size, file.size_bytes);
                return Err(BackupError::Damaged { place: path, what }.into());
            }
            entries.push(self.store(&path, source, KEPT_DIR, file.checksum)?);
            done_bytes += file.size_bytes;
        }
        for name in log_files {
            let within = format!("{LOG_DIR}/{name}");
            entries.push(self.store(&format!("{root}/{within}"), source(&within)?, KEPT_DIR, None)?);
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
            let source = Source::of(file, Path::new(&path))?;
            // Only the last segment is written to.
            let folder = if Some(id) == last { own.as_str() } else { KEPT_DIR };
            entries.push(self.store(&path, source, folder, None)?);
        }
        Ok(entries)
    }

    fn changing(&mut self, path: &str) -> Result<FileEntry, Fault> {
        let source = Source::open_file(&below(&self.data_dir, path))?;
        let folder = generation_dir(self.generation);
        self.store(path, source, &folder, None)
    }

    /// Stores a file under `folder`, or finds that it is stored already. Its bytes must have the checksum `expected`.
    fn store(
        &mut self,
        path: &str,
        source: Source<'_>,
        folder: &str,
        expected: Option<u32>,
    ) -> Result<FileEntry, Fault> {
        let modified_ns = source.modified_ns;
        let known = self.known.entries.get(path);
        if let Some(known) = known
            && (known.size, known.modified_ns) == (source.size, modified_ns)
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
        let mut content = (source.open)()?;
        let copied = copy(content.as_mut(), &target, modified_ns, &mut |_| {})
            .map_err(BackupError::io("copy to", &target))?;
        if let Some(expected) = expected.filter(|expected| *expected != copied.crc32c) {
            let what =
                format!("its bytes have checksum {:08x}, the table says {expected:08x}", copied.crc32c);
            return Err(BackupError::Damaged { place: path.to_owned(), what }.into());
        }
        self.known.copied_files += 1;
        self.known.copied_bytes += copied.size;
        let entry = FileEntry {
            path: path.to_owned(),
            stored,
            size: copied.size,
            sha256: copied.sha256,
            modified_ns,
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
