//! Rows as aligned text.

use serde_json::Value;
use unicode_width::UnicodeWidthChar as _;

/// What NULL looks like; an empty text looks like nothing.
const NULL: &str = "NULL";
/// Between two columns.
const GAP: usize = 2;
/// A text is not cut below this many places, however many columns there are.
const CUT_PLACES_MIN: usize = 12;

/// One column of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Numbers stand to the right and are never cut.
    pub(crate) numeric: bool,
}

/// How rows are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// Places of the terminal; what is wider is cut. `None`: nothing is cut.
    pub(crate) width: Option<usize>,
    /// A line for each value.
    pub(crate) expanded: bool,
}

/// The whole text, each line with its end.
pub(crate) fn lay_out(columns: &[Column], rows: &[Vec<Value>], style: Style) -> String {
    Pages::new(columns.to_vec(), style).last_page(rows)
}

/// A text that comes page by page. A table has a line for each row; laid out the other way it has one for each value,
/// under a line that numbers the row. Each page is aligned for itself, and no column gets narrower on the way.
#[derive(Debug)]
pub(crate) struct Pages {
    columns: Vec<Column>,
    names: Vec<String>,
    style: Style,
    /// The widest texts so far.
    widths: Vec<usize>,
    /// Rows so far.
    rows: usize,
    begun: bool,
}

impl Pages {
    pub(crate) fn new(columns: Vec<Column>, style: Style) -> Self {
        let names: Vec<String> = columns.iter().map(|column| one_line(&column.name)).collect();
        let widths = names.iter().map(|name| places(name)).collect();
        Self { columns, names, style, widths, rows: 0, begun: false }
    }

    /// The next rows, the first below the names of their columns.
    pub(crate) fn page(&mut self, rows: &[Vec<Value>]) -> String {
        let out = if self.style.expanded { self.expanded(rows) } else { self.table(rows) };
        self.rows += rows.len();
        self.begun = true;
        out
    }

    /// As [`Pages::page`]; without a row only if there were some before.
    pub(crate) fn last_page(&mut self, rows: &[Vec<Value>]) -> String {
        if rows.is_empty() && self.begun { String::new() } else { self.page(rows) }
    }

    fn table(&mut self, rows: &[Vec<Value>]) -> String {
        let Self { columns, names, .. } = self;
        let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        for row in &cells {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(places(cell));
            }
        }
        let mut widths = self.widths.clone();
        if let Some(places) = self.style.width {
            let may_be_cut: Vec<bool> = columns.iter().map(|column| !column.numeric).collect();
            narrow(&mut widths, &may_be_cut, places);
        }
        let mut out = String::new();
        if !self.begun {
            push_row(&mut out, columns, names, &widths);
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            push_row(&mut out, columns, &rules, &widths);
        }
        for row in &cells {
            push_row(&mut out, columns, row, &widths);
        }
        out
    }

    fn expanded(&self, rows: &[Vec<Value>]) -> String {
        let widest = self.names.iter().map(|name| places(name)).max().unwrap_or(0);
        let room = self.style.width.map(|places| places.saturating_sub(widest + GAP).max(CUT_PLACES_MIN));
        let mut out = String::new();
        for (number, row) in (self.rows + 1..).zip(rows) {
            out.push_str(&format!("── row {number} ──\n"));
            for (name, value) in self.names.iter().zip(row) {
                let value = cell(value);
                let value = room.map_or_else(|| value.clone(), |room| cut(&value, room));
                let line = format!("{name}{}{value}", " ".repeat(widest - places(name) + GAP));
                out.push_str(line.trim_end_matches(' '));
                out.push('\n');
            }
        }
        out
    }
}

fn push_row(out: &mut String, columns: &[Column], cells: &[String], widths: &[usize]) {
    let start = out.len();
    for (place, ((cell, width), column)) in cells.iter().zip(widths).zip(columns).enumerate() {
        let cell = cut(cell, *width);
        let pad = " ".repeat(width.saturating_sub(places(&cell)));
        if place > 0 {
            out.push_str(&" ".repeat(GAP));
        }
        let (before, after) = if column.numeric { (pad.as_str(), "") } else { ("", pad.as_str()) };
        out.extend([before, &cell, after]);
    }
    out.truncate(start + out[start..].trim_end_matches(' ').len());
    out.push('\n');
}

/// Takes places from the widest columns that may be cut, until all fit or none has more than it must keep.
fn narrow(widths: &mut [usize], may_be_cut: &[bool], places: usize) {
    let gaps = widths.len().saturating_sub(1) * GAP;
    let total = |widths: &[usize], cap: usize| -> usize {
        let one = |(width, may): (&usize, &bool)| if *may { (*width).min(cap) } else { *width };
        widths.iter().zip(may_be_cut).map(one).sum::<usize>() + gaps
    };
    let (mut low, mut high) = (CUT_PLACES_MIN, widths.iter().copied().max().unwrap_or(0));
    // The largest cap with which all fit lies from low to high, or there is none and low it is.
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if total(widths, middle) <= places { low = middle } else { high = middle - 1 }
    }
    for (width, _) in widths.iter_mut().zip(may_be_cut).filter(|(_, may)| **may) {
        *width = (*width).min(low);
    }
}

/// How many places a text takes. Character by character: terminals disagree about those that join.
fn places(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A text in at most so many places; the last is `…` when it was cut.
fn cut(text: &str, places: usize) -> String {
    if self::places(text) <= places {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken >= places {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => NULL.to_owned(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// A text without characters that would move the cursor or change colours: a line's end is `↵`, a tab a space, any
/// other control character its picture.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '↵',
            '\t' => ' ',
            '\u{7f}' => '\u{2421}',
            c if c.is_ascii_control() => char::from_u32(0x2400 + u32::from(c)).unwrap_or('�'),
            c if c.is_control() || is_direction(c) => '�',
            c => c,
        })
        .collect()
}

/// Characters that make a terminal show what follows from right to left.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `3 rows`, and how long it took when that is wanted.
pub(crate) fn footer(rows: u64, elapsed: Option<std::time::Duration>) -> String {
    let plural = if rows == 1 { "row" } else { "rows" };
    match elapsed {
        Some(elapsed) => format!("{rows} {plural} in {}", time(elapsed)),
        None => format!("{rows} {plural}"),
    }
}

/// A duration as people read it.
pub(crate) fn time(elapsed: std::time::Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1_000.0) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests;
