use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::tz::TimeZone;

use super::{Evidence, MAX_EVIDENCE, Verdict, canonical, standalone_svg, verify};
use crate::error::chain;
use crate::files::{MAX_EVIDENCE_BYTES, read_text, write_atomically};
use crate::{Error, Result};

/// The evidence beside one document, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvidenceSet {
    /// What could be read, by id in the order of their numbers.
    pub items: Vec<Evidence>,
    /// Ids of files that could not be read, with the reason.
    pub unreadable: BTreeMap<String, String>,
}

impl EvidenceSet {
    /// The evidence with this id.
    pub fn get(&self, id: &str) -> Option<&Evidence> {
        self.items.iter().find(|evidence| evidence.id == id)
    }

    /// Reads `evidence/E*.json` beside a document. A file that cannot be read is listed, not an error: the report
    /// shows it plainly.
    ///
    /// # Errors
    /// When the directory exists and cannot be listed.
    pub fn read(directory: &Path) -> Result<Self> {
        let folder = directory.join("evidence");
        let mut set = Self::default();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(set),
            Err(error) => return Err(Error::io("list", &folder)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("list", &folder))?.file_name().to_string_lossy().into_owned();
            let number =
                name.strip_prefix('E').and_then(|n| n.strip_suffix(".json")).and_then(|n| n.parse().ok());
            ids.extend(number.map(|number: u32| number));
        }
        ids.sort_unstable();
        for number in ids.iter().skip(MAX_EVIDENCE) {
            set.unreadable
                .insert(format!("E{number}"), format!("more than {MAX_EVIDENCE} pieces of evidence"));
        }
        for number in ids.into_iter().take(MAX_EVIDENCE) {
            let id = format!("E{number}");
            match read_evidence(&folder.join(format!("{id}.json"))) {
                Ok(evidence) if evidence.id == id => set.items.push(evidence),
                Ok(other) => {
                    set.unreadable.insert(id, format!("the file says it is {}", other.id));
                }
                Err(error) => {
                    set.unreadable.insert(id, chain(&error));
                }
            }
        }
        Ok(set)
    }

    /// Whether cited evidence is there, readable and intact; else the sentence to show.
    pub fn trouble(&self, id: &str) -> Option<String> {
        if let Some(reason) = self.unreadable.get(id) {
            return Some(format!("{id} cannot be read: {reason}"));
        }
        match self.get(id).map(verify) {
            None => Some(format!("{id} is cited but there is no evidence/{id}.json")),
            Some(Verdict::Altered { .. }) => {
                Some(format!("{id} was altered after it was frozen: its checksum does not hold"))
            }
            Some(Verdict::Intact) => None,
        }
    }
}

/// Reads one evidence file; its checksum is not checked here.
///
/// # Errors
/// When the file cannot be read, is too large or is not evidence.
pub fn read_evidence(path: &Path) -> Result<Evidence> {
    let text = read_text(path, MAX_EVIDENCE_BYTES)?;
    serde_json::from_str(&text).map_err(|source| Error::Evidence { path: path.to_owned(), source })
}

/// Writes `evidence/<id>.json`, and `evidence/<id>.svg` for a chart, each whole or not at all. Durable on return.
///
/// # Errors
/// When a file cannot be written.
pub fn write_evidence(directory: &Path, evidence: &Evidence, zone: &TimeZone) -> Result<()> {
    let folder = directory.join("evidence");
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let path = folder.join(format!("{}.json", evidence.id));
    let text =
        canonical::file_text(evidence).map_err(|source| Error::Evidence { path: path.clone(), source })?;
    write_atomically(&path, text.as_bytes())?;
    if let Some(svg) = evidence.figure(zone).as_deref().and_then(standalone_svg) {
        write_atomically(&folder.join(format!("{}.svg", evidence.id)), svg.as_bytes())?;
    }
    Ok(())
}
