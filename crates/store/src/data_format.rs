//! `<data-dir>/FORMAT`: which layout the directory has, so that an older program refuses it by name instead of
//! misreading it. It speaks for what has no version of its own: `node.id`, `LOCK`, the folders and their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::small_file::write_atomically;
use crate::{Error, Result};

/// The layout that this program writes.
pub(crate) const DATA_FORMAT: u32 = 1;
/// The file's name.
pub(crate) const FORMAT_FILE: &str = "FORMAT";
/// What stands before the number.
const WORD: &str = "hindsight-data ";
/// What a directory says while a backup is being written into it.
const RESTORING: &str = "hindsight-data restoring\n";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataFormat {
    /// There is none: the directory is new, or of the first layout.
    Absent,
    /// A layout.
    Version(u32),
    /// A restore has not ended.
    Restoring,
}

/// Reads the file and changes nothing.
pub(crate) fn read_format(data_dir: &Path) -> Result<DataFormat> {
    let path = format_path(data_dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DataFormat::Absent),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    if text == RESTORING {
        return Ok(DataFormat::Restoring);
    }
    let version = text.strip_prefix(WORD).and_then(|rest| rest.trim_end().parse().ok());
    version.map(DataFormat::Version).ok_or(Error::FormatUnreadable { path })
}

/// Refuses a directory of another layout, and one that a restore left unfinished; stamps a new one.
pub(crate) fn accept_format(data_dir: &Path) -> Result<()> {
    match read_format(data_dir)? {
        DataFormat::Version(DATA_FORMAT) => Ok(()),
        DataFormat::Version(found) => {
            Err(Error::Format { data_dir: data_dir.into(), found, known: DATA_FORMAT })
        }
        DataFormat::Restoring => Err(Error::Restoring { data_dir: data_dir.into() }),
        DataFormat::Absent => stamp_format(data_dir),
    }
}

/// Says that the directory has this program's layout.
pub(crate) fn stamp_format(data_dir: &Path) -> Result<()> {
    write(data_dir, &format!("{WORD}{DATA_FORMAT}\n"))
}

/// Says that a restore is under way, so that nobody opens half a copy.
pub(crate) fn stamp_restoring(data_dir: &Path) -> Result<()> {
    write(data_dir, RESTORING)
}

fn write(data_dir: &Path, text: &str) -> Result<()> {
    let path = format_path(data_dir);
    write_atomically(&path, text.as_bytes()).map_err(Error::io("write", &path))
}

fn format_path(data_dir: &Path) -> PathBuf {
    data_dir.join(FORMAT_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_stamped_and_then_accepted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_format(dir.path()).unwrap(), DataFormat::Absent);
        accept_format(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("FORMAT")).unwrap(), "hindsight-data 1\n");
        accept_format(dir.path()).unwrap();
    }

    #[test]
    fn a_later_layout_half_a_restore_and_rubbish_are_refused_by_name() {
        for (text, said) in [
            ("hindsight-data 7\n", "format 7"),
            ("hindsight-data restoring\n", "restore"),
            ("", "FORMAT"),
            ("\u{0}\u{0}", "FORMAT"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("FORMAT"), text).unwrap();
            let refused = accept_format(dir.path()).unwrap_err().to_string();
            assert!(refused.contains(said), "{text:?}: {refused}");
            assert_eq!(fs::read_to_string(dir.path().join("FORMAT")).unwrap(), text, "it is left as it is");
        }
    }
}
