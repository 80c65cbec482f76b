//! One query, with its progress on a terminal and an end by Ctrl-C.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource as _};

use crate::backend::{Backend, RunningQuery};
use crate::incoming::Next;
use crate::interrupts::Interrupts;
use crate::say;
use crate::sql::print::Printer;

/// Shorter queries say nothing.
const QUIET: Duration = Duration::from_secs(1);
/// How often the line changes.
const EACH: Duration = Duration::from_millis(300);
/// Longest that stopping a query at its server may take; then its connection is closed all the same.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);
/// A query's age by the server's watch and by ours differ by no more.
const AGE_SLACK: Duration = Duration::from_millis(750);
/// The server tells of longer texts only the beginning, 4 KiB less at most a character.
const WHOLE_BYTES_MAX: usize = 4 * 1024 - 3;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Refused(SqlError),
    Interrupted,
    /// There is nowhere to print to.
    Unprintable(anyhow::Error),
}

/// What became of an answer that was printed to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) rows: u64,
    pub(crate) elapsed: Duration,
}

/// Asks, and holds the answer. When an interrupt comes first, the query is cancelled where it runs.
pub(crate) async fn ask(
    backend: &Backend,
    request: SqlRequest,
    interrupts: &mut Interrupts,
) -> Result<SqlAnswer, NoAnswer> {
    let asked = Asked::new(&request);
    let work = async { backend.sql(request).await.map_err(NoAnswer::Refused) };
    watched(backend, &asked, interrupts, work).await
}

/// Asks, and prints the answer as it comes. When an interrupt comes first, the query is cancelled where it runs, and
/// what was printed stays.
pub(crate) async fn hand_on(
    backend: &Backend,
    request: SqlRequest,
    interrupts: &mut Interrupts,
    printer: impl FnOnce(&SchemaRef) -> Printer,
) -> Result<Done, NoAnswer> {
    let asked = Asked::new(&request);
    let heard = interrupts.clone();
    let print = async |bytes: &[u8]| {
        asked.make_room(!bytes.is_empty());
        match say::bytes_while(bytes, || !heard.waiting()) {
            Ok(true) => Ok(()),
            // Whoever watches hears it too, and cancels the query before it is dropped.
            Ok(false) => std::future::pending().await,
            Err(error) => Err(NoAnswer::Unprintable(error)),
        }
    };
    let unprintable = |error: hindsight_query::Error| NoAnswer::Unprintable(error.into());
    let work = async {
        let mut incoming = backend.rows(request).await.map_err(NoAnswer::Refused)?;
        asked.id.set(incoming.id());
        let mut printer = printer(incoming.schema());
        loop {
            match incoming.next().await {
                Ok(Next::Rows(batch)) => print(&printer.rows(batch).map_err(unprintable)?).await?,
                Ok(Next::Ended(ended)) => {
                    let done = Done { rows: printer.row_count(), elapsed: asked.began.elapsed() };
                    print(&printer.end(ended, done.elapsed).map_err(unprintable)?).await?;
                    return Ok(done);
                }
                Err(error) => {
                    print(&printer.broken(&error).unwrap_or_default()).await?;
                    return Err(NoAnswer::Refused(error));
                }
            }
        }
    };
    watched(backend, &asked, interrupts, work).await
}

/// A query under way.
struct Asked {
    sql: String,
    began: Instant,
    /// Where it runs, once that is known.
    id: Cell<Option<u64>>,
    /// Whether the terminal has a line of progress.
    shown: Cell<bool>,
    /// Whether the terminal has rows, between which no line of progress belongs.
    has_rows: Cell<bool>,
}

impl Asked {
    fn new(request: &SqlRequest) -> Self {
        let (id, flag) = (Cell::new(None), || Cell::new(false));
        Self { sql: request.sql.clone(), began: Instant::now(), id, shown: flag(), has_rows: flag() }
    }

    /// Clears the line of progress, and where rows go to the same terminal keeps it away.
    fn make_room(&self, for_rows: bool) {
        if for_rows && std::io::stdout().is_terminal() {
            self.has_rows.set(true);
            self.clear();
        }
    }

    fn clear(&self) {
        if self.shown.take() {
            say::progress("");
        }
    }

    fn ours<'a>(&self, running: &'a [RunningQuery]) -> Option<&'a RunningQuery> {
        match self.id.get() {
            Some(id) => running.iter().find(|query| query.id == id),
            None => ours(running, &self.sql, self.began.elapsed()),
        }
    }
}

/// Does the work of a query beside a line of progress, until an interrupt.
async fn watched<T>(
    backend: &Backend,
    asked: &Asked,
    interrupts: &mut Interrupts,
    work: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    let mut work = Box::pin(work);
    let outcome = tokio::select! {
        biased;
        // First: rows that come without a pause must not keep it from being heard.
        () = interrupts.next() => Err(NoAnswer::Interrupted),
        outcome = &mut work => outcome,
        () = show_progress(backend, asked) => Err(NoAnswer::Interrupted),
    };
    asked.clear();
    if matches!(outcome, Err(NoAnswer::Interrupted)) {
        cancel(backend, asked).await;
    }
    // Dropping the work closes its connection, or stops the query in this process.
    outcome
}

/// Goes on for ever.
async fn show_progress(backend: &Backend, asked: &Asked) {
    if !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    tokio::time::sleep(QUIET).await;
    loop {
        // Not knowing how far it is must not fail the query.
        let running = backend.running().await.unwrap_or_default();
        if !asked.has_rows.get() {
            asked.shown.set(true);
            say::progress(&line(asked.began.elapsed(), asked.ours(&running)));
        }
        tokio::time::sleep(EACH).await;
    }
}

/// Stops our query if it is clear which one is ours.
async fn cancel(backend: &Backend, asked: &Asked) {
    let stop = async {
        if let Some(id) = asked.id.get() {
            return backend.cancel(id).await;
        }
        let running = backend.running().await?;
        match asked.ours(&running) {
            Some(query) => backend.cancel(query.id).await,
            None => Ok(()),
        }
    };
    if let Ok(Err(error)) = tokio::time::timeout(CANCEL_LIMIT, stop).await {
        tracing::warn!(error = format!("{error:#}"), "the query was only left, not cancelled");
    }
}

/// The one query with this text and about this age; `None` when none or several are like that.
fn ours<'a>(running: &'a [RunningQuery], sql: &str, elapsed: Duration) -> Option<&'a RunningQuery> {
    let same_text = |shown: &str| shown == sql || (shown.len() >= WHOLE_BYTES_MAX && sql.starts_with(shown));
    let mut like_ours =
        running.iter().filter(|query| same_text(&query.sql) && query.elapsed.abs_diff(elapsed) < AGE_SLACK);
    like_ours.next().filter(|_| like_ours.next().is_none())
}

fn line(elapsed: Duration, query: Option<&RunningQuery>) -> String {
    let seconds = elapsed.as_secs_f64();
    match query {
        Some(query) => {
            let (rows, bytes) = (grouped(query.rows), say::size(query.bytes));
            format!("{seconds:.1} s, {rows} rows and {bytes} read; Ctrl-C cancels")
        }
        None => format!("{seconds:.1} s; Ctrl-C cancels"),
    }
}

/// A number with a space between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(id: u64, sql: &str, millis: u64) -> RunningQuery {
        let elapsed = Duration::from_millis(millis);
        RunningQuery { id, sql: sql.to_owned(), elapsed, rows: 1_234_567, bytes: 3 << 20 }
    }

    #[test]
    fn a_query_is_ours_only_when_no_other_is_like_it() {
        let elapsed = Duration::from_secs(10);
        let id = |running: &[RunningQuery]| ours(running, "SELECT 1", elapsed).map(|query| query.id);
        assert_eq!(id(&[query(1, "SELECT 1", 10_200), query(2, "SELECT 12", 10_000)]), Some(1));
        assert_eq!(id(&[query(1, "SELECT 1", 10_200), query(2, "SELECT 1", 9_900)]), None);
        assert_eq!(id(&[query(1, "SELECT 1", 60_000), query(2, "SELECT 1", 9_900)]), Some(2));
        assert_eq!(id(&[query(1, "SELECT", 10_000)]), None);
        let long = "x".repeat(5_000);
        let running = [query(1, &long[..4_096], 10_000)];
        assert_eq!(ours(&running, &long, elapsed).map(|query| query.id), Some(1));
    }

    #[test]
    fn the_line_says_how_long_and_how_much() {
        let elapsed = Duration::from_millis(2_340);
        assert_eq!(line(elapsed, None), "2.3 s; Ctrl-C cancels");
        let running = query(1, "", 0);
        let expected = "2.3 s, 1 234 567 rows and 3.0 MiB read; Ctrl-C cancels";
        assert_eq!(line(elapsed, Some(&running)), expected);
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123_456), "123 456");
    }
}
