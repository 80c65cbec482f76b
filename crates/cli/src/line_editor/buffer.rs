/// Text with a cursor between two of its characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Buffer {
    text: String,
    /// In bytes.
    at: usize,
}

impl Buffer {
    /// With the cursor at the end.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), at: text.len() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn before(&self) -> &str {
        &self.text[..self.at]
    }

    pub(super) fn after(&self) -> &str {
        &self.text[self.at..]
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.at, text);
        self.at += text.len();
    }

    /// Takes out what lies between the cursor and another place, and returns it.
    pub(super) fn delete_to(&mut self, place: usize) -> String {
        let (from, to) = (self.at.min(place), self.at.max(place));
        self.at = from;
        self.text.drain(from..to).collect()
    }

    pub(super) fn go_to(&mut self, place: usize) {
        debug_assert!(self.text.is_char_boundary(place), "the cursor stands between characters");
        self.at = place;
    }

    pub(super) fn left(&self) -> usize {
        self.at - self.before().chars().next_back().map_or(0, char::len_utf8)
    }

    pub(super) fn right(&self) -> usize {
        self.at + self.after().chars().next().map_or(0, char::len_utf8)
    }

    /// The start of the word that ends before the cursor.
    pub(super) fn word_left(&self) -> usize {
        let spaces = self.before().trim_end_matches(|c| !is_word(c));
        spaces.trim_end_matches(is_word).len()
    }

    /// The end of the word that begins behind the cursor.
    pub(super) fn word_right(&self) -> usize {
        let word = self.after().trim_start_matches(|c| !is_word(c));
        self.text.len() - word.trim_start_matches(is_word).len()
    }

    pub(super) fn line_start(&self) -> usize {
        self.before().rfind('\n').map_or(0, |end| end + 1)
    }

    pub(super) fn line_end(&self) -> usize {
        self.after().find('\n').map_or(self.text.len(), |end| self.at + end)
    }

    /// The same place in the line above, if there is one.
    pub(super) fn up(&self) -> Option<usize> {
        let start = self.line_start();
        let above = self.text[..start].strip_suffix('\n')?;
        Some(place_in_line(above, above.rfind('\n').map_or(0, |end| end + 1), self.in_line()))
    }

    /// The same place in the line below, if there is one.
    pub(super) fn down(&self) -> Option<usize> {
        let end = self.line_end();
        (end < self.text.len()).then(|| place_in_line(&self.text, end + 1, self.in_line()))
    }

    /// Characters between the line's start and the cursor.
    fn in_line(&self) -> usize {
        self.text[self.line_start()..self.at].chars().count()
    }
}

/// So many characters into the line that begins at `start`, or its end.
fn place_in_line(text: &str, start: usize, characters: usize) -> usize {
    let line = text[start..].split('\n').next().unwrap_or("");
    start + line.char_indices().nth(characters).map_or(line.len(), |(place, _)| place)
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
