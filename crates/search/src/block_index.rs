//! One block's index, open: which rows have a word.

use std::path::{Path, PathBuf};

use hindsight_model::{RowSet, Wanted};
use tantivy::directory::MmapDirectory;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, SegmentReader};

use crate::manifest::Manifest;
use crate::part_writer::part_dir;
use crate::rows::{intersection, union};
use crate::tokenizer;
use crate::{Error, Result};

/// One part of this many rows at most is worth picking: with more, picking costs more than it saves.
const PICKED_ONE_IN: u32 = 10;
/// Lists are only read when they have at most one document in this many: two such words may still narrow well.
const READ_ONE_IN: u32 = 2;
/// Words that a beginning may stand for; one that stands for more is not looked up.
const PREFIX_WORDS_MAX: usize = 4096;

/// An index whose files were checked.
#[derive(Debug)]
pub(crate) struct BlockIndex {
    dir: PathBuf,
    manifest: Manifest,
    parts: Vec<OpenPart>,
}

struct OpenPart {
    /// Documents of the index before this part's.
    first_group: u32,
    reader: SegmentReader,
}

impl std::fmt::Debug for OpenPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenPart").field("first_group", &self.first_group).finish_non_exhaustive()
    }
}

/// A word or its beginning.
#[derive(Clone, Copy)]
enum Term<'a> {
    Word(&'a str),
    Prefix(&'a str),
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
        let mut first_group = 0;
        let mut parts = Vec::new();
        for (number, part) in manifest.parts.iter().enumerate() {
            let groups = part.rows.div_ceil(manifest.group_rows);
            let reader = open_part(&part_dir(dir, number), groups)?;
            parts.push(OpenPart { first_group, reader });
            first_group += groups;
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
        Ok(self.groups(wanted)?.map(|groups| self.rows_in(&groups)))
    }

    /// The rows of these documents.
    fn rows_in(&self, groups: &[u32]) -> Vec<u32> {
        let group_rows = self.manifest.group_rows;
        let (mut rows, mut rest, mut first_row) = (Vec::new(), groups, 0);
        for (open, part) in self.parts.iter().zip(&self.manifest.parts) {
            let end = open.first_group + part.rows.div_ceil(group_rows);
            let (here, after) = rest.split_at(rest.partition_point(|group| *group < end));
            for group in here {
                let start = (group - open.first_group) * group_rows;
                rows.extend(first_row + start..first_row + part.rows.min(start + group_rows));
            }
            rest = after;
            first_row += part.rows;
        }
        rows
    }

    /// The documents with a row that may be wanted, `None` for all of them.
    fn groups(&self, wanted: &Wanted) -> Result<Option<Vec<u32>>> {
        match wanted {
            Wanted::Everything => Ok(None),
            Wanted::Word { column, word } => {
                let mut kept = String::new();
                tokenizer::put(&mut kept, word);
                self.groups_of(column, Term::Word(&kept))
            }
            Wanted::Prefix { column, start } => {
                let mut kept = String::new();
                tokenizer::put(&mut kept, start);
                // Of a longer beginning the index knows the words' own beginning, which is all it has of them.
                let term = if kept.len() < start.len() { Term::Word(&kept) } else { Term::Prefix(&kept) };
                self.groups_of(column, term)
            }
            Wanted::All(parts) => self.groups_of_all(parts),
            Wanted::Any(parts) => {
                let lists = parts.iter().map(|part| self.groups(part)).collect::<Result<Option<Vec<_>>>>()?;
                Ok(lists.map(union))
            }
        }
    }

    fn groups_of_all(&self, parts: &[Wanted]) -> Result<Option<Vec<u32>>> {
        let mut found: Option<Vec<u32>> = None;
        for part in parts {
            if found.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            found = match (found, self.groups(part)?) {
                (Some(some), Some(others)) => Some(intersection(&some, &others)),
                (some, others) => some.or(others),
            };
        }
        Ok(found)
    }

    fn groups_of(&self, column: &str, term: Term<'_>) -> Result<Option<Vec<u32>>> {
        if !self.manifest.columns.iter().any(|indexed| indexed == column) {
            return Ok(None);
        }
        let lists_max = u64::from(self.manifest.rows / self.manifest.group_rows / READ_ONE_IN);
        let (mut found, mut parts) = (0, Vec::new());
        for part in &self.parts {
            let lists = part.lists(column, term).map_err(Error::index("read", &self.dir))?;
            let Some(lists) = lists else { return Ok(None) };
            found += lists.iter().map(|list| u64::from(list.doc_freq)).sum::<u64>();
            if found > lists_max {
                return Ok(None);
            }
            parts.push(lists);
        }
        let mut groups = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
        for (part, lists) in self.parts.iter().zip(parts) {
            part.read(column, &lists, &mut groups).map_err(Error::index("read", &self.dir))?;
        }
        if matches!(term, Term::Prefix(_)) {
            groups.sort_unstable();
            groups.dedup();
        }
        Ok(Some(groups))
    }
}

impl OpenPart {
    /// Where the rows of the words are; `None` for too many words.
    fn lists(&self, column: &str, term: Term<'_>) -> tantivy::Result<Option<Vec<TermInfo>>> {
        let words = self.reader.inverted_index(self.reader.schema().get_field(column)?)?;
        let start = match term {
            Term::Word(word) => return Ok(Some(words.terms().get(word)?.into_iter().collect())),
            Term::Prefix(start) => start,
        };
        let mut lists = Vec::new();
        let mut terms = words.terms().range().ge(start).into_stream()?;
        while let Some((word, list)) = terms.next() {
            if !word.starts_with(start.as_bytes()) {
                break;
            }
            if lists.len() == PREFIX_WORDS_MAX {
                return Ok(None);
            }
            lists.push(list.clone());
        }
        Ok(Some(lists))
    }

    fn read(&self, column: &str, lists: &[TermInfo], groups: &mut Vec<u32>) -> tantivy::Result<()> {
        let words = self.reader.inverted_index(self.reader.schema().get_field(column)?)?;
        for list in lists {
            let mut list = words.read_block_postings_from_terminfo(list, IndexRecordOption::Basic)?;
            while !list.docs().is_empty() {
                groups.extend(list.docs().iter().map(|group| self.first_group + group));
                list.advance();
            }
        }
        Ok(())
    }
}

fn open_part(dir: &Path, groups: u32) -> Result<SegmentReader> {
    let failed = Error::index("open", dir);
    let open = || {
        let index = Index::open(MmapDirectory::open(dir)?)?;
        let segments = index.searchable_segments()?;
        segments.iter().map(SegmentReader::open).collect::<tantivy::Result<Vec<_>>>()
    };
    let mut readers = open().map_err(failed)?;
    match (readers.pop(), readers.is_empty()) {
        (Some(reader), true) if reader.max_doc() == groups => Ok(reader),
        _ => Err(Error::damaged(dir, "it does not have the part's rows")),
    }
}
