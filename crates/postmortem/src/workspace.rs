//! Where post-mortems lie in a workspace: `postmortems/<id>-<slug>/postmortem.md`. The one module that knows.

use std::fs;
use std::path::{Path, PathBuf};

use hindsight_model::Tenant;

use crate::document::Document;
use crate::{Error, Result};

/// Post-mortems read from one workspace; further directories are left out with a warning.
pub const MAX_POSTMORTEMS: usize = 10_000;

/// `postmortems/` in a workspace.
pub fn postmortems_dir(workspace: &Path) -> PathBuf {
    workspace.join("postmortems")
}

/// Names of the directories under `postmortems/`, sorted; none when there is no such folder.
pub(crate) fn directories(workspace: &Path) -> Result<Vec<String>> {
    let folder = postmortems_dir(workspace);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", &folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("PM-") && entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    if names.len() > MAX_POSTMORTEMS {
        tracing::warn!(
            count = names.len(),
            limit = MAX_POSTMORTEMS,
            "too many post-mortems; the oldest are left out"
        );
        names.drain(..names.len() - MAX_POSTMORTEMS);
    }
    Ok(names)
}

/// The `postmortem.md` files of a workspace, in order of their ids.
///
/// # Errors
/// When `postmortems/` exists and cannot be listed.
pub fn documents(workspace: &Path) -> Result<Vec<PathBuf>> {
    let folder = postmortems_dir(workspace);
    let files = directories(workspace)?.into_iter().map(|name| folder.join(name).join("postmortem.md"));
    Ok(files.filter(|path| path.is_file()).collect())
}

/// The directory of the post-mortem with this id (`PM-2026-014`), if there is one.
///
/// # Errors
/// As [`documents`].
pub fn find(workspace: &Path, id: &str) -> Result<Option<PathBuf>> {
    let mine = |name: &String| name == id || name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-'));
    Ok(directories(workspace)?.into_iter().find(mine).map(|name| postmortems_dir(workspace).join(name)))
}

/// The id of the post-mortem whose `postmortem.md` this is, as its directory's name says: `PM-2026-014`.
pub(crate) fn id_of(path: &Path) -> Option<String> {
    let name = path.parent()?.file_name()?.to_string_lossy();
    let parts: Vec<&str> = name.splitn(4, '-').take(3).collect();
    Some(parts.join("-"))
}

/// Whether a document is this tenant's; one that names none is the default tenant's (QRY-3).
pub(crate) fn is_of(document: &Document, tenant: &Tenant) -> bool {
    document.front.tenant.as_deref().unwrap_or(Tenant::default().as_str()) == tenant.as_str()
}
