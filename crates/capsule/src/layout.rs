//! The bytes of the archive around the files: whoever streams a capsule puts each file between its header and its
//! padding, and needs no copy of the whole.

use jiff::Timestamp;

use crate::manifest::{FileEntry, MANIFEST_NAME, Manifest};
use crate::{Error, Result};

/// A tar is made of blocks of this size.
const BLOCK_BYTES: u64 = 512;
/// What ends an archive.
pub const END: [u8; 1024] = [0; 1024];

/// How a capsule's bytes lie.
#[derive(Clone, Debug)]
pub struct Layout {
    text: String,
    exported_at: Timestamp,
    total_bytes: u64,
}

impl Layout {
    /// The layout of a capsule with this manifest.
    ///
    /// # Errors
    /// As [`Manifest::to_text`].
    pub fn of(manifest: &Manifest) -> Result<Self> {
        let text = manifest.to_text()?;
        let whole = |size: u64| BLOCK_BYTES + size + padding(size) as u64;
        let total = manifest
            .files
            .iter()
            .fold(whole(text.len() as u64), |sum, entry| sum.saturating_add(whole(entry.size)));
        Ok(Self { text, exported_at: manifest.exported_at, total_bytes: total + END.len() as u64 })
    }

    /// The size of the whole archive.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// SHA-256 of the manifest; see [`Manifest::sha256`].
    pub fn sha256(&self) -> String {
        Manifest::sha256(&self.text)
    }

    /// The archive's first bytes: the manifest with its header and padding.
    ///
    /// # Errors
    /// When a header cannot be made, which no manifest that was checked gives cause for.
    pub fn opening(&self) -> Result<Vec<u8>> {
        let mut bytes = header(MANIFEST_NAME, self.text.len() as u64, self.exported_at)?.to_vec();
        bytes.extend_from_slice(self.text.as_bytes());
        bytes.resize(bytes.len() + padding(self.text.len() as u64), 0);
        Ok(bytes)
    }

    /// What stands before the bytes of a file; [`padding`] zeros stand after them.
    ///
    /// # Errors
    /// As [`Layout::opening`].
    pub fn header(&self, entry: &FileEntry) -> Result<[u8; 512]> {
        header(entry.path.as_str(), entry.size, self.exported_at)
    }
}

/// The zeros after a file of `size` bytes.
pub fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK_BYTES) - size) as usize
}

fn header(path: &str, size: u64, at: Timestamp) -> Result<[u8; 512]> {
    let mut header = tar::Header::new_ustar();
    let refused = |error: std::io::Error| Error::Entry { name: path.to_owned(), reason: error.to_string() };
    header.set_path(path).map_err(refused)?;
    header.set_size(size);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(u64::try_from(at.as_second()).unwrap_or(0));
    header.set_cksum();
    Ok(*header.as_bytes())
}
