//! Rows on their way to standard output, in the memory of a page of a table or of a piece of anything else.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use hindsight_model::{SqlAnswer, SqlError};
use hindsight_query::output::{self, Encoder, Format};
use hindsight_query::{Ended, Error};
use serde_json::{Value, json};

use crate::args::OutputFormat;
use crate::sql::layout::{self, Column, Pages, Style};

/// Rows that are aligned with each other.
const PAGE_ROWS: usize = 10_000;
/// A page of long rows has fewer.
const PAGE_BYTES: usize = 4 << 20;
/// Rows that are made into cells at once.
const ROWS_AT_ONCE: usize = 1_000;

/// Makes text of the rows of one answer. Nothing comes of an answer that fails before its first row.
pub(crate) enum Printer {
    Bytes {
        format: Format,
        schema: SchemaRef,
        encoder: Encoder,
        begun: bool,
    },
    /// What `EXPLAIN` answers, whose texts are lines already.
    Plan(String),
    Table {
        pages: Pages,
        waiting: Vec<Vec<Value>>,
        waiting_bytes: usize,
        rows: u64,
        timing: bool,
    },
}

impl Printer {
    pub(crate) fn new(format: OutputFormat, schema: &SchemaRef, style: Style, timing: bool) -> Self {
        let format = match format {
            OutputFormat::Table if is_plan(schema) => return Self::Plan(String::new()),
            OutputFormat::Table => {
                let pages = Pages::new(columns(schema), style);
                return Self::Table { pages, waiting: Vec::new(), waiting_bytes: 0, rows: 0, timing };
            }
            OutputFormat::Json => Format::Json,
            OutputFormat::Csv => Format::Csv,
            OutputFormat::Ndjson => Format::NdJson,
            OutputFormat::Arrow => Format::Arrow,
        };
        Self::Bytes { format, schema: SchemaRef::clone(schema), encoder: Encoder::new(format), begun: false }
    }

    /// What can be printed now that these rows have come.
    pub(crate) fn rows(&mut self, batch: RecordBatch) -> Result<Vec<u8>, Error> {
        match self {
            Self::Bytes { format, schema, encoder, begun } => {
                let mut out = begin(*format, schema, begun)?;
                out.append(&mut encoder.rows(&batch)?);
                Ok(out)
            }
            Self::Plan(text) => {
                let answer = SqlAnswer::new(batch.schema(), vec![batch]);
                for row in output::to_rows(&answer)? {
                    let cell = |place: usize| row.get(place).and_then(Value::as_str).unwrap_or_default();
                    text.push_str(&format!("── {} ──\n", cell(0)));
                    for line in cell(1).lines() {
                        text.push_str(&layout::one_line(line));
                        text.push('\n');
                    }
                }
                Ok(Vec::new())
            }
            Self::Table { pages, waiting, waiting_bytes, rows, .. } => {
                *rows += batch.num_rows() as u64;
                let mut out = String::new();
                for start in (0..batch.num_rows()).step_by(ROWS_AT_ONCE) {
                    let some = batch.slice(start, ROWS_AT_ONCE.min(batch.num_rows() - start));
                    let answer = SqlAnswer::new(some.schema(), vec![some]);
                    for row in output::to_rows(&answer)? {
                        *waiting_bytes += row.iter().map(size).sum::<usize>();
                        waiting.push(row);
                        if waiting.len() >= PAGE_ROWS || *waiting_bytes >= PAGE_BYTES {
                            out += &pages.page(&std::mem::take(waiting));
                            *waiting_bytes = 0;
                        }
                    }
                }
                Ok(out.into_bytes())
            }
        }
    }

    /// What is left to print after the last row.
    pub(crate) fn end(self, mut ended: Ended, elapsed: Duration) -> Result<Vec<u8>, Error> {
        match self {
            Self::Bytes { format, schema, encoder, mut begun } => {
                let mut out = begin(format, &schema, &mut begun)?;
                ended.rows = encoder.row_count();
                ended.stats.elapsed = elapsed;
                out.append(&mut format.end(&ended)?);
                Ok(out)
            }
            Self::Plan(text) => Ok(text.into_bytes()),
            Self::Table { mut pages, waiting, rows, timing, .. } => {
                let footer = layout::footer(rows, timing.then_some(elapsed));
                Ok((pages.last_page(&waiting) + &footer + "\n").into_bytes())
            }
        }
    }

    /// What tells a program that these rows are not all of them, where the form has a place for it.
    pub(crate) fn broken(self, error: &SqlError) -> Option<Vec<u8>> {
        match self {
            Self::Bytes { format, begun: true, .. } => format.broken(&json!({"message": error.to_string()})),
            Self::Bytes { .. } | Self::Plan(_) => None,
            // What waits is worth seeing; the error stands below it.
            Self::Table { mut pages, waiting, rows, .. } => {
                (rows > waiting.len() as u64).then(|| pages.last_page(&waiting).into_bytes())
            }
        }
    }

    /// Rows so far.
    pub(crate) fn row_count(&self) -> u64 {
        match self {
            Self::Bytes { encoder, .. } => encoder.row_count(),
            Self::Plan(_) => 0,
            Self::Table { rows, .. } => *rows,
        }
    }
}

/// A whole answer as a table.
pub(crate) fn table(answer: &SqlAnswer, style: Style) -> Result<String, Error> {
    let mut pages = Pages::new(columns(&answer.schema), style);
    let footer = layout::footer(answer.row_count() as u64, Some(answer.stats.elapsed));
    Ok(pages.last_page(&output::to_rows(answer)?) + &footer + "\n")
}

fn is_plan(schema: &SchemaRef) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
}

fn columns(schema: &SchemaRef) -> Vec<Column> {
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| Column {
        name: field.name().clone(),
        numeric: field.data_type().is_numeric(),
    };
    schema.fields().iter().map(column).collect()
}

fn begin(format: Format, schema: &SchemaRef, begun: &mut bool) -> Result<Vec<u8>, Error> {
    if std::mem::replace(begun, true) { Ok(Vec::new()) } else { format.begin(schema) }
}

/// About what a cell takes.
fn size(cell: &Value) -> usize {
    match cell {
        Value::String(text) => text.len() + 32,
        Value::Array(items) => 32 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            32 + members.iter().map(|(name, value)| name.len() + size(value)).sum::<usize>()
        }
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn printed(format: OutputFormat, batches: &[std::ops::Range<i64>]) -> (Vec<usize>, String) {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let mut printer = Printer::new(format, &schema, Style::default(), false);
        let (mut pieces, mut text) = (Vec::new(), Vec::new());
        for range in batches {
            let column = Arc::new(Int64Array::from_iter_values(range.clone()));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            let mut piece = printer.rows(batch).unwrap();
            pieces.push(piece.len());
            text.append(&mut piece);
        }
        text.append(&mut printer.end(Ended::default(), Duration::ZERO).unwrap());
        (pieces, String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn every_form_comes_out_piece_by_piece() {
        let (pieces, csv) = printed(OutputFormat::Csv, &[0..2, 2..3]);
        assert_eq!((pieces, csv.as_str()), (vec![6, 2], "n\n0\n1\n2\n"));
        let (_, lines) = printed(OutputFormat::Ndjson, &[0..1, 1..2]);
        assert_eq!(lines, "{\"n\":0}\n{\"n\":1}\n");
        let (pieces, json) = printed(OutputFormat::Json, &[0..1, 1..3]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(pieces[1] > 0);
        assert_eq!((&json["rows"], &json["stats"]["rows"]), (&json!([[0], [1], [2]]), &json!(3)));
        for format in [OutputFormat::Csv, OutputFormat::Json, OutputFormat::Arrow, OutputFormat::Table] {
            assert!(!printed(format, &[]).1.is_empty(), "no row is an answer, too: {format:?}");
        }
    }

    #[test]
    fn a_table_comes_in_pages_with_one_head_and_never_gets_narrower() {
        let (pieces, table) = printed(OutputFormat::Table, &[0..9_999, 9_999..10_001, 10_001..25_000]);
        assert!(pieces[0] == 0 && pieces[1] > 0 && pieces[2] > pieces[1], "{pieces:?}");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2 + 25_000 + 1);
        assert_eq!(lines.iter().filter(|line| line.trim() == "n").count(), 1);
        assert_eq!((lines[2], lines[10_001], lines[10_002]), ("   0", "9999", "10000"));
        assert_eq!((lines[25_001], lines[25_002]), ("24999", "25000 rows"));
    }

    #[test]
    fn a_plan_is_printed_in_its_own_lines() {
        use arrow::array::StringArray;
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let schema = Arc::new(Schema::new(vec![text("plan_type"), text("plan")]));
        let column = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as _;
        let columns = vec![column(["logical_plan", "physical_plan"]), column(["a\n  b", "c \u{1b}[2J\n"])];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let mut printer =
            Printer::new(OutputFormat::Table, &schema, Style { width: Some(3), expanded: false }, true);
        assert!(printer.rows(batch).unwrap().is_empty());
        let printed = String::from_utf8(printer.end(Ended::default(), Duration::ZERO).unwrap()).unwrap();
        assert_eq!(printed, "── logical_plan ──\na\n  b\n── physical_plan ──\nc ␛[2J\n");
    }

    #[test]
    fn rows_that_were_printed_are_not_left_without_a_word() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let error = SqlError::Cancelled;
        for (format, said) in
            [(OutputFormat::Json, true), (OutputFormat::Ndjson, true), (OutputFormat::Csv, false)]
        {
            let mut printer = Printer::new(format, &schema, Style::default(), false);
            let column = Arc::new(Int64Array::from_iter_values(0..1));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            let mut text = printer.rows(batch).unwrap();
            let word = printer.broken(&error);
            assert_eq!(word.is_some(), said, "{format:?}");
            text.extend(word.unwrap_or_default());
            if format == OutputFormat::Json {
                let json: Value = serde_json::from_slice(&text).unwrap();
                assert_eq!((&json["rows"], json["stats"].is_null()), (&json!([[0]]), true));
                assert!(json["error"]["message"].is_string());
            }
            let nothing_yet = Printer::new(format, &schema, Style::default(), false);
            assert!(nothing_yet.broken(&error).is_none(), "{format:?}");
        }
    }
}
