//! Copies of a data directory: made while the server runs, and put back.
//!
//! A backup is a folder of files and a manifest with their checksums, written last. What makes it consistent is
//! the order in which the live directory is read, see `docs/format/backup.md`; what makes it incremental is that
//! blocks, commits and full segments never change.
//!
//! Reading order: `manifest` (what a backup is), `source` (what a live directory consists of), `round` (one try
//! to copy it), `target` (the folder), `restore` (the way back); `remote` and `upload` are tables in object storage.

use std::io;
use std::path::{Path, PathBuf};

mod copy;
mod manifest;
mod remote;
mod restore;
mod round;
mod source;
mod target;
mod upload;

pub use restore::{RestoreReport, restore};
pub use target::{BackupReport, BackupTarget};

/// Why a backup was not made or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The folder for the backup holds something else.
    #[error("{} is not empty and holds no backup; give a new or empty folder", folder.display())]
    NotABackup {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has no manifest.
    #[error("{} holds no finished backup: it has no manifest.json", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder lies in the data directory, or the other way round.
    #[error("the backup {} and the data directory {} lie within each other", folder.display(), data_dir.display())]
    Nested {
        /// The folder.
        folder: PathBuf,
        /// The data directory.
        data_dir: PathBuf,
    },
    /// Another backup into the folder is under way.
    #[error("another backup into {} is under way", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds the backup of another node.
    #[error(
        "{} holds the backup of node {found}, the data directory is node {wanted}'s; give another folder",
        folder.display()
    )]
    OtherNode {
        /// The folder.
        folder: PathBuf,
        /// Whose backup it is.
        found: String,
        /// Whose data directory it is.
        wanted: String,
    },
    /// The manifest cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another version of the program wrote the backup.
    #[error("{} has schema `{found}`; this program reads {}", path.display(), manifest::SCHEMA)]
    Schema {
        /// The manifest.
        path: PathBuf,
        /// Its schema.
        found: String,
    },
    /// The source is damaged, so a copy of it would be no backup.
    #[error("{place} is damaged: {what}; run `hindsight verify` on the stopped server's data directory")]
    Damaged {
        /// Where.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The directory kept changing faster than it could be copied.
    #[error("gave up after {rounds} rounds: {reason}; run the backup again, at a quieter time")]
    Restless {
        /// Tries made.
        rounds: u32,
        /// What had changed the last time.
        reason: String,
    },
    /// A file of the backup is not what was put there.
    #[error("{} is not what was backed up: {what}; use another backup", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The directory to restore into has something in it.
    #[error("{} is not empty; restore into a new directory", data_dir.display())]
    NotEmpty {
        /// The directory.
        data_dir: PathBuf,
    },
    /// The place for the tables has something in it.
    #[error("{place} is not empty; restore the tables into a new prefix, or empty this one first")]
    TablesNotEmpty {
        /// The place.
        place: String,
    },
    /// The data directory, or a table in it.
    #[error("could not use the data directory")]
    Store {
        /// The store's own error.
        #[source]
        source: Box<crate::Error>,
    },
}

impl BackupError {
    fn io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { operation, path, source }
    }

    fn store(source: crate::Error) -> Self {
        Self::Store { source: Box::new(source) }
    }
}
