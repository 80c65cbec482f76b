//! The thin runner: it knows which ticks are due, asks the questions, lets the pure functions decide, and commits
//! each tick in one transaction.

mod deleted;
mod evaluate;
mod instance;
mod reading;
mod rule_tick;
mod schedule;
mod slo_tick;
#[cfg(test)]
pub(crate) mod tests;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{OutboxEntry, SloStatus, SqlSource, Tenant, Transition};
use jiff::Timestamp;

use crate::error::{Error, JournalError, Result};
use crate::files::{Fingerprint, Loaded, Problem, fingerprint, load, load_keeping};
use crate::journal::Journal;
use crate::rule::RuleSet;
use crate::slo::{Minutes, TierReading};
use instance::Instances;
pub use schedule::Alignment;
pub use view::{
    EngineView, EvaluationView, GroupView, InstanceView, ProblemView, RuleView, SloView, TierView,
};

/// Plans the notifications of some transitions; the second argument is the `now` of the run, so that transitions
/// much older than it can be left unsent.
pub type Plan = Box<dyn Fn(&[Transition], Timestamp) -> Vec<OutboxEntry> + Send + Sync>;
/// Tells up to which instant the stored data is complete, if anybody knows.
pub type Watermark = Box<dyn Fn() -> Option<Timestamp> + Send + Sync>;

/// How an engine runs.
pub struct Options {
    /// How far back missed ticks are evaluated after downtime; older ones are recorded as skipped.
    pub catch_up_max: Duration,
    /// What becomes of transitions; writes nothing by default.
    pub plan: Plan,
    /// Read only for rules with `require_watermark: true`.
    pub watermark: Watermark,
    /// Groups that never ran start with their first tick at or after this, or after the `now` of the first run.
    pub start: Option<Timestamp>,
    /// Where a group's ticks lie.
    pub alignment: Alignment,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            catch_up_max: Duration::from_secs(86_400),
            plan: Box::new(|_, _| Vec::new()),
            watermark: Box::new(|| None),
            start: None,
            alignment: Alignment::Spread,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("catch_up_max", &self.catch_up_max)
            .field("start", &self.start)
            .field("alignment", &self.alignment)
            .finish_non_exhaustive()
    }
}

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// State changes, in the order in which they were committed.
    pub transitions: Vec<Transition>,
    /// Ticks that were evaluated and committed.
    pub evaluated: usize,
    /// When the next tick is due; `None` when there is nothing to evaluate.
    pub next_due: Option<Timestamp>,
}

/// Evaluates the rules and SLOs of one workspace for one tenant. One engine is the only writer of its journal.
pub struct Engine {
    sql: Arc<dyn SqlSource>,
    journal: Arc<dyn Journal>,
    workspace: PathBuf,
    tenant: Tenant,
    options: Options,
    loaded: Loaded,
    fingerprint: Fingerprint,
    /// Whether instances were read from the journal.
    restored: bool,
    /// Whether ticks were planned before: groups that appear later start then.
    planned: bool,
    instances: Instances,
    /// Next tick of each group and SLO, by group name.
    due: BTreeMap<String, Timestamp>,
    last_tick: BTreeMap<String, Timestamp>,
    last_evaluation: BTreeMap<String, EvaluationView>,
    minutes: BTreeMap<String, Minutes>,
    standings: BTreeMap<String, Standing>,
}

/// What the last tick of an SLO found.
#[derive(Clone, Debug)]
struct Standing {
    status: SloStatus,
    tiers: Vec<TierReading>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("workspace", &self.workspace)
            .field("tenant", &self.tenant)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Loads the workspace's rules. Problems in files do not fail it; see [`Engine::problems`]. The journal is
    /// first read by [`Engine::run_until`].
    ///
    /// # Errors
    /// [`Error::Workspace`] when the rule folders exist and cannot be listed.
    pub fn new(
        sql: Arc<dyn SqlSource>,
        journal: Arc<dyn Journal>,
        workspace: PathBuf,
        tenant: Tenant,
        options: Options,
    ) -> Result<Self> {
        let fingerprint = fingerprint(&workspace)?;
        let loaded = load(&workspace)?;
        Ok(Self {
            sql,
            journal,
            workspace,
            tenant,
            options,
            loaded,
            fingerprint,
            restored: false,
            planned: false,
            instances: Instances::default(),
            due: BTreeMap::new(),
            last_tick: BTreeMap::new(),
            last_evaluation: BTreeMap::new(),
            minutes: BTreeMap::new(),
            standings: BTreeMap::new(),
        })
    }

    /// Reads the files again if any of them changed. A file that is broken now keeps its last good version; the
    /// problem says so. Returns whether anything changed. Rules that are gone end their episodes with the next run.
    ///
    /// # Errors
    /// [`Error::Workspace`] when the rule folders cannot be listed; what was loaded stays in force.
    pub fn reload_if_changed(&mut self) -> Result<bool> {
        let fingerprint = fingerprint(&self.workspace)?;
        if fingerprint == self.fingerprint {
            return Ok(false);
        }
        self.loaded = load_keeping(&self.workspace, &self.loaded)?;
        self.fingerprint = fingerprint;
        self.due.clear();
        tracing::info!(
            groups = self.loaded.rules.groups.len(),
            slos = self.loaded.rules.slos.len(),
            problems = self.loaded.problems.len(),
            "reloaded rules"
        );
        Ok(true)
    }

    /// The rules and SLOs in force.
    pub fn rules(&self) -> &RuleSet {
        &self.loaded.rules
    }

    /// What is wrong with the files, the most serious first.
    pub fn problems(&self) -> &[Problem] {
        &self.loaded.problems
    }

    /// Evaluates every tick that is due at `now`, of every group and SLO, in the order of time, each in one
    /// transaction (RUL-2). After downtime that is every missed tick within `catch_up_max`.
    ///
    /// # Errors
    /// [`Error::Journal`] when a tick could not be committed: that tick took no effect and is due again, earlier
    /// ones are durable. A query that fails is an outcome of its rule, not an error.
    pub async fn run_until(&mut self, now: Timestamp) -> Result<Report> {
        self.restore().await?;
        let mut report = Report::default();
        report.transitions.extend(self.end_deleted(now).await?);
        self.plan_ticks(now).await?;
        while let Some(due) = self.next_due().filter(|due| due.at <= now) {
            let transitions = match due.group_index {
                Some(index) => self.group_tick(index, due.at, now).await?,
                None => self.slo_tick(due.slo_index, due.at, now).await?,
            };
            report.transitions.extend(transitions);
            report.evaluated += 1;
            self.advance_due(&due);
        }
        report.next_due = self.next_due().map(|due| due.at);
        Ok(report)
    }

    async fn restore(&mut self) -> Result<()> {
        if self.restored {
            return Ok(());
        }
        let stored = self.journal.instances(&self.tenant).await;
        self.instances = Instances::restore(stored.map_err(|e| journal_error("read instances", "*", e))?);
        self.restored = true;
        Ok(())
    }
}

fn journal_error(operation: &'static str, group: &str, source: JournalError) -> Error {
    Error::Journal { operation, group: group.to_owned(), source }
}
