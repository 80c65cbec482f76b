//! What every handler and task shares, and the pulse that turns telemetry into alerts, incidents and drafts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hindsight_incidents::{Added, By, Declaration, PostmortemFact, Progress, Runner as IncidentRunner, Step};
use hindsight_model::{
    Clock, Incident, IncidentId, LogicalClock, NewTimelineRow, TimelineEdit, TimelineEntry,
};
use hindsight_notify::Worker;
use hindsight_postmortem::Library;
use hindsight_query::QueryEngine;
use hindsight_rules::{Engine, EngineView};
use hindsight_search::SearchIndex;
use hindsight_state::State;
use hindsight_store::Store;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};

use crate::capsule::CapsuleView;
use crate::fault::chain;
use crate::holds::{HoldKeeper, facts};
use crate::pressure::Pressure;
use crate::{Addresses, Config, Error, Result};

/// How long a beat waits for the queries of rules; slower ones end in a later beat.
const PATIENCE: Duration = Duration::from_millis(800);

/// Shared by all handlers and tasks of one server.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    /// The clock again, when it is a logical one that replay may move.
    pub(crate) logical: Option<Arc<LogicalClock>>,
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) query: QueryEngine,
    /// The post-mortems; reading them is not for the I/O threads.
    pub(crate) library: Arc<Library>,
    pub(crate) search: Option<SearchIndex>,
    pub(crate) addresses: Addresses,
    pub(crate) started_at: Timestamp,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) worker: Worker,
    /// The capsule that is shown, if this server may change nothing.
    pub(crate) capsule: Option<Arc<CapsuleView>>,
    /// Held by whoever makes a capsule.
    pub(crate) exporting: Arc<Semaphore>,
    /// Held by whoever verifies action items.
    pub(crate) verifying: Mutex<()>,
    pulse: Mutex<Pulse>,
    /// After `pulse` where both are locked.
    following: Mutex<Following>,
    /// What incidents are looked at now; asked without waiting for that.
    looking: Progress,
    rules: RwLock<Arc<EngineView>>,
    problems: RwLock<Problems>,
}

/// What turns telemetry into alerts, one owner at a time.
pub(crate) struct Pulse {
    pub(crate) engine: Engine,
    /// When the next tick was due as last shown.
    pub(crate) shown_due: Option<Timestamp>,
}

/// What turns alerts into incidents, one owner at a time. The analysis of an incident takes seconds, and rules must not
/// wait for it.
pub(crate) struct Following {
    pub(crate) incidents: IncidentRunner,
    pub(crate) holds: HoldKeeper,
}

/// Why the last beat of each failed, if it did.
#[derive(Debug, Default)]
struct Problems {
    rules: Option<String>,
    incidents: Option<String>,
}

/// What comes of a call to incidents.
pub(crate) type Followed<T> = hindsight_incidents::Result<T>;

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl App {
    #[expect(clippy::too_many_arguments, reason = "called once, where the parts are made")]
    pub(crate) fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        logical: Option<Arc<LogicalClock>>,
        store: Store,
        state: State,
        query: QueryEngine,
        library: Arc<Library>,
        search: Option<SearchIndex>,
        addresses: Addresses,
        worker: Worker,
        pulse: Pulse,
        following: Following,
        capsule: Option<Arc<CapsuleView>>,
    ) -> Self {
        Self {
            pressure: Arc::new(Pressure::new(
                &config.limits,
                if config.listen_pg.value.is_some() { 4 } else { 3 },
            )),
            config,
            started_at: clock.now(),
            clock,
            logical,
            store,
            state,
            query,
            library,
            search,
            addresses,
            worker,
            capsule,
            exporting: Arc::new(Semaphore::new(1)),
            verifying: Mutex::default(),
            rules: RwLock::new(Arc::new(pulse.engine.describe())),
            pulse: Mutex::new(pulse),
            looking: following.incidents.progress(),
            following: Mutex::new(following),
            problems: RwLock::default(),
        }
    }

    /// One beat: reload changed rule files, evaluate every tick that is due. A failing part is recorded and does not
    /// stop the others.
    ///
    /// On a logical clock incidents follow and the outbox is sent here too, so that a replay keeps its order. On the
    /// system clock tasks of their own do both: neither an analysis nor a receiver that hangs may hold up the next
    /// evaluation.
    pub(crate) async fn pulse(&self) -> Result<()> {
        let mut pulse = self.pulse.lock().await;
        let now = self.clock.now();
        let reloaded = pulse.engine.reload_if_changed(now).map_err(|e| Error::Rules(Box::new(e)));
        if matches!(reloaded, Ok(true)) {
            // What is wrong with an edit shows at once, not after the ticks that are to be caught up.
            self.show(&pulse.engine);
        }
        // Live, a slow rule must not hold up the beat. On a logical clock everything due is done when this returns.
        let evaluated = match self.logical {
            Some(_) => pulse.engine.run_until(now).await,
            None => pulse.engine.run_for(now, PATIENCE).await,
        };
        let evaluated = evaluated.map_err(|e| Error::Rules(Box::new(e)));
        // Most beats find nothing due; ten thousand instances are not described anew for that.
        let next_due = evaluated.as_ref().ok().and_then(|report| report.next_due);
        if !matches!(&evaluated, Ok(report) if report.evaluated == 0 && report.transitions.is_empty())
            || next_due != pulse.shown_due
        {
            self.show(&pulse.engine);
            pulse.shown_due = next_due;
        }
        let mut result = reloaded.map(drop).and(evaluated.map(drop));
        if self.logical.is_some() {
            let followed = self.follow().await;
            let sent = self.worker.run_once(now).await.map_err(|e| Error::Notify(Box::new(e)));
            result = result.and(followed).and(sent.map(drop));
        }
        let problem = result.as_ref().err().map(|error| chain(error));
        self.problems.write().unwrap_or_else(PoisonError::into_inner).rules = problem;
        result
    }

    /// Lets incidents follow the alerts, and the store hold what they need.
    pub(crate) async fn follow(&self) -> Result<()> {
        let mut following = self.following.lock().await;
        let now = self.clock.now();
        let followed = following.incidents.on_tick(now).await.map_err(|e| Error::Incidents(Box::new(e)));
        let moved = followed.as_ref().is_ok_and(|saved| !saved.is_empty());
        let kept = self.keep_holds(&mut following, moved, now).await;
        let result = followed.map(drop).and(kept);
        let problem = result.as_ref().err().map(|error| chain(error));
        self.problems.write().unwrap_or_else(PoisonError::into_inner).incidents = problem;
        result
    }

    fn show(&self, engine: &Engine) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engine.describe());
    }

    /// Opens an incident in a person's name.
    pub(crate) async fn declare(&self, declaration: Declaration) -> Followed<Incident> {
        Box::pin(self.with_incidents(async |incidents, _| incidents.declare(declaration).await)).await
    }

    /// Takes a step in a person's name.
    pub(crate) async fn respond(&self, id: IncidentId, step: &Step, by: &By) -> Followed<Incident> {
        Box::pin(self.with_incidents(async |incidents, facts| incidents.respond(id, step, by, facts).await))
            .await
    }

    /// Says in a person's name that one incident is part of another.
    pub(crate) async fn merge(
        &self,
        source: IncidentId,
        target: IncidentId,
        reason: &str,
        by: &By,
    ) -> Followed<Incident> {
        Box::pin(self.with_incidents(async |incidents, _| incidents.merge(source, target, reason, by).await))
            .await
    }

    /// Adds rows to a timeline in a person's name.
    pub(crate) async fn add_rows(
        &self,
        id: IncidentId,
        rows: Vec<NewTimelineRow>,
        author: &str,
        action: &str,
    ) -> Followed<Added> {
        let following = self.following.lock().await;
        following.incidents.add_rows(id, rows, author, action, self.clock.now()).await
    }

    /// Changes a row of a timeline in a person's name.
    pub(crate) async fn edit_row(&self, id: IncidentId, edit: TimelineEdit) -> Followed<TimelineEntry> {
        let following = self.following.lock().await;
        following.incidents.edit_row(id, edit, self.clock.now()).await
    }

    /// Looks at the telemetry of an incident again.
    pub(crate) async fn gather_again(&self, id: IncidentId) -> Followed<Vec<TimelineEntry>> {
        let following = self.following.lock().await;
        following.incidents.gather_again(id, self.clock.now()).await
    }

    /// Does something with incidents, knowing the post-mortems, and holds what they need from then on.
    async fn with_incidents<T>(
        &self,
        act: impl AsyncFnOnce(&IncidentRunner, &[PostmortemFact]) -> Followed<T>,
    ) -> Followed<T> {
        let mut following = self.following.lock().await;
        let facts = match facts(&self.library).await {
            Ok(facts) => facts.postmortems,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "incidents are changed without knowing the post-mortems"
                );
                Vec::new()
            }
        };
        let done = act(&following.incidents, &facts).await?;
        if let Err(error) = self.keep_holds(&mut following, true, self.clock.now()).await {
            tracing::error!(error = chain(&error), "holds are behind; the next beat tries again");
        }
        Ok(done)
    }

    /// Lets the store hold what incidents need, when they have `moved` or it is time to look.
    async fn keep_holds(&self, following: &mut Following, moved: bool, now: Timestamp) -> Result<()> {
        if !moved && !following.holds.is_due(now) {
            return Ok(());
        }
        let Following { holds, incidents } = following;
        holds.keep(&self.store, &self.state, incidents, &self.library, now).await
    }

    /// The rules and SLOs as last evaluated.
    pub(crate) fn rules(&self) -> Arc<EngineView> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is being done with the telemetry of an incident at this moment, in a few words.
    pub(crate) fn looking_at(&self, id: IncidentId) -> Option<&'static str> {
        self.looking.now().filter(|looking| looking.incident == id).map(|looking| looking.step)
    }

    /// Why the last beat of rules failed, else that of incidents, if one did.
    pub(crate) fn last_pulse_error(&self) -> Option<String> {
        let problems = self.problems.read().unwrap_or_else(PoisonError::into_inner);
        problems.rules.clone().or_else(|| problems.incidents.clone())
    }
}
