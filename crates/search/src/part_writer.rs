//! Writes one part of an index: some neighbouring rows, a few of them a document.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{Array, StringArray};
use tantivy::postings::TermInfo;
use tantivy::termdict::TermDictionaryBuilder;

use crate::buckets::{self, Buckets};
use crate::column_words::{ColumnWords, Finished, WORDS_MAX};
use crate::cut::Cutter;
use crate::gaps;
use crate::manifest::{Part, PartColumn, PartFile};
use crate::term::{bucket_key, word_key};
use crate::{Error, Result};

/// A part is closed when the words in memory take about this much.
pub(crate) const PART_MEMORY_BYTES: usize = 48 << 20;
/// A part has no more rows, so that a document's place in it has few bits.
const PART_ROWS_MAX: u32 = 1 << 22;

/// The dictionary of a part and the lists that it says the places of.
pub(crate) const DICTIONARY: &str = "words";
pub(crate) const LISTS: &str = "lists";

/// A word in more than one document of so many has no list: to read it would spare too little.
pub(crate) const LISTED_ONE_IN: u32 = 4;
/// How an index is laid out, and how much of it is held in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Neighbouring rows that are one document. A word is then noted once for all of them: neighbours share many
    /// words, and that is what an index costs. A query looks at so many rows for each place that has a word.
    pub(crate) group_rows: u32,
    /// Memory at which a part is closed.
    pub(crate) part_bytes: usize,
    /// Different words of a column in a part that are kept as they are.
    pub(crate) words_max: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { group_rows: 32, part_bytes: PART_MEMORY_BYTES, words_max: WORDS_MAX }
    }
}

/// A part that is being written.
pub(crate) struct PartWriter {
    dir: PathBuf,
    layout: Layout,
    cutter: Cutter,
    columns: Vec<ColumnWords>,
    rows: u32,
}

impl PartWriter {
    /// Begins a part in `dir`, which is made.
    pub(crate) fn create(dir: PathBuf, columns: usize, layout: Layout) -> Result<Self> {
        std::fs::create_dir(&dir).map_err(Error::io("create the directory", &dir))?;
        let columns = (0..columns).map(|_| ColumnWords::new(layout.words_max)).collect();
        Ok(Self { dir, layout, cutter: Cutter::default(), columns, rows: 0 })
    }

    /// Adds rows: one array for each column, all of one length.
    pub(crate) fn add(&mut self, texts: &[StringArray]) {
        for (column, texts) in self.columns.iter_mut().zip(texts) {
            for (row, text) in (self.rows..).zip(texts) {
                let document = row / self.layout.group_rows;
                if let Some(text) = text {
                    self.cutter.each(text, |word| column.add(document, word));
                }
            }
        }
        let rows = texts.first().map_or(0, Array::len);
        self.rows += u32::try_from(rows).expect("a batch of rows is small");
    }

    /// Whether it should be closed before further rows come.
    pub(crate) fn is_full(&self) -> bool {
        let bytes: usize = self.columns.iter().map(ColumnWords::memory_bytes).sum();
        bytes >= self.layout.part_bytes || self.rows >= PART_ROWS_MAX
    }

    /// Writes the part out, durably.
    pub(crate) fn finish(self) -> Result<Part> {
        let documents = self.rows.div_ceil(self.layout.group_rows);
        let failed = |error| Error::io("write the words to", &self.dir)(error);
        let mut lists = Lists::create(documents).map_err(failed)?;
        let mut columns = Vec::new();
        for (number, column) in self.columns.into_iter().enumerate() {
            columns.push(lists.write(number, &column.finish()).map_err(failed)?);
        }
        let dictionary = lists.dictionary.finish().map_err(failed)?;
        let files = vec![write(&self.dir, DICTIONARY, &dictionary)?, write(&self.dir, LISTS, &lists.bytes)?];
        Ok(Part { rows: self.rows, columns, files })
    }
}

/// The directory of a part.
pub(crate) fn part_dir(index: &Path, number: usize) -> PathBuf {
    index.join(number.to_string())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<PartFile> {
    let path = dir.join(name);
    let mut file = File::create(&path).map_err(Error::io("create", &path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &path))?;
    Ok(PartFile { name: name.to_owned(), bytes: bytes.len() as u64, crc32c: crc32c::crc32c(bytes) })
}

/// What a part's files will have.
struct Lists {
    documents: u32,
    dictionary: TermDictionaryBuilder<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Lists {
    fn create(documents: u32) -> std::io::Result<Self> {
        Ok(Self { documents, dictionary: TermDictionaryBuilder::create(Vec::new())?, bytes: Vec::new() })
    }

    /// Writes the words and identifiers of one column, which come in this order in the dictionary.
    fn write(&mut self, column: usize, noted: &Finished) -> std::io::Result<PartColumn> {
        let mut documents = Vec::new();
        for (word, range) in &noted.words {
            let count = u32::try_from(range.len()).map_err(std::io::Error::other)?;
            documents.clear();
            if count <= self.documents / LISTED_ONE_IN {
                documents.extend(noted.documents[range.clone()].iter().map(|document| u64::from(*document)));
            }
            self.list(&word_key(column, word), count, &documents, u64::from(self.documents))?;
        }
        let bits = buckets::bits(noted.identifiers.len());
        let shape =
            Buckets::new(bits, self.documents).ok_or_else(|| std::io::Error::other("too many bits"))?;
        let mut entries = Vec::new();
        for pairs in noted.identifiers.chunk_by(|a, b| shape.bucket(number(*a)) == shape.bucket(number(*b))) {
            entries.clear();
            entries.extend(pairs.iter().map(|pair| shape.entry(number(*pair), *pair as u32)));
            // Words that the kept bits do not tell apart lie side by side, each with documents in their order.
            entries.sort_unstable();
            entries.dedup();
            let count = u32::try_from(entries.len()).map_err(std::io::Error::other)?;
            self.list(&bucket_key(column, shape.bucket(number(pairs[0]))), count, &entries, shape.reach())?;
        }
        Ok(PartColumn { bucket_bits: bits.0, tag_bits: bits.1, is_full: noted.is_full })
    }

    fn list(&mut self, key: &[u8], count: u32, numbers: &[u64], reach: u64) -> std::io::Result<()> {
        let start = self.bytes.len();
        gaps::encode(numbers, reach, &mut self.bytes);
        let postings_range = start..self.bytes.len();
        self.dictionary.insert(key, &TermInfo { doc_freq: count, postings_range, positions_range: 0..0 })
    }
}

/// The word's number of a pair.
fn number(pair: u64) -> u32 {
    (pair >> 32) as u32
}
