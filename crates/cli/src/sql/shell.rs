//! The shell: statements from a person at a terminal.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::line_editor::{self, History, Language, LineEditor, Prompt, Typed};
use crate::say;
use crate::sql::meta;
use crate::sql::session::{Flow, Session, Stop};
use crate::sql::split::Splitter;

const PROMPT: Prompt = Prompt { first: "hindsight> ", next: "        -> " };

/// Words of SQL that a tab finishes, besides the names of tables and columns.
const WORDS: [&str; 40] = [
    "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "COUNT", "DESC", "DISTINCT", "ELSE", "END",
    "EXPLAIN", "FROM", "GROUP", "HAVING", "ILIKE", "IN", "INTERVAL", "IS", "JOIN", "LEFT", "LIKE", "LIMIT",
    "MATCH", "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER", "OVER", "SELECT", "SHOW", "SUM", "THEN", "UNION",
    "WHEN", "WHERE", "WITH",
];
/// The commands that a tab finishes.
const COMMANDS: [&str; 8] = ["\\d", "\\format", "\\help", "\\q", "\\set", "\\timing", "\\unset", "\\x"];

/// Reads and runs until the person leaves.
pub(crate) async fn run(session: &mut Session) -> anyhow::Result<()> {
    say::line("Statements end with `;`. \\? helps, \\q leaves.")?;
    let language = Sql { names: known_names(session).await };
    let mut editor = LineEditor::new(PROMPT, history());
    loop {
        let typed =
            tokio::task::block_in_place(|| editor.read(&language)).context("read from the terminal")?;
        let flow = match typed {
            Typed::Text(text) => run_typed(session, &text).await?,
            Typed::Interrupted => Flow::GoOn,
            Typed::End => Flow::Quit,
        };
        if flow == Flow::Quit {
            return Ok(());
        }
    }
}

/// What a person typed: a command, or statements. What is wrong with it is said, and the shell goes on.
async fn run_typed(session: &mut Session, text: &str) -> anyhow::Result<Flow> {
    match run_all(session, text).await {
        Ok(flow) => return Ok(flow),
        Err(Stop::Failed(error)) => say::problem(&format!("error: {error:#}")),
        Err(Stop::Interrupted) => say::problem("cancelled"),
        Err(Stop::Output(error)) => return Err(error),
    }
    Ok(Flow::GoOn)
}

async fn run_all(session: &mut Session, text: &str) -> Result<Flow, Stop> {
    match text.trim().trim_end_matches(';') {
        "" => return Ok(Flow::GoOn),
        "quit" | "exit" => return Ok(Flow::Quit),
        "help" => return session.command("\\?").await,
        _ if meta::is_meta(text) => return session.command(text).await,
        _ => {}
    }
    let failed = |error: crate::sql::split::SplitError| Stop::Failed(error.into());
    let mut splitter = Splitter::new();
    let mut statements = splitter.push(text).map_err(failed)?;
    statements.extend(splitter.finish().map_err(failed)?);
    for statement in statements {
        session.statement(&statement.text).await?;
    }
    Ok(Flow::GoOn)
}

/// A shell without them is a shell still.
async fn known_names(session: &mut Session) -> Vec<String> {
    session.names().await.unwrap_or_else(|why| {
        if let Stop::Failed(error) | Stop::Output(error) = why {
            say::problem(&format!("warning: names will not be finished by a tab: {error:#}"));
        }
        Vec::new()
    })
}

fn history() -> History {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let Some(file) = line_editor::history_file(folder("XDG_STATE_HOME"), folder("HOME")) else {
        return History::in_memory();
    };
    History::open(&file).unwrap_or_else(|error| {
        say::problem(&format!("warning: history is not kept in {}: {error}", file.display()));
        History::in_memory()
    })
}

/// SQL as the line editor must know it.
struct Sql {
    names: Vec<String>,
}

impl Language for Sql {
    fn is_whole(&self, text: &str) -> bool {
        is_whole(text)
    }

    fn completions(&self, before: &str) -> Vec<String> {
        completions(&self.names, before)
    }
}

/// Whether Enter runs it: a command, a word like one, nothing at all, or text whose last `;` has only space and
/// comments behind it.
fn is_whole(text: &str) -> bool {
    if meta::is_meta(text) || matches!(text.trim(), "" | "quit" | "exit" | "help") {
        return true;
    }
    let mut splitter = Splitter::new();
    match splitter.push(&format!("{text}\n")) {
        Ok(_) => splitter.is_between(),
        // It says so when it is run.
        Err(_) => true,
    }
}

/// What the last word may become: a command at the start, else a name or a word of SQL.
fn completions(names: &[String], before: &str) -> Vec<String> {
    let begins =
        |name: &str, word: &str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if let Some(command) = before.trim_start().strip_prefix('\\')
        && command.chars().all(char::is_alphanumeric)
    {
        let rest = COMMANDS.iter().filter_map(|name| name.strip_prefix('\\'));
        return rest.filter(|name| begins(name, command)).map(str::to_owned).collect();
    }
    let word = &before[before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()..];
    let upper = word.chars().any(char::is_uppercase);
    let words = WORDS.iter().map(|word| if upper { (*word).to_owned() } else { word.to_lowercase() });
    names.iter().cloned().chain(words).filter(|name| begins(name, word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_runs_what_is_whole() {
        for text in ["", "  ", "\\d logs", "quit", "SELECT 1;", "SELECT\n1; -- done", "SELECT 1; SELECT 2;"] {
            assert!(is_whole(text), "{text}");
        }
        for text in ["SELECT", "SELECT ';", "SELECT 1 -- ;", "SELECT /* ;", "SELECT 1; SELECT", "quit now"] {
            assert!(!is_whole(text), "{text}");
        }
    }

    #[test]
    fn names_and_words_are_finished() {
        let names = ["service_name".to_owned(), "severity".to_owned(), "spans".to_owned()];
        assert_eq!(completions(&names, "SELECT serv"), ["service_name"]);
        assert_eq!(completions(&names, "select se"), ["service_name", "severity", "select"]);
        assert_eq!(completions(&names, "SEL"), ["SELECT"]);
        assert_eq!(completions(&names, "  \\ti"), ["timing"]);
        assert_eq!(completions(&names, "\\d sp"), ["spans"]);
    }
}
