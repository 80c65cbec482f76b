use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::line_editor::Prompt;
use crate::line_editor::buffer::Buffer;

/// A text under edit as rows of a terminal, and the cursor's place among them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// At least one.
    pub(super) rows: Vec<String>,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// Paints a text on a terminal with so many columns. Each of its lines has a prompt before it and goes on in the next
/// row where the terminal ends.
pub(super) fn paint(prompt: Prompt, buffer: &Buffer, columns: usize) -> Picture {
    let mut pen = Pen { rows: Vec::new(), column: 0, columns: columns.max(prompt.first.width() + 2) };
    pen.new_line(prompt.first);
    pen.text(buffer.before(), prompt.next);
    if pen.column == pen.columns {
        pen.new_line("");
    }
    let (row, column) = (pen.rows.len() - 1, pen.column);
    pen.text(buffer.after(), prompt.next);
    Picture { rows: pen.rows, row, column }
}

struct Pen {
    rows: Vec<String>,
    column: usize,
    columns: usize,
}

impl Pen {
    fn new_line(&mut self, prompt: &str) {
        self.rows.push(prompt.to_owned());
        self.column = prompt.width();
    }

    fn text(&mut self, text: &str, prompt: &str) {
        for c in text.chars() {
            if c == '\n' {
                self.new_line(prompt);
                continue;
            }
            let width = c.width().unwrap_or(0);
            if self.column + width > self.columns {
                self.new_line("");
            }
            if let Some(row) = self.rows.last_mut() {
                row.push(c);
            }
            self.column += width;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROMPT: Prompt = Prompt { first: "a> ", next: " > " };

    #[test]
    fn long_lines_go_on_below_and_the_cursor_is_where_the_next_character_goes() {
        let picture = paint(PROMPT, &Buffer::new("12345678"), 8);
        assert_eq!(picture, Picture { rows: vec!["a> 12345".into(), "678".into()], row: 1, column: 3 });
        let picture = paint(PROMPT, &Buffer::new("12345"), 8);
        assert_eq!(picture, Picture { rows: vec!["a> 12345".into(), String::new()], row: 1, column: 0 });
        let mut buffer = Buffer::new("日本\nx");
        buffer.go_to(3);
        let picture = paint(PROMPT, &buffer, 8);
        assert_eq!(picture, Picture { rows: vec!["a> 日本".into(), " > x".into()], row: 0, column: 5 });
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_terminal(text in "[a-z日\n]{0,60}", columns in 6_usize..30) {
            let picture = paint(PROMPT, &Buffer::new(&text), columns);
            prop_assert!(picture.rows.iter().all(|row| row.width() <= columns));
            prop_assert!(picture.column < columns && picture.row < picture.rows.len());
            let painted: usize = picture.rows.iter().map(|row| row.width()).sum();
            let lines = text.matches('\n').count() + 1;
            let letters: usize = text.chars().map(|c| c.width().unwrap_or(0)).sum();
            prop_assert_eq!(painted, letters + lines * 3);
        }
    }
}
