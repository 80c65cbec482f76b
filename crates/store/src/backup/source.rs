//! What a live data directory consists of at one moment, taken in an order that makes it consistent without
//! stopping the server: log, tables, log again. Why that suffices is in `docs/format/backup.md`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use hindsight_model::{NodeId, Table};
use hindsight_wal::SegmentId;

use super::BackupError;
use super::copy::modified_ns;
use super::round::Fault;
use crate::verify::{Listing, TablesDir, list};

/// Top-level names that are not copied: other processes' business, derived, or handled on their own.
const LEFT_OUT: &[&str] = &[
    "LOCK",
    "web.address",
    "wal",
    "tables",
    "index",
    "FORMAT",
    "state.db",
    "state.db-wal",
    "state.db-shm",
    "state.db-journal",
];
/// How deep folders of other files are followed.
const DEPTH_MAX: usize = 4;

/// The write-ahead log's segments, opened: one that the server removes meanwhile can still be read to its end.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) open: BTreeMap<SegmentId, File>,
}

impl Segments {
    /// Opens every segment that is there and not open yet. What was open stays, also when its name is gone.
    pub(super) fn open_more(&mut self, wal_dir: &Path) -> Result<(), Fault> {
        for entry in fs::read_dir(wal_dir).map_err(BackupError::io("list", wal_dir))? {
            let entry = entry.map_err(BackupError::io("list", wal_dir))?;
            let Some(id) = entry.file_name().to_str().and_then(SegmentId::from_file_name) else { continue };
            if self.open.contains_key(&id) {
                continue;
            }
            let file = File::open(entry.path()).map_err(|error| Fault::of_open(error, &entry.path()))?;
            self.open.insert(id, file);
        }
        Ok(())
    }

    /// Whether a segment came and went between two looks.
    pub(super) fn check_no_gap(&self) -> Result<(), Fault> {
        let ids: Vec<u64> = self.open.keys().map(|id| id.0).collect();
        match ids.windows(2).find(|pair| pair[1] != pair[0] + 1) {
            Some(pair) => Err(Fault::Moved(format!("segment {} came and went, or is missing", pair[0] + 1))),
            None => Ok(()),
        }
    }
}

/// The tables' logs, each at its newest version.
pub(super) async fn listings(tables: &TablesDir, node: NodeId) -> Result<Vec<Listing>, Fault> {
    let mut listings = Vec::new();
    for table in Table::ALL {
        // A log that is being written is always readable, so an error is damage, or a file removed meanwhile.
        let listed = list(table, tables, Some(node)).await;
        let listed =
            listed.map_err(|source| Fault::Changing(BackupError::Store { source: Box::new(source) }))?;
        listings.extend(listed);
    }
    Ok(listings)
}

/// The files of a table's log that make up its versions up to `version`, by name.
///
/// `_last_checkpoint` is left out: it is a hint, and the only file there that changes.
pub(super) fn log_files(log_dir: &Path, version: u64) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for entry in fs::read_dir(log_dir).map_err(BackupError::io("list", log_dir))? {
        let entry = entry.map_err(BackupError::io("list", log_dir))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && version_of_log_file(&name).is_some_and(|of| of <= version) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// `00000000000000000042.json`, `00000000000000000042.checkpoint.parquet` and their kind.
pub(super) fn version_of_log_file(name: &str) -> Option<u64> {
    let (digits, rest) = name.split_once('.')?;
    let is_known = rest == "json" || rest.starts_with("checkpoint.") || rest == "crc";
    (digits.len() == 20 && is_known && !name.contains('#')).then(|| digits.parse().ok())?
}

/// Everything else in the data directory, with `/`: the node's name, holds, and what later versions add.
pub(super) fn other_files(data_dir: &Path) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let dir = data_dir.join(&folder);
        for entry in fs::read_dir(&dir).map_err(BackupError::io("list", &dir))? {
            let entry = entry.map_err(BackupError::io("list", &dir))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if (depth == 0 && LEFT_OUT.contains(&name.as_str())) || is_unfinished(&name) {
                continue;
            }
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match entry.file_type().map_err(BackupError::io("look at", &entry.path()))? {
                kind if kind.is_file() => found.push(path),
                kind if kind.is_dir() && depth < DEPTH_MAX => folders.push((path, depth + 1)),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a crash may have left, or what is being written just now.
fn is_unfinished(name: &str) -> bool {
    name.ends_with(".tmp") || name.contains('#')
}

/// A file to copy: what tells whether it has changed, and its content when it is asked for.
pub(super) struct Source<'a> {
    pub(super) size: u64,
    pub(super) modified_ns: u64,
    pub(super) open: Box<dyn FnOnce() -> Result<Box<dyn Read>, Fault> + 'a>,
}

impl Source<'_> {
    /// Of a file that is open.
    pub(super) fn of(file: File, path: &Path) -> Result<Self, Fault> {
        let metadata = file.metadata().map_err(BackupError::io("look at", path))?;
        let modified_ns = modified_ns(&metadata).map_err(BackupError::io("look at", path))?;
        let open = Box::new(move || Ok(Box::new(file) as Box<dyn Read>));
        Ok(Self { size: metadata.len(), modified_ns, open })
    }

    /// Opens a file that may be gone by now.
    pub(super) fn open_file(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|error| Fault::of_open(error, path))?;
        Self::of(file, path)
    }
}

impl Fault {
    /// A name that is gone means that the server went on; anything else is an error.
    pub(super) fn of_open(error: io::Error, path: &Path) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Moved(format!("{} is gone", path.display()))
        } else {
            Self::Failed(BackupError::io("open", path)(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_files_are_told_from_what_lies_beside_them() {
        assert_eq!(version_of_log_file("00000000000000000042.json"), Some(42));
        assert_eq!(version_of_log_file("00000000000000000064.checkpoint.parquet"), Some(64));
        for other in
            ["_last_checkpoint", "42.json", "00000000000000000042.json#77", "00000000000000000042.tmp"]
        {
            assert_eq!(version_of_log_file(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_that_came_and_went_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let touch = |id: u64| fs::write(dir.path().join(SegmentId(id).file_name()), b"x").unwrap();
        let mut segments = Segments::default();
        (5..7).for_each(touch);
        segments.open_more(dir.path()).unwrap();
        // 5 is removed, 7 appears: seen together they are whole.
        fs::remove_file(dir.path().join(SegmentId(5).file_name())).unwrap();
        touch(7);
        segments.open_more(dir.path()).unwrap();
        segments.check_no_gap().unwrap();
        touch(9);
        segments.open_more(dir.path()).unwrap();
        assert!(matches!(segments.check_no_gap(), Err(Fault::Moved(_))));
    }

    #[test]
    fn other_files_are_those_that_nothing_else_takes() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["node.id", "LOCK", "FORMAT", "state.db", "state.db-wal", "holds.json", "a.tmp"] {
            fs::write(dir.path().join(path), path).unwrap();
        }
        for path in ["wal/1", "tables/logs/x", "holds/h.json"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), path).unwrap();
        }
        assert_eq!(other_files(dir.path()).unwrap(), ["holds.json", "holds/h.json", "node.id"]);
    }
}
