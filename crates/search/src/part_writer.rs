//! Writes one part of an index: some neighbouring rows, a few of them a document.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, StringArray};
use tantivy::directory::MmapDirectory;
use tantivy::index::IndexBuilder;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{Document, SingleSegmentIndexWriter};

use crate::manifest::Part;
use crate::tokenizer::{self, Words};
use crate::{Error, Result};

/// A part is closed when the words in memory take about this much.
pub(crate) const PART_MEMORY_BYTES: usize = 48 << 20;

/// Neighbouring rows that are one document. A word is then written once for all of them: neighbours share many
/// words, and that is what an index costs. A query looks at so many rows for each place that has a word.
pub(crate) const GROUP_ROWS: u32 = 16;

/// A part that is being written.
pub(crate) struct PartWriter {
    dir: PathBuf,
    fields: Vec<Field>,
    writer: SingleSegmentIndexWriter<Group>,
    /// Counts documents, for the tokenizer.
    turn: Arc<AtomicU64>,
    /// The rows of a document that is not full yet.
    pieces: Vec<Piece>,
    rows: u32,
}

/// The words of these columns: which rows have them, and nothing else about them.
pub(crate) fn schema(columns: &[String]) -> (Schema, Vec<Field>) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(tokenizer::NAME)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let options = TextOptions::default().set_indexing_options(indexing);
    let mut schema = Schema::builder();
    let fields = columns.iter().map(|column| schema.add_text_field(column, options.clone())).collect();
    (schema.build(), fields)
}

impl PartWriter {
    /// Begins a part in `dir`, which is made.
    pub(crate) fn create(dir: PathBuf, columns: &[String]) -> Result<Self> {
        std::fs::create_dir(&dir).map_err(Error::io("create the directory", &dir))?;
        let (schema, fields) = schema(columns);
        let tokenizers = TokenizerManager::new();
        let turn = Arc::new(AtomicU64::new(0));
        tokenizers.register(tokenizer::NAME, TextAnalyzer::from(Words::new(Arc::clone(&turn))));
        let directory =
            MmapDirectory::open(&dir).map_err(|error| Error::index("create", &dir)(error.into()))?;
        let writer = IndexBuilder::new()
            .schema(schema)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory, PART_MEMORY_BYTES)
            .map_err(Error::index("create", &dir))?;
        Ok(Self { dir, fields, writer, turn, pieces: Vec::new(), rows: 0 })
    }

    /// Adds rows: one array for each column.
    pub(crate) fn add(&mut self, texts: &[StringArray]) -> Result<()> {
        let columns: Arc<[_]> = self.fields.iter().copied().zip(texts.iter().cloned()).collect();
        let rows = texts.first().map_or(0, Array::len);
        let mut at = 0;
        while at < rows {
            let room = (GROUP_ROWS - self.rows % GROUP_ROWS) as usize;
            let end = rows.min(at + room);
            self.pieces.push(Piece { columns: Arc::clone(&columns), rows: at..end });
            self.rows += u32::try_from(end - at).expect("no more than the rows of a document");
            at = end;
            if self.rows.is_multiple_of(GROUP_ROWS) {
                self.write_group()?;
            }
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        self.turn.fetch_add(1, Ordering::Relaxed);
        let group = Group { pieces: std::mem::take(&mut self.pieces) };
        self.writer.add_document(group).map_err(Error::index("write", &self.dir))
    }

    /// What it takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.writer.mem_usage()
    }

    /// Writes the part out.
    pub(crate) fn finish(mut self) -> Result<Part> {
        if !self.pieces.is_empty() {
            self.write_group()?;
        }
        self.writer.finalize().map_err(Error::index("write", &self.dir))?;
        Part::of(&self.dir, self.rows)
    }
}

/// The directory of a part.
pub(crate) fn part_dir(index: &Path, number: usize) -> PathBuf {
    index.join(number.to_string())
}

/// Some rows of a batch.
struct Piece {
    columns: Arc<[(Field, StringArray)]>,
    rows: Range<usize>,
}

/// The rows of one document.
struct Group {
    pieces: Vec<Piece>,
}

impl Document for Group {
    type Value<'a> = &'a str;
    type FieldsValuesIter<'a> = Box<dyn Iterator<Item = (Field, &'a str)> + 'a>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        Box::new(self.pieces.iter().flat_map(Piece::texts))
    }
}

impl Piece {
    fn texts(&self) -> impl Iterator<Item = (Field, &str)> {
        self.columns.iter().flat_map(|(field, texts)| {
            let there = self.rows.clone().filter(|row| texts.is_valid(*row));
            there.map(|row| (*field, texts.value(row)))
        })
    }
}
