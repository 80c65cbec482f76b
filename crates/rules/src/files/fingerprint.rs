use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::{FILE_BYTES_MAX, FILES_MAX, RULES_FOLDER, SLOS_FOLDER, yaml_files};
use crate::error::Result;

/// What the rule files looked like: two of them are equal when nothing needs to be read again.
///
/// Path, size, time of the last write and hash must all be equal: a file that was only touched is read again, which
/// costs little and changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, Seen>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    size_bytes: u64,
    modified: Option<SystemTime>,
    sha256: [u8; 32],
}

impl Fingerprint {
    /// Twelve hex digits that name this state of the files, whenever they were written.
    pub(crate) fn version(&self) -> String {
        let mut digest = Sha256::new();
        for (path, seen) in &self.0 {
            digest.update(path.to_string_lossy().as_bytes());
            digest.update([0]);
            digest.update(seen.sha256);
        }
        let digest = digest.finalize();
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Looks at every rule and SLO file of a workspace.
///
/// # Errors
/// [`Error::Workspace`](crate::Error::Workspace) when a folder is there and cannot be listed. A file that cannot
/// be read counts as an empty one; loading says what is wrong with it.
pub fn fingerprint(workspace: &Path) -> Result<Fingerprint> {
    let mut seen = BTreeMap::new();
    for folder in [RULES_FOLDER, SLOS_FOLDER] {
        for path in yaml_files(workspace, folder)?.into_iter().take(FILES_MAX + 1) {
            let looked = look(&workspace.join(&path));
            seen.insert(path, looked);
        }
    }
    Ok(Fingerprint(seen))
}

fn look(path: &Path) -> Seen {
    let metadata = std::fs::metadata(path).ok();
    let size_bytes = metadata.as_ref().map_or(0, std::fs::Metadata::len);
    let bytes =
        if size_bytes <= FILE_BYTES_MAX { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    Seen {
        size_bytes,
        modified: metadata.and_then(|metadata| metadata.modified().ok()),
        sha256: Sha256::digest(&bytes).into(),
    }
}
