//! What a shell and a script share: settings, and running statements and commands under them.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use hindsight_model::{SqlAnswer, SqlParam, SqlRequest};
use hindsight_query::output;
use serde_json::Value;

use crate::args::OutputFormat;
use crate::backend::Backend;
use crate::interrupts::Interrupts;
use crate::line_editor;
use crate::say;
use crate::sql::ask::{NoAnswer, ask, hand_on};
use crate::sql::layout::{self, Column, Style};
use crate::sql::meta::{self, Meta};
use crate::sql::params;
use crate::sql::print::Printer;

/// What commands change.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) format: OutputFormat,
    pub(crate) expanded: bool,
    pub(crate) timing: bool,
    pub(crate) params: BTreeMap<String, SqlParam>,
    pub(crate) timeout: Option<Duration>,
}

/// Why a statement or a command gave nothing, or not all.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is wrong, or it failed: a shell says so and goes on.
    Failed(anyhow::Error),
    Interrupted,
    /// There is nowhere to print to.
    Output(anyhow::Error),
}

/// Whether more is read after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    GoOn,
    Quit,
}

/// An open source of answers and how they are shown.
pub(crate) struct Session {
    backend: Backend,
    settings: Settings,
    interrupts: Interrupts,
}

impl Session {
    pub(crate) fn new(backend: Backend, settings: Settings, interrupts: Interrupts) -> Self {
        Self { backend, settings, interrupts }
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.backend.close().await
    }

    pub(crate) fn interrupts(&mut self) -> &mut Interrupts {
        &mut self.interrupts
    }

    /// Runs a statement and prints its answer.
    pub(crate) async fn statement(&mut self, sql: &str) -> Result<(), Stop> {
        let mut request = SqlRequest::new(sql);
        request.params = self.settings.params.clone();
        request.timeout = self.settings.timeout;
        let Settings { format, expanded, timing, .. } = self.settings;
        let on_terminal = std::io::stdout().is_terminal();
        if format == OutputFormat::Arrow && on_terminal {
            let said = "an Arrow stream is nothing for a terminal; send it to a file (`> answer.arrows`) or a program";
            return Err(Stop::Failed(anyhow::Error::msg(said)));
        }
        self.interrupts.forget();
        let style = Style { width: width(), expanded };
        let printer = |schema: &_| Printer::new(format, schema, style, timing);
        let done = hand_on(&self.backend, request, &mut self.interrupts, printer).await.map_err(stop)?;
        if timing && format != OutputFormat::Table && on_terminal {
            tell(&layout::footer(done.rows, Some(done.elapsed)));
        }
        Ok(())
    }

    /// Runs a line that begins with a backslash.
    pub(crate) async fn command(&mut self, line: &str) -> Result<Flow, Stop> {
        let meta = meta::parse(line).map_err(|said| Stop::Failed(anyhow::Error::msg(said)))?;
        let settings = &mut self.settings;
        match meta {
            Meta::Tables => self.tables().await?,
            Meta::Columns(table) => self.columns(&table).await?,
            Meta::Expanded(switch) => {
                settings.expanded = switch.applied_to(settings.expanded);
                tell(&format!("a line for each value: {}", on_or_off(settings.expanded)));
            }
            Meta::Timing(switch) => {
                settings.timing = switch.applied_to(settings.timing);
                tell(&format!("timing: {}", on_or_off(settings.timing)));
            }
            Meta::Format(Some(format)) => settings.format = format,
            Meta::Format(None) => {
                use clap::ValueEnum as _;
                let name = settings.format.to_possible_value();
                tell(&format!("format: {}", name.as_ref().map_or("", |value| value.get_name())));
            }
            Meta::ShowParams => {
                for (name, value) in &settings.params {
                    tell(&format!("${name} = {}", params::shown(value)));
                }
            }
            Meta::Set { name, value } => drop(settings.params.insert(name, params::param(&value))),
            Meta::Unset(name) => drop(settings.params.remove(&name)),
            Meta::Help => say::line(meta::HELP).map_err(Stop::Output)?,
            Meta::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::GoOn)
    }

    /// The names of all tables and columns.
    ///
    /// # Errors
    /// When they cannot be asked for.
    pub(crate) async fn names(&mut self) -> Result<Vec<String>, Stop> {
        let sql = "SELECT DISTINCT name FROM (SELECT table_name AS name FROM information_schema.columns \
                   WHERE table_schema = 'public' UNION ALL SELECT column_name FROM information_schema.columns \
                   WHERE table_schema = 'public') AS names ORDER BY name";
        let answer = self.answer(SqlRequest::new(sql)).await?;
        first_column(&answer)
    }

    async fn answer(&mut self, request: SqlRequest) -> Result<SqlAnswer, Stop> {
        self.interrupts.forget();
        ask(&self.backend, request, &mut self.interrupts).await.map_err(stop)
    }

    async fn tables(&mut self) -> Result<(), Stop> {
        let sql = "SELECT DISTINCT table_name, table_doc FROM documentation ORDER BY table_name";
        let answer = self.answer(SqlRequest::new(sql)).await?;
        let rows = output::to_rows(&answer).map_err(|error| Stop::Failed(error.into()))?;
        self.print_texts(["table", "holds"], &rows)
    }

    async fn columns(&mut self, table: &str) -> Result<(), Stop> {
        if !table.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') {
            return Err(Stop::Failed(anyhow::anyhow!("`{table}` cannot be a table's name; \\d lists them")));
        }
        let answer = self.answer(SqlRequest::new(format!("SELECT * FROM {table} LIMIT 0"))).await?;
        let asked = "SELECT column_name, column_doc FROM documentation WHERE table_name = $table";
        let docs = self.answer(SqlRequest::new(asked).param("table", table)).await?;
        let docs = output::to_rows(&docs).map_err(|error| Stop::Failed(error.into()))?;
        let doc = |name: &str| {
            docs.iter().find(|row| row[0] == name).map_or_else(|| Value::from(""), |row| row[1].clone())
        };
        let rows = answer.schema.fields().iter().map(|field| {
            let null = if field.is_nullable() { "null" } else { "" };
            let kind = output::sql_type(field.data_type());
            vec![Value::from(field.name().as_str()), Value::from(kind), Value::from(null), doc(field.name())]
        });
        self.print_texts(["column", "type", "may be", "holds"], &rows.collect::<Vec<_>>())
    }

    fn print_texts<const N: usize>(&self, names: [&str; N], rows: &[Vec<Value>]) -> Result<(), Stop> {
        let columns = names.map(|name| Column { name: name.to_owned(), numeric: false });
        self.print_text(&layout::lay_out(&columns, rows, Style { width: width(), expanded: false }))
    }

    fn print_text(&self, text: &str) -> Result<(), Stop> {
        let all = say::bytes_while(text.as_bytes(), || !self.interrupts.waiting()).map_err(Stop::Output)?;
        if all { Ok(()) } else { Err(Stop::Interrupted) }
    }
}

fn stop(why: NoAnswer) -> Stop {
    match why {
        NoAnswer::Refused(error) => Stop::Failed(error.into()),
        NoAnswer::Interrupted => Stop::Interrupted,
        NoAnswer::Unprintable(error) => Stop::Output(error),
    }
}

fn first_column(answer: &SqlAnswer) -> Result<Vec<String>, Stop> {
    let rows = answer.rows().map_err(|error| Stop::Failed(error.into()))?;
    Ok(rows.iter().filter_map(|row| row.first()?.as_str().map(str::to_owned)).collect())
}

/// Places of the terminal that is printed to, if it is one.
pub(crate) fn width() -> Option<usize> {
    std::io::stdout().is_terminal().then(line_editor::columns)
}

/// Says what a command changed, away from the results.
fn tell(text: &str) {
    say::problem(text);
}

fn on_or_off(flag: bool) -> &'static str {
    if flag { "on" } else { "off" }
}
