//! What was typed before, kept in a file: one entry a line, with `\n` for a line's end and `\\` for a backslash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Entries kept; the oldest go first.
const ENTRIES_MAX: usize = 1_000;
/// Longest entry that is kept.
const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Most that is read of the file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Entries, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    entries: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// One that no file keeps.
    pub(crate) fn in_memory() -> Self {
        Self { entries: Vec::new(), file: None }
    }

    /// The entries of a file, which need not exist yet; later ones are added to it.
    ///
    /// # Errors
    /// When the file cannot be read, or its folder not be made.
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut bytes = Vec::new();
        match File::open(file) {
            Ok(open) => drop(open.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut entries: Vec<String> =
            String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()).map(unescaped).collect();
        if entries.len() > 2 * ENTRIES_MAX {
            entries.drain(..entries.len() - ENTRIES_MAX);
            rewrite(file, &entries)?;
        }
        Ok(Self { entries, file: Some(file.to_owned()) })
    }

    /// Adds what was typed, unless it is empty, begins with a space, or is the latest again. A file that cannot be
    /// written is not written any more.
    pub(crate) fn add(&mut self, text: &str) {
        let entry = text.trim_end();
        let same = self.entries.last().is_some_and(|last| last == entry);
        if entry.is_empty() || entry.starts_with(' ') || entry.len() > ENTRY_BYTES_MAX || same {
            return;
        }
        self.entries.push(entry.to_owned());
        if let Some(file) = &self.file
            && let Err(error) = append(file, entry)
        {
            tracing::warn!(file = %file.display(), %error, "history is not kept");
            self.file = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, place: usize) -> Option<&str> {
        self.entries.get(place).map(String::as_str)
    }

    /// The newest entry older than `place` that has the words in it, whatever their case.
    pub(super) fn find_before(&self, place: usize, words: &str) -> Option<usize> {
        let words = words.to_lowercase();
        let older = &self.entries[..place.min(self.entries.len())];
        older.iter().rposition(|entry| entry.to_lowercase().contains(&words))
    }
}

/// Where history is kept: the user's folder for state, as the XDG base directory specification has it.
pub(crate) fn default_file(state_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let state = state_home.filter(|folder| folder.is_absolute());
    let state = state.or_else(|| Some(home.filter(|folder| folder.is_absolute())?.join(".local/state")))?;
    Some(state.join("hindsight/sql_history"))
}

fn append(file: &Path, entry: &str) -> io::Result<()> {
    let mut open = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    open.write_all(format!("{}\n", escaped(entry)).as_bytes())
}

/// What another shell adds in between is lost; the file itself is whole at any time.
fn rewrite(file: &Path, entries: &[String]) -> io::Result<()> {
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let lines: String = entries.iter().map(|entry| escaped(entry) + "\n").collect();
    open.write_all(lines.as_bytes())?;
    fs::rename(beside, file)
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, if c == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_typed_is_there_the_next_time_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/hindsight/sql_history");
        let mut history = History::open(&file).unwrap();
        for entry in ["SELECT 1;", "SELECT 1;", "", " secret", "SELECT 'a\\n',\n2;\n"] {
            history.add(entry);
        }
        assert_eq!(history.entries, ["SELECT 1;", "SELECT 'a\\n',\n2;"]);
        assert_eq!(History::open(&file).unwrap().entries, history.entries);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_long_history_loses_its_oldest_entries() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sql_history");
        let lines: String = (0..=2 * ENTRIES_MAX).map(|number| format!("SELECT {number};\n")).collect();
        fs::write(&file, lines).unwrap();
        for _ in 0..2 {
            let history = History::open(&file).unwrap();
            assert_eq!(history.len(), ENTRIES_MAX);
            assert_eq!(history.get(ENTRIES_MAX - 1), Some(format!("SELECT {};", 2 * ENTRIES_MAX).as_str()));
        }
    }

    #[test]
    fn the_file_is_where_the_specification_says() {
        let path = |text: &str| Some(PathBuf::from(text));
        let expected = path("/s/hindsight/sql_history");
        assert_eq!(default_file(path("/s"), path("/h")), expected);
        let expected = path("/h/.local/state/hindsight/sql_history");
        assert_eq!(default_file(path("relative"), path("/h")), expected);
        assert_eq!(default_file(None, path("/h")), expected);
        assert_eq!(default_file(None, None), None);
    }

    proptest! {
        #[test]
        fn an_entry_is_one_line_and_comes_back(entry in any::<String>()) {
            let line = escaped(&entry);
            prop_assert!(!line.contains(['\n', '\r']));
            prop_assert_eq!(unescaped(&line), entry);
        }
    }
}
