//! The commands that begin with a backslash.

use crate::args::OutputFormat;

/// What `\?` shows.
pub(crate) const HELP: &str = "\
Statements end with `;` and may have several lines. Ctrl-C cancels a running query, Ctrl-D leaves.

  \\d               all tables and views
  \\d TABLE         the columns of one
  \\x [on|off]      a line for each value instead of a line for each row
  \\timing [on|off] how long each query took
  \\format [NAME]   table, json, csv, ndjson or arrow
  \\set [NAME VALUE]  give $NAME a value; without a name, show what is set
  \\unset NAME      take it back
  \\?               this
  \\q               leave

docs/sql-by-example.md has questions to start from, docs/sql-functions.md what SQL here can do beyond the usual.
";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Tables,
    Columns(String),
    Expanded(Switch),
    Timing(Switch),
    Format(Option<OutputFormat>),
    ShowParams,
    Set { name: String, value: String },
    Unset(String),
    Help,
    Quit,
}

/// What becomes of something that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    Off,
    Other,
}

impl Switch {
    pub(crate) fn applied_to(self, present: bool) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Other => !present,
        }
    }
}

/// Whether a line that begins a statement is a command instead.
pub(crate) fn is_meta(line: &str) -> bool {
    line.trim_start().starts_with('\\')
}

/// Reads a line that begins with a backslash. A `;` at its end is forgiven.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn parse(line: &str) -> Result<Meta, String> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let one = |missing: &str| match rest {
        "" => Err(format!("{name} needs {missing}")),
        word => Ok(unquoted(word)),
    };
    match name {
        "\\d" | "\\dt" | "\\d+" if rest.is_empty() => Ok(Meta::Tables),
        "\\d" | "\\d+" => one("a table").map(Meta::Columns),
        "\\x" => switch(name, rest).map(Meta::Expanded),
        "\\timing" => switch(name, rest).map(Meta::Timing),
        "\\format" if rest.is_empty() => Ok(Meta::Format(None)),
        "\\format" => format(rest).map(|format| Meta::Format(Some(format))),
        "\\set" if rest.is_empty() => Ok(Meta::ShowParams),
        "\\set" => set(rest),
        "\\unset" => one("a name").map(|name| Meta::Unset(name.trim_start_matches('$').to_owned())),
        "\\?" | "\\h" | "\\help" if rest.is_empty() => Ok(Meta::Help),
        "\\q" | "\\quit" if rest.is_empty() => Ok(Meta::Quit),
        other => Err(format!("{other} is not a command; \\? lists them")),
    }
}

fn switch(name: &str, word: &str) -> Result<Switch, String> {
    match word {
        "on" => Ok(Switch::On),
        "off" => Ok(Switch::Off),
        "" => Ok(Switch::Other),
        other => Err(format!("{name} takes on or off, not `{other}`")),
    }
}

fn format(word: &str) -> Result<OutputFormat, String> {
    use clap::ValueEnum as _;
    OutputFormat::from_str(word, true)
        .map_err(|_| format!("there is no format `{word}`; there are table, json, csv, ndjson and arrow"))
}

fn set(rest: &str) -> Result<Meta, String> {
    let Some((name, value)) = rest.split_once(|c: char| c.is_whitespace() || c == '=') else {
        return Err("\\set needs a value: \\set service cart".to_owned());
    };
    let name = name.trim_start_matches('$');
    let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim();
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!("`{name}` cannot be the name of a parameter; use letters, digits and _"));
    }
    Ok(Meta::Set { name: name.to_owned(), value: unquoted(value) })
}

/// A word without the quotes around it.
fn unquoted(word: &str) -> String {
    for mark in ['\'', '"'] {
        if let Some(inner) = word.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)) {
            return inner.replace(&format!("{mark}{mark}"), &mark.to_string());
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_read_with_their_words() {
        let set = |name: &str, value: &str| Meta::Set { name: name.into(), value: value.into() };
        for (line, expected) in [
            ("\\d", Meta::Tables),
            ("  \\d ;", Meta::Tables),
            ("\\d logs;", Meta::Columns("logs".into())),
            ("\\d \"logs\"", Meta::Columns("logs".into())),
            ("\\x", Meta::Expanded(Switch::Other)),
            ("\\x on", Meta::Expanded(Switch::On)),
            ("\\timing off", Meta::Timing(Switch::Off)),
            ("\\format CSV", Meta::Format(Some(OutputFormat::Csv))),
            ("\\format", Meta::Format(None)),
            ("\\set", Meta::ShowParams),
            ("\\set $service 'it''s'", set("service", "it's")),
            ("\\set n=5", set("n", "5")),
            ("\\set n = 5", set("n", "5")),
            ("\\unset $n", Meta::Unset("n".into())),
            ("\\?", Meta::Help),
            ("\\q", Meta::Quit),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, word) in [
            ("\\nonsense", "\\nonsense"),
            ("\\x maybe", "maybe"),
            ("\\format xml", "xml"),
            ("\\set a", "value"),
            ("\\set a-b 1", "a-b"),
            ("\\unset", "name"),
        ] {
            let said = parse(line).unwrap_err();
            assert!(said.contains(word), "{line}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "\\\\[a-z?]{0,6}.{0,20}") {
            if let Err(said) = parse(&line) {
                prop_assert!(!said.is_empty());
            }
        }

        #[test]
        fn a_value_in_quotes_comes_out_as_it_was(value in "[a-z' =]{0,12}") {
            let line = format!("\\set name '{}'", value.replace('\'', "''"));
            prop_assert_eq!(parse(&line), Ok(Meta::Set { name: "name".into(), value }));
        }
    }
}
