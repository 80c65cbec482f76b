//! What every handler and task shares, and the pulse that turns telemetry into alerts, incidents and drafts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hindsight_incidents::{Added, By, Declaration, PostmortemFact, Runner as IncidentRunner, Step};
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
use tokio::sync::Mutex;

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
    /// Held by whoever verifies action items.
    pub(crate) verifying: Mutex<()>,
    pulse: Mutex<Pulse>,
    rules: RwLock<Arc<EngineView>>,
    last_pulse_error: RwLock<Option<String>>,
}

/// The deciding parts, one owner at a time.
pub(crate) struct Pulse {
    pub(crate) engine: Engine,
    pub(crate) incidents: IncidentRunner,
    /// When the next tick was due as last shown.
    pub(crate) shown_due: Option<Timestamp>,
    pub(crate) holds: HoldKeeper,
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
            verifying: Mutex::default(),
            rules: RwLock::new(Arc::new(pulse.engine.describe())),
            pulse: Mutex::new(pulse),
            last_pulse_error: RwLock::new(None),
        }
    }

    /// One beat: reload changed rule files, evaluate every tick that is due, and let incidents follow. A failing part
    /// is recorded and does not stop the others.
    ///
    /// On a logical clock the outbox is sent here too, so that a replay's notifications keep its order. On the system
    /// clock a task of its own sends it: a receiver that hangs must not hold up the next evaluation.
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
        let followed = pulse.incidents.on_tick(now).await.map_err(|e| Error::Incidents(Box::new(e)));
        let moved = followed.as_ref().is_ok_and(|saved| !saved.is_empty());
        let kept = self.keep_holds(&mut pulse, moved, now).await;
        let mut result = reloaded.map(drop).and(evaluated.map(drop)).and(followed.map(drop)).and(kept);
        if self.logical.is_some() {
            let sent = self.worker.run_once(now).await.map_err(|e| Error::Notify(Box::new(e)));
            result = result.and(sent.map(drop));
        }
        let problem = result.as_ref().err().map(|error| chain(error));
        *self.last_pulse_error.write().unwrap_or_else(PoisonError::into_inner) = problem;
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
        let pulse = self.pulse.lock().await;
        pulse.incidents.add_rows(id, rows, author, action, self.clock.now()).await
    }

    /// Changes a row of a timeline in a person's name.
    pub(crate) async fn edit_row(&self, id: IncidentId, edit: TimelineEdit) -> Followed<TimelineEntry> {
        let pulse = self.pulse.lock().await;
        pulse.incidents.edit_row(id, edit, self.clock.now()).await
    }

    /// Looks at the telemetry of an incident again.
    pub(crate) async fn gather_again(&self, id: IncidentId) -> Followed<Vec<TimelineEntry>> {
        let pulse = self.pulse.lock().await;
        pulse.incidents.gather_again(id, self.clock.now()).await
    }

    /// Does something with incidents, knowing the post-mortems, and holds what they need from then on.
    async fn with_incidents<T>(
        &self,
        act: impl AsyncFnOnce(&IncidentRunner, &[PostmortemFact]) -> Followed<T>,
    ) -> Followed<T> {
        let mut pulse = self.pulse.lock().await;
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
        let done = act(&pulse.incidents, &facts).await?;
        if let Err(error) = self.keep_holds(&mut pulse, true, self.clock.now()).await {
            tracing::error!(error = chain(&error), "holds are behind; the next beat tries again");
        }
        Ok(done)
    }

    /// Lets the store hold what incidents need, when they have `moved` or it is time to look.
    async fn keep_holds(&self, pulse: &mut Pulse, moved: bool, now: Timestamp) -> Result<()> {
        if !moved && !pulse.holds.is_due(now) {
            return Ok(());
        }
        let Pulse { holds, incidents, .. } = pulse;
        holds.keep(&self.store, &self.state, incidents, &self.library, now).await
    }

    /// The rules and SLOs as last evaluated.
    pub(crate) fn rules(&self) -> Arc<EngineView> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the last beat failed, if it did.
    pub(crate) fn last_pulse_error(&self) -> Option<String> {
        self.last_pulse_error.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
