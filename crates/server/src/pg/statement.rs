//! What a statement wants: a word to the session, an answer that the session has itself, or a query.

use std::time::Duration;

use arrow::array::RecordBatch;
use hindsight_model::Clearance;
use hindsight_query::TableInfo;

use super::fault::PgFault;
use super::{catalog, constants, split};

/// One statement, understood as far as the session must.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    Command(Command),
    /// Answered without the engine.
    Fixed {
        rows: RecordBatch,
        tag: Tag,
    },
    /// For the engine.
    Query {
        tag: Tag,
    },
}

/// What comes first in the word of completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// With the number of rows.
    Select,
    Show,
    Explain,
}

/// What changes the session and gives no rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Begin,
    Commit,
    Rollback,
    /// Savepoints: nothing is written, so there is nothing to go back to.
    Nothing(&'static str),
    /// `None` is the engine's own limit.
    StatementTimeout(Option<Duration>),
    Set(&'static str),
    Deallocate(Option<String>),
    DiscardAll,
}

/// Who asks, as far as answers hang on it.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) pid: i32,
    pub(super) clearance: Clearance,
    pub(super) statement_timeout: Option<Duration>,
}

/// Sorts a statement.
///
/// # Errors
/// What no session here can do: cursors, COPY, notifications, settings that would change what is sent.
pub(super) fn sort(sql: &str, asker: &Asker, tables: &[TableInfo]) -> Result<Statement, PgFault> {
    let words = split::words(sql);
    let word = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let command = |command| Ok(Statement::Command(command));
    match word(0).as_str() {
        "BEGIN" | "START" => command(Command::Begin),
        "COMMIT" | "END" => command(Command::Commit),
        "ROLLBACK" | "ABORT" if words.iter().any(|word| word.eq_ignore_ascii_case("TO")) => {
            command(Command::Nothing("ROLLBACK"))
        }
        "ROLLBACK" | "ABORT" => command(Command::Rollback),
        "SAVEPOINT" => command(Command::Nothing("SAVEPOINT")),
        "RELEASE" => command(Command::Nothing("RELEASE")),
        "SET" => set(&words).map(Statement::Command),
        "RESET" if word(1) == "STATEMENT_TIMEOUT" || word(1) == "ALL" => {
            command(Command::StatementTimeout(None))
        }
        "RESET" => command(Command::Set("RESET")),
        "DISCARD" => command(Command::DiscardAll),
        "DEALLOCATE" => {
            let name = words.iter().skip(1).find(|word| !word.eq_ignore_ascii_case("PREPARE"));
            let name = name.filter(|word| !word.eq_ignore_ascii_case("ALL")).map(|word| unquoted(word));
            command(Command::Deallocate(name))
        }
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" | "PREPARE" | "EXECUTE" | "COPY" | "LISTEN" | "UNLISTEN"
        | "NOTIFY" | "LOCK" => Err(PgFault::unsupported(format!("{} is not supported", word(0))).hint(
            "rows are streamed as they are read; prepared statements go through the driver's own protocol",
        )),
        "SHOW" if !matches!(word(1).as_str(), "TABLES" | "COLUMNS" | "FUNCTIONS" | "ALL" | "") => {
            Ok(Statement::Fixed { rows: constants::show(&words[1..], asker)?, tag: Tag::Show })
        }
        "SHOW" => Ok(Statement::Query { tag: Tag::Show }),
        "EXPLAIN" => Ok(Statement::Query { tag: Tag::Explain }),
        "SELECT" => match constants::select(sql, asker) {
            Some(rows) => Ok(Statement::Fixed { rows, tag: Tag::Select }),
            None if catalog::is_asked(sql) => {
                Ok(Statement::Fixed { rows: catalog::answer(sql, asker, tables)?, tag: Tag::Select })
            }
            None => Ok(Statement::Query { tag: Tag::Select }),
        },
        _ if catalog::is_asked(sql) => {
            Ok(Statement::Fixed { rows: catalog::answer(sql, asker, tables)?, tag: Tag::Select })
        }
        _ => Ok(Statement::Query { tag: Tag::Select }),
    }
}

/// `SET [SESSION | LOCAL] name {= | TO} value`: only the time limit has an effect; what would change the form of
/// answers is refused, so that nobody reads them wrong.
fn set(words: &[&str]) -> Result<Command, PgFault> {
    let scope = |word: &&&str| ["SESSION", "LOCAL"].iter().any(|scope| word.eq_ignore_ascii_case(scope));
    let mut rest = words.iter().skip(1).skip_while(scope);
    let name = rest.next().map(|name| unquoted(name).to_ascii_lowercase()).unwrap_or_default();
    let value: Vec<&str> =
        rest.copied().filter(|word| *word != "=" && !word.eq_ignore_ascii_case("TO")).collect();
    let first = value.first().map(|value| unquoted(value).to_ascii_lowercase()).unwrap_or_default();
    match name.as_str() {
        "statement_timeout" => timeout(&value.concat()).map(Command::StatementTimeout),
        "client_encoding" | "names" if !matches!(first.as_str(), "utf8" | "utf" | "unicode" | "default") => {
            Err(PgFault::new("22023", format!("client_encoding {first} is not supported; use UTF8")))
        }
        "datestyle" if !first.starts_with("iso") && first != "default" => {
            Err(PgFault::new("22023", format!("DateStyle {first} is not supported; use ISO")))
        }
        "standard_conforming_strings" if first == "off" => {
            Err(PgFault::new("22023", "standard_conforming_strings is always on"))
        }
        "" => Err(PgFault::new("42601", "SET needs a name and a value")),
        _ => Ok(Command::Set("SET")),
    }
}

/// Milliseconds, or with a unit; 0 and DEFAULT are the engine's own limit.
fn timeout(text: &str) -> Result<Option<Duration>, PgFault> {
    let text = unquoted(text);
    if text.eq_ignore_ascii_case("default") {
        return Ok(None);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    match millis {
        Some(0) => Ok(None),
        Some(millis) => Ok(Some(Duration::from_millis(millis))),
        None => Err(PgFault::new(
            "22023",
            format!("statement_timeout {text} is no time; give milliseconds or 10s"),
        )),
    }
}

pub(super) fn unquoted(word: &str) -> String {
    for quote in ['\'', '"'] {
        if let Some(inner) = word.strip_prefix(quote).and_then(|word| word.strip_suffix(quote)) {
            return inner.replace(&format!("{quote}{quote}"), &quote.to_string());
        }
    }
    word.to_owned()
}

#[cfg(test)]
pub(super) fn asker() -> Asker {
    Asker {
        user: "me".to_owned(),
        database: "hindsight".to_owned(),
        pid: 7,
        clearance: Clearance::Everyone,
        statement_timeout: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(sql: &str) -> Command {
        match sort(sql, &asker(), &[]).unwrap() {
            Statement::Command(command) => command,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn what_drivers_say_around_queries_is_understood() {
        for (sql, expected) in [
            ("begin read only", Command::Begin),
            ("START TRANSACTION", Command::Begin),
            ("/* x */ COMMIT", Command::Commit),
            ("rollback to savepoint a", Command::Nothing("ROLLBACK")),
            ("SET SESSION extra_float_digits = 3", Command::Set("SET")),
            ("SET statement_timeout TO '5s'", Command::StatementTimeout(Some(Duration::from_secs(5)))),
            (
                "SET LOCAL statement_timeout = 250",
                Command::StatementTimeout(Some(Duration::from_millis(250))),
            ),
            ("SET client_encoding TO 'UTF8'", Command::Set("SET")),
            ("DEALLOCATE PREPARE \"a b\"", Command::Deallocate(Some("a b".into()))),
            ("DEALLOCATE ALL", Command::Deallocate(None)),
            ("DISCARD ALL", Command::DiscardAll),
        ] {
            assert_eq!(command(sql), expected, "{sql}");
        }
        for (sql, code) in [
            ("SET client_encoding TO 'LATIN1'", "22023"),
            ("SET DateStyle = 'SQL'", "22023"),
            ("DECLARE c CURSOR FOR SELECT 1", "0A000"),
            ("COPY logs TO STDOUT", "0A000"),
            ("SHOW nothing_known", "42704"),
            ("SELECT * FROM pg_catalog.pg_proc p", "0A000"),
        ] {
            assert_eq!(sort(sql, &asker(), &[]).unwrap_err().code, code, "{sql}");
        }
        for sql in ["SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a", "SHOW TABLES", "EXPLAIN SELECT 1"] {
            assert!(matches!(sort(sql, &asker(), &[]).unwrap(), Statement::Query { .. }), "{sql}");
        }
    }
}
