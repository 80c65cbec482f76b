//! Incidents keep their telemetry: what they hold is derived anew from incidents and post-mortems, again and again,
//! so that a crash between the two leaves nothing held for ever and nothing deleted too soon.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use hindsight_incidents::{PostmortemFact, Runner, WantedHold, wanted_holds};
use hindsight_model::{Clearance, IncidentId, Table, Tenant};
use hindsight_postmortem::Library;
use hindsight_postmortem::document::Status;
use hindsight_state::State;
use hindsight_store::{Hold, HoldId, Store};
use jiff::{SignedDuration, Timestamp};

use crate::{Error, Result};

/// How long a document that somebody closed in an editor may go unnoticed.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Remembers when it looked last.
#[derive(Debug, Default)]
pub(crate) struct HoldKeeper {
    looked_at: Option<Timestamp>,
    /// Documents that could not be read, so that each is logged once.
    unreadable: Vec<PathBuf>,
}

/// What is known of the workspace's post-mortems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) postmortems: Vec<PostmortemFact>,
    /// Documents that could not be read. One of them may be open: nothing is released then.
    pub(crate) unreadable: Vec<PathBuf>,
}

impl HoldKeeper {
    /// Whether it is time to look, `changed` or not.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY || now < at)
    }

    /// Closes the incidents whose post-mortems are closed, holds what incidents need, releases the rest.
    pub(crate) async fn keep(
        &mut self,
        store: &Store,
        state: &State,
        runner: &Runner,
        library: &Arc<Library>,
        now: Timestamp,
    ) -> Result<()> {
        let facts = facts(library).await?;
        for path in facts.unreadable.iter().filter(|path| !self.unreadable.contains(path)) {
            let path = path.display();
            tracing::warn!(%path, "a post-mortem cannot be read; no telemetry is released until it can be");
        }
        self.unreadable.clone_from(&facts.unreadable);
        if facts.unreadable.is_empty() {
            runner
                .close_finished(&facts.postmortems, now)
                .await
                .map_err(|error| Error::Incidents(Box::new(error)))?;
        }
        hold(store, state, &facts).await?;
        self.looked_at = Some(now);
        Ok(())
    }
}

/// How an incident's refusals name a restricted document, whoever asks.
const RESTRICTED: &str = "(restricted)";

/// The post-mortems of a workspace, read off the I/O threads.
pub(crate) async fn facts(library: &Arc<Library>) -> Result<Facts> {
    let library = Arc::clone(library);
    let listed = tokio::task::spawn_blocking(move || library.list_all(&Tenant::default())).await;
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Postmortems(source);
    let listed = listed.map_err(|error| failed(Box::new(error)))?.map_err(|error| failed(Box::new(error)))?;
    let fact = |row: hindsight_postmortem::PostmortemRow| {
        let front = &row.document.front;
        let id = if row.document.is_visible(Clearance::Everyone) { &front.id } else { RESTRICTED };
        PostmortemFact {
            id: id.to_owned(),
            incidents: front.incidents.clone(),
            is_closed: front.status == Status::Closed,
        }
    };
    Ok(Facts {
        postmortems: listed.rows.into_iter().map(fact).collect(),
        unreadable: listed.unreadable.into_iter().map(|(path, _)| path).collect(),
    })
}

/// Makes the store's holds those that incidents want. Holds of another name are nobody's business here.
async fn hold(store: &Store, state: &State, facts: &Facts) -> Result<()> {
    let tenant = Tenant::default();
    let incidents = state.incidents(&tenant).await.map_err(|error| Error::Postmortems(Box::new(error)))?;
    let wanted = wanted_holds(&incidents, &facts.postmortems);
    let present = store.holds();
    for want in &wanted {
        let hold = as_hold(want, &tenant);
        if !present.contains(&hold) {
            let failed = |source| Error::Hold { incident: want.incident, source: Box::new(source) };
            store.hold(hold).await.map_err(failed)?;
            tracing::debug!(incident = %want.incident, from = %want.from, to = %want.to, "telemetry is held");
        }
    }
    if !facts.unreadable.is_empty() {
        return Ok(());
    }
    let wanted: BTreeSet<IncidentId> = wanted.iter().map(|want| want.incident).collect();
    for hold in present {
        let Ok(incident) = hold.id.as_str().parse::<IncidentId>() else { continue };
        if hold.tenant == tenant && !wanted.contains(&incident) {
            let failed = |source| Error::Hold { incident, source: Box::new(source) };
            store.release_hold(&hold.id).await.map_err(failed)?;
            tracing::info!(%incident, "its telemetry is no longer held");
        }
    }
    Ok(())
}

/// All tables and services: blocks hold many services each, and a rule that is tried on the incident later may ask for
/// any of them.
fn as_hold(want: &WantedHold, tenant: &Tenant) -> Hold {
    let id: HoldId =
        want.incident.to_string().parse().expect("an incident's id is made of letters, a dash and digits");
    Hold {
        id,
        tenant: tenant.clone(),
        tables: Table::ALL.into_iter().collect(),
        from: want.from,
        to: want.to,
    }
}
