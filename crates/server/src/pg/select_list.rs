//! The parts of a SELECT that the catalog looks at: what is asked, of what, and under which conditions.

use super::split::words;
use super::statement::unquoted;

/// A SELECT cut at its top level.
#[derive(Debug)]
pub(super) struct Select<'a> {
    pub(super) items: Vec<Item>,
    /// The words between FROM and WHERE; empty without a FROM.
    pub(super) from: Vec<&'a str>,
    /// The words after that.
    pub(super) rest: Vec<&'a str>,
}

/// One column that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its words run together, names in lower case, without `pg_catalog.`.
    pub(super) expression: String,
    /// What the column is called.
    pub(super) name: String,
}

/// Cuts a statement that begins with SELECT; none when it does not.
pub(super) fn cut(sql: &str) -> Option<Select<'_>> {
    let words = words(sql);
    let is = |word: &str, wanted: &[&str]| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted));
    let mut words = words.into_iter().peekable();
    if !is(words.next()?, &["SELECT"]) {
        return None;
    }
    while words.next_if(|word| is(word, &["DISTINCT", "ALL"])).is_some() {}
    let (mut items, mut item, mut from, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut depth, mut part) = (0_i32, 0);
    for word in words {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 && part == 0 && is(word, &["FROM"]) {
            part = 1;
            continue;
        }
        if depth == 0
            && part < 2
            && is(word, &["WHERE", "ORDER", "GROUP", "HAVING", "LIMIT", "UNION", "OFFSET"])
        {
            part = 2;
        }
        match part {
            0 if depth == 0 && word == "," => items.push(read(&std::mem::take(&mut item))),
            0 => item.push(word),
            1 => from.push(word),
            _ => rest.push(word),
        }
    }
    items.push(read(&item));
    Some(Select { items, from, rest })
}

fn read(words: &[&str]) -> Item {
    let (expression, alias) = match words {
        [expression @ .., marker, alias] if marker.eq_ignore_ascii_case("AS") => (expression, Some(*alias)),
        [expression @ .., alias] if alias.starts_with('"') && ends_value(expression) => {
            (expression, Some(*alias))
        }
        all => (all, None),
    };
    let joined: String = expression.iter().map(|word| lower(word)).collect();
    let expression = joined.replace("pg_catalog.", "");
    let name = match alias {
        Some(alias) => unquoted(alias),
        None => own_name(&expression),
    };
    Item { expression, name }
}

fn ends_value(words: &[&str]) -> bool {
    words.last().is_some_and(|last| *last != ".")
}

/// Names do not tell capitals apart; literals do.
fn lower(word: &str) -> String {
    if word.starts_with(['\'', '"']) { word.to_owned() } else { word.to_ascii_lowercase() }
}

/// As PostgreSQL calls a column that nobody named: by its column or function.
fn own_name(expression: &str) -> String {
    let before = expression.split("::").next().unwrap_or(expression);
    let called = before.split('(').next().unwrap_or(before);
    let last = called.rsplit('.').next().unwrap_or(called);
    if last.is_empty() || !last.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return "?column?".to_owned();
    }
    last.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_select_is_cut_at_its_top_level() {
        let sql = "SELECT n.nspname as \"Schema\", CASE c.relkind WHEN 'r' THEN 'T' END AS t, (SELECT a, b FROM x) , \
                   pg_catalog.version(), 'x' \"y\" FROM pg_catalog.pg_class c WHERE c.oid = '1' ORDER BY 1";
        let select = cut(sql).unwrap();
        let found: Vec<(&str, &str)> =
            select.items.iter().map(|item| (item.expression.as_str(), item.name.as_str())).collect();
        assert_eq!(
            found,
            [
                ("n.nspname", "Schema"),
                ("casec.relkindwhen'r'then'T'end", "t"),
                ("(selecta,bfromx)", "?column?"),
                ("version()", "version"),
                ("'x'", "y"),
            ]
        );
        assert_eq!(select.from, ["pg_catalog", ".", "pg_class", "c"]);
        assert_eq!(select.rest[..4], ["WHERE", "c", ".", "oid"]);
        assert!(cut("SHOW x").is_none());
    }
}
