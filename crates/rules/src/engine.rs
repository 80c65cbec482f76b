//! The thin runner: it knows which ticks are due, asks the questions, lets the pure functions decide, and commits
//! each tick in one transaction.

mod deleted;
mod evaluate;
mod instance;
mod own;
mod reading;
mod reload;
mod rule_tick;
mod schedule;
mod slo_tick;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod wave;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use hindsight_model::{Labels, OutboxEntry, SloStatus, SqlSource, Tenant, Transition};
use jiff::Timestamp;

use crate::error::{Error, JournalError, Result};
use crate::files::{Fingerprint, Loaded, Problem, built_in, fingerprint, load};
use crate::journal::Journal;
use crate::rule::RuleSet;
use crate::slo::{Minutes, TierReading};
use instance::Instances;
pub(crate) use reading::values;
pub use reload::{Refused, Version};
pub use schedule::Alignment;
use schedule::Unit;
pub use view::{
    EngineView, EvaluationView, GroupView, InstanceView, ProblemView, RefusedView, RuleView, SloView,
    TierView,
};
use wave::Asking;

/// Rules whose queries run at once, unless the options say otherwise.
pub const CONCURRENCY: usize = 4;

/// Plans the notifications of some transitions; the second argument is the `now` of the run, so that transitions
/// much older than it can be left unsent.
pub type Plan = Box<dyn Fn(&[Transition], Timestamp) -> Vec<OutboxEntry> + Send + Sync>;
/// Tells up to which instant the stored data is complete, if anybody knows.
pub type Watermark = Box<dyn Fn() -> Option<Timestamp> + Send + Sync>;

/// Tells how many notifications to each receiver were given up within a span of time, or why nobody knows.
pub type DeadNotifications = Box<
    dyn Fn(Timestamp, Timestamp) -> BoxFuture<'static, std::result::Result<Vec<(String, u64)>, JournalError>>
        + Send
        + Sync,
>;

/// Tells which action items are overdue at a time: labels that name each, and by how many days.
pub type OverdueActions = Box<
    dyn Fn(Timestamp) -> BoxFuture<'static, std::result::Result<Vec<(Labels, f64)>, JournalError>>
        + Send
        + Sync,
>;

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
    /// Most rules whose queries run at once. Half of them may be such whose last query was slow, so that slow rules
    /// wait for each other and not quick ones for them.
    pub concurrency: usize,
    /// With it the program watches itself, by the built-in rules.
    pub dead_notifications: Option<DeadNotifications>,
    /// What the built-in rule about action items measures; without it none is overdue.
    pub overdue_actions: Option<OverdueActions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            catch_up_max: Duration::from_secs(86_400),
            plan: Box::new(|_, _| Vec::new()),
            watermark: Box::new(|| None),
            start: None,
            alignment: Alignment::Spread,
            concurrency: CONCURRENCY,
            dead_notifications: None,
            overdue_actions: None,
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
    /// What the files looked like when they were last read, in force or not.
    fingerprint: Fingerprint,
    version: Version,
    refused: Option<Refused>,
    /// Whether instances were read from the journal.
    restored: bool,
    /// Whether ticks were planned before: groups that appear later start then.
    planned: bool,
    instances: Instances,
    /// Every rule and SLO with its next tick.
    units: Vec<Unit>,
    /// Locked by nobody: what only runs is not shared by reference, and the engine as a whole may be.
    asking: Mutex<Asking>,
    /// Last committed tick of each rule and SLO, by name.
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
    /// Loads the workspace's rules. Problems in files do not fail it: at a start the good rules are in force and the
    /// bad ones are not, see [`Engine::problems`]. The journal is first read by [`Engine::run_until`].
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
        let mut engine = Self::with_rules(sql, journal, loaded, tenant, options);
        engine.version.id = fingerprint.version();
        engine.fingerprint = fingerprint;
        engine.workspace = workspace;
        Ok(engine)
    }

    /// An engine for rules that are loaded already; it has no files to look at again.
    pub fn with_rules(
        sql: Arc<dyn SqlSource>,
        journal: Arc<dyn Journal>,
        mut loaded: Loaded,
        tenant: Tenant,
        options: Options,
    ) -> Self {
        if options.dead_notifications.is_some() {
            loaded.rules.groups.extend(built_in::groups());
        }
        let units = schedule::units(&loaded.rules, options.alignment);
        Self {
            sql,
            journal,
            workspace: PathBuf::new(),
            tenant,
            options,
            loaded,
            fingerprint: Fingerprint::default(),
            version: Version::default(),
            refused: None,
            restored: false,
            planned: false,
            instances: Instances::default(),
            units,
            asking: Mutex::default(),
            last_tick: BTreeMap::new(),
            last_evaluation: BTreeMap::new(),
            minutes: BTreeMap::new(),
            standings: BTreeMap::new(),
        }
    }

    /// The rules and SLOs in force.
    pub fn rules(&self) -> &RuleSet {
        &self.loaded.rules
    }

    /// What is wrong with the files, the most serious first; of a refused version when there is one.
    pub fn problems(&self) -> &[Problem] {
        self.refused.as_ref().map_or(&self.loaded.problems, |refused| &refused.problems)
    }

    /// Evaluates every tick that is due at `now`, of every rule and SLO, in the order of time, each tick in one
    /// transaction (RUL-2). After downtime that is every missed tick within `catch_up_max`.
    ///
    /// # Errors
    /// [`Error::Journal`] when ticks could not be committed: they took no effect and are due again, earlier ones are
    /// durable. A query that fails is an outcome of its rule, not an error.
    pub async fn run_until(&mut self, now: Timestamp) -> Result<Report> {
        self.run(now, None).await
    }

    /// As [`Engine::run_until`], but leaves queries that take longer than `patience` running: they hold up nobody, and
    /// a later call commits their ticks.
    ///
    /// # Errors
    /// As [`Engine::run_until`].
    pub async fn run_for(&mut self, now: Timestamp, patience: Duration) -> Result<Report> {
        self.run(now, Some(patience)).await
    }

    async fn run(&mut self, now: Timestamp, patience: Option<Duration>) -> Result<Report> {
        self.restore().await?;
        let mut report = Report::default();
        report.transitions.extend(self.end_deleted(now).await?);
        self.plan_ticks(now).await?;
        let patience = patience.map(|patience| tokio::time::Instant::now() + patience);
        while self.wave(now, patience, &mut report).await? {}
        report.next_due = self.units.iter().filter_map(|unit| unit.next).min();
        Ok(report)
    }

    fn asking(&mut self) -> &mut Asking {
        self.asking.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    async fn restore(&mut self) -> Result<()> {
        if self.restored {
            return Ok(());
        }
        let stored = self.journal.instances(&self.tenant).await;
        self.instances = Instances::restore(stored.map_err(|e| journal_error("read instances", "*", e))?);
        let last_ticks = self.journal.last_ticks(&self.tenant).await;
        self.last_tick = last_ticks.map_err(|e| journal_error("read the last ticks", "*", e))?;
        self.restored = true;
        Ok(())
    }
}

fn journal_error(operation: &'static str, group: &str, source: JournalError) -> Error {
    Error::Journal { operation, group: group.to_owned(), source }
}
