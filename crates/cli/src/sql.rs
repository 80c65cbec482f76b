//! `hindsight sql`: statements of the command line, a file, standard input, or a person at a terminal.

mod ask;
pub(crate) mod layout;
mod meta;
mod params;
mod print;
mod script;
mod session;
mod shell;
mod split;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use hindsight_model::{SqlAnswer, parse_duration};

use crate::args::{OutputFormat, SqlArgs};
use crate::backend::Backend;
use crate::interrupts::Interrupts;
use crate::sql::layout::Style;
use crate::sql::session::{Session, Settings};

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// An answer as an aligned table, as wide as the terminal if it goes to one.
pub(crate) fn table(answer: &SqlAnswer) -> anyhow::Result<String> {
    let style = Style { width: session::width(), expanded: false };
    Ok(print::table(answer, style)?)
}

/// `hindsight sql`.
pub(crate) async fn run(args: SqlArgs) -> anyhow::Result<ExitCode> {
    let format = match (args.json, args.csv) {
        (true, _) => OutputFormat::Json,
        (_, true) => OutputFormat::Csv,
        _ => args.format,
    };
    let settings = Settings {
        format,
        expanded: false,
        timing: true,
        params: params::bindings(&args.params)?,
        timeout: args.timeout.as_deref().map(parse_duration).transpose()?,
    };
    let query = args.query.filter(|query| query != "-");
    let by_hand = query.is_none()
        && args.file.is_none()
        && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal();
    let backend = Backend::open(&args.source).await?;
    let mut session = Session::new(backend, settings, Interrupts::start()?);
    let result = match (query, args.file) {
        _ if by_hand => shell::run(&mut session).await.map(|()| ExitCode::SUCCESS),
        (Some(query), _) => script::run_text(&mut session, &query).await,
        (None, Some(file)) => script::run_file(&mut session, &file).await,
        (None, None) => script::run_input(&mut session).await,
    };
    session.close().await?;
    result
}
