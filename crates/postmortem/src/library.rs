//! The documents of a workspace, each read and parsed once for as long as its file stays as it is. Whoever looks again
//! and again (holds, verification, the rule about overdue items, pages, SQL) shares one.
//!
//! A file is known by time of change, time of status change, number and length. That alone can miss an edit of the same
//! length within one tick of the file system's clock. So a file that is new to us is read again at each look until
//! [`SETTLES_AFTER`] has passed since it was first seen so, and compared by its hash; only then is its stamp trusted.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hindsight_model::{Clearance, Tenant};
use sha2::{Digest as _, Sha256};

use crate::document::{ActionItem, Document};
use crate::files::{MAX_DOCUMENT_BYTES, read_text};
use crate::tables::{ActionRow, Listed, MAX_ACTION_ITEMS, PostmortemRow};
use crate::{Error, Result, workspace};

/// Longer than a tick of any file system's clock; the coarsest in use has two seconds.
const SETTLES_AFTER: Duration = Duration::from_secs(3);
/// Text of the documents kept, in bytes; further ones are parsed at each look.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The documents of one workspace.
#[derive(Debug)]
pub struct Library {
    workspace: PathBuf,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<PathBuf, Kept>,
    kept_bytes: u64,
    /// Documents that could not be read when they were last looked at, so that each is logged once.
    unreadable: HashSet<PathBuf>,
}

/// A document as it was read.
#[derive(Debug)]
struct Kept {
    stamp: Stamp,
    /// When it was first seen with this stamp.
    since: Instant,
    /// Whether it was read so long after that no later edit can have the same stamp.
    is_settled: bool,
    sha256: [u8; 32],
    bytes: u64,
    parsed: Parsed,
}

#[derive(Clone, Debug)]
struct Parsed {
    document: Arc<Document>,
    items: Arc<[ActionItem]>,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    changed: (i64, i64),
    inode: u64,
    bytes: u64,
}

impl Library {
    /// The documents under `postmortems/` of this workspace; nothing is read yet.
    pub fn new(workspace: impl Into<PathBuf>) -> Self {
        Self { workspace: workspace.into(), shelf: Mutex::default() }
    }

    /// The workspace.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// This tenant's post-mortems as their files are now, restricted ones too, in order of their ids; and the
    /// documents that cannot be read. Reads files: not for the I/O runtime.
    ///
    /// # Errors
    /// When the workspace cannot be listed.
    pub fn list_all(&self, tenant: &Tenant) -> Result<Listed> {
        self.list_at(tenant, Instant::now())
    }

    fn list_at(&self, tenant: &Tenant, now: Instant) -> Result<Listed> {
        let paths = workspace::documents(&self.workspace)?;
        // One looks at a time: the next one finds everything read.
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listed = Listed::default();
        for path in &paths {
            match shelf.read(path, now) {
                Ok(Parsed { document, items }) => {
                    shelf.unreadable.remove(path);
                    if workspace::is_of(&document, tenant) {
                        listed.rows.push(PostmortemRow { path: path.clone(), document, items });
                    }
                }
                Err(error) => {
                    shelf.forget(path);
                    if shelf.unreadable.insert(path.clone()) {
                        tracing::warn!(path = %path.display(), error = %error, "left out a post-mortem");
                    }
                    listed.unreadable.push((path.clone(), error));
                }
            }
        }
        shelf.forget_others(&paths);
        Ok(listed)
    }

    /// This tenant's post-mortems that a reader may see, in order of their ids. A document that cannot be read is
    /// logged once and left out.
    ///
    /// # Errors
    /// As [`Library::list_all`].
    pub fn list(&self, tenant: &Tenant, clearance: Clearance) -> Result<Vec<PostmortemRow>> {
        let mut rows = self.list_all(tenant)?.rows;
        rows.retain(|row| row.document.is_visible(clearance));
        Ok(rows)
    }

    /// The action items of the post-mortems that a reader may see, in order.
    ///
    /// # Errors
    /// As [`Library::list`].
    pub fn list_actions(&self, tenant: &Tenant, clearance: Clearance) -> Result<Vec<ActionRow>> {
        let mut rows = Vec::new();
        for PostmortemRow { path, document, items } in self.list(tenant, clearance)? {
            for item in items.iter() {
                if rows.len() == MAX_ACTION_ITEMS {
                    tracing::warn!(limit = MAX_ACTION_ITEMS, "too many action items; the rest is left out");
                    return Ok(rows);
                }
                let (postmortem, path) = (document.front.id.clone(), path.clone());
                rows.push(ActionRow {
                    postmortem,
                    path,
                    visibility: document.front.visibility,
                    item: item.clone(),
                });
            }
        }
        Ok(rows)
    }

    /// Ids of the documents of which a reader must not learn. A document that cannot be read may be a restricted one.
    ///
    /// # Errors
    /// As [`Library::list_all`].
    pub fn hidden(&self, tenant: &Tenant, clearance: Clearance) -> Result<HashSet<String>> {
        if clearance == Clearance::Restricted {
            return Ok(HashSet::new());
        }
        let Listed { rows, unreadable } = self.list_all(tenant)?;
        let hidden = rows.iter().filter(|row| !row.document.is_visible(clearance));
        let mut ids: HashSet<String> = hidden.map(|row| row.document.front.id.clone()).collect();
        ids.extend(unreadable.iter().filter_map(|(path, _)| workspace::id_of(path)));
        Ok(ids)
    }
}

impl Shelf {
    /// The document as its file is at `now`, an instant before this call.
    fn read(&mut self, path: &Path, now: Instant) -> Result<Parsed> {
        let stamp = Stamp::of(&std::fs::metadata(path).map_err(Error::io("look at", path))?);
        let same = self.kept.get(path).filter(|kept| kept.stamp == stamp);
        if let Some(kept) = same.filter(|kept| kept.is_settled) {
            return Ok(kept.parsed.clone());
        }
        let since = same.map_or(now, |kept| kept.since);
        let is_settled = now.duration_since(since) >= SETTLES_AFTER;
        // The file may have changed since its stamp was taken; it then has another one at the next look.
        let text = read_text(path, MAX_DOCUMENT_BYTES)?;
        let sha256: [u8; 32] = Sha256::digest(&text).into();
        let parsed = match self.kept.get(path).filter(|kept| kept.sha256 == sha256) {
            Some(kept) => kept.parsed.clone(),
            None => parse(&text, path)?,
        };
        let bytes = text.len() as u64;
        self.forget(path);
        if self.kept_bytes + bytes <= KEPT_BYTES_MAX {
            self.kept_bytes += bytes;
            let kept = Kept { stamp, since, is_settled, sha256, bytes, parsed: parsed.clone() };
            self.kept.insert(path.to_owned(), kept);
        }
        Ok(parsed)
    }

    fn forget(&mut self, path: &Path) {
        if let Some(gone) = self.kept.remove(path) {
            self.kept_bytes -= gone.bytes;
        }
    }

    fn forget_others(&mut self, paths: &[PathBuf]) {
        let there: HashSet<&PathBuf> = paths.iter().collect();
        self.unreadable.retain(|path| there.contains(path));
        self.kept.retain(|path, _| there.contains(path));
        self.kept_bytes = self.kept.values().map(|kept| kept.bytes).sum();
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            modified: file.modified().ok(),
            changed: (file.ctime(), file.ctime_nsec()),
            inode: file.ino(),
            bytes: file.len(),
        }
    }
}

fn parse(text: &str, path: &Path) -> Result<Parsed> {
    let document = Document::parse(text, path)?;
    let items = document.actions().map(|table| table.items).unwrap_or_default();
    Ok(Parsed { document: Arc::new(document), items: items.into() })
}

#[cfg(test)]
mod tests;
