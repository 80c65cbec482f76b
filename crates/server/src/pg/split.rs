//! A text of several statements cut into them, without understanding more of SQL than quotes and comments.

/// Where a piece of text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// White space and comments.
    Gap,
    /// A literal or a quoted name, quotes included.
    Quoted(&'a str),
    /// A word, or a single other sign.
    Word(&'a str),
}

/// The statements of a text, without the semicolons; statements of nothing but comments are left out.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let (mut found, mut start, mut empty, mut at) = (Vec::new(), 0, true, 0);
    for (piece, length) in pieces(sql) {
        match piece {
            Piece::Word(";") => {
                if !empty {
                    found.push(sql[start..at].trim());
                }
                (start, empty) = (at + length, true);
            }
            Piece::Gap => {}
            _ => empty = false,
        }
        at += length;
    }
    if !empty {
        found.push(sql[start..].trim());
    }
    found
}

/// The words and literals of a text, in order.
pub(super) fn words(sql: &str) -> Vec<&str> {
    let word = |(piece, _)| match piece {
        Piece::Gap => None,
        Piece::Quoted(text) | Piece::Word(text) => Some(text),
    };
    pieces(sql).filter_map(word).collect()
}

/// Every piece with its length in bytes; together they are the text.
pub(super) fn pieces(sql: &str) -> impl Iterator<Item = (Piece<'_>, usize)> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let (piece, length) = piece(rest)?;
        rest = &rest[length..];
        Some((piece, length))
    })
}

fn piece(sql: &str) -> Option<(Piece<'_>, usize)> {
    let first = sql.chars().next()?;
    let quoted = |length: usize| Some((Piece::Quoted(&sql[..length]), length));
    if first.is_whitespace() {
        return Some((Piece::Gap, first.len_utf8()));
    }
    if sql.starts_with("--") {
        return Some((Piece::Gap, sql.find('\n').unwrap_or(sql.len())));
    }
    if sql.starts_with("/*") {
        return Some((Piece::Gap, comment(sql)));
    }
    match first {
        '\'' => quoted(until_quote(sql, 0, '\'', false)),
        '"' => quoted(until_quote(sql, 0, '"', false)),
        'e' | 'E' if sql[1..].starts_with('\'') => quoted(until_quote(sql, 1, '\'', true)),
        '$' => match dollar_quoted(sql) {
            Some(length) => quoted(length),
            None => Some(word(sql, 1)),
        },
        c if c.is_alphanumeric() || c == '_' => Some(word(sql, 0)),
        c => Some((Piece::Word(&sql[..c.len_utf8()]), c.len_utf8())),
    }
}

fn word(sql: &str, from: usize) -> (Piece<'_>, usize) {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let end = sql[from..].find(|c| !inside(c)).map_or(sql.len(), |end| from + end);
    (Piece::Word(&sql[..end]), end)
}

/// The end of a text that is quoted from `open` on; a doubled quote stands for itself.
fn until_quote(sql: &str, open: usize, quote: char, backslash: bool) -> usize {
    let mut chars = sql[open + 1..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return open + 1 + at + 1;
        }
    }
    sql.len()
}

/// The length of `$tag$…$tag$`; none when this is a parameter.
fn dollar_quoted(sql: &str) -> Option<usize> {
    let tag_end = 1 + sql[1..].find('$')?;
    let tag = &sql[..=tag_end];
    let inner = &tag[1..tag_end];
    if inner.starts_with(|c: char| c.is_ascii_digit())
        || !inner.chars().all(|c| c.is_alphanumeric() || c == '_')
    {
        return None;
    }
    Some(sql[tag.len()..].find(tag).map_or(sql.len(), |end| tag.len() + end + tag.len()))
}

fn comment(sql: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < sql.len() {
        let rest = &sql.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    sql.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_part_nothing() {
        for (sql, expected) in [
            ("SELECT 1; SELECT 2;", vec!["SELECT 1", "SELECT 2"]),
            ("SELECT ';' AS \"a;b\"; /* ; /* ; */ */ ;-- x;\n", vec!["SELECT ';' AS \"a;b\""]),
            (r"SELECT E'\';' || 'it''s;'", vec![r"SELECT E'\';' || 'it''s;'"]),
            ("SELECT $$;$$, $a$;$a$, $1; SELECT $from", vec!["SELECT $$;$$, $a$;$a$, $1", "SELECT $from"]),
            ("SELECT 'open;", vec!["SELECT 'open;"]),
            (" ; ;", vec![]),
        ] {
            assert_eq!(statements(sql), expected, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn properties_of_pieces(sql in "[a-zé0-9'\"$;/* \\\\\n-]{0,40}") {
            let whole: usize = pieces(&sql).map(|(_, length)| length).sum();
            prop_assert_eq!(whole, sql.len());
            let _ = statements(&sql);
        }
    }
}
