//! A backup's tables on their way into object storage.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::Handle;

use super::BackupError;
use super::copy::drain;
use super::manifest::{FileEntry, below};
use super::restore::compare;
use crate::Error;
use crate::verify::LOG_DIR;

/// The folder of all tables in a data directory.
const TABLES: &str = "tables/";
/// Larger files go in parts of this size; stores in the cloud want at least 5 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Whether a file of a backup belongs to a table.
pub(super) fn is_of_tables(entry: &FileEntry) -> bool {
    entry.path.starts_with(TABLES)
}

/// Blocks before the logs that list them, so that a table that can be seen is whole but for its last commits.
pub(super) fn in_order<'a>(entries: &[&'a FileEntry]) -> Vec<&'a FileEntry> {
    let mut ordered = entries.to_vec();
    ordered.sort_by_key(|entry| (is_of_log(entry), entry.path.as_str()));
    ordered
}

fn is_of_log(entry: &FileEntry) -> bool {
    entry.path.split('/').nth(2) == Some(LOG_DIR)
}

/// A prefix in object storage that gets a backup's tables. It blocks, so it lives on a thread for blocking work.
pub(super) struct Uploads {
    objects: Arc<dyn ObjectStore>,
    /// `s3://bucket/prefix`.
    place: String,
    handle: Handle,
}

impl Uploads {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, place: &str, handle: Handle) -> Self {
        Self { objects, place: place.to_owned(), handle }
    }

    /// Another node's tables, or what an earlier restore has left, are not mixed with these.
    pub(super) fn check_empty(&self) -> Result<(), BackupError> {
        let first = self.handle.block_on(async { self.objects.list(None).try_next().await });
        match first.map_err(|error| self.failed("list", "", error))? {
            Some(_) => Err(BackupError::TablesNotEmpty { place: self.place.clone() }),
            None => Ok(()),
        }
    }

    /// Puts a file of the backup in `folder` where the tables' paths say.
    pub(super) fn put(&self, folder: &Path, entry: &FileEntry) -> Result<(), BackupError> {
        let from = below(folder, &entry.stored);
        let within = entry.path.strip_prefix(TABLES).unwrap_or(&entry.path);
        let to = ObjectPath::parse(within).map_err(|error| self.failed("write", within, error.into()))?;
        let mut source = File::open(&from).map_err(BackupError::io("open", &from))?;
        let mut target =
            Target { uploads: self, to, is_of_log: is_of_log(entry), buffer: Vec::new(), upload: None };
        let mut refused = None;
        let read = drain(&mut source, &mut |_| {}, &mut |bytes| {
            target.add(bytes).map_err(|error| {
                refused = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        if let Some(error) = refused {
            target.give_up();
            return Err(error);
        }
        let read = read.map_err(BackupError::io("read", &from));
        let whole = read
            .and_then(|read| compare(entry, &read).map_err(|what| BackupError::Altered { path: from, what }));
        match whole {
            Ok(()) => target.complete(),
            Err(error) => {
                target.give_up();
                Err(error)
            }
        }
    }

    fn failed(&self, operation: &'static str, path: &str, source: object_store::Error) -> BackupError {
        let path = format!("{}/{path}", self.place);
        BackupError::store(Error::Storage { operation, path, source: Box::new(source) })
    }
}

/// One object on its way: at once when it is small, else in parts. Nothing is there before it is complete.
struct Target<'a> {
    uploads: &'a Uploads,
    to: ObjectPath,
    is_of_log: bool,
    buffer: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Target<'_> {
    fn add(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PART_BYTES {
            return Ok(());
        }
        let sent = self.send_part();
        sent.map_err(|error| self.failed(error))
    }

    fn complete(mut self) -> Result<(), BackupError> {
        let done = match self.upload.is_some() {
            true => self.send_part().and_then(|()| self.end_upload()),
            false => self.put_at_once(),
        };
        done.map_err(|error| self.failed(error))
    }

    fn put_at_once(&mut self) -> object_store::Result<()> {
        let content = Bytes::from(std::mem::take(&mut self.buffer));
        let Uploads { objects, handle, .. } = self.uploads;
        if !self.is_of_log {
            return handle.block_on(objects.put(&self.to, content.into())).map(drop);
        }
        // Nobody else writes here; if somebody does, a commit of theirs must not be replaced.
        let new = PutOptions::from(PutMode::Create);
        let put = handle.block_on(objects.put_opts(&self.to, content.clone().into(), new));
        let Err(error) = put else { return Ok(()) };
        // Storage may have done it and not have said so.
        let there = handle.block_on(async { objects.get(&self.to).await?.bytes().await });
        if there.is_ok_and(|there| there == content) { Ok(()) } else { Err(error) }
    }

    fn send_part(&mut self) -> object_store::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Uploads { objects, handle, .. } = self.uploads;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(handle.block_on(objects.put_multipart(&self.to))?),
        };
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        handle.block_on(upload.put_part(part.into()))
    }

    fn end_upload(&mut self) -> object_store::Result<()> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        self.uploads.handle.block_on(upload.complete()).map(drop)
    }

    /// The parts that are there take space and nothing else, so failing to take them back is only told.
    fn give_up(mut self) {
        let Some(upload) = &mut self.upload else { return };
        if let Err(error) = self.uploads.handle.block_on(upload.abort()) {
            tracing::warn!(path = %self.to, %error, "could not take back the parts of an unfinished object");
        }
    }

    fn failed(&self, error: object_store::Error) -> BackupError {
        self.uploads.failed("write", self.to.as_ref(), error)
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::backup::copy::read_through;

    /// A backup's folder with one file of `size` bytes that belongs at `path`.
    fn backed_up(path: &str, size: usize) -> (tempfile::TempDir, FileEntry, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let stored = folder.path().join("file");
        std::fs::write(&stored, &bytes).unwrap();
        let read = read_through(&mut File::open(stored).unwrap(), &mut |_| {}).unwrap();
        let (path, stored) = (path.to_owned(), "file".to_owned());
        (folder, FileEntry { path, stored, size: read.size, sha256: read.sha256, modified_ns: 0 }, bytes)
    }

    fn content(uploads: &Uploads, path: &str) -> Option<Vec<u8>> {
        let path = ObjectPath::from(path);
        let got = uploads.handle.block_on(async { uploads.objects.get(&path).await?.bytes().await });
        got.ok().map(|bytes| bytes.to_vec())
    }

    fn in_memory(runtime: &tokio::runtime::Runtime) -> Uploads {
        Uploads::new(Arc::new(InMemory::new()), "s3://bucket/p", runtime.handle().clone())
    }

    #[test]
    fn files_of_every_size_arrive_whole() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for size in [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES, 2 * PART_BYTES + 5] {
            let uploads = in_memory(&runtime);
            uploads.check_empty().unwrap();
            let (folder, entry, bytes) = backed_up("tables/logs/tenant=a/date=2026-05-04/x.parquet", size);
            uploads.put(folder.path(), &entry).unwrap();
            assert!(content(&uploads, "logs/tenant=a/date=2026-05-04/x.parquet") == Some(bytes), "{size}");
            let refused = uploads.check_empty().unwrap_err();
            assert!(refused.to_string().contains("s3://bucket/p is not empty"), "{refused}");
        }
    }

    #[test]
    fn a_file_that_changed_since_it_was_checked_does_not_arrive() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for size in [10, PART_BYTES + 10] {
            let uploads = in_memory(&runtime);
            let (folder, entry, mut bytes) = backed_up("tables/logs/tenant=a/x.parquet", size);
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(folder.path().join("file"), bytes).unwrap();
            let refused = uploads.put(folder.path(), &entry).unwrap_err();
            assert!(matches!(refused, BackupError::Altered { .. }), "{refused}");
            assert_eq!(content(&uploads, "logs/tenant=a/x.parquet"), None);
        }
    }

    #[test]
    fn a_commit_that_somebody_else_has_made_stays_theirs() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let uploads = in_memory(&runtime);
        let (folder, entry, bytes) = backed_up("tables/logs/_delta_log/00000000000000000000.json", 20);
        uploads.put(folder.path(), &entry).unwrap();
        uploads.put(folder.path(), &entry).unwrap();
        assert_eq!(content(&uploads, "logs/_delta_log/00000000000000000000.json"), Some(bytes));
        let (folder, other, _) = backed_up("tables/logs/_delta_log/00000000000000000000.json", 21);
        let refused = uploads.put(folder.path(), &other).unwrap_err();
        assert!(refused.to_string().contains("could not use the data directory"), "{refused}");
        assert_eq!(
            content(&uploads, "logs/_delta_log/00000000000000000000.json").map(|it| it.len()),
            Some(20)
        );
    }

    #[test]
    fn blocks_go_before_the_logs_that_list_them() {
        let entry = |path: &str| backed_up(path, 1).1;
        let entries =
            ["tables/b/_delta_log/0.json", "tables/b/tenant=a/x", "tables/a/_delta_log/0.json"].map(entry);
        let ordered: Vec<_> =
            in_order(&entries.iter().collect::<Vec<_>>()).iter().map(|e| e.path.clone()).collect();
        assert_eq!(
            ordered,
            ["tables/b/tenant=a/x", "tables/a/_delta_log/0.json", "tables/b/_delta_log/0.json"]
        );
    }
}
