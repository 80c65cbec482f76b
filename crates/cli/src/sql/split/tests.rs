use proptest::prelude::*;

use super::*;

fn split(text: &str) -> Vec<String> {
    let mut splitter = Splitter::new();
    let mut statements = splitter.push(text).unwrap();
    statements.extend(splitter.finish().unwrap());
    statements.into_iter().map(|statement| statement.text).collect()
}

#[test]
fn statements_end_at_a_semicolon_that_is_neither_quoted_nor_commented() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        (" ;; \n;", &[]),
        ("SELECT 1", &["SELECT 1"]),
        ("SELECT 1;", &["SELECT 1"]),
        ("SELECT 1; SELECT 2 ;\n", &["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT 'it''s;'", &["SELECT ';'", "SELECT 'it''s;'"]),
        (r"SELECT 'a\'; SELECT 2", &[r"SELECT 'a\'", "SELECT 2"]),
        (r"SELECT E'a\';'; SELECT 2", &[r"SELECT E'a\';'", "SELECT 2"]),
        (r"SELECT e'a'';\\'; SELECT 2", &[r"SELECT e'a'';\\'", "SELECT 2"]),
        (r"SELECT type'a\'; SELECT 2", &[r"SELECT type'a\'", "SELECT 2"]),
        ("SELECT \"a;\"\"b\" ; x", &["SELECT \"a;\"\"b\"", "x"]),
        ("SELECT 1 -- no; 'end\n+ 1; x", &["SELECT 1 -- no; 'end\n+ 1", "x"]),
        ("SELECT /* ; /* ; */ ' */ 1; x", &["SELECT /* ; /* ; */ ' */ 1", "x"]),
        ("SELECT $$;'$$; x", &["SELECT $$;'$$", "x"]),
        ("SELECT $t$;$$;$t$; x", &["SELECT $t$;$$;$t$", "x"]),
        ("SELECT $from; SELECT $a-$b;", &["SELECT $from", "SELECT $a-$b"]),
        ("SELECT a$b$c; SELECT 2", &["SELECT a$b$c", "SELECT 2"]),
        ("SELECT 1 / 2 - 3; x", &["SELECT 1 / 2 - 3", "x"]),
        ("-- only a comment\n; /* and */ ; x", &["x"]),
        ("-- before\nSELECT /* in */ 1", &["SELECT /* in */ 1"]),
        ("SELECT 'ä;→' ; ö", &["SELECT 'ä;→'", "ö"]),
        ("SELECT 1 -- the end", &["SELECT 1 -- the end"]),
    ];
    for (text, expected) in cases {
        assert_eq!(&split(text), expected, "{text}");
    }
}

#[test]
fn a_statement_knows_the_line_it_begins_on() {
    let mut splitter = Splitter::new();
    let mut found = splitter.push("\nSELECT 1; -- one\n\n\nSELECT\n'a\nb'; SELECT 3;\n").unwrap();
    found.extend(splitter.push("SELECT 4").unwrap());
    found.extend(splitter.finish().unwrap());
    let lines: Vec<usize> = found.iter().map(|statement| statement.line).collect();
    assert_eq!(lines, [2, 5, 7, 8]);
}

#[test]
fn an_open_quote_is_named_with_its_line() {
    for (text, what) in [("SELECT 1;\nSELECT 'a;\n", "quote"), ("SELECT 1;\n/* a;", "comment")] {
        let mut splitter = Splitter::new();
        assert_eq!(splitter.push(text).unwrap().len(), 1);
        assert_eq!(splitter.finish(), Err(SplitError::Unclosed { line: 2, what }));
    }
}

#[test]
fn text_without_an_end_is_refused_before_it_fills_the_memory() {
    let mut splitter = Splitter::new();
    let chunk = "x".repeat(1 << 16);
    let refused = (0..32).find_map(|_| splitter.push(&chunk).err());
    assert_eq!(refused, Some(SplitError::TooLong { line: 1 }));
    assert_eq!(splitter.push("; SELECT 2;").unwrap().len(), 1);
}

/// Something between semicolons, and whether it is more than a comment.
fn fragment() -> impl Strategy<Value = (String, bool)> {
    let words = "[a-zä ]{1,8}".prop_map(|text| {
        let filled = !text.trim().is_empty();
        (text, filled)
    });
    let single = "[a-z;'\"$/*-]{0,8}".prop_map(|text| (format!(" '{}' ", text.replace('\'', "''")), true));
    let double = "[a-z;'$/*-]{0,8}".prop_map(|text| (format!(" \"{text}\" "), true));
    let escaped = r"[a-z;$/*-]{0,8}".prop_map(|text| (format!(r" E'{text}\'{text}' "), true));
    let dollars = "[a-z;'\"/*-]{0,8}".prop_map(|text| (format!(" $q${text}$q$ "), true));
    let line = "[a-z;'\"$/*-]{0,8}".prop_map(|text| (format!("--{text}\n"), false));
    let block = "[a-z;'\"$-]{0,8}".prop_map(|text| (format!("/*{text}/*{text}*/*/"), false));
    prop_oneof![words, single, double, escaped, dollars, line, block]
}

fn statement() -> impl Strategy<Value = Vec<(String, bool)>> {
    proptest::collection::vec(fragment(), 0..5)
}

fn joined(fragments: &[(String, bool)]) -> String {
    fragments.iter().map(|(text, _)| text.as_str()).collect()
}

proptest! {
    #[test]
    fn what_was_joined_with_semicolons_comes_back(parts in proptest::collection::vec(statement(), 0..6)) {
        let text: Vec<String> = parts.iter().map(|part| joined(part)).collect();
        let expected: Vec<String> = parts
            .iter()
            .filter_map(|part| Some(joined(&part[part.iter().position(|(_, filled)| *filled)?..])))
            .map(|text| text.trim().to_owned())
            .collect();
        prop_assert_eq!(split(&text.join(";")), expected);
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_the_text_comes(
        text in "[a-z ;'\"$/*\\\\\nEe-]{0,60}",
        cuts in proptest::collection::vec(0_usize..60, 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let (mut whole, mut pieces) = (Splitter::new(), Splitter::new());
        let mut expected = whole.push(&text).unwrap();
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            found.extend(pieces.push(&text[pair[0]..pair[1]]).unwrap());
        }
        let (whole, pieces) = (whole.finish(), pieces.finish());
        prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        expected.extend(whole.unwrap_or_default());
        found.extend(pieces.unwrap_or_default());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_text_is_split_without_a_panic(text in any::<String>()) {
        let mut splitter = Splitter::new();
        let _ = splitter.push(&text);
        let _ = splitter.finish();
    }
}
