use hindsight_model::SqlAnswer;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::output::json;

/// One line of column names, then one line a row: RFC 4180, except that lines end in a line feed alone, since readers
/// take either and line tools would keep a carriage return as part of the last field. NULL is an empty field and an
/// empty text is `""`; lists and structs are JSON.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_csv(answer: &SqlAnswer) -> Result<String> {
    let mut out = String::new();
    push_line(&mut out, answer.schema.fields().iter().map(|field| quoted(field.name())));
    for row in json::to_rows(answer)? {
        push_line(&mut out, row.iter().map(csv_cell));
    }
    Ok(out)
}

fn push_line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (column, cell) in cells.enumerate() {
        if column > 0 {
            out.push(',');
        }
        out.push_str(&cell);
    }
    out.push('\n');
}

fn csv_cell(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// One JSON object a row, named by column, one row a line.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_ndjson(answer: &SqlAnswer) -> Result<String> {
    let mut out = String::new();
    for row in to_objects(answer)? {
        out.push_str(&row.to_string());
        out.push('\n');
    }
    Ok(out)
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
