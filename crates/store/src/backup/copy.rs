//! Copying one file and saying what was in it.

use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::small_file::staging_path;

/// Bytes moved at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What went through a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) crc32c: u32,
}

/// Copies `source` to its end into `target`, which appears whole and durable; its directory is not synced.
/// Bytes that are added to the source meanwhile may or may not be in the copy.
pub(super) fn copy(
    source: &mut dyn Read,
    target: &Path,
    modified_ns: u64,
    told: &mut dyn FnMut(u64),
) -> io::Result<Copied> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let staging = staging_path(target);
    let result = copy_into(source, &staging, modified_ns, told).and_then(|copied| {
        fs::rename(&staging, target)?;
        Ok(copied)
    });
    if result.is_err() {
        // The first error is the one to tell; a staging file is never read.
        let _ = fs::remove_file(&staging);
    }
    result
}

fn copy_into(
    source: &mut dyn Read,
    target: &Path,
    modified_ns: u64,
    told: &mut dyn FnMut(u64),
) -> io::Result<Copied> {
    let mut target = File::create(target)?;
    let copied = drain(source, told, &mut |chunk| target.write_all(chunk))?;
    let modified = UNIX_EPOCH + Duration::from_nanos(modified_ns);
    target.set_times(FileTimes::new().set_modified(modified))?;
    target.sync_all()?;
    Ok(copied)
}

/// Reads `source` to its end and says what was in it.
pub(super) fn read_through(source: &mut dyn Read, told: &mut dyn FnMut(u64)) -> io::Result<Copied> {
    drain(source, told, &mut |_| Ok(()))
}

/// Reads `source` to its end, shows `each` piece of it, and says what was in it.
pub(super) fn drain(
    source: &mut dyn Read,
    told: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Copied> {
    let mut hasher = Sha256::new();
    let (mut size, mut crc) = (0, 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok(Copied { size, sha256: hex::encode(hasher.finalize()), crc32c: crc });
        }
        let chunk = &buffer[..read];
        hasher.update(chunk);
        crc = crc32c::crc32c_append(crc, chunk);
        each(chunk)?;
        size += read as u64;
        told(read as u64);
    }
}

/// When a file was last changed, in nanoseconds since 1970; 0 before that.
pub(super) fn modified_ns(metadata: &fs::Metadata) -> io::Result<u64> {
    let modified: SystemTime = metadata.modified()?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
