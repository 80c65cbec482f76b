//! What a long command says while it works: nothing for two seconds, then a line that keeps changing.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::say;

/// Shorter work says nothing.
const QUIET: Duration = Duration::from_secs(2);
/// How often a terminal's line changes.
const EACH_ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a log gets a line.
const EACH_IN_LOG: Duration = Duration::from_secs(10);

/// One command's progress.
#[derive(Debug)]
pub(crate) struct Reporter {
    started: Instant,
    said: Mutex<Option<Instant>>,
}

impl Reporter {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), said: Mutex::new(None) }
    }

    /// Says how far the work has come, unless something was said a moment ago.
    pub(crate) fn tell(&self, doing: &str, done_bytes: u64, total_bytes: u64) {
        let on_terminal = std::io::stderr().is_terminal();
        let each = if on_terminal { EACH_ON_TERMINAL } else { EACH_IN_LOG };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.started.elapsed() < QUIET || said.is_some_and(|at| at.elapsed() < each) {
            return;
        }
        *said = Some(Instant::now());
        let line = line(doing, done_bytes, total_bytes);
        if on_terminal { say::progress(&line) } else { say::problem(&line) }
    }

    /// Clears a terminal's line.
    pub(crate) fn end(&self) {
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            say::progress("");
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn line(doing: &str, done_bytes: u64, total_bytes: u64) -> String {
    match (done_bytes * 100).checked_div(total_bytes) {
        Some(percent) => {
            format!("{percent:3} % of {}: {doing}", say::size(total_bytes))
        }
        None => doing.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_share_only_when_the_whole_is_known() {
        assert_eq!(line("tables/spans", 512 * 1024, 1024 * 1024), " 50 % of 1.0 MiB: tables/spans");
        assert_eq!(line("the log", 7, 0), "the log");
    }
}
