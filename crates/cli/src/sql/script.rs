//! Statements one after the other, up to the first that fails.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc;

use crate::sql::INTERRUPTED;
use crate::sql::meta;
use crate::sql::session::{Flow, Session, Stop};
use crate::sql::split::{STATEMENT_BYTES_MAX, Splitter, Statement};

/// Lines read ahead of the statement that runs.
const LINES_AHEAD: usize = 16;

/// The statements of the command line.
pub(crate) async fn run_text(session: &mut Session, text: &str) -> anyhow::Result<ExitCode> {
    let mut splitter = Splitter::new();
    let mut statements = splitter.push(text)?;
    statements.extend(splitter.finish()?);
    // Asked as it came: the server says best what is wrong with nothing.
    if let ([] | [_], false) = (statements.as_slice(), meta::is_meta(text)) {
        let only = statements.first().map_or(text, |statement| statement.text.as_str());
        return ended(session.statement(only).await.map(|()| Flow::GoOn));
    }
    let mut script = Script::new(session);
    match script.lines(text).await {
        Ok(Flow::GoOn) => ended(script.finish().await),
        result => ended(result),
    }
}

/// The statements of a file.
pub(crate) async fn run_file(session: &mut Session, file: &Path) -> anyhow::Result<ExitCode> {
    let open = std::fs::File::open(file).with_context(|| format!("open {}", file.display()))?;
    run_lines(session, BufReader::new(open)).await.with_context(|| format!("in {}", file.display()))
}

/// The statements of standard input, each as soon as it is there.
pub(crate) async fn run_input(session: &mut Session) -> anyhow::Result<ExitCode> {
    run_lines(session, BufReader::new(std::io::stdin())).await
}

async fn run_lines(session: &mut Session, input: impl BufRead + Send + 'static) -> anyhow::Result<ExitCode> {
    let mut lines = read_lines(input);
    let mut script = Script::new(session);
    loop {
        let line = tokio::select! {
            biased;
            () = script.session.interrupts().next() => return ended(Err(Stop::Interrupted)),
            line = lines.recv() => line,
        };
        match line {
            Some(line) => match script.lines(&line.context("read the statements")?).await {
                Ok(Flow::GoOn) => {}
                result => return ended(result),
            },
            None => return ended(script.finish().await),
        }
    }
}

/// Reads on a thread of its own, which nobody waits for: standard input may never end.
fn read_lines(mut input: impl BufRead + Send + 'static) -> mpsc::Receiver<std::io::Result<String>> {
    let (tell, lines) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            // A longer line comes in pieces, of which the splitter soon has enough.
            let read = input.by_ref().take(STATEMENT_BYTES_MAX as u64).read_line(&mut line);
            let last = matches!(read, Ok(0) | Err(_));
            if matches!(read, Ok(0)) || tell.blocking_send(read.map(|_| line)).is_err() || last {
                return;
            }
        }
    });
    lines
}

/// The exit code, or the error that `main` reports.
fn ended(result: Result<Flow, Stop>) -> anyhow::Result<ExitCode> {
    match result {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(Stop::Interrupted) => Ok(ExitCode::from(INTERRUPTED)),
        Err(Stop::Failed(error) | Stop::Output(error)) => Err(error),
    }
}

struct Script<'a> {
    session: &'a mut Session,
    splitter: Splitter,
    /// Statements begun so far.
    count: usize,
}

impl<'a> Script<'a> {
    fn new(session: &'a mut Session) -> Self {
        Self { session, splitter: Splitter::new(), count: 0 }
    }

    /// Runs what whole lines complete.
    async fn lines(&mut self, text: &str) -> Result<Flow, Stop> {
        for line in text.split_inclusive('\n') {
            if self.splitter.is_between() && meta::is_meta(line) {
                let flow = self.session.command(line).await;
                match named(flow, || line.trim().to_owned())? {
                    Flow::GoOn => self.splitter.skip_line(line),
                    Flow::Quit => return Ok(Flow::Quit),
                }
                continue;
            }
            let statements = self.splitter.push(line).map_err(|error| Stop::Failed(error.into()))?;
            self.run(statements).await?;
        }
        Ok(Flow::GoOn)
    }

    async fn finish(self) -> Result<Flow, Stop> {
        let Self { session, splitter, count } = self;
        let statements = splitter.finish().map_err(|error| Stop::Failed(error.into()))?;
        Script { session, splitter: Splitter::new(), count }.run(statements).await?;
        Ok(Flow::GoOn)
    }

    async fn run(&mut self, statements: Vec<Statement>) -> Result<(), Stop> {
        for statement in statements {
            self.count += 1;
            let name = || format!("statement {} (line {})", self.count, statement.line);
            named(self.session.statement(&statement.text).await, name)?;
        }
        Ok(())
    }
}

/// The same, with the statement's name before what failed.
fn named<T>(result: Result<T, Stop>, name: impl FnOnce() -> String) -> Result<T, Stop> {
    result.map_err(|stop| match stop {
        Stop::Failed(error) => Stop::Failed(anyhow!(error).context(name())),
        other => other,
    })
}
