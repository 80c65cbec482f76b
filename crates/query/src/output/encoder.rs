//! Answers as bytes, a piece at a time: a beginning, the rows, an end.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use hindsight_model::{SqlAnswer, SqlError};
use serde_json::{Map, Value, json};

use super::json::{cells, columns, stats};
use super::lines;
use crate::engine::{Ended, Shape};
use crate::error::{Error, Result};

/// Bytes of rows that are made into text at once: little enough for a reader to take in a moment, enough to be worth
/// the hand-over.
const PIECE_BYTES: usize = 64 * 1024;

/// The forms in which an answer can be handed on as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One document, as [`super::to_json`] has it.
    Json,
    /// As [`super::to_csv`] has it.
    Csv,
    /// As [`super::to_ndjson`] has it.
    NdJson,
    /// As [`super::to_arrow_stream`] has it.
    Arrow,
}

impl Format {
    /// What comes before the rows.
    ///
    /// # Errors
    /// When Arrow cannot write a column of this type.
    pub fn begin(self, schema: &SchemaRef) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Json => format!(r#"{{"columns":{},"rows":["#, Value::from(columns(schema))).into_bytes(),
            Self::Csv => lines::csv_head(schema),
            Self::NdJson => Vec::new(),
            Self::Arrow => arrow_writer(schema).map_err(|source| self.fault(source))?.get_ref().clone(),
        })
    }

    /// What comes after the last row.
    ///
    /// # Errors
    /// Never in practice; the Arrow writer may say so.
    pub fn end(self, ended: &Ended) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Json => format!(r#"],"stats":{}}}"#, stats_of(ended)).into_bytes(),
            Self::Csv | Self::NdJson => Vec::new(),
            Self::Arrow => arrow_end().map_err(|source| self.fault(source))?,
        })
    }

    /// What comes instead, so that nobody takes the rows for all of them; `None` where the form has no place for it,
    /// and the stream must be broken off.
    pub fn broken(self, error: &Value) -> Option<Vec<u8>> {
        match self {
            Self::Json => Some(format!(r#"],"error":{error}}}"#).into_bytes()),
            Self::NdJson => Some(format!("{}\n", json!({"error": error})).into_bytes()),
            Self::Csv | Self::Arrow => None,
        }
    }

    fn fault(self, source: ArrowError) -> Error {
        let format = match self {
            Self::Json | Self::Csv | Self::NdJson => "JSON",
            Self::Arrow => "an Arrow stream",
        };
        Error::Output { format, source }
    }
}

/// The statistics of a finished stream, in the words of [`super::to_json`].
fn stats_of(ended: &Ended) -> Value {
    let mut stats = stats(&ended.stats, ended.rows);
    if let Some(limit) = ended.partial {
        stats["partial"] = Value::Bool(true);
        stats["partial_reason"] = Value::from(limit);
    }
    stats
}

/// Makes bytes of rows. One for each answer, since it knows what came before.
pub struct Encoder {
    format: Format,
    rows: u64,
    arrow: Option<StreamWriter<Vec<u8>>>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("format", &self.format)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// One that has written nothing yet, not even the beginning, which is [`Format::begin`]'s.
    pub fn new(format: Format) -> Self {
        Self { format, rows: 0, arrow: None }
    }

    /// The next rows.
    ///
    /// # Errors
    /// When a column is not what its type says.
    pub fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let bytes = match self.format {
            Format::Json => self.arrays(batch),
            Format::Csv => lines::csv_rows(batch),
            Format::NdJson => objects(batch),
            Format::Arrow => self.message(batch),
        };
        self.rows += batch.num_rows() as u64;
        bytes.map_err(|source| self.format.fault(source))
    }

    /// Rows so far.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    fn arrays(&self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let columns = batch.columns().iter().map(|column| cells(column)).collect::<Result<Vec<_>, _>>()?;
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            out.extend_from_slice(if self.rows == 0 && row == 0 { b"[" } else { b",[" });
            for (place, column) in columns.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                push_json(&mut out, &column[row])?;
            }
            out.push(b']');
        }
        Ok(out)
    }

    /// The first also has what the beginning has had.
    fn message(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let writer = match &mut self.arrow {
            Some(writer) => writer,
            None => {
                let mut writer = arrow_writer(&batch.schema())?;
                writer.get_mut().clear();
                self.arrow.insert(writer)
            }
        };
        writer.write(batch)?;
        Ok(std::mem::take(writer.get_mut()))
    }
}

impl Shape for Encoder {
    type Part = Vec<u8>;
    const ROWS_BYTES: usize = PIECE_BYTES;

    fn part(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, SqlError> {
        self.rows(rows).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            SqlError::Failed { message: format!("{error}: {cause}") }
        })
    }

    fn bytes(part: &Vec<u8>) -> usize {
        part.len()
    }
}

/// A whole answer that lies ready: beginning and rows, without the end.
pub(super) fn encoded(answer: &SqlAnswer, format: Format) -> Result<Vec<u8>> {
    let mut out = format.begin(&answer.schema)?;
    let mut encoder = Encoder::new(format);
    for batch in &answer.batches {
        out.append(&mut encoder.rows(batch)?);
    }
    Ok(out)
}

/// The names in the order in which an object has them, each with its column; of two of one name the last.
fn objects(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let columns = batch.columns().iter().map(|column| cells(column)).collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let places: Map<String, Value> = names.zip((0..columns.len()).map(Value::from)).collect();
    let place = |value: &Value| value.as_u64().and_then(|place| usize::try_from(place).ok());
    let places = places.iter().filter_map(|(name, value)| {
        Some((format!("{}:", Value::from(name.as_str())), columns.get(place(value)?)?))
    });
    let places: Vec<(String, &Vec<Value>)> = places.collect();
    let mut out = Vec::new();
    for row in 0..batch.num_rows() {
        out.push(b'{');
        for (number, (name, column)) in places.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            push_json(&mut out, &column[row])?;
        }
        out.extend_from_slice(b"}\n");
    }
    Ok(out)
}

fn push_json(out: &mut Vec<u8>, value: &Value) -> Result<(), ArrowError> {
    serde_json::to_writer(out, value).map_err(|error| ArrowError::JsonError(error.to_string()))
}

fn arrow_writer(schema: &Schema) -> Result<StreamWriter<Vec<u8>>, ArrowError> {
    StreamWriter::try_new(Vec::new(), schema)
}

/// The mark at which readers know that nothing is missing.
pub(super) fn arrow_end() -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow_writer(&Schema::empty())?;
    writer.get_mut().clear();
    writer.into_inner()
}
