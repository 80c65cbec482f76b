//! The language of `match`: words, `"phrases"`, `prefix*`, `-without`, `OR`, parentheses. Pure.
//!
//! A word is a run of letters and digits as Unicode knows them, compared without regard to case. What is written
//! side by side must all be there. Anything with signs in it (`user-id`, `10.0.0.1`) is the phrase of its words.

use hindsight_model::{lower_word, words};

/// Longest query in bytes.
const BYTES_MAX: usize = 4096;
/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 32;

/// What a text must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    /// These words one after the other, the last perhaps only begun.
    Phrase {
        words: Vec<String>,
        is_prefix: bool,
    },
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
}

/// What is wrong with a query, and at which character, counted from one.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("match query: {what} at character {at}")]
pub(super) struct QueryError {
    what: &'static str,
    at: usize,
}

/// Reads a query.
///
/// # Errors
/// When nothing is asked for, a quote or parenthesis is not closed, or `OR` stands alone.
pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    if text.len() > BYTES_MAX {
        return Err(QueryError { what: "more than 4096 bytes", at: BYTES_MAX });
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    let query = parser.any()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.error("a parenthesis that nothing opened")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Query, QueryError> {
        let mut ways = vec![self.all()?];
        while self.takes_word("OR") {
            ways.push(self.all()?);
        }
        Ok(one_or(ways, Query::Any))
    }

    fn all(&mut self) -> Result<Query, QueryError> {
        let mut parts = Vec::new();
        loop {
            if self.takes_word("AND") && parts.is_empty() {
                return Err(self.error("AND without something before it"));
            }
            match self.peek() {
                None | Some(')') => break,
                Some(_) if self.sees_word("OR") => break,
                Some(_) => parts.push(self.part()?),
            }
        }
        if parts.is_empty() {
            return Err(self.error("something to look for is missing"));
        }
        Ok(one_or(parts, Query::All))
    }

    fn part(&mut self) -> Result<Query, QueryError> {
        match self.peek() {
            Some('-') => {
                self.at += 1;
                match self.text[self.at..].chars().next() {
                    Some(next) if !next.is_whitespace() && next != '-' => {
                        Ok(Query::Not(Box::new(self.part()?)))
                    }
                    _ => Err(self.error("- without something behind it")),
                }
            }
            Some('(') => self.group(),
            Some('"') => self.phrase(),
            _ => self.word(),
        }
    }

    fn group(&mut self) -> Result<Query, QueryError> {
        let open = self.error("a parenthesis that is not closed");
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("more than 32 parentheses in each other"));
        }
        self.at += 1;
        let query = self.any()?;
        if self.peek() != Some(')') {
            return Err(open);
        }
        self.at += 1;
        self.depth -= 1;
        Ok(query)
    }

    fn phrase(&mut self) -> Result<Query, QueryError> {
        let open = self.error("a quote that is not closed");
        let empty = self.error("a phrase without a letter or digit");
        let rest = &self.text[self.at + 1..];
        let Some(end) = rest.find('"') else { return Err(open) };
        self.at += end + 2;
        let is_prefix = self.text[self.at..].starts_with('*');
        self.at += usize::from(is_prefix);
        words_of(&rest[..end], is_prefix).ok_or(empty)
    }

    fn word(&mut self) -> Result<Query, QueryError> {
        let empty = self.error("a word without a letter or digit");
        let rest = &self.text[self.at..];
        let end = rest
            .find(|sign: char| sign.is_whitespace() || matches!(sign, '(' | ')' | '"'))
            .unwrap_or(rest.len());
        self.at += end;
        let word = &rest[..end];
        words_of(word, word.ends_with('*')).ok_or(empty)
    }

    /// The next sign that is not a space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn sees_word(&mut self, word: &str) -> bool {
        self.peek();
        let rest = self.text[self.at..].strip_prefix(word);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|sign: char| sign.is_whitespace() || sign == '(')
        })
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let sees = self.sees_word(word);
        if sees {
            self.at += word.len();
        }
        sees
    }

    fn error(&self, what: &'static str) -> QueryError {
        QueryError { what, at: self.text[..self.at].chars().count() + 1 }
    }
}

fn one_or(mut parts: Vec<Query>, many: impl FnOnce(Vec<Query>) -> Query) -> Query {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

fn words_of(text: &str, is_prefix: bool) -> Option<Query> {
    let words: Vec<String> = words(text).map(|word| lower_word(word).collect()).collect();
    (!words.is_empty()).then_some(Query::Phrase { words, is_prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(words: &[&str]) -> Query {
        Query::Phrase { words: words.iter().map(|word| (*word).to_owned()).collect(), is_prefix: false }
    }

    #[test]
    fn queries_are_read() {
        let not = |query| Query::Not(Box::new(query));
        for (text, expected) in [
            ("Timeout", phrase(&["timeout"])),
            ("a b", Query::All(vec![phrase(&["a"]), phrase(&["b"])])),
            ("a AND b", Query::All(vec![phrase(&["a"]), phrase(&["b"])])),
            ("a or b", Query::All(vec![phrase(&["a"]), phrase(&["or"]), phrase(&["b"])])),
            (
                "a OR b -c",
                Query::Any(vec![phrase(&["a"]), Query::All(vec![phrase(&["b"]), not(phrase(&["c"]))])]),
            ),
            ("\"Pool is FULL\"", phrase(&["pool", "is", "full"])),
            ("user-id=7", phrase(&["user", "id", "7"])),
            ("conn*", Query::Phrase { words: vec!["conn".to_owned()], is_prefix: true }),
            (
                "(a OR b) ORDER",
                Query::All(vec![Query::Any(vec![phrase(&["a"]), phrase(&["b"])]), phrase(&["order"])]),
            ),
            ("-(a b)", not(Query::All(vec![phrase(&["a"]), phrase(&["b"])]))),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, what, at) in [
            ("", "missing", 1),
            ("  ", "missing", 3),
            ("ä OR", "missing", 5),
            ("a \"b c", "quote that is not closed", 3),
            ("a (b", "parenthesis that is not closed", 3),
            ("a) b", "nothing opened", 2),
            ("a !!", "without a letter or digit", 3),
            ("a - b", "without something behind it", 4),
            ("AND b", "without something before it", 4),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.what.contains(what) && error.at == at, "{text}: {error}");
        }
        assert!(parse(&"(".repeat(100)).is_err());
        assert!(parse(&"a ".repeat(5000)).is_err());
    }
}
