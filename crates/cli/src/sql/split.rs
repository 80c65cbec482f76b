//! From text that comes piece by piece to whole statements, cut at each `;` that is not inside a quote or a comment.
//!
//! Quotes and comments are those of PostgreSQL, as the server reads them: `'…'` with `''` inside, `E'…'` with
//! backslashes, `"…"`, `$$…$$` and `$tag$…$tag$`, `-- …`, and `/* … */`, which nest.

/// Longest text without a `;` that is kept; the server takes a quarter of it.
pub(crate) const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// One statement, without its `;` and without the space and comments before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    /// The line that it begins on, from 1.
    pub(crate) line: usize,
}

/// What the text so far ends inside of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// `'…'` or `"…"`.
    Quote(char),
    /// `E'…'`.
    EscapedQuote,
    /// `$tag$…$tag$`; both dollars are part of the tag.
    Dollars(String),
    LineComment,
    /// This many `/*` without their `*/`.
    BlockComment(usize),
}

/// Why no more text is taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SplitError {
    #[error(
        "the statement that begins on line {line} has more than {STATEMENT_BYTES_MAX} bytes without a `;`"
    )]
    TooLong { line: usize },
    #[error("the statement that begins on line {line} ends inside a {what}; close it")]
    Unclosed { line: usize, what: &'static str },
}

/// Takes text and gives statements.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// Since the last `;`.
    pending: String,
    /// Of `pending`, how many bytes have been looked at.
    seen: usize,
    inside: Inside,
    /// Where in `pending` the statement begins: the first of it that is neither space nor comment.
    begin: Option<usize>,
    /// The line on which `pending` begins, from 1.
    line: usize,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self { pending: String::new(), seen: 0, inside: Inside::Nothing, begin: None, line: 1 }
    }

    /// The statements that `text` completes.
    ///
    /// # Errors
    /// When the one that it does not complete is longer than any may be; nothing is kept of it.
    pub(crate) fn push(&mut self, text: &str) -> Result<Vec<Statement>, SplitError> {
        self.pending.push_str(text);
        let mut statements = Vec::new();
        while self.scan(More::MayCome) {
            statements.extend(self.cut());
        }
        if self.pending.len() > STATEMENT_BYTES_MAX {
            let line = self.first_line();
            self.clear();
            return Err(SplitError::TooLong { line });
        }
        Ok(statements)
    }

    /// The last statements, for which no `;` is needed.
    ///
    /// # Errors
    /// When a quote or a block comment is still open.
    pub(crate) fn finish(mut self) -> Result<Vec<Statement>, SplitError> {
        let mut statements = Vec::new();
        while self.scan(More::No) {
            statements.extend(self.cut());
        }
        let what = match self.inside {
            Inside::Nothing | Inside::LineComment => None,
            Inside::Quote(_) | Inside::EscapedQuote | Inside::Dollars(_) => Some("quote"),
            Inside::BlockComment(_) => Some("comment"),
        };
        if let Some(what) = what {
            return Err(SplitError::Unclosed { line: self.first_line(), what });
        }
        statements.extend(self.cut());
        Ok(statements)
    }

    /// Whether a new statement would begin here: only space and comments since the last one.
    pub(crate) fn is_between(&self) -> bool {
        self.begin.is_none() && self.inside == Inside::Nothing
    }

    /// Forgets what has no `;` yet.
    pub(crate) fn clear(&mut self) {
        let line = self.line + newlines(&self.pending);
        *self = Self { line, ..Self::new() };
    }

    /// Counts a line that is no part of a statement.
    pub(crate) fn skip_line(&mut self, line: &str) {
        debug_assert!(self.is_between(), "a statement has begun");
        self.clear();
        self.line += newlines(line);
    }

    fn first_line(&self) -> usize {
        let space = || self.pending.len() - self.pending.trim_start().len();
        self.line + newlines(&self.pending[..self.begin.unwrap_or_else(space)])
    }

    /// Takes what was looked at out of `pending`; the `;` at its end is left out of the statement.
    fn cut(&mut self) -> Option<Statement> {
        let line = self.first_line();
        let rest = self.pending.split_off(self.seen);
        let text = std::mem::replace(&mut self.pending, rest);
        let begin = self.begin.take();
        (self.seen, self.inside) = (0, Inside::Nothing);
        self.line += newlines(&text);
        let text = text.strip_suffix(';').unwrap_or(&text);
        begin.map(|begin| Statement { text: text[begin..].trim().to_owned(), line })
    }

    /// Looks on until just behind a `;` (true), or to where more text is needed to know what is meant (false).
    fn scan(&mut self, more: More) -> bool {
        while let Some((step, next)) = self.step(more) {
            if self.begin.is_none()
                && self.inside == Inside::Nothing
                && next.is_text(&self.pending[self.seen..])
            {
                self.begin = Some(self.seen);
            }
            self.seen += step;
            self.inside = match next {
                Next::Stay => continue,
                Next::Inside(inside) => inside,
                Next::End => return true,
            };
        }
        false
    }

    /// How many bytes come next and what they change; `None` when the rest decides.
    fn step(&mut self, more: More) -> Option<(usize, Next)> {
        let rest = &self.pending[self.seen..];
        let first = rest.chars().next()?;
        let one = first.len_utf8();
        let undecided = |needed: usize| more == More::MayCome && rest.len() < needed;
        Some(match &self.inside {
            Inside::Nothing => outside(rest, first, more)?,
            // A quote that is doubled closes and opens again.
            Inside::Quote(mark) if first == *mark => (one, Next::Inside(Inside::Nothing)),
            Inside::EscapedQuote if first == '\\' || first == '\'' => {
                if undecided(2) {
                    return None;
                }
                let second = rest[1..].chars().next();
                match (first, second) {
                    ('\\', Some(escaped)) => (1 + escaped.len_utf8(), Next::Stay),
                    ('\'', Some('\'')) => (2, Next::Stay),
                    ('\'', _) => (1, Next::Inside(Inside::Nothing)),
                    _ => (1, Next::Stay),
                }
            }
            Inside::Dollars(tag) if first == '$' => {
                if rest.starts_with(tag.as_str()) {
                    (tag.len(), Next::Inside(Inside::Nothing))
                } else if undecided(tag.len()) && tag.starts_with(rest) {
                    return None;
                } else {
                    (1, Next::Stay)
                }
            }
            Inside::LineComment if first == '\n' || first == '\r' => (1, Next::Inside(Inside::Nothing)),
            Inside::BlockComment(depth) if first == '*' || first == '/' => {
                if undecided(2) {
                    return None;
                }
                match (rest.starts_with("*/"), rest.starts_with("/*"), *depth) {
                    (true, _, 1) => (2, Next::Inside(Inside::Nothing)),
                    (true, _, depth) => (2, Next::Inside(Inside::BlockComment(depth - 1))),
                    (_, true, depth) => (2, Next::Inside(Inside::BlockComment(depth + 1))),
                    _ => (1, Next::Stay),
                }
            }
            _ => (one, Next::Stay),
        })
    }
}

/// Whether the text may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    MayCome,
    No,
}

enum Next {
    Stay,
    Inside(Inside),
    /// A `;`.
    End,
}

impl Next {
    /// Whether this step, which begins such a rest outside of quotes and comments, is part of a statement.
    fn is_text(&self, rest: &str) -> bool {
        match self {
            Self::Stay => !rest.starts_with(char::is_whitespace),
            Self::Inside(inside) => !matches!(inside, Inside::LineComment | Inside::BlockComment(_)),
            Self::End => false,
        }
    }
}

/// A step outside of quotes and comments. Words are taken whole, so that `type'x'` is no `E'x'` and `a$b$c` no quote.
fn outside(rest: &str, first: char, more: More) -> Option<(usize, Next)> {
    let decided = |length: usize| more == More::No || length < rest.len();
    Some(match first {
        ';' => (1, Next::End),
        '\'' | '"' => (1, Next::Inside(Inside::Quote(first))),
        '-' | '/' if !decided(1) => return None,
        '-' if rest.starts_with("--") => (2, Next::Inside(Inside::LineComment)),
        '/' if rest.starts_with("/*") => (2, Next::Inside(Inside::BlockComment(1))),
        '$' => {
            let tag = 1 + taken(&rest[1..], |c| c.is_alphanumeric() || c == '_');
            if !decided(tag) {
                return None;
            }
            if rest[tag..].starts_with('$') {
                (tag + 1, Next::Inside(Inside::Dollars(rest[..=tag].to_owned())))
            } else {
                (tag, Next::Stay)
            }
        }
        c if is_word(c) => {
            let word = taken(rest, |c| is_word(c) || c == '$');
            if !decided(word) {
                return None;
            }
            if rest[..word].eq_ignore_ascii_case("e") && rest[word..].starts_with('\'') {
                (word + 1, Next::Inside(Inside::EscapedQuote))
            } else {
                (word, Next::Stay)
            }
        }
        other => (other.len_utf8(), Next::Stay),
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || !c.is_ascii()
}

/// How many bytes from the start are of such characters.
fn taken(text: &str, such: impl Fn(char) -> bool) -> usize {
    text.find(|c| !such(c)).unwrap_or(text.len())
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

#[cfg(test)]
mod tests;
