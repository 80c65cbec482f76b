//! A capsule into a folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::Path;

use crate::manifest::{FileEntry, Manifest};
use crate::read::{Told, read};
use crate::{Error, Result};

/// Unpacks a capsule into `folder`, which must be there and empty, each file under its name. Returns the manifest and
/// its SHA-256. Nothing is synced: the capsule is still there.
///
/// On an error some files may be in the folder, whole and right, or with `.part` at their end; the folder is to be
/// removed then.
///
/// # Errors
/// Any [`Error`]; [`Error::Write`] also when the folder is not empty.
pub fn extract<R: Read>(source: R, folder: &Path, told: &mut Told<'_>) -> Result<(Manifest, String)> {
    let mut inside = fs::read_dir(folder).map_err(Error::write("look into", folder))?;
    if inside.next().is_some() {
        let source = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
        return Err(Error::Write { operation: "unpack into", path: folder.to_owned(), source });
    }
    let mut pending: Option<(std::path::PathBuf, std::path::PathBuf)> = None;
    let mut put = |entry: &FileEntry, bytes: &mut dyn Read| {
        settle(&mut pending)?;
        let target = folder.join(entry.path.as_str());
        let part = target.with_extension("part");
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(Error::write("make the folder", parent))?;
        }
        write(bytes, &part)?;
        pending = Some((part, target));
        Ok(())
    };
    let read = read(source, &mut put, told)?;
    settle(&mut pending)?;
    Ok(read)
}

/// The checksum of the file before was right, or the reader would not have come this far: it gets its name.
fn settle(pending: &mut Option<(std::path::PathBuf, std::path::PathBuf)>) -> Result<()> {
    let Some((part, target)) = pending.take() else { return Ok(()) };
    fs::rename(&part, &target).map_err(Error::write("name", target))
}

fn write(bytes: &mut dyn Read, part: &Path) -> Result<()> {
    // New: whatever is there already, a link for one, is not written through.
    let file = File::create_new(part).map_err(Error::write("create", part))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = bytes.read(&mut buffer).map_err(Error::Read)?;
        if read == 0 {
            return file.flush().map_err(Error::write("write", part));
        }
        file.write_all(&buffer[..read]).map_err(Error::write("write", part))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{capsule, files};

    fn nothing(_: &str, _: u64, _: u64) {}

    #[test]
    fn a_capsule_unpacks_to_what_was_put_in() {
        let dir = tempfile::tempdir().unwrap();
        let (manifest, sha256) = extract(capsule(&files()).as_slice(), dir.path(), &mut nothing).unwrap();
        assert_eq!(sha256.len(), 64);
        for (path, bytes) in files() {
            assert_eq!(fs::read(dir.path().join(path)).unwrap(), bytes, "{path}");
        }
        assert_eq!(manifest.files.len(), files().len());
    }

    #[test]
    fn a_damaged_file_never_gets_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = capsule(&files());
        let last = bytes.len() - 1024 - 512;
        bytes[last] ^= 1;
        let error = extract(bytes.as_slice(), dir.path(), &mut nothing).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        let (path, _) = files().pop().unwrap();
        assert!(!dir.path().join(path).is_file());
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        let error = extract(capsule(&files()).as_slice(), dir.path(), &mut nothing).unwrap_err();
        assert!(error.to_string().contains("unpack into"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
