//! One input of a merge: its columns are read one by one, each as far as the merge has come, so that no row is ever in
//! memory as a whole.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use hindsight_model::{Cell, Table};
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::held::{column_bytes, page_bytes};
use super::uniform::uniform_value;
use crate::block_writer::file_schema;
use crate::{BlockFile, Error, Result};

/// Rows that a column is read by.
const READ_ROWS: usize = 2 * 1024;
/// Pages' headers are read through a buffer of this size.
const HEADER_BYTES: usize = 256;

/// A sorted file, read column by column.
pub(super) struct Input {
    table: Table,
    path: Path,
    file: BlockReader,
    metadata: ArrowReaderMetadata,
    pub(super) rows: u64,
    /// In the order of [`file_schema`].
    columns: Vec<Column>,
}

/// What is known of a column without reading it, and how far it was read.
enum Column {
    /// Every row has this value; a list is empty then.
    Uniform(Cell),
    /// At this place among the file's columns.
    Read { place: usize, reading: RefCell<Option<Reading>> },
}

/// A column being read.
struct Reading {
    reader: ParquetRecordBatchReader,
    /// Rows read and not taken yet.
    left: Option<ArrayRef>,
}

/// The next rows of a column.
pub(super) enum Taken<'a> {
    /// All have this value.
    Uniform(&'a Cell),
    /// Arrays of the column's type, or of dictionaries of it.
    Arrays(Vec<ArrayRef>),
}

impl Input {
    pub(super) fn open(block: &BlockFile, file: File) -> Result<Self> {
        let parquet = |source| Error::Parquet { table: block.table, source: Box::new(source) };
        let file = BlockReader::of(file).map_err(parquet)?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(parquet)?;
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(block.rows) {
            return Err(foreign(block, format!("it has {rows} rows where the log says {}", block.rows)));
        }
        let columns = columns_of(block, &metadata)?;
        let keyed = with_dictionaries(&metadata);
        let options = ArrowReaderOptions::new().with_schema(keyed);
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(parquet)?;
        Ok(Self { table: block.table, path: block.path.clone(), file, metadata, rows: block.rows, columns })
    }

    /// The next `rows` rows of the column at `index` of [`file_schema`].
    pub(super) fn take(&self, index: usize, rows: usize) -> Result<Taken<'_>> {
        let (place, reading) = match &self.columns[index] {
            Column::Uniform(cell) => return Ok(Taken::Uniform(cell)),
            Column::Read { place, reading } => (*place, reading),
        };
        let mut reading = reading.borrow_mut();
        let reading = match &mut *reading {
            Some(reading) => reading,
            unopened => {
                let reader = open_column(self.table, &self.file, &self.metadata, &[place])?;
                unopened.insert(Reading { reader, left: None })
            }
        };
        let mut arrays = Vec::new();
        let mut missing = rows;
        while missing > 0 {
            let array = match reading.left.take() {
                Some(array) => array,
                None => match reading.reader.next() {
                    Some(batch) => ArrayRef::clone(batch.map_err(Error::arrow(self.table))?.column(0)),
                    None => return Err(unlike(self.table, &self.path, "a column has too few rows")),
                },
            };
            let taken = missing.min(array.len());
            if taken < array.len() {
                reading.left = Some(array.slice(taken, array.len() - taken));
            }
            arrays.push(array.slice(0, taken));
            missing -= taken;
        }
        Ok(Taken::Arrays(arrays))
    }

    /// The columns at `indexes` alone, by their own reader, flat.
    pub(super) fn keys(&self, names: &[&str]) -> Result<Keys> {
        let schema = self.metadata.schema();
        let missing = |_| unlike(self.table, &self.path, "a column of the sort key is missing");
        let places = names.iter().map(|name| schema.index_of(name).map_err(missing));
        let places = places.collect::<Result<Vec<_>>>()?;
        let metadata = Arc::clone(self.metadata.metadata());
        let flat = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new());
        let flat = flat.map_err(|source| Error::Parquet { table: self.table, source: Box::new(source) })?;
        Ok(Keys {
            table: self.table,
            path: self.path.clone(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            reader: open_column(self.table, &self.file, &flat, &places)?,
        })
    }

    /// Bytes that reading all columns at once holds, about: a page of each.
    pub(super) fn held_bytes(&self) -> u64 {
        let read = self.columns.iter().filter_map(|column| match column {
            Column::Read { place, .. } => Some(*place),
            Column::Uniform(_) => None,
        });
        read.map(|place| page_bytes(self.metadata.metadata(), place)).sum()
    }

    /// Bytes of the column at `index` of [`file_schema`], unpacked.
    pub(super) fn column_bytes(&self, index: usize) -> u64 {
        match &self.columns[index] {
            Column::Uniform(_) => 0,
            Column::Read { place, .. } => column_bytes(self.metadata.metadata(), *place),
        }
    }
}

/// The key columns of an input, batch by batch.
pub(super) struct Keys {
    table: Table,
    path: Path,
    names: Vec<String>,
    reader: ParquetRecordBatchReader,
}

impl Keys {
    /// The next columns in the order of the key; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<ArrayRef>>> {
        loop {
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch: RecordBatch = batch.map_err(Error::arrow(self.table))?;
            if batch.num_rows() > 0 {
                let columns = self.names.iter().filter_map(|name| batch.column_by_name(name).cloned());
                return Ok(Some(columns.collect()));
            }
        }
    }

    pub(super) fn unsorted(&self) -> Error {
        unlike(self.table, &self.path, "it is not sorted by the table's key")
    }
}

fn open_column(
    table: Table,
    file: &BlockReader,
    metadata: &ArrowReaderMetadata,
    places: &[usize],
) -> Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
    let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(READ_ROWS).build();
    reader.map_err(|source| Error::Parquet { table, source: Box::new(source) })
}

/// The table's columns as this file has them: those that an older file lacks are null, and none is dropped.
fn columns_of(block: &BlockFile, metadata: &ArrowReaderMetadata) -> Result<Vec<Column>> {
    let (wanted, have) = (file_schema(block.table), metadata.schema());
    if let Some(extra) = have.fields().iter().find(|field| wanted.index_of(field.name()).is_err()) {
        return Err(foreign(
            block,
            format!(
                "it has a column `{}` of its own; if another node promotes more attributes, give this one the same `[promote]` and start it again",
                extra.name()
            ),
        ));
    }
    let column = |field: &Arc<Field>| match have.index_of(field.name()) {
        Ok(place) if have.field(place).data_type() != field.data_type() => {
            let found = have.field(place).data_type();
            Err(foreign(block, format!("its column `{}` has the type {found}", field.name())))
        }
        Ok(place) => Ok(match uniform_value(metadata.metadata(), place, field) {
            Some(value) => Column::Uniform(value),
            None => Column::Read { place, reading: RefCell::default() },
        }),
        Err(_) if field.is_nullable() => Ok(Column::Uniform(Cell::Null)),
        Err(_) => Err(foreign(block, format!("it lacks the column `{}`", field.name()))),
    };
    wanted.fields().iter().map(column).collect()
}

/// The file's schema, where texts whose every page has keys into a dictionary are read as such.
fn with_dictionaries(metadata: &ArrowReaderMetadata) -> SchemaRef {
    let groups = metadata.metadata().row_groups();
    let leaves = metadata.parquet_schema();
    let field = |(place, field): (usize, &Arc<Field>)| {
        let mut own = (0..leaves.num_columns()).filter(|leaf| leaves.get_column_root_idx(*leaf) == place);
        let has_keys = own.next().is_some_and(|leaf| {
            groups.iter().all(|group| {
                let chunk = group.column(leaf);
                let keys_only = |mask: &parquet::basic::EncodingMask| {
                    mask.is_only(parquet::basic::Encoding::RLE_DICTIONARY)
                };
                chunk.dictionary_page_offset().is_some()
                    && chunk.page_encoding_stats_mask().is_some_and(keys_only)
            })
        });
        if !has_keys || field.data_type() != &DataType::Utf8 {
            return Arc::clone(field);
        }
        let keyed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(Field::clone(field).with_data_type(keyed))
    };
    let schema = metadata.schema();
    let fields: Vec<_> = schema.fields().iter().enumerate().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Arrays of one type as one.
pub(super) fn joined(arrays: &[ArrayRef]) -> Result<ArrayRef, arrow::error::ArrowError> {
    if let [only] = arrays {
        return Ok(Arc::clone(only));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    concat(&arrays)
}

fn foreign(block: &BlockFile, reason: String) -> Error {
    Error::Foreign { table: block.table, path: block.path_in_table().to_owned(), reason }
}

fn unlike(table: Table, path: &Path, reason: &str) -> Error {
    Error::Foreign { table, path: path.to_string(), reason: reason.to_owned() }
}

/// A file that many readers share, each at its own place.
#[derive(Clone)]
struct BlockReader {
    file: Arc<File>,
    len: u64,
}

impl BlockReader {
    fn of(file: File) -> Result<Self, ParquetError> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), len })
    }
}

impl Length for BlockReader {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for BlockReader {
    type T = BufReader<FileAt>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(HEADER_BYTES, FileAt { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let fits = start.checked_add(length as u64).is_some_and(|end| end <= self.len);
        if !fits {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.len)));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A place in a file; reading moves only this place.
struct FileAt {
    file: Arc<File>,
    at: u64,
}

impl Read for FileAt {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(out, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
