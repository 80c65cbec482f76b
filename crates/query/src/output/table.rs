use hindsight_model::SqlAnswer;
use serde_json::Value;

use crate::error::Result;
use crate::output::json;

/// Widest a column of [`to_table_text`] gets; longer texts are cut with an ellipsis.
const COLUMN_CHARS_MAX: usize = 60;

/// Aligned columns for a terminal, numbers to the right, with a last line that counts rows and time.
///
/// # Errors
/// When a column is not what its type says.
pub fn to_table_text(answer: &SqlAnswer) -> Result<String> {
    let names: Vec<String> = answer.columns().into_iter().map(cut).collect();
    let numeric: Vec<bool> =
        answer.schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
    let rows: Vec<Vec<String>> =
        json::rows(answer)?.iter().map(|row| row.iter().map(cell_text).collect()).collect();
    let mut widths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    push_row(&mut out, &names, &widths, &numeric);
    let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    push_row(&mut out, &rules, &widths, &numeric);
    for row in &rows {
        push_row(&mut out, row, &widths, &numeric);
    }
    let plural = if rows.len() == 1 { "row" } else { "rows" };
    let millis = answer.stats.elapsed.as_secs_f64() * 1_000.0;
    out.push_str(&format!("{} {plural} in {millis:.1} ms\n", rows.len()));
    Ok(out)
}

fn push_row(out: &mut String, cells: &[String], widths: &[usize], numeric: &[bool]) {
    let mut line = String::new();
    for ((cell, width), numeric) in cells.iter().zip(widths).zip(numeric) {
        let pad = " ".repeat(width - cell.chars().count());
        let (before, after) = if *numeric { (pad.as_str(), "") } else { ("", pad.as_str()) };
        line.push_str(before);
        line.push_str(cell);
        line.push_str(after);
        line.push_str("  ");
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

/// One line, no longer than a column may be; control characters do not reach the terminal.
fn cut(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut cut: String = text.chars().map(clean).take(COLUMN_CHARS_MAX).collect();
    if text.chars().nth(COLUMN_CHARS_MAX).is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}
