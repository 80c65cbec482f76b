//! A file without a name that many files are written to, one after the other: it takes disk instead of memory, and is
//! gone when nobody has it any more, however the program ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{Stream, try_unfold};

use crate::merge::spool_file;
use crate::{Error, Result};

/// Bytes read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// The file and how far it is written.
#[derive(Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    folder: PathBuf,
    end: u64,
}

impl Spool {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        Ok(Self { file: Arc::new(spool_file(folder)?), folder: folder.to_owned(), end: 0 })
    }

    /// Where the next byte goes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let done = self.write_all(bytes);
        done.map_err(Error::io("write a copy of unsealed rows in", &self.folder))
    }

    /// The bytes from `at` on are not wanted; the next ones are written over them.
    pub(super) fn forget_from(&mut self, at: u64) {
        self.end = at;
    }

    /// `size` bytes from `at` on, piece by piece.
    pub(super) fn read(&self, at: u64, size: u64) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let (file, folder) = (Arc::clone(&self.file), self.folder.clone());
        try_unfold((at, size), move |(at, left)| {
            let (file, folder) = (Arc::clone(&file), folder.clone());
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let length = left.min(PIECE_BYTES);
                let read = tokio::task::spawn_blocking(move || {
                    let mut bytes = vec![0; length as usize];
                    file.read_exact_at(&mut bytes, at).map(|()| bytes)
                });
                let bytes = read.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
                let bytes = bytes.map_err(Error::io("read a copy of rows in", folder))?;
                Ok(Some((Bytes::from(bytes), (at + length, left - length))))
            }
        })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.end)?;
        self.end += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
