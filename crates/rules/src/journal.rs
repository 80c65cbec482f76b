use std::collections::BTreeMap;

use hindsight_model::{AlertInstance, SloSlice, Tenant, TickCommit};
use hindsight_state::State;
use jiff::Timestamp;

use crate::error::JournalError;

/// Where the engine keeps what must survive a restart: SQLite in the program, memory in tests.
#[async_trait::async_trait]
pub trait Journal: Send + Sync {
    /// Writes everything of these ticks in one transaction (RUL-2): all of it is durable when this returns, or none.
    ///
    /// # Errors
    /// When nothing was written.
    async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<(), JournalError>;

    /// Logical time of the last committed tick of every rule and SLO, by [`TickCommit::group`].
    ///
    /// # Errors
    /// When the journal cannot be read.
    async fn last_ticks(&self, tenant: &Tenant) -> Result<BTreeMap<String, Timestamp>, JournalError>;

    /// Every stored alert instance of the tenant.
    ///
    /// # Errors
    /// When the journal cannot be read.
    async fn instances(&self, tenant: &Tenant) -> Result<Vec<AlertInstance>, JournalError>;

    /// The newest revision of each slice of an SLO with `from <= minute < to`, by minute.
    ///
    /// # Errors
    /// When the journal cannot be read.
    async fn slices(
        &self,
        tenant: &Tenant,
        slo: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SloSlice>, JournalError>;
}

#[async_trait::async_trait]
impl Journal for State {
    async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<(), JournalError> {
        State::commit_ticks(self, commits).await?;
        Ok(())
    }

    async fn last_ticks(&self, tenant: &Tenant) -> Result<BTreeMap<String, Timestamp>, JournalError> {
        Ok(State::last_ticks(self, tenant).await?)
    }

    async fn instances(&self, tenant: &Tenant) -> Result<Vec<AlertInstance>, JournalError> {
        Ok(State::instances(self, tenant).await?)
    }

    async fn slices(
        &self,
        tenant: &Tenant,
        slo: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SloSlice>, JournalError> {
        Ok(State::slices(self, tenant, slo, from, to).await?)
    }
}
