//! Local storage whose `put` is durable when it returns. The library's own local store leaves that to the kernel,
//! but the log's records are removed on the strength of a commit, so the commit must outlive power loss first.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// A directory as an object store: write beside, sync, rename, sync the directory.
#[derive(Debug)]
pub(crate) struct DurableFs {
    inner: std::sync::Arc<LocalFileSystem>,
}

impl DurableFs {
    /// The whole file system, as the Delta library wants it.
    pub(crate) fn whole() -> Self {
        Self { inner: std::sync::Arc::new(LocalFileSystem::new()) }
    }

    /// The directory `root`, which must be there.
    pub(crate) fn within(root: &FsPath) -> Result<Self> {
        Ok(Self { inner: std::sync::Arc::new(LocalFileSystem::new_with_prefix(root)?) })
    }
}

impl fmt::Display for DurableFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable {}", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DurableFs {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let path = self.inner.path_to_filesystem(location)?;
        let target = match opts.mode {
            PutMode::Overwrite => Target::Replace,
            PutMode::Create => Target::MustBeNew,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, opts).await,
        };
        put_on_blocking_thread(path, payload, target).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        Ok(Box::new(Buffered { path, parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in parts, kept in memory until it is complete: only table checkpoints come this way.
#[derive(Debug)]
struct Buffered {
    path: PathBuf,
    parts: Vec<PutPayload>,
}

#[async_trait::async_trait]
impl MultipartUpload for Buffered {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data);
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let whole: PutPayload = std::mem::take(&mut self.parts).into_iter().flatten().collect();
        put_on_blocking_thread(self.path.clone(), whole, Target::Replace).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Replace,
    MustBeNew,
}

async fn put_on_blocking_thread(path: PathBuf, payload: PutPayload, target: Target) -> Result<PutResult> {
    let shown = path.display().to_string();
    let done = tokio::task::spawn_blocking(move || put(&path, &payload, target)).await;
    match done.map_err(|join| Error::JoinError { source: join })? {
        Ok(()) => Ok(PutResult { e_tag: None, version: None }),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists { path: shown, source: Box::new(source) })
        }
        Err(source) => Err(Error::Generic { store: "local disk", source: Box::new(source) }),
    }
}

fn put(path: &FsPath, payload: &PutPayload, target: Target) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_dir_durably(dir)?;
    // The local store takes names that end in `#<number>` for unfinished uploads and never lists them.
    let staging = staging_path(path);
    let written = write_synced(&staging, payload).and_then(|()| match target {
        Target::Replace => fs::rename(&staging, path),
        Target::MustBeNew => {
            fs::hard_link(&staging, path)?;
            fs::remove_file(&staging)
        }
    });
    if written.is_err() {
        // The first error is the one to tell; a staging file left behind is never read.
        let _ = fs::remove_file(&staging);
    }
    written?;
    File::open(dir)?.sync_all()
}

fn staging_path(path: &FsPath) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::new_v4().as_u64_pair().0));
    PathBuf::from(name)
}

fn write_synced(path: &FsPath, payload: &PutPayload) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    for part in payload {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Makes `dir` and its missing parents, each name durable in the directory above it.
pub(crate) fn create_dir_durably(dir: &FsPath) -> io::Result<()> {
    if dir.try_exists()? {
        return Ok(());
    }
    let parent = dir.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_dir_durably(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn a_put_reads_back_and_a_create_does_not_replace() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableFs::within(dir.path()).unwrap();
        let path = Path::from("a/b=c/d.json");
        store.put(&path, "one".into()).await.unwrap();
        let create = PutOptions::from(PutMode::Create);
        let refused = store.put_opts(&path, "two".into(), create).await.unwrap_err();
        assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one");
        let listed: Vec<_> = store.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
        assert_eq!(listed, [path]);
    }

    #[tokio::test]
    async fn an_upload_in_parts_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableFs::within(dir.path()).unwrap();
        let path = Path::from("checkpoint");
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part("one ".into()).await.unwrap();
        assert!(store.head(&path).await.is_err(), "nothing is there before it is complete");
        upload.put_part("two".into()).await.unwrap();
        upload.complete().await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one two");
    }
}
