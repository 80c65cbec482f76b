//! `manifest.json`: what a backup consists of. Written last; a folder without one is no backup.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;
use crate::small_file::write_atomically;

/// The schema that this program writes.
pub(super) const SCHEMA: &str = "hindsight/backup/v1";
/// The file's name in the backup's folder.
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// Where files that never change lie.
pub(super) const KEPT_DIR: &str = "data";
/// A larger manifest is not read (LIM-1): some two million files.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A backup, file by file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) schema: String,
    /// Version of the program that wrote it.
    pub(super) program: String,
    pub(super) node_id: String,
    /// Counts the backups into this folder; names the folder of those files that change.
    pub(super) generation: u64,
    pub(super) started_at: String,
    pub(super) ended_at: String,
    /// The log's next position: what has a lower one is in the backup.
    pub(super) wal_next: u64,
    pub(super) tables: Vec<TableEntry>,
    pub(super) files: Vec<FileEntry>,
    /// SHA-256 over all of `files`.
    pub(super) files_sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableEntry {
    pub(super) table: String,
    pub(super) version: u64,
    pub(super) files: u64,
    pub(super) covered: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Within the data directory, with `/`.
    pub(super) path: String,
    /// Within the backup's folder, with `/`.
    pub(super) stored: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    /// The source's time of change, which tells the next backup that it has not changed.
    pub(super) modified_ns: u64,
}

impl Manifest {
    /// Reads the manifest of the backup in `folder`; `None` when there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, BackupError> {
        let path = folder.join(MANIFEST_FILE);
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", &path)(error)),
        };
        let broken = |reason: String| BackupError::Manifest { path: path.clone(), reason };
        if size > MANIFEST_BYTES_MAX {
            return Err(broken(format!("it has {size} bytes")));
        }
        let bytes = fs::read(&path).map_err(BackupError::io("read", &path))?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| broken(format!("it is not JSON: {error}")))?;
        let schema = value["schema"].as_str().unwrap_or_default();
        if schema != SCHEMA {
            return Err(BackupError::Schema { path, found: schema.chars().take(80).collect() });
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| broken(error.to_string()))?;
        manifest.check().map_err(broken)?;
        Ok(Some(manifest))
    }

    /// Makes it the folder's manifest, durably and at one instant.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let path = folder.join(MANIFEST_FILE);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| BackupError::Manifest { path: path.clone(), reason: error.to_string() })?;
        text.push('\n');
        write_atomically(&path, text.as_bytes()).map_err(BackupError::io("write", &path))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn check(&self) -> Result<(), String> {
        if digest(&self.files) != self.files_sha256 {
            return Err("its list of files does not match its checksum".to_owned());
        }
        for file in &self.files {
            if !is_inside(&file.path) || !is_inside(&file.stored) {
                return Err(format!("it names {}, which would lie outside", file.path));
            }
        }
        Ok(())
    }
}

/// SHA-256, as hex, over a line for each file.
pub(super) fn digest(files: &[FileEntry]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(format!("{} {} {} {}\n", file.sha256, file.size, file.path, file.stored));
    }
    hex::encode(hasher.finalize())
}

/// Whether a path only goes down.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The folder of a generation's own files.
pub(super) fn generation_dir(generation: u64) -> String {
    format!("generation-{generation:06}")
}

/// `folder` and a path with `/` below it.
pub(super) fn below(folder: &Path, path: &str) -> PathBuf {
    path.split('/').fold(folder.to_path_buf(), |so_far, part| so_far.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        let files = vec![FileEntry {
            path: path.to_owned(),
            stored: format!("data/{path}"),
            size: 3,
            sha256: "00".to_owned(),
            modified_ns: 7,
        }];
        Manifest {
            schema: SCHEMA.to_owned(),
            program: "0".to_owned(),
            node_id: "n".to_owned(),
            generation: 1,
            started_at: "a".to_owned(),
            ended_at: "b".to_owned(),
            wal_next: 5,
            tables: Vec::new(),
            files_sha256: digest(&files),
            files,
        }
    }

    #[test]
    fn a_manifest_reads_back_and_its_absence_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        manifest("wal/x").write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(manifest("wal/x")));
    }

    #[test]
    fn an_edited_a_newer_and_a_hostile_manifest_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(MANIFEST_FILE);
        let text = serde_json::to_string(&manifest("wal/x")).unwrap();
        for (text, said) in [
            (text.replace("\"size\":3", "\"size\":4"), "does not match its checksum"),
            (text.replace("backup/v1", "backup/v2"), "backup/v2"),
            (text[..text.len() / 2].to_owned(), "not JSON"),
            (serde_json::to_string(&manifest("../../etc/passwd")).unwrap(), "outside"),
            (serde_json::to_string(&manifest("/etc/passwd")).unwrap(), "outside"),
        ] {
            fs::write(&path, &text).unwrap();
            let refused = Manifest::read(dir.path()).unwrap_err().to_string();
            assert!(refused.contains(said), "{said}: {refused}");
        }
    }
}
