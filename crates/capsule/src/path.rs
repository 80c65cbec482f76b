//! The names that files in a capsule may have. Everything else is refused, so that no name can lead out of a folder.

use std::fmt;
use std::str::FromStr;

use hindsight_model::Table;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Longest part between two slashes: what a tar header's name takes.
const PART_BYTES_MAX: usize = 100;
/// Longest name: with slashes still within name and prefix of a tar header.
const PATH_BYTES_MAX: usize = 200;
/// The kinds of evidence files.
const EVIDENCE_KINDS: [&str; 3] = [".json", ".svg", ".parquet"];
/// The files of a post-mortem beside its evidence.
const DOCUMENT_FILES: [&str; 3] = ["postmortem.md", "lessons.md", "report.html"];

/// The name of a file in a capsule: relative, plain ASCII, and one of the [kinds](Kind) there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CapsulePath(String);

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `incident.json`.
    Incident,
    /// `report/<id>/<name>`: a part of a post-mortem.
    Document {
        /// `PM-2026-014`.
        id: &'a str,
        /// `postmortem.md`, `lessons.md`, `report.html`, `evidence/E1.json`.
        name: &'a str,
    },
    /// `telemetry/<table>/date=<date>/<name>.parquet`: rows of one UTC date.
    Block {
        /// The table.
        table: Table,
        /// The date of all its rows.
        date: Date,
        /// The file's own name.
        name: &'a str,
    },
}

impl CapsulePath {
    /// `incident.json`.
    pub fn incident() -> Self {
        Self("incident.json".to_owned())
    }

    /// A file of a post-mortem.
    ///
    /// # Errors
    /// When id or name are not such as a capsule has.
    pub fn document(id: &str, name: &str) -> Result<Self, String> {
        format!("report/{id}/{name}").parse()
    }

    /// The `number`th file of a table and date.
    pub fn block(table: Table, date: Date, number: usize) -> Self {
        Self(format!("telemetry/{table}/date={date}/{number:06}.parquet"))
    }

    /// The name as the archive has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the file is.
    pub fn kind(&self) -> Kind<'_> {
        kind(&self.0).expect("the name was read by the same function when it was made")
    }
}

impl FromStr for CapsulePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > PATH_BYTES_MAX {
            return Err(format!("its name has {} bytes; at most {PATH_BYTES_MAX} are taken", text.len()));
        }
        if !text.split('/').all(is_plain) {
            return Err("its name is no plain relative path".to_owned());
        }
        kind(text)
            .map(|_| Self(text.to_owned()))
            .ok_or_else(|| "no capsule has a file of this name".to_owned())
    }
}

/// Letters, digits, `-`, `_`, `.` and `=`, and no dot in front: so neither `..` nor a hidden file.
fn is_plain(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
    !part.is_empty() && part.len() <= PART_BYTES_MAX && !part.starts_with('.') && part.bytes().all(plain)
}

fn kind(text: &str) -> Option<Kind<'_>> {
    if text == "incident.json" {
        return Some(Kind::Incident);
    }
    let (first, rest) = text.split_once('/')?;
    match first {
        "report" => {
            let (id, name) = rest.split_once('/')?;
            let is_evidence = name.strip_prefix("evidence/").is_some_and(|name| {
                !name.contains('/') && EVIDENCE_KINDS.iter().any(|kind| name.ends_with(kind))
            });
            let is_ours = id.starts_with("PM-") && (is_evidence || DOCUMENT_FILES.contains(&name));
            is_ours.then_some(Kind::Document { id, name })
        }
        "telemetry" => {
            let mut parts = rest.split('/');
            let (table, date, name) = (parts.next()?, parts.next()?, parts.next()?);
            let table = Table::from_name(table)?;
            let written = date.strip_prefix("date=")?;
            let date: Date = written.parse().ok()?;
            // One spelling only: two names of one date would be two folders.
            let is_ours = parts.next().is_none() && date.to_string() == written && name.ends_with(".parquet");
            is_ours.then_some(Kind::Block { table, date, name })
        }
        _ => None,
    }
}

impl TryFrom<String> for CapsulePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CapsulePath> for String {
    fn from(path: CapsulePath) -> Self {
        path.0
    }
}

impl fmt::Display for CapsulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_names_that_a_capsule_has_are_read_back() {
        let date = Date::constant(2026, 5, 4);
        let block = CapsulePath::block(Table::MetricExpHistograms, date, 7);
        assert_eq!(block.as_str(), "telemetry/metric_exp_histograms/date=2026-05-04/000007.parquet");
        let kind = Kind::Block { table: Table::MetricExpHistograms, date, name: "000007.parquet" };
        assert_eq!(block.as_str().parse::<CapsulePath>().unwrap().kind(), kind);
        assert_eq!(CapsulePath::incident().kind(), Kind::Incident);
        for name in ["postmortem.md", "report.html", "lessons.md", "evidence/E12.json", "evidence/E1.svg"] {
            let path = CapsulePath::document("PM-2026-014", name).unwrap();
            assert_eq!(path.kind(), Kind::Document { id: "PM-2026-014", name });
        }
    }

    #[test]
    fn no_name_leads_out_or_is_of_another_kind() {
        for bad in [
            "",
            "..",
            "/etc/passwd",
            "../incident.json",
            "report/../../x",
            "report/PM-1/../postmortem.md",
            "report/PM-1/evidence/../postmortem.md",
            "report/PM-1/evidence/..json",
            "report//postmortem.md",
            "report/PM-1/./postmortem.md",
            "report/PM-1/postmortem.md/",
            "report/PM-1/.postmortem.md",
            "report/PM-1/hindsight.toml",
            "report/PM-1/evidence/run.sh",
            "report/PM-1/evidence/deep/E1.json",
            "report/notes/postmortem.md",
            "hindsight.toml",
            "incident.json/",
            "INCIDENT.JSON",
            "telemetry/spans/date=2026-05-04/_delta_log/1.parquet",
            "telemetry/spans/date=2026-5-4/1.parquet",
            "telemetry/spans/date=2026-02-30/1.parquet",
            "telemetry/secrets/date=2026-05-04/1.parquet",
            "telemetry/spans/date=2026-05-04/1.json",
            "telemetry/spans/1.parquet",
            "report\\PM-1\\postmortem.md",
            "report/PM-1/post\0mortem.md",
            "report/PM-ü/postmortem.md",
        ] {
            assert!(bad.parse::<CapsulePath>().is_err(), "{bad}");
        }
        assert!(CapsulePath::document(&format!("PM-{}", "9".repeat(98)), "postmortem.md").is_err());
    }

    proptest! {
        #[test]
        fn what_passes_stays_within_a_folder(text in "[a-zPM0-9./=_-]{0,40}|report/PM-[0-9./]{1,20}/postmortem.md") {
            if let Ok(path) = text.parse::<CapsulePath>() {
                let plain = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(std::path::Path::new(path.as_str()).components().all(plain));
                prop_assert_eq!(path.as_str(), text);
            }
        }
    }
}
