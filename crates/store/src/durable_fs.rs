//! Local storage whose `put` is durable when it returns. The library's own local store leaves that to the kernel,
//! but the log's records are removed on the strength of a commit, so the commit must outlive power loss first.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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
    inner: Arc<LocalFileSystem>,
}

impl DurableFs {
    /// The whole file system, as the Delta library wants it.
    pub(crate) fn whole() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()) }
    }

    /// The directory `root`, which must be there.
    pub(crate) fn within(root: &FsPath) -> Result<Self> {
        Ok(Self { inner: Arc::new(LocalFileSystem::new_with_prefix(root)?) })
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
        Ok(Box::new(Staged::beside(path)))
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

/// An upload in parts: written beside its place as the parts come, renamed when it is complete.
#[derive(Debug)]
struct Staged {
    path: PathBuf,
    staging: PathBuf,
    /// Made with the first part.
    file: Arc<Mutex<Option<File>>>,
    length: u64,
    complete: bool,
}

impl Staged {
    fn beside(path: PathBuf) -> Self {
        let staging = staging_path(&path);
        Self { path, staging, file: Arc::default(), length: 0, complete: false }
    }
}

#[async_trait::async_trait]
impl MultipartUpload for Staged {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let offset = self.length;
        self.length += data.content_length() as u64;
        let (file, staging) = (Arc::clone(&self.file), self.staging.clone());
        Box::pin(on_blocking_thread(self.staging.clone(), move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let file = open_staging(&mut file, &staging)?;
            file.seek(SeekFrom::Start(offset))?;
            data.iter().try_for_each(|part| file.write_all(part))
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, staging, path) = (Arc::clone(&self.file), self.staging.clone(), self.path.clone());
        on_blocking_thread(self.path.clone(), move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            open_staging(&mut file, &staging)?.sync_all()?;
            fs::rename(&staging, &path)?;
            File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
        })
        .await?;
        self.complete = true;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let staging = self.staging.clone();
        on_blocking_thread(self.path.clone(), move || remove_if_there(&staging)).await
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.complete && self.length > 0 {
            // A staging file left behind is never read, and the next start removes it.
            let _ = remove_if_there(&self.staging);
        }
    }
}

fn open_staging<'a>(file: &'a mut Option<File>, staging: &FsPath) -> io::Result<&'a mut File> {
    if file.is_none() {
        create_dir_durably(staging.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        *file = Some(File::create_new(staging)?);
    }
    file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn remove_if_there(path: &FsPath) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what unfinished writes left under `root`, and directories of dates that hold nothing any more; the
/// caller makes sure that nobody writes there. Returns the number of files removed.
pub(crate) fn remove_unfinished(root: &FsPath) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            removed += remove_unfinished(&path)?;
            if name.starts_with("date=") {
                // Refused when it is not empty, which is how we ask.
                let _ = fs::remove_dir(&path);
            }
        } else if is_staging(&name) {
            remove_if_there(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_staging(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

async fn on_blocking_thread(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<()> {
    let done = tokio::task::spawn_blocking(work).await;
    match done.map_err(|join| Error::JoinError { source: join })? {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists { path: path.display().to_string(), source: Box::new(source) })
        }
        Err(source) => Err(Error::Generic { store: "local disk", source: Box::new(source) }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Replace,
    MustBeNew,
}

async fn put_on_blocking_thread(path: PathBuf, payload: PutPayload, target: Target) -> Result<PutResult> {
    on_blocking_thread(path.clone(), move || put(&path, &payload, target)).await?;
    Ok(PutResult { e_tag: None, version: None })
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

    #[tokio::test]
    async fn an_upload_that_is_given_up_leaves_nothing_and_one_that_was_killed_is_cleaned_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableFs::within(dir.path()).unwrap();
        let files = || fs::read_dir(dir.path().join("t/date=2026-05-04")).unwrap().count();
        let path = Path::from("t/date=2026-05-04/block.parquet");
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part("one".into()).await.unwrap();
        assert_eq!(files(), 1);
        drop(upload);
        assert_eq!(files(), 0);

        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part("one".into()).await.unwrap();
        std::mem::forget(upload);
        store.put(&Path::from("t/date=2026-05-05/kept#1.parquet"), "two".into()).await.unwrap();
        assert_eq!(remove_unfinished(dir.path()).unwrap(), 1);
        assert!(!dir.path().join("t/date=2026-05-04").try_exists().unwrap(), "the empty date is gone");
        assert!(dir.path().join("t/date=2026-05-05").try_exists().unwrap());
    }
}
