//! `hindsight tail`: logs as they come, each once.

mod cursor;
mod line;
mod question;
mod stdout;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource as _, SqlValue, parse_duration, to_micros};
use hindsight_query::output;
use serde_json::{Map, Value};

use crate::args::TailArgs;
use crate::backend::Backend;
use crate::interrupts::Interrupts;
use crate::say;
use crate::tail::cursor::Cursor;
use crate::tail::line::Colours;
use crate::tail::question::{PAGE_LOGS, Question};

/// Between two looks.
const EACH: Duration = Duration::from_secs(1);
/// The first wait after a look that failed; each further one is twice as long …
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// … up to this.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Longest way back; seconds of it are counted one by one.
const SINCE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// `hindsight tail`.
pub(crate) async fn run(args: TailArgs) -> anyhow::Result<ExitCode> {
    let question = Question::new(&args)?;
    let since = parse_duration(&args.since)?;
    if since > SINCE_MAX {
        bail!("--since {} is longer than 7d; ask for older logs with `hindsight sql`", args.since);
    }
    let late = parse_duration(&args.late)?;
    let backend = Backend::open(&args.source).await?;
    let mut follow = !args.no_follow;
    if follow && backend.server().is_err() {
        say::problem("no server holds this directory, so nothing new comes; this is what there is");
        follow = false;
    }
    let interrupts = Interrupts::start()?;
    let tail =
        Tail { backend: &backend, question, json: args.json, colours: colours(), interrupts: &interrupts };
    let mut ending = interrupts.clone();
    let result = tokio::select! {
        biased;
        () = ending.next() => Ok(()),
        result = tail.run(since, late, follow) => result,
    };
    backend.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

fn colours() -> Colours {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stdout().is_terminal() { Colours::Yes } else { Colours::No }
}

struct Tail<'a> {
    backend: &'a Backend,
    question: Question,
    json: bool,
    colours: Colours,
    interrupts: &'a Interrupts,
}

/// Why a look ended early.
enum Stop {
    /// The server may answer a little later.
    Later(String),
    Never(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Never(error)
    }
}

impl Tail<'_> {
    async fn run(&self, since: Duration, late: Duration, follow: bool) -> anyhow::Result<()> {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        // Whatever is wrong at first is not likely to become right.
        let now = self.now().await.map_err(Stop::into_error)?;
        let mut cursor = Cursor::new(now.saturating_sub(micros(since)), micros(late));
        self.look(&mut cursor, now).await.map_err(Stop::into_error)?;
        if !follow {
            return Ok(());
        }
        loop {
            tokio::time::sleep(EACH).await;
            if stdout::is_closed() {
                return Ok(());
            }
            self.look_until_answered(&mut cursor).await?;
        }
    }

    /// Looks once, however long the server needs to come back.
    async fn look_until_answered(&self, cursor: &mut Cursor) -> anyhow::Result<()> {
        let mut wait = RETRY_FIRST;
        loop {
            let looked = match self.now().await {
                Ok(now) => self.look(cursor, now).await,
                Err(stop) => Err(stop),
            };
            match looked {
                Ok(()) => {
                    if wait > RETRY_FIRST {
                        say::problem("-- the server answers again");
                    }
                    return Ok(());
                }
                Err(Stop::Never(error)) => return Err(error),
                Err(Stop::Later(why)) => {
                    if wait == RETRY_FIRST {
                        say::problem(&format!("-- {why}; trying again until it answers"));
                    }
                }
            }
            tokio::time::sleep(wait).await;
            if stdout::is_closed() {
                return Ok(());
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Prints what was not printed yet.
    async fn look(&self, cursor: &mut Cursor, now: i64) -> Result<(), Stop> {
        let counts = counts(&self.ask(self.question.counts(cursor.from())).await?)?;
        for span in cursor.changed(&counts) {
            let mut next = Some(span.from);
            while let Some(from) = next {
                let mut logs = logs(&self.ask(self.question.page(from, span.to)).await?)?;
                let times: Vec<i64> = logs.iter().map(|log| log.at).collect();
                let page = cursor::page(&times, PAGE_LOGS);
                if page.crowded {
                    say::problem(&format!("-- more than {PAGE_LOGS} logs have one time; some are left out"));
                }
                logs.truncate(page.whole);
                self.print(cursor, logs)?;
                next = page.next;
            }
            cursor.settle(&span, now);
        }
        if cursor.passed(now) {
            say::problem("-- too many logs to remember; those that come late may be left out");
        }
        Ok(())
    }

    fn print(&self, cursor: &mut Cursor, logs: Vec<Log>) -> anyhow::Result<()> {
        let known: Vec<(i64, u64)> = logs.iter().map(|log| (log.at, log.fingerprint)).collect();
        let mut out = String::new();
        for (log, new) in logs.into_iter().zip(cursor.take(&known)) {
            if new {
                let json = self.json;
                out += &if json { line::json(log.columns) } else { line::text(&log.columns, self.colours) };
            }
        }
        say::bytes_while(out.as_bytes(), || !self.interrupts.waiting())?;
        Ok(())
    }

    /// The server's clock.
    async fn now(&self) -> Result<i64, Stop> {
        let answer = self.ask(Question::now()).await?;
        let rows = answer.rows().context("read the server's time")?;
        let now = rows.first().and_then(|row| row.first()?.as_time());
        Ok(to_micros(now.context("the server did not say what time it is")?))
    }

    async fn ask(&self, request: SqlRequest) -> Result<SqlAnswer, Stop> {
        self.backend.sql(request).await.map_err(|error| match error {
            SqlError::Invalid { .. } => Stop::Never(error.into()),
            SqlError::Failed { .. } | SqlError::Limit { .. } | SqlError::Cancelled => {
                Stop::Later(error.to_string())
            }
        })
    }
}

impl Stop {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Later(why) => anyhow::Error::msg(why),
            Self::Never(error) => error,
        }
    }
}

fn counts(answer: &SqlAnswer) -> anyhow::Result<Vec<(i64, u64)>> {
    let rows = answer.rows().context("read how many logs there are")?;
    let counts = rows.iter().filter_map(|row| match row.as_slice() {
        [SqlValue::Time(second), SqlValue::Int(count)] => {
            Some((to_micros(*second), u64::try_from(*count).unwrap_or(0)))
        }
        _ => None,
    });
    Ok(counts.collect())
}

/// One log as it was answered.
struct Log {
    at: i64,
    fingerprint: u64,
    columns: Map<String, Value>,
}

fn logs(answer: &SqlAnswer) -> anyhow::Result<Vec<Log>> {
    let names = answer.columns();
    let mut logs = Vec::with_capacity(answer.row_count());
    for row in output::to_rows(answer)? {
        let mut hasher = DefaultHasher::new();
        row.iter().for_each(|cell| cell.to_string().hash(&mut hasher));
        let columns: Map<String, Value> = names.iter().map(|name| (*name).to_owned()).zip(row).collect();
        let at: jiff::Timestamp =
            columns["timestamp"].as_str().unwrap_or_default().parse().context("read the time of a log")?;
        logs.push(Log { at: to_micros(at), fingerprint: hasher.finish(), columns });
    }
    Ok(logs)
}
