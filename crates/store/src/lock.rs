//! One process for each data directory, and the name of the node in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use hindsight_model::NodeId;

use crate::{Error, Result};

/// Holds `<data-dir>/LOCK`; the operating system lets go of it however the process ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the lock and writes the process id into it; dropping it lets go.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process, or another part of this one, holds the directory; [`Error::Io`].
    pub fn take(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("LOCK");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { data_dir: data_dir.into(), owner: owner_of(&path) });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("write the process id to", &path))?;
        Ok(Self { _file: file })
    }
}

fn owner_of(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => text.trim().chars().take(20).collect(),
        _ => "unknown".to_owned(),
    }
}

/// The node's id from `<data-dir>/node.id`, made on first use.
pub(crate) fn node_id(data_dir: &Path) -> Result<NodeId> {
    let path = data_dir.join("node.id");
    match fs::read_to_string(&path) {
        Ok(text) => text.parse().map_err(|source| Error::NodeId { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = NodeId(uuid::Uuid::new_v4());
            write_durably(&path, &format!("{id}\n")).map_err(Error::io("write", &path))?;
            Ok(id)
        }
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Replaces a small file, so that after a crash either the old text is there or the new.
pub(crate) fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut staging = path.as_os_str().to_owned();
    staging.push(".tmp");
    let staging = Path::new(&staging);
    let mut file = File::create(staging)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(staging, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDirLock::take(dir.path()).unwrap();
        let refused = DataDirLock::take(dir.path()).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        assert!(text.contains(&dir.path().display().to_string()), "{text}");
        drop(held);
        DataDirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn the_node_id_is_made_once_and_a_broken_one_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(node_id(dir.path()).unwrap(), node_id(dir.path()).unwrap());
        fs::write(dir.path().join("node.id"), "mine").unwrap();
        assert!(matches!(node_id(dir.path()), Err(Error::NodeId { .. })));
    }
}
