//! Rule tests (`tests/*.yaml`): telemetry as it would have come, and what the rules must have made of it.
//!
//! A test runs the same engine that a server runs (RUL-1), tick by tick, over an empty journal in memory. Where the
//! telemetry goes is the caller's matter: a [`Feeds`] makes a place that answers SQL over what has arrived so far.

mod fixture;
mod notation;
mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use hindsight_model::{AlertState, Labels};
use jiff::Timestamp;

pub use fixture::{Fixture, Metric, MetricKind, Occurrences};
pub(crate) use notation::series;
pub use run::{CaseReport, Failure, Feed, FeedError, Feeds, run_case};

/// Most values that one series of a test may have.
pub(crate) const VALUES_MAX: usize = 100_000;

/// A test file that passed every check.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// Relative to the workspace.
    pub file: PathBuf,
    /// Rule files that the tests are about, relative to the workspace.
    pub rule_files: Vec<PathBuf>,
    /// OpenSLO files that the tests are about, relative to the workspace.
    pub slo_files: Vec<PathBuf>,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its line in the file, from 1.
    pub line: u64,
    /// When its first tick is.
    pub start: Timestamp,
    /// The telemetry that comes.
    pub fixture: Fixture,
    /// What must be, in the order of the file.
    pub expect: Vec<Expectation>,
    /// How many pages must have been told in all.
    pub notifications: Option<Told>,
    /// The same must hold when the process dies at each of these times after the start.
    pub restart_at: Vec<Duration>,
}

/// What must be at one time.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Time after the start; what the ticks up to then made of it counts.
    pub at: Duration,
    /// The alert's name, or a rule's id.
    pub alert: String,
    /// The state of the instances that `labels` choose: one of them is in it, or all when it is inactive.
    pub state: AlertState,
    /// Labels that the instance has, others beside them.
    pub labels: Labels,
    /// Why it came into the state.
    pub reason: Option<String>,
    /// Its last value, within a millionth.
    pub value: Option<f64>,
    /// Annotations that it has, others beside them.
    pub annotations: Labels,
}

/// Pages that were told, of all alerts of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Episodes that began to fire.
    pub firing: usize,
    /// Episodes of which the end was told.
    pub resolved: usize,
}
