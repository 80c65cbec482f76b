use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use hindsight_model::SqlAnswer;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::output::encoder::{Format, encoded};
use crate::output::json;

/// One line of column names, then one line a row: RFC 4180, except that lines end in a line feed alone, since readers
/// take either and line tools would keep a carriage return as part of the last field. NULL is an empty field and an
/// empty text is `""`; lists and structs are JSON.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_csv(answer: &SqlAnswer) -> Result<String> {
    encoded(answer, Format::Csv).map(text)
}

/// One JSON object a row, named by column, one row a line.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_ndjson(answer: &SqlAnswer) -> Result<String> {
    encoded(answer, Format::NdJson).map(text)
}

/// One JSON object a row, named by column, in order: what lists and APIs give.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_objects(answer: &SqlAnswer) -> Result<Vec<Value>> {
    let names = || answer.schema.fields().iter().map(|field| field.name().clone());
    let rows = json::to_rows(answer)?.into_iter();
    Ok(rows.map(|row| Value::Object(names().zip(row).collect::<Map<_, _>>())).collect())
}

/// The line of column names.
pub(super) fn csv_head(schema: &Schema) -> Vec<u8> {
    let mut out = String::new();
    let names = schema.fields().iter().map(|field| field.name());
    push_line(&mut out, names, |out, name| push_quoted(out, name));
    out.into_bytes()
}

/// A line for each row.
pub(super) fn csv_rows(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let columns = batch.columns().iter().map(|column| json::cells(column)).collect::<Result<Vec<_>, _>>()?;
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        push_line(&mut out, columns.iter().map(|column| &column[row]), push_cell);
    }
    Ok(out.into_bytes())
}

fn push_line<T>(out: &mut String, cells: impl Iterator<Item = T>, push: impl Fn(&mut String, T)) {
    for (column, cell) in cells.enumerate() {
        if column > 0 {
            out.push(',');
        }
        push(out, cell);
    }
    out.push('\n');
}

fn push_cell(out: &mut String, cell: &Value) {
    match cell {
        Value::Null => {}
        Value::String(text) => push_quoted(out, text),
        other => push_quoted(out, &other.to_string()),
    }
}

fn push_quoted(out: &mut String, text: &str) {
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return out.push_str(text);
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("made of texts alone")
}
