use std::io;
use std::path::PathBuf;

use crate::Position;

/// What a log operation returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused. The log stays as it was and the call may be repeated, except as
    /// [`Error::Poisoned`] tells.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was attempted, for example `append to`.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// WAL-2: a sync failed (or a half-written frame could not be taken back), so what is on disk is unknown.
    #[error(
        "the log accepts no more records since {operation} {} failed; restart the program once the disk is well",
        path.display()
    )]
    Poisoned {
        /// What failed first.
        operation: &'static str,
        /// The file it failed on.
        path: PathBuf,
    },
    /// WAL-3: bytes that were once durable are not what was written.
    #[error(
        "{} is damaged at offset {offset}: {what}; restore the file from a backup, or move the log aside and \
         accept the loss of what it held",
        path.display()
    )]
    Damaged {
        /// The segment file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A segment's file is not there although later ones are.
    #[error(
        "{} is missing although later segments exist; restore it from a backup, or move the log aside and \
         accept the loss of what it held",
        path.display()
    )]
    Missing {
        /// The file that should be there.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("{} has log format {found}; this program reads format {known}", path.display())]
    Version {
        /// The segment file.
        path: PathBuf,
        /// The format number in its header.
        found: u16,
        /// The newest format known here.
        known: u16,
    },
    /// The payload exceeds [`crate::PAYLOAD_BYTES_MAX`].
    #[error("a record of {size_bytes} bytes exceeds the log's limit of {} bytes", crate::PAYLOAD_BYTES_MAX)]
    TooLarge {
        /// Bytes offered.
        size_bytes: usize,
    },
    /// The log starts later than the records that were asked for; see [`crate::Options::first_position`].
    #[error("the log ends at position {end}, before {wanted}, which its reader has already seen")]
    Behind {
        /// The next position the log would give.
        end: Position,
        /// The position it must not fall below.
        wanted: Position,
    },
}

impl Error {
    /// Names the step and the file that an operating system's error belongs to.
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// Whether the disk had no room: retrying helps once there is.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}
