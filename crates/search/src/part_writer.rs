//! Writes one part of an index: some neighbouring rows, a row a document.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// A part that is being written.
pub(crate) struct PartWriter {
    dir: PathBuf,
    fields: Vec<Field>,
    writer: SingleSegmentIndexWriter<Row>,
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
        tokenizers.register(tokenizer::NAME, TextAnalyzer::from(Words::default()));
        let directory =
            MmapDirectory::open(&dir).map_err(|error| Error::index("create", &dir)(error.into()))?;
        let writer = IndexBuilder::new()
            .schema(schema)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory, PART_MEMORY_BYTES)
            .map_err(Error::index("create", &dir))?;
        Ok(Self { dir, fields, writer, rows: 0 })
    }

    /// Adds rows: one array for each column.
    pub(crate) fn add(&mut self, texts: &[StringArray]) -> Result<()> {
        let columns: Arc<[_]> = self.fields.iter().copied().zip(texts.iter().cloned()).collect();
        let rows = texts.first().map_or(0, Array::len);
        for row in 0..rows {
            let row = Row { columns: Arc::clone(&columns), row };
            self.writer.add_document(row).map_err(Error::index("write", &self.dir))?;
        }
        self.rows += u32::try_from(rows).expect("a batch of a Parquet file has fewer rows");
        Ok(())
    }

    /// What it takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.writer.mem_usage()
    }

    /// Writes the part out.
    pub(crate) fn finish(self) -> Result<Part> {
        self.writer.finalize().map_err(Error::index("write", &self.dir))?;
        Part::of(&self.dir, self.rows)
    }
}

/// The directory of a part.
pub(crate) fn part_dir(index: &Path, number: usize) -> PathBuf {
    index.join(number.to_string())
}

/// One row of a batch.
struct Row {
    columns: Arc<[(Field, StringArray)]>,
    row: usize,
}

impl Document for Row {
    type Value<'a> = &'a str;
    type FieldsValuesIter<'a> = Texts<'a>;

    fn iter_fields_and_values(&self) -> Texts<'_> {
        Texts { columns: &self.columns, row: self.row }
    }
}

/// The texts of a row that has them.
struct Texts<'a> {
    columns: &'a [(Field, StringArray)],
    row: usize,
}

impl<'a> Iterator for Texts<'a> {
    type Item = (Field, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(((field, texts), rest)) = self.columns.split_first() {
            self.columns = rest;
            if texts.is_valid(self.row) {
                return Some((*field, texts.value(self.row)));
            }
        }
        None
    }
}
