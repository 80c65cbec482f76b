//! `manifest.json`: what an index is of and which bytes it has. Written last, so that an index with one is whole.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The layout of an index. Another number: the index is built anew.
pub(crate) const FORMAT: u32 = 2;
const FILE: &str = "manifest.json";
/// Longest manifest; a longer file is not one.
const BYTES_MAX: u64 = 1 << 20;

/// One index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// The block's path in the object storage.
    pub(crate) block: String,
    /// Rows of the block.
    pub(crate) rows: u32,
    /// How many neighbouring rows are one document.
    pub(crate) group_rows: u32,
    /// The columns whose words it has.
    pub(crate) columns: Vec<String>,
    pub(crate) parts: Vec<Part>,
}

/// Some neighbouring rows; parts lie in the order of their rows, in the folders `0`, `1`, ….
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) rows: u32,
    /// One for each column of the manifest.
    pub(crate) columns: Vec<PartColumn>,
    pub(crate) files: Vec<PartFile>,
}

/// How the words of a column lie in a part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartColumn {
    /// Bits of an identifier's number that choose its bucket.
    pub(crate) bucket_bits: u32,
    /// Bits of it that are kept in the bucket.
    pub(crate) tag_bits: u32,
    /// Whether there were more words than are kept as they are, so that some are kept as identifiers.
    pub(crate) is_full: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32c: u32,
}

impl Manifest {
    /// Reads the manifest of the index in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(Error::io("read", &path))?;
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| Error::damaged(dir, format!("{FILE}: {error}")))?;
        if manifest.format != FORMAT {
            return Err(Error::damaged(dir, format!("its format is {}, not {FORMAT}", manifest.format)));
        }
        if manifest.group_rows == 0 {
            return Err(Error::damaged(dir, "its documents have no rows"));
        }
        let rows: u64 = manifest.parts.iter().map(|part| u64::from(part.rows)).sum();
        if rows != u64::from(manifest.rows) {
            return Err(Error::damaged(dir, "its parts do not have the block's rows"));
        }
        if manifest.parts.iter().any(|part| part.columns.len() != manifest.columns.len()) {
            return Err(Error::damaged(dir, "a part does not have its columns"));
        }
        Ok(manifest)
    }

    /// Writes the manifest of the index in `dir`, durably.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| Error::damaged(dir, error.to_string()))?;
        let mut file = File::create(&path).map_err(Error::io("create", &path))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(Error::io("write", &path))
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().flat_map(|part| &part.files).map(|file| file.bytes).sum()
    }

    /// Reads every file of the index in `dir` and compares it with what was written.
    pub(crate) fn check(&self, dir: &Path) -> Result<()> {
        for (number, part) in self.parts.iter().enumerate() {
            for expected in &part.files {
                let path = dir.join(number.to_string()).join(&expected.name);
                let found = measure(&path)?;
                if found != (expected.bytes, expected.crc32c) {
                    let problem = format!("{} is not as it was written", path.display());
                    return Err(Error::damaged(dir, problem));
                }
            }
        }
        Ok(())
    }
}

/// Length and CRC-32C of a file.
fn measure(path: &Path) -> Result<(u64, u32)> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path).map_err(Error::io("open", path))?);
    let (mut bytes, mut checksum) = (0, 0);
    loop {
        let part = std::io::BufRead::fill_buf(&mut file).map_err(Error::io("read", path))?;
        if part.is_empty() {
            return Ok((bytes, checksum));
        }
        checksum = crc32c::crc32c_append(checksum, part);
        let length = part.len();
        bytes += length as u64;
        std::io::BufRead::consume(&mut file, length);
    }
}
