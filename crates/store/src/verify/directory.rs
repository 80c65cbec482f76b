//! The directory itself: its layout, the node's name, and what does not belong there.

use std::fs;
use std::path::Path;

use hindsight_model::NodeId;

use super::{Finding, Findings};
use crate::data_format::{DATA_FORMAT, DataFormat, FORMAT_FILE, read_format};
use crate::stats::chain;
use crate::{Error, Result};

/// Files and folders that this program makes in a data directory; a name that ends in `-` or `.` is a beginning.
const KNOWN: &[&str] = &[
    "node.id",
    "LOCK",
    FORMAT_FILE,
    "wal",
    "tables",
    "index",
    "spill",
    "holds",
    "holds.",
    "state.db",
    "state.db-",
    "web.address",
];

/// Checks layout and names; returns the node's id when there is one.
pub(super) fn check(data_dir: &Path, findings: &mut Findings) -> Result<Option<NodeId>> {
    let entries = fs::read_dir(data_dir).map_err(Error::io("list", data_dir))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("list", data_dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_known(&name) {
            findings.push(Finding::warning(
                "unknown_file",
                name,
                "this program does not make a file of that name here",
                "move it elsewhere if nobody needs it here",
            ));
        }
    }
    check_format(data_dir, findings);
    Ok(node_id(data_dir, findings))
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(
        |known| {
            if known.ends_with(['-', '.']) { name.starts_with(known) } else { name == *known }
        },
    )
}

fn check_format(data_dir: &Path, findings: &mut Findings) {
    let problem = |what: String, advice: &str| Finding::problem("format", FORMAT_FILE, what, advice);
    match read_format(data_dir) {
        // Directories of the first layout got their stamp later than their first start.
        Ok(DataFormat::Absent | DataFormat::Version(DATA_FORMAT)) => {}
        Ok(DataFormat::Version(found)) => findings.push(problem(
            format!("the directory has format {found}, this program reads format {DATA_FORMAT}"),
            "verify it with the program that wrote it",
        )),
        Ok(DataFormat::Restoring) => findings.push(problem(
            "a restore into this directory has not finished".to_owned(),
            "remove the directory and run `hindsight restore` again",
        )),
        Err(error) => findings.push(problem(chain(&error), "restore the directory from a backup")),
    }
}

fn node_id(data_dir: &Path, findings: &mut Findings) -> Option<NodeId> {
    let text =
        fs::read_to_string(data_dir.join("node.id")).map_err(|error| format!("it cannot be read: {error}"));
    let id = text.and_then(|text| text.parse().map_err(|error: hindsight_model::IdError| error.to_string()));
    let advice =
        "restore the file from a backup: without it a start would store the log's records a second time";
    id.map_err(|what| findings.push(Finding::problem("node_id", "node.id", what, advice))).ok()
}
