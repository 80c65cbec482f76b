//! One block's index, open: which rows have a word.

use std::path::{Path, PathBuf};

use hindsight_model::{RowSet, Wanted};

use crate::cut::kept;
use crate::manifest::Manifest;
use crate::part_reader::{Documents, PartReader, Term};
use crate::part_writer::part_dir;
use crate::rows::{intersection, union};
use crate::term::Word;
use crate::{Error, Result};

/// One part of this many rows at most is worth picking: with more, picking costs more than it saves.
const PICKED_ONE_IN: u32 = 10;
/// Documents are only listed when there are at most one in this many: two such words may still narrow well.
const LISTED_ONE_IN: u32 = 2;

/// An index whose files were checked.
pub(crate) struct BlockIndex {
    dir: PathBuf,
    manifest: Manifest,
    parts: Vec<OpenPart>,
}

struct OpenPart {
    /// Documents of the index before this part's.
    first: u32,
    /// Documents of this part.
    count: u32,
    reader: PartReader,
}

impl std::fmt::Debug for BlockIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockIndex").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl BlockIndex {
    /// Opens the index in `dir` after a look at every byte of it.
    ///
    /// # Errors
    /// When it is not of this block, or not as it was written.
    pub(crate) fn open(dir: &Path, block: &str) -> Result<Self> {
        let manifest = Manifest::read(dir)?;
        if manifest.block != block {
            return Err(Error::damaged(dir, format!("it is of block {}", manifest.block)));
        }
        manifest.check(dir)?;
        let mut first = 0;
        let mut parts = Vec::new();
        for (number, part) in manifest.parts.iter().enumerate() {
            let count = part.rows.div_ceil(manifest.group_rows);
            let reader = PartReader::open(&part_dir(dir, number), part, count)?;
            parts.push(OpenPart { first, count, reader });
            first += count;
        }
        Ok(Self { dir: dir.to_owned(), manifest, parts })
    }

    /// The rows to look at; `None` when those are most of them.
    pub(crate) fn candidates(&self, wanted: &Wanted) -> Result<Option<RowSet>> {
        let total = self.manifest.rows;
        let rows = self.rows(wanted)?;
        let pays = |rows: &Vec<u32>| rows.len() as u64 <= u64::from(total / PICKED_ONE_IN);
        Ok(rows.filter(pays).map(|rows| RowSet { total, rows }))
    }

    /// The rows that may be wanted, `None` for all of them.
    pub(crate) fn rows(&self, wanted: &Wanted) -> Result<Option<Vec<u32>>> {
        Ok(self.documents(wanted)?.map(|documents| self.rows_in(&documents)))
    }

    /// The rows of these documents.
    fn rows_in(&self, documents: &[u32]) -> Vec<u32> {
        let group_rows = self.manifest.group_rows;
        let (mut rows, mut rest, mut first_row) = (Vec::new(), documents, 0);
        for (open, part) in self.parts.iter().zip(&self.manifest.parts) {
            let (here, after) =
                rest.split_at(rest.partition_point(|document| *document < open.first + open.count));
            for document in here {
                let start = (document - open.first) * group_rows;
                rows.extend(first_row + start..first_row + part.rows.min(start.saturating_add(group_rows)));
            }
            rest = after;
            first_row += part.rows;
        }
        rows
    }

    /// The documents with a row that may be wanted, `None` for all of them.
    fn documents(&self, wanted: &Wanted) -> Result<Option<Vec<u32>>> {
        match wanted {
            Wanted::Everything => Ok(None),
            Wanted::Word { column, word } => self.documents_with(column, Term::Word(Word::new(&kept(word)))),
            Wanted::Prefix { column, start } => {
                let kept = kept(start);
                // Of a longer beginning the index knows the words' own beginning, which is all it has of them.
                let is_cut = kept.len() < start.len();
                let kept = Word::new(&kept);
                self.documents_with(column, if is_cut { Term::Word(kept) } else { Term::Prefix(kept) })
            }
            Wanted::All(parts) => self.documents_of_all(parts),
            Wanted::Any(parts) => {
                let lists = parts.iter().map(|part| self.documents(part));
                Ok(lists.collect::<Result<Option<Vec<_>>>>()?.map(union))
            }
        }
    }

    fn documents_of_all(&self, parts: &[Wanted]) -> Result<Option<Vec<u32>>> {
        let mut found: Option<Vec<u32>> = None;
        for part in parts {
            if found.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            found = match (found, self.documents(part)?) {
                (Some(some), Some(others)) => Some(intersection(&some, &others)),
                (some, others) => some.or(others),
            };
        }
        Ok(found)
    }

    fn documents_with(&self, column: &str, term: Term<'_>) -> Result<Option<Vec<u32>>> {
        let Some(column) = self.manifest.columns.iter().position(|indexed| indexed == column) else {
            return Ok(None);
        };
        let all = self.parts.last().map_or(0, |last| last.first + last.count);
        let mut documents = Vec::new();
        for part in &self.parts {
            let found = part.reader.documents(column, term).map_err(Error::io("read", &self.dir))?;
            match found {
                Documents::Most => documents.extend(part.first..part.first + part.count),
                Documents::These(found) => documents.extend(found.iter().map(|found| part.first + found)),
            }
            if documents.len() > (all / LISTED_ONE_IN) as usize {
                return Ok(None);
            }
        }
        Ok(Some(documents))
    }
}
