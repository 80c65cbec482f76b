use hindsight_model::{AlertInstance, SloSlice, Tenant, TickCommit};
use hindsight_state::State;
use jiff::Timestamp;

use crate::error::JournalError;

/// Where the engine keeps what must survive a restart: SQLite in the program, memory in tests.
#[async_trait::async_trait]
pub trait Journal: Send + Sync {
    /// Writes everything of one tick in one transaction (RUL-2): all of it is durable when this returns, or none.
    ///
    /// # Errors
    /// When nothing was written.
    async fn commit_tick(&self, commit: &TickCommit) -> Result<(), JournalError>;

    /// Logical time of the last committed tick of a group.
    ///
    /// # Errors
    /// When the journal cannot be read.
    async fn last_tick(&self, tenant: &Tenant, group: &str) -> Result<Option<Timestamp>, JournalError>;

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
    async fn commit_tick(&self, commit: &TickCommit) -> Result<(), JournalError> {
        State::commit_tick(self, commit).await?;
        Ok(())
    }

    async fn last_tick(&self, tenant: &Tenant, group: &str) -> Result<Option<Timestamp>, JournalError> {
        Ok(State::last_tick(self, tenant, group).await?)
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
