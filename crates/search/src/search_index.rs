//! All indexes of a data directory: which blocks have one, how large they are, and the ones that are open.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use hindsight_model::{RowSet, Table, TextIndex, Wanted};

use crate::block_index::BlockIndex;
use crate::build::Builder;
use crate::manifest::Manifest;
use crate::part_writer::Layout;
use crate::{Error, Result};

/// Indexes that are open at most; the one not asked for longest is closed for another.
const OPEN_MAX: usize = 256;
/// The longest name of a directory.
const NAME_BYTES_MAX: usize = 200;
/// How the directory of an index that is not whole yet ends.
const UNFINISHED: &str = ".tmp";

/// The full-text indexes of one data directory. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct SearchIndex {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of each index by its block's path.
    indexed: BTreeMap<String, u64>,
    open: HashMap<String, Open>,
    /// Counts look-ups.
    turn: u64,
}

#[derive(Debug)]
struct Open {
    index: Arc<BlockIndex>,
    last_turn: u64,
}

impl SearchIndex {
    /// The indexes in `dir`, which is `<data-dir>/index`. What is not a whole index of this version is removed.
    ///
    /// # Errors
    /// When a directory cannot be read or made.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(Error::io("create the directory", dir))?;
        let mut indexed = BTreeMap::new();
        for table in Table::ALL {
            for place in subdirectories(&dir.join(table.name()))? {
                match Manifest::read(&place) {
                    Ok(found) if place_of(dir, &found.block).as_ref() == Some(&place) => {
                        indexed.insert(found.block.clone(), found.bytes());
                    }
                    Ok(_) => remove(&place),
                    Err(error) => {
                        tracing::info!(error = error.chain(), "removed an index that is not whole");
                        remove(&place);
                    }
                }
            }
        }
        let state = Mutex::new(State { indexed, ..State::default() });
        Ok(Self { shared: Arc::new(Shared { dir: dir.to_owned(), state }) })
    }

    /// How many blocks have an index, and the bytes of all indexes.
    pub fn size(&self) -> (u64, u64) {
        let state = self.state();
        (state.indexed.len() as u64, state.indexed.values().sum())
    }

    /// Bytes of each index by its block's path.
    pub(crate) fn indexed(&self) -> BTreeMap<String, u64> {
        self.state().indexed.clone()
    }

    /// Where the index of a block is built; `None` for a block whose name cannot be a directory's.
    pub(crate) fn workplace(&self, block: &str) -> Option<PathBuf> {
        let place = place_of(&self.shared.dir, block)?;
        let name = format!("{}-{}{UNFINISHED}", place.file_name()?.to_str()?, std::process::id());
        Some(place.with_file_name(name))
    }

    /// Indexes a block whose rows are in memory, over those of the columns that they have. Bytes of the index.
    ///
    /// # Errors
    /// When a column has no texts, or the disk refuses.
    pub fn add(&self, block: &str, columns: &[&str], rows: &[RecordBatch]) -> Result<u64> {
        let place = self
            .workplace(block)
            .ok_or_else(|| Error::damaged(&self.shared.dir, format!("{block} cannot be a directory")))?;
        remove(&place);
        let there = |column: &&&str| rows.iter().all(|rows| rows.column_by_name(column).is_some());
        let columns = columns.iter().filter(there).map(|column| (*column).to_owned()).collect();
        let mut builder = Builder::create(&place, block, columns, Layout::default())?;
        rows.iter().try_for_each(|rows| builder.add(rows))?;
        let manifest = builder.finish()?;
        self.adopt(&place, &manifest)?;
        Ok(manifest.bytes())
    }

    /// Takes in a whole index from the place where it was built.
    pub(crate) fn adopt(&self, built: &Path, manifest: &Manifest) -> Result<()> {
        let block = &manifest.block;
        let place = place_of(&self.shared.dir, block)
            .ok_or_else(|| Error::damaged(built, "its block's name cannot be a directory's"))?;
        remove(&place);
        std::fs::rename(built, &place).map_err(Error::io("rename the directory", built))?;
        self.state().indexed.insert(block.clone(), manifest.bytes());
        Ok(())
    }

    /// Removes the index of a block, if it has one. Queries that are using it go on using it.
    pub(crate) fn remove(&self, block: &str) {
        let mut state = self.state();
        state.open.remove(block);
        state.turn += 1;
        let turn = state.turn;
        if state.indexed.remove(block).is_none() {
            return;
        }
        let Some(place) = place_of(&self.shared.dir, block) else { return };
        // Another index may come to its place at once, and nobody should wait for its files to go.
        let gone = place.with_file_name(format!("{turn}-{}{UNFINISHED}", std::process::id()));
        let renamed = std::fs::rename(&place, &gone);
        drop(state);
        remove(if renamed.is_ok() { &gone } else { &place });
    }

    /// The index of a block, opened if it is not open yet; `None` when there is none.
    fn get(&self, block: &str) -> Result<Option<Arc<BlockIndex>>> {
        {
            let mut state = self.state();
            if !state.indexed.contains_key(block) {
                return Ok(None);
            }
            state.turn += 1;
            let turn = state.turn;
            if let Some(open) = state.open.get_mut(block) {
                open.last_turn = turn;
                return Ok(Some(Arc::clone(&open.index)));
            }
        }
        // Others go on meanwhile. Two may open one index at once, and one of them wins.
        let Some(place) = place_of(&self.shared.dir, block) else { return Ok(None) };
        let index = Arc::new(BlockIndex::open(&place, block)?);
        let mut state = self.state();
        if state.open.len() >= OPEN_MAX {
            let oldest =
                state.open.iter().min_by_key(|(_, open)| open.last_turn).map(|(block, _)| block.clone());
            oldest.and_then(|block| state.open.remove(&block));
        }
        let last_turn = state.turn;
        state.open.insert(block.to_owned(), Open { index: Arc::clone(&index), last_turn });
        Ok(Some(index))
    }

    fn look_up(&self, block: &str, wanted: &Wanted) -> Result<Option<RowSet>> {
        match self.get(block)? {
            Some(index) => index.candidates(wanted),
            None => Ok(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TextIndex for SearchIndex {
    /// Reads files; not for threads that must not wait. An index that turns out damaged is removed.
    fn candidates(&self, path: &str, wanted: &Wanted) -> Option<RowSet> {
        // The library is not ours: if it stumbles over an index, that index is no good, and the query none the worse.
        let found = catch_unwind(AssertUnwindSafe(|| self.look_up(path, wanted)));
        match found {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                // It may have been removed just now.
                if self.state().indexed.contains_key(path) {
                    tracing::warn!(
                        block = path,
                        error = error.chain(),
                        "removed an index that cannot be read"
                    );
                    self.remove(path);
                }
                None
            }
            Err(_) => {
                tracing::error!(block = path, "removed an index over which the look-up panicked");
                self.remove(path);
                None
            }
        }
    }
}

/// The directory of a block's index: `<table>/<the file's name without its end>`.
fn place_of(dir: &Path, block: &str) -> Option<PathBuf> {
    let (table, rest) = block.split_once('/')?;
    let name = rest.rsplit('/').next()?.strip_suffix(".parquet")?;
    let is_plain = |sign: u8| sign.is_ascii_alphanumeric() || sign == b'-' || sign == b'_';
    let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain);
    (Table::from_name(table).is_some() && is_name).then(|| dir.join(table).join(name))
}

fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let entry = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|entry| entry.path());
    entries.map(entry).collect::<Result<_, _>>().map_err(Error::io("list", dir))
}

/// Removes a directory, or whatever is in its place. What stays is tried again at the next start.
pub(crate) fn remove(place: &Path) {
    let removed = std::fs::remove_dir_all(place);
    match removed {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %place.display(), %error, "could not remove an index");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocks_index_has_the_name_of_its_file() {
        let dir = Path::new("index");
        let block = "logs/tenant=a/date=2026-05-04/00000000000000000042-c1-0123.parquet";
        assert_eq!(place_of(dir, block), Some(dir.join("logs/00000000000000000042-c1-0123")));
        let long = format!("logs/{}.parquet", "x".repeat(300));
        for foreign in ["logs/x.csv", "logs/.parquet", "logs/..parquet", "nothing/x.parquet", "logs", &long] {
            assert_eq!(place_of(dir, foreign), None, "{foreign}");
        }
    }
}
