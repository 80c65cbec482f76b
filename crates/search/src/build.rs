//! Builds the index of one block: its texts, read a batch at a time, into parts of bounded memory.

use std::path::Path;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::manifest::{FORMAT, Manifest};
use crate::part_writer::{Layout, PartWriter, part_dir};
use crate::{Error, Result};

/// An index that is being built in a directory of its own.
pub(crate) struct Builder<'a> {
    dir: &'a Path,
    manifest: Manifest,
    part: Option<PartWriter>,
    layout: Layout,
}

impl<'a> Builder<'a> {
    /// Begins the index of `block` over these columns in `dir`, which is made.
    pub(crate) fn create(dir: &'a Path, block: &str, columns: Vec<String>, layout: Layout) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(Error::io("create the directory", dir))?;
        let block = block.to_owned();
        let group_rows = layout.group_rows;
        let manifest = Manifest { format: FORMAT, block, rows: 0, group_rows, columns, parts: Vec::new() };
        Ok(Self { dir, manifest, part: None, layout })
    }

    /// Adds the rows that follow, of which `batch` has the indexed columns by name.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let texts = self.manifest.columns.iter().map(|column| text(batch, column));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let rows = u32::try_from(batch.num_rows()).ok().and_then(|rows| self.manifest.rows.checked_add(rows));
        self.manifest.rows =
            rows.ok_or_else(|| Error::damaged(self.dir, "the block has 2^32 rows or more"))?;
        let mut part = match self.part.take() {
            Some(part) => part,
            None => {
                let dir = part_dir(self.dir, self.manifest.parts.len());
                PartWriter::create(dir, self.manifest.columns.len(), self.layout)?
            }
        };
        part.add(&texts);
        if part.is_full() {
            self.manifest.parts.push(part.finish()?);
        } else {
            self.part = Some(part);
        }
        Ok(())
    }

    /// Writes out what is left; on return the directory holds a whole index.
    pub(crate) fn finish(mut self) -> Result<Manifest> {
        if let Some(part) = self.part.take() {
            self.manifest.parts.push(part.finish()?);
        }
        self.manifest.write(self.dir)?;
        Ok(self.manifest)
    }
}

fn text(batch: &RecordBatch, column: &str) -> Result<StringArray> {
    let refused =
        |source: Box<dyn std::error::Error + Send + Sync>| Error::Block { path: column.to_owned(), source };
    let array = batch.column_by_name(column).ok_or_else(|| refused("the column is not there".into()))?;
    let array: ArrayRef = cast(array, &DataType::Utf8).map_err(|error| refused(Box::new(error)))?;
    Ok(array.as_string::<i32>().clone())
}
