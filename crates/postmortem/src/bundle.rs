//! The files of the post-mortems about an incident, to go elsewhere together: for capsules.

use std::fs;
use std::path::{Path, PathBuf};

use hindsight_model::{IncidentId, Tenant};

use crate::document::Visibility;
use crate::files::MAX_EVIDENCE_BYTES;
use crate::{Error, Library, Result, render};

/// Largest file that goes along, in bytes.
const FILE_BYTES_MAX: u64 = MAX_EVIDENCE_BYTES;
/// The files that go along, beside evidence.
const DOCUMENT_FILES: [&str; 2] = ["postmortem.md", "lessons.md"];
/// The kinds of evidence that go along.
const EVIDENCE_KINDS: [&str; 3] = ["json", "svg", "parquet"];

/// One post-mortem and what lies beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// `PM-2026-014`.
    pub id: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// Names within its folder, with `/`, and what is in the files: the document first, then its report as it renders
    /// now, lessons and evidence in the order of their names.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Bundled {
    /// In the order of their ids.
    pub bundles: Vec<Bundle>,
    /// Documents that could not be read: whether they are about the incident is not known.
    pub unreadable: Vec<PathBuf>,
}

/// Every post-mortem of the workspace that names the incident. Drafts of an editor, and whatever else lies in a folder,
/// stay; links are not followed.
///
/// # Errors
/// When the workspace, or a file of such a post-mortem, cannot be read; [`Error::TooLarge`] for one beyond 16 MiB.
pub fn bundle(library: &Library, tenant: &Tenant, incident: IncidentId) -> Result<Bundled> {
    let listed = library.list_all(tenant)?;
    let about = listed.rows.into_iter().filter(|row| row.document.front.incidents.contains(&incident));
    let bundles = about.map(|row| {
        let front = &row.document.front;
        let folder = crate::render::parent(&row.path);
        Ok(Bundle { id: front.id.clone(), visibility: front.visibility, files: files(&folder)? })
    });
    Ok(Bundled {
        bundles: bundles.collect::<Result<_>>()?,
        unreadable: listed.unreadable.into_iter().map(|(path, _)| path).collect(),
    })
}

fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for name in DOCUMENT_FILES {
        files.extend(read(folder, name)?);
    }
    files.insert(files.len().min(1), ("report.html".to_owned(), render(folder)?.into_bytes()));
    for name in evidence(&folder.join("evidence"))? {
        files.extend(read(folder, &format!("evidence/{name}"))?);
    }
    Ok(files)
}

fn evidence(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
        let is_ours = stem.starts_with('E') && stem.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_ours && EVIDENCE_KINDS.contains(&kind) {
            names.push(format!("{stem}.{kind}"));
        }
    }
    names.sort();
    Ok(names)
}

/// The file, if it is one.
fn read(folder: &Path, name: &str) -> Result<Option<(String, Vec<u8>)>> {
    let path = folder.join(name);
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("look at", &path)(error)),
    };
    if !found.is_file() {
        return Ok(None);
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(Error::TooLarge { path, limit: FILE_BYTES_MAX });
    }
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    Ok(Some((name.to_owned(), bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "---\nschema: hindsight/postmortem/v1\nid: PM-2026-001\nincidents: [INC-7]\n\
        title: Orders failed for 44 minutes\nstatus: draft\nseverity: SEV2\nvisibility: restricted\ntimezone: UTC\n---\n## Summary\n";

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_document_goes_with_its_report_and_evidence_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("postmortems/PM-2026-001-orders");
        write(&folder, "postmortem.md", DOCUMENT);
        write(&folder, "notes.txt", "private");
        write(&folder, ".postmortem.md.tmp", "half");
        write(&folder, "evidence/E2.svg", "<svg/>");
        write(&folder, "evidence/E10.json", "{}");
        write(&folder, "evidence/run.sh", "rm");
        std::os::unix::fs::symlink("/etc/hostname", folder.join("evidence/E3.json")).unwrap();
        write(&dir.path().join("postmortems/PM-2026-002-broken"), "postmortem.md", "no front matter");
        let found = bundle(&Library::new(dir.path()), &Tenant::default(), IncidentId(7)).unwrap();
        let [one] = found.bundles.as_slice() else { panic!("{found:?}") };
        let names: Vec<&str> = one.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["postmortem.md", "report.html", "evidence/E10.json", "evidence/E2.svg"]);
        assert_eq!((one.id.as_str(), one.visibility), ("PM-2026-001", Visibility::Restricted));
        assert_eq!(found.unreadable.len(), 1);
        assert!(String::from_utf8_lossy(&one.files[1].1).starts_with("<!doctype html>"));
        assert!(
            bundle(&Library::new(dir.path()), &Tenant::default(), IncidentId(8)).unwrap().bundles.is_empty()
        );
    }
}
