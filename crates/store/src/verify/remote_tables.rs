//! Tables in object storage, read for a check or a copy.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::LogStoreRef;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use hindsight_model::Table;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::tables_dir::{LOG_DIR, Part};
use crate::merge::spool_file;
use crate::tables_storage::TablesStorage;
use crate::{Error, Result};

/// A larger file of a table's log is no commit of ours (LIM-1).
const TEXT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What is asked for at first to find a file's metadata: for most files more than they have.
const TAIL_BYTES: u64 = 256 * 1024;
/// Longer metadata are none of ours (LIM-1).
const METADATA_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// At the end of a Parquet file: the length of the metadata, and four letters.
const PARQUET_END_BYTES: usize = 8;

/// A prefix in object storage. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct RemoteTables {
    storage: TablesStorage,
    objects: Arc<dyn ObjectStore>,
    /// `s3://bucket/prefix`.
    name: String,
    /// A directory of this disk for copies without a name.
    spool: PathBuf,
}

/// An object's content on its way, and what storage says of it.
pub(crate) struct Arriving {
    pub(crate) meta: ObjectMeta,
    pub(crate) parts: BoxStream<'static, object_store::Result<Bytes>>,
}

impl RemoteTables {
    pub(super) fn new(storage: &TablesStorage, name: &str, spool: &FsPath) -> Self {
        let objects = storage.object_store();
        Self { storage: storage.clone(), objects, name: name.to_owned(), spool: spool.to_path_buf() }
    }

    /// `s3://bucket/prefix`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn log_store(&self, table: Table) -> Result<LogStoreRef> {
        self.storage.log_store(table)
    }

    /// Everything that lies there for `table`, by path within the table.
    pub(crate) async fn objects(&self, table: Table) -> Result<BTreeMap<String, ObjectMeta>> {
        self.listed(table.name()).await
    }

    pub(super) async fn log_names(&self, table: Table) -> Result<Vec<String>> {
        let folder = format!("{}/{LOG_DIR}", table.name());
        let names = self.listed(&folder).await?.into_keys();
        Ok(names.filter(|name| !name.contains('/')).collect())
    }

    async fn listed(&self, folder: &str) -> Result<BTreeMap<String, ObjectMeta>> {
        let folder = Path::from(folder);
        let mut found = BTreeMap::new();
        let mut objects = self.objects.list(Some(&folder));
        while let Some(object) = objects.try_next().await.map_err(self.failed("list", folder.as_ref()))? {
            let within = object.location.as_ref().strip_prefix(folder.as_ref());
            if let Some(within) = within.and_then(|rest| rest.strip_prefix('/')) {
                found.insert(within.to_owned(), object);
            }
        }
        Ok(found)
    }

    pub(super) async fn text(&self, table: Table, path: &str) -> Result<io::Result<String>> {
        let Some(arriving) = self.get(table, path).await? else { return Ok(Err(gone())) };
        if arriving.meta.size > TEXT_BYTES_MAX {
            let what = format!("it has {} bytes", arriving.meta.size);
            return Ok(Err(io::Error::new(io::ErrorKind::FileTooLarge, what)));
        }
        let parts: Vec<Bytes> = arriving.parts.try_collect().await.map_err(self.failed("read", path))?;
        let text = String::from_utf8(parts.concat());
        Ok(text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
    }

    /// An object's content; `None` when there is no such object.
    pub(crate) async fn get(&self, table: Table, path: &str) -> Result<Option<Arriving>> {
        let place = object_path(table, path);
        match self.objects.get(&place).await {
            Ok(got) => Ok(Some(Arriving { meta: got.meta.clone(), parts: got.into_stream() })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", place.as_ref())(error)),
        }
    }

    pub(super) async fn open(
        &self,
        table: Table,
        path: &str,
        size_bytes: u64,
        part: Part,
    ) -> Result<io::Result<File>> {
        let copy = match part {
            Part::Whole => self.copy(table, path, size_bytes).await?,
            Part::Metadata => self.copy_of_metadata(table, path).await?,
        };
        Ok(copy.ok_or_else(gone))
    }

    /// A copy on this disk, of its size only when that is not `size_bytes`.
    async fn copy(&self, table: Table, path: &str, size_bytes: u64) -> Result<Option<File>> {
        let Some(mut arriving) = self.get(table, path).await? else { return Ok(None) };
        let mut file = spool_file(&self.spool)?;
        let unwritten = Error::io("write a copy of a block in", &self.spool);
        if arriving.meta.size != size_bytes {
            file.set_len(arriving.meta.size).map_err(unwritten)?;
            return Ok(Some(file));
        }
        while let Some(bytes) = arriving.parts.try_next().await.map_err(self.failed("read", path))? {
            file.write_all(&bytes).map_err(Error::io("write a copy of a block in", &self.spool))?;
        }
        io::Seek::rewind(&mut file).map_err(unwritten)?;
        Ok(Some(file))
    }

    /// A file of the object's size with the object's end, as far as its metadata reach; zeros take no disk.
    async fn copy_of_metadata(&self, table: Table, path: &str) -> Result<Option<File>> {
        let place = object_path(table, path);
        let failed = || self.failed("read", place.as_ref());
        let size = match self.objects.head(&place).await {
            Ok(meta) => meta.size,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        let file = spool_file(&self.spool)?;
        let unwritten = || Error::io("write a copy of a block in", &self.spool);
        file.set_len(size).map_err(unwritten())?;
        let mut from = size.saturating_sub(TAIL_BYTES);
        while from < size {
            let tail = self.objects.get_range(&place, from..size).await.map_err(failed())?;
            file.write_all_at(&tail, from).map_err(unwritten())?;
            let wanted = size.saturating_sub(metadata_bytes(&tail));
            if wanted >= from || size - wanted > METADATA_BYTES_MAX {
                break;
            }
            from = wanted;
        }
        Ok(Some(file))
    }

    /// Says of an object storage error what was attempted and where.
    pub(crate) fn failed(
        &self,
        operation: &'static str,
        path: &str,
    ) -> impl FnOnce(object_store::Error) -> Error + use<> {
        let path = format!("{}/{path}", self.name);
        move |source| Error::Storage { operation, path, source: Box::new(source) }
    }
}

/// How many bytes at the end are metadata, by the last bytes of `tail`.
fn metadata_bytes(tail: &[u8]) -> u64 {
    let Some(end) = tail.last_chunk::<PARQUET_END_BYTES>() else { return 0 };
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
    u64::from(length) + PARQUET_END_BYTES as u64
}

fn object_path(table: Table, path: &str) -> Path {
    let whole = format!("{}/{path}", table.name());
    Path::parse(&whole).unwrap_or_else(|_| Path::from(whole))
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}
