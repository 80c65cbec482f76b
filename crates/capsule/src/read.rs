//! Through a capsule from its first byte to its last, trusting nothing.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

use crate::error::shown;
use crate::manifest::{FileEntry, MANIFEST_BYTES_MAX, MANIFEST_NAME, Manifest, too_large};
use crate::{Error, Result};

/// Called with the name of the file that is read, the bytes read so far, and the bytes of all files.
pub type Told<'a> = dyn FnMut(&str, u64, u64) + 'a;

/// Reads a capsule and hands each file to `take`, which reads it to its end; a file whose bytes are not those that the
/// manifest says is an error after `take` has returned. Returns the manifest and its SHA-256.
///
/// # Errors
/// Any [`Error`]: the first thing that is not as it should be.
pub fn read<R: Read>(
    source: R,
    take: &mut dyn FnMut(&FileEntry, &mut dyn Read) -> Result<()>,
    told: &mut Told<'_>,
) -> Result<(Manifest, String)> {
    let mut archive = Archive::new(source);
    // Raw: names and sizes from headers alone, no extension of the format may say others.
    let mut entries = archive.entries().map_err(Error::Read)?.raw(true);
    let first = entries.next().transpose().map_err(broken("its beginning"))?;
    let Some(first) = first else { return Err(Error::NotACapsule { reason: "it is empty".to_owned() }) };
    let text = manifest_text(first)?;
    let manifest = Manifest::parse(&text)?;
    let sha256 = hex::encode(Sha256::digest(&text));
    let (mut done, total) = (0, manifest.total_bytes());
    for wanted in &manifest.files {
        told(wanted.path.as_str(), done, total);
        let within = || format!("{}, or before it", wanted.path);
        let entry = entries.next().transpose().map_err(broken(&within()))?;
        let entry = entry.ok_or_else(|| Error::Truncated { within: within() })?;
        accept(&entry, wanted)?;
        pass(entry, wanted, take)?;
        done += wanted.size;
    }
    match entries.next().transpose().map_err(broken("its end"))? {
        None => Ok((manifest, sha256)),
        Some(more) => {
            let name = shown(&more.path_bytes());
            Err(Error::Entry { name, reason: "the manifest does not list it".to_owned() })
        }
    }
}

/// Reads a capsule to its end and keeps nothing.
///
/// # Errors
/// As [`read`].
pub fn check<R: Read>(source: R, told: &mut Told<'_>) -> Result<(Manifest, String)> {
    let mut skip =
        |_: &FileEntry, bytes: &mut dyn Read| io::copy(bytes, &mut io::sink()).map(drop).map_err(Error::Read);
    read(source, &mut skip, told)
}

fn manifest_text<R: Read>(mut entry: Entry<'_, R>) -> Result<Vec<u8>> {
    if entry.path_bytes().as_ref() != MANIFEST_NAME.as_bytes() || !is_plain_file(&entry) {
        let found = shown(&entry.path_bytes());
        let reason = format!("its first entry is `{found}` instead of the file {MANIFEST_NAME}");
        return Err(Error::NotACapsule { reason });
    }
    let size = size_of(&entry)?;
    if size > MANIFEST_BYTES_MAX {
        return Err(too_large(size));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(Error::reading(MANIFEST_NAME))?;
    if text.len() as u64 != size {
        return Err(Error::Truncated { within: MANIFEST_NAME.to_owned() });
    }
    Ok(text)
}

/// Whether the archive's entry is the file that the manifest lists here.
fn accept<R: Read>(entry: &Entry<'_, R>, wanted: &FileEntry) -> Result<()> {
    let name = entry.path_bytes();
    let refuse = |reason: String| Err(Error::Entry { name: shown(&name), reason });
    if !is_plain_file(entry) {
        return refuse(format!(
            "it is a {}, and only plain files are taken",
            word(entry.header().entry_type())
        ));
    }
    if name.as_ref() != wanted.path.as_str().as_bytes() {
        return refuse(format!("the manifest lists {} here", wanted.path));
    }
    let size = size_of(entry)?;
    if size != wanted.size {
        let reason = format!("it has {size} bytes instead of {}", wanted.size);
        return Err(Error::Damaged { path: wanted.path.to_string(), reason });
    }
    Ok(())
}

/// Hands the file on and compares what went through with what the manifest says.
fn pass<R: Read>(
    entry: Entry<'_, R>,
    wanted: &FileEntry,
    take: &mut dyn FnMut(&FileEntry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut counted = Counted { inner: entry, hasher: Sha256::new(), bytes: 0 };
    take(wanted, &mut counted)?;
    if counted.bytes < wanted.size {
        return Err(Error::Truncated { within: wanted.path.to_string() });
    }
    if hex::encode(counted.hasher.finalize()) != wanted.sha256 {
        let reason = "its checksum is not the one in the manifest".to_owned();
        return Err(Error::Damaged { path: wanted.path.to_string(), reason });
    }
    Ok(())
}

fn is_plain_file<R: Read>(entry: &Entry<'_, R>) -> bool {
    entry.header().entry_type() == EntryType::Regular
}

fn size_of<R: Read>(entry: &Entry<'_, R>) -> Result<u64> {
    entry.header().entry_size().map_err(broken("a header"))
}

fn word(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "symbolic link",
        EntryType::Link => "hard link",
        EntryType::Directory => "folder",
        EntryType::Fifo | EntryType::Char | EntryType::Block => "device",
        _ => "special entry",
    }
}

/// What the archive's reader says: the end of the file, bytes that are no header, or the disk.
fn broken(within: &str) -> impl FnOnce(io::Error) -> Error {
    let within = within.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated { within },
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::NotACapsule { reason: format!("at {within}: {}", shown(error.to_string().as_bytes())) }
        }
        _ => Error::Read(error),
    }
}

struct Counted<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.hasher.update(&out[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
