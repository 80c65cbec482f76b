//! What a query of `match` wants of a text's words: what its rows must have, without the order of words and
//! without what they must not have.

use hindsight_model::Wanted;

use super::query::{Query, parse};

/// What `match(column, query)` wants of a row.
pub(crate) fn text_wanted(column: &str, query: &str) -> Wanted {
    match parse(query) {
        Ok(query) => wanted(column, &query),
        // The function itself says what is wrong.
        Err(_) => Wanted::Everything,
    }
}

fn wanted(column: &str, query: &Query) -> Wanted {
    let all = |parts: &[Query]| parts.iter().map(|part| wanted(column, part)).collect();
    match query {
        Query::Phrase { words, is_prefix } => {
            let word = |(place, word): (usize, &String)| {
                let (column, word) = (column.to_owned(), word.clone());
                if *is_prefix && place + 1 == words.len() {
                    Wanted::Prefix { column, start: word }
                } else {
                    Wanted::Word { column, word }
                }
            };
            Wanted::All(words.iter().enumerate().map(word).collect())
        }
        Query::All(parts) => Wanted::All(all(parts)),
        Query::Any(parts) => Wanted::Any(all(parts)),
        Query::Not(_) => Wanted::Everything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_want_their_words() {
        let word = |word: &str| Wanted::Word { column: "body".to_owned(), word: word.to_owned() };
        let start = Wanted::Prefix { column: "body".to_owned(), start: "re".to_owned() };
        let expected = Wanted::All(vec![
            Wanted::All(vec![word("timed"), word("out")]),
            Wanted::Any(vec![Wanted::All(vec![start]), Wanted::Everything]),
        ]);
        assert_eq!(text_wanted("body", "\"Timed out\" (re* OR -ok)"), expected);
        assert_eq!(text_wanted("body", "\""), Wanted::Everything);
    }
}
