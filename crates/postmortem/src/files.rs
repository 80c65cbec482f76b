//! Reading with a limit, writing by write-sync-rename.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::{Error, Result};

/// Largest `postmortem.md` read, in bytes; a longer one is refused with [`Error::TooLarge`].
pub const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Largest evidence file read, in bytes.
pub const MAX_EVIDENCE_BYTES: u64 = 16 * 1024 * 1024;

pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut text = String::new();
    file.take(limit + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(text)
}

/// As [`read_text`], or none when there is no such file.
pub(crate) fn read_optional(path: &Path, limit: u64) -> Result<Option<String>> {
    match read_text(path, limit) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Writes the whole file or nothing: a temporary neighbour is written, synced, renamed, and the directory synced.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(bytes).map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("rename to", path))?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    let handle = File::open(directory).map_err(Error::io("open", directory))?;
    handle.sync_all().map_err(Error::io("sync", directory))
}

/// Runs file work off the I/O runtime.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Background)?
}
