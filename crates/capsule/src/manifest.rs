//! What a capsule says of itself.

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{IncidentId, IncidentSeverity, Promotion, Table};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::path::{CapsulePath, Kind};
use crate::{Error, Result};

/// The format that this program writes and reads.
pub const FORMAT: u64 = 1;
/// The first entry of every capsule.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Largest manifest read: some two hundred bytes a file, and its statistics.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Most files of a capsule.
pub(crate) const FILES_MAX: usize = 100_000;
/// Largest file that is no telemetry: it is read as a whole.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// The manifest of a capsule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u64,
    /// Name and version of the program that made it.
    pub made_by: String,
    /// Role or name of the person who asked for it.
    pub author: String,
    /// When it was made.
    pub exported_at: Timestamp,
    /// What it is about.
    pub incident: OfIncident,
    /// The time that its telemetry covers; rows outside of it were left out.
    pub window: Window,
    /// Ids of the post-mortems inside, in order.
    pub postmortems: Vec<String>,
    /// Whether one of them is restricted: then the capsule is, too.
    pub restricted: bool,
    /// By table the attributes that have columns beside those of every table of this program ([`Promotion`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub promoted: BTreeMap<String, Vec<String>>,
    /// What it holds of each table; tables without rows are not named.
    pub tables: BTreeMap<String, TableCounts>,
    /// Every file beside the manifest, in the order of the archive.
    pub files: Vec<FileEntry>,
}

/// Which incident, for people who look into the manifest alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfIncident {
    /// `INC-7`.
    pub id: IncidentId,
    /// Its title.
    pub title: String,
    /// How bad it was.
    pub severity: IncidentSeverity,
}

/// From an instant to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
}

/// How much of a table is inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCounts {
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the archive.
    pub path: CapsulePath,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
    /// For telemetry: what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
}

/// What the store has to know of a Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Rows in the file.
    pub rows: u64,
    /// Bounds of its columns, as the statistics of a file in a Delta log: JSON text.
    pub stats: String,
    /// By which list every promoted attribute is in its column ([`Table::promoted_mark`]); `None` when one is not.
    /// Programs that knew one list only wrote whether.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "mark_or_whether")]
    pub all_promoted: Option<String>,
}

fn mark_or_whether<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        Whether(bool),
        Mark(String),
    }
    Ok(match Told::deserialize(value)? {
        Told::Whether(whether) => whether.then(|| whether.to_string()),
        Told::Mark(mark) => Some(mark),
    })
}

impl Manifest {
    /// The attributes that [`Self::promoted`] names.
    ///
    /// # Errors
    /// [`Error::Manifest`] when it names something else.
    pub fn promotions(&self) -> Result<Vec<Promotion>> {
        let refuse = |reason: String| Error::Manifest { reason };
        let mut all = Vec::new();
        for (name, attributes) in &self.promoted {
            let table =
                Table::from_name(name).ok_or_else(|| refuse(format!("promotes in the table `{name}`")))?;
            for attribute in attributes {
                all.push(Promotion::parse(table, attribute).map_err(|error| refuse(error.to_string()))?);
            }
        }
        Ok(all)
    }

    /// Counts the files of each table.
    pub fn count(files: &[FileEntry]) -> BTreeMap<String, TableCounts> {
        let mut tables: BTreeMap<String, TableCounts> = BTreeMap::new();
        for entry in files {
            let (Kind::Block { table, .. }, Some(block)) = (entry.path.kind(), &entry.block) else {
                continue;
            };
            let counts = tables.entry(table.name().to_owned()).or_default();
            counts.files += 1;
            counts.rows = counts.rows.saturating_add(block.rows);
            counts.bytes = counts.bytes.saturating_add(entry.size);
        }
        tables
    }

    /// The text of the archive's first entry.
    ///
    /// # Errors
    /// [`Error::Manifest`] when it breaks a rule that [`Manifest::parse`] would refuse it for.
    pub fn to_text(&self) -> Result<String> {
        self.validate()?;
        let text = serde_json::to_string_pretty(self);
        let mut text = text.map_err(|error| Error::Manifest { reason: error.to_string() })?;
        text.push('\n');
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(too_large(text.len() as u64));
        }
        Ok(text)
    }

    /// Reads a manifest and holds it against every rule of the format.
    ///
    /// # Errors
    /// [`Error::NotACapsule`], [`Error::Version`], [`Error::Manifest`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| Error::NotACapsule { reason: format!("its manifest is not JSON ({error})") })?;
        let Some(found) = value["format"].as_u64() else {
            return Err(Error::NotACapsule { reason: "its manifest says no format".to_owned() });
        };
        if found != FORMAT {
            let made_by = value["made_by"].as_str().unwrap_or("unknown").chars().take(60).collect();
            return Err(Error::Version { found, known: FORMAT, made_by });
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| Error::Manifest { reason: error.to_string() })?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// SHA-256 of the manifest's text. It covers the checksum of every file, so two capsules with the same one are the
    /// same.
    pub fn sha256(text: &str) -> String {
        hex::encode(Sha256::digest(text))
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.size))
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|counts| counts.rows).sum()
    }

    fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::Manifest { reason });
        if self.files.len() > FILES_MAX {
            return refuse(format!("it lists {} files; at most {FILES_MAX} are taken", self.files.len()));
        }
        if self.window.from >= self.window.to {
            return refuse("its window ends before it begins".to_owned());
        }
        let mut names = BTreeSet::new();
        for entry in &self.files {
            if !names.insert(&entry.path) {
                return refuse(format!("it lists {} twice", entry.path));
            }
            validate_entry(entry).map_err(|reason| Error::Manifest { reason })?;
        }
        if !names.contains(&CapsulePath::incident()) {
            return refuse("it lists no incident.json".to_owned());
        }
        if self.total_bytes() == u64::MAX || Self::count(&self.files) != self.tables {
            return refuse("its counts of tables are not those of its files".to_owned());
        }
        let documents: BTreeSet<&str> = self
            .files
            .iter()
            .filter_map(|entry| match entry.path.kind() {
                Kind::Document { id, name: "postmortem.md" } => Some(id),
                _ => None,
            })
            .collect();
        if documents != self.postmortems.iter().map(String::as_str).collect() {
            return refuse("its post-mortems are not those of its files".to_owned());
        }
        Ok(())
    }
}

fn validate_entry(entry: &FileEntry) -> Result<(), String> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if entry.sha256.len() != 64 || !entry.sha256.bytes().all(is_hex) {
        return Err(format!("the checksum of {} is none", entry.path));
    }
    match (entry.path.kind(), &entry.block) {
        (Kind::Block { .. }, Some(_)) => Ok(()),
        (Kind::Block { .. }, None) => Err(format!("it does not say how many rows {} has", entry.path)),
        (_, Some(_)) => Err(format!("{} is no telemetry and says rows", entry.path)),
        (_, None) if entry.size > TEXT_BYTES_MAX => {
            Err(format!("{} has {} bytes; at most {TEXT_BYTES_MAX} are taken", entry.path, entry.size))
        }
        (_, None) => Ok(()),
    }
}

pub(crate) fn too_large(size: u64) -> Error {
    Error::Manifest { reason: format!("it has {size} bytes; at most {MANIFEST_BYTES_MAX} are taken") }
}

/// The tables by name, for whoever prints them in the usual order.
impl Manifest {
    /// What is inside of `table`.
    pub fn table(&self, table: Table) -> TableCounts {
        self.tables.get(table.name()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{files, manifest};

    #[test]
    fn a_manifest_reads_back() {
        let manifest = manifest(&files());
        let text = manifest.to_text().unwrap();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
        assert_eq!(manifest.table(Table::Spans), TableCounts { files: 1, rows: 3, bytes: 600 });
        assert_eq!(manifest.table(Table::Logs), TableCounts::default());
    }

    /// A manifest with one change is refused, and the error says `said`.
    fn refuses(change: impl FnOnce(&mut Value), said: &str) {
        let mut value = serde_json::to_value(manifest(&files())).unwrap();
        change(&mut value);
        let error = Manifest::parse(value.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn every_rule_refuses_by_name() {
        refuses(|m| m["format"] = json!(2), "format 2, this program reads format 1");
        refuses(|m| m["format"] = json!("1"), "no capsule");
        refuses(|m| m["files"][0]["path"] = json!("../incident.json"), "no plain relative path");
        refuses(|m| m["files"][0]["path"] = json!("/etc/passwd"), "no plain relative path");
        refuses(|m| m["files"][0]["path"] = json!("run.sh"), "no capsule has a file of this name");
        refuses(|m| m["files"][1] = m["files"][0].clone(), "twice");
        refuses(|m| drop(m["files"].as_array_mut().unwrap().remove(0)), "no incident.json");
        refuses(|m| m["files"][0]["sha256"] = json!("abc"), "checksum");
        refuses(|m| m["files"][0]["size"] = json!(1_u64 << 40), "bytes; at most");
        refuses(|m| m["files"][0]["size"] = json!(-1), "invalid value");
        refuses(|m| m["files"][2]["block"]["rows"] = json!(4), "counts of tables");
        refuses(|m| m["files"][2]["block"] = Value::Null, "how many rows");
        refuses(|m| m["postmortems"] = json!([]), "post-mortems");
        refuses(|m| m["window"]["to"] = m["window"]["from"].clone(), "window");
        refuses(|m| m["incident"]["id"] = json!("7; DROP"), "cannot be trusted");
        assert!(matches!(Manifest::parse(b"\xff{"), Err(Error::NotACapsule { .. })));
    }
}
