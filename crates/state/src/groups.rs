//! Groups of alerts at a receiver (RUL-2): events are written with the transition behind them and wait for their
//! group's turn. A turn changes the group's memory, its events and its notifications in one transaction, and only if
//! nothing came in between: its `version` tells.

use std::collections::BTreeSet;

use hindsight_model::{Labels, OutboxEntry, Tenant};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::cells::{Cells, at_most, nanos, opt_nanos};
use crate::database::State;
use crate::error::{Result, failed};
use crate::outbox::{Delivery, PAYLOAD_BYTES_MAX, insert};

/// Most events waiting for their group's turn. Further ones are recorded as dead, so that a receiver that is down for
/// days cannot stop the rules.
pub const EVENTS_WAITING_MAX: i64 = 50_000;
/// Most events that one turn takes; the group has another turn at once for the rest.
pub const TURN_EVENTS_MAX: u32 = 2_000;
/// Longest memory of a group.
const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A group whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueGroup {
    /// The beginning of its notifications' dedup keys; no two groups have the same.
    pub subject: String,
    /// Whose alerts.
    pub tenant: Tenant,
    /// Receiver's name in the configuration.
    pub receiver: String,
    /// Its name, unique at its receiver.
    pub group_key: String,
    /// What `notify` remembers, as JSON; empty for a new group.
    pub memory: String,
    /// Changes with each event and each turn.
    pub version: i64,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEvent {
    /// Its number.
    pub id: i64,
    /// [`OutboxEntry::payload`].
    pub payload: String,
}

/// What became of an event in its group's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFate {
    /// Its number.
    pub id: i64,
    /// `told`, `muted`, `unsent` or `dead`.
    pub status: &'static str,
    /// Why, unless it was told.
    pub reason: Option<String>,
}

/// All that one turn of a group changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTurn {
    /// The group's, as it was read.
    pub subject: String,
    /// The version that was read.
    pub version: i64,
    /// What `notify` remembers from now on, and the next turn; `None` ends the group.
    pub next: Option<(String, Timestamp)>,
    /// What became of its events.
    pub fates: Vec<EventFate>,
    /// What is sent, in this order.
    pub deliveries: Vec<Delivery>,
    /// When it was.
    pub at: Timestamp,
}

impl State {
    /// Groups whose turn has come at `now`, the longest overdue first, at most `limit`. A group that still has
    /// something to send is not among them: what it would say next depends on it, and a receiver that is down is not
    /// piled up on.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read.
    pub async fn due_groups(&self, now: Timestamp, limit: u32) -> Result<Vec<DueGroup>> {
        let rows = sqlx::query(
            "SELECT * FROM notification_groups g WHERE due_at <= ? AND NOT EXISTS (SELECT 1 FROM outbox o \
             WHERE o.status = 'pending' AND o.receiver = g.receiver AND o.subject = g.subject) \
             ORDER BY due_at, subject LIMIT ?",
        )
        .bind(nanos("a turn", now)?)
        .bind(limit)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read groups of alerts"))?;
        rows.iter().map(due_group).collect()
    }

    /// The events of a group that wait for its turn, oldest first, at most [`TURN_EVENTS_MAX`].
    ///
    /// # Errors
    /// As [`State::due_groups`].
    pub async fn waiting_events(&self, subject: &str) -> Result<Vec<GroupEvent>> {
        let rows = sqlx::query(
            "SELECT id, payload FROM notification_events WHERE status = 'waiting' AND subject = ? \
             ORDER BY id LIMIT ?",
        )
        .bind(subject)
        .bind(TURN_EVENTS_MAX)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read notification events"))?;
        rows.iter()
            .map(|row| {
                let cells = Cells::of("notification_events", row);
                Ok(GroupEvent { id: cells.get("id")?, payload: cells.text("payload")? })
            })
            .collect()
    }

    /// Which of these episodes belong to an alert that fires or recovers.
    ///
    /// # Errors
    /// As [`State::due_groups`].
    pub async fn active_episodes(
        &self,
        tenant: &Tenant,
        episodes: impl IntoIterator<Item = &String>,
    ) -> Result<BTreeSet<String>> {
        let asked: Vec<&String> = episodes.into_iter().collect();
        if asked.is_empty() {
            return Ok(BTreeSet::new());
        }
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT episode FROM instances WHERE tenant = ? AND state IN ('firing', 'recovering') \
             AND episode IN (SELECT value FROM json_each(?))",
        )
        .bind(tenant.as_str())
        .bind(crate::cells::json(&asked))
        .fetch_all(self.reader())
        .await
        .map_err(failed("read alert instances"))?;
        Ok(rows.into_iter().collect())
    }

    /// Name and labels of every alert of the tenant that fires or recovers.
    ///
    /// # Errors
    /// As [`State::due_groups`].
    pub async fn firing_labels(&self, tenant: &Tenant) -> Result<Vec<(String, Labels)>> {
        let rows = sqlx::query(
            "SELECT alert, labels FROM instances WHERE tenant = ? AND state IN ('firing', 'recovering') \
             ORDER BY rule, labels",
        )
        .bind(tenant.as_str())
        .fetch_all(self.reader())
        .await
        .map_err(failed("read alert instances"))?;
        rows.iter()
            .map(|row| {
                let cells = Cells::of("instances", row);
                Ok((cells.text("alert")?, cells.json("labels")?))
            })
            .collect()
    }

    /// Stores what a group's turn decided, or nothing: `false` when an event or another turn came in between. Durable
    /// when it returns.
    ///
    /// # Errors
    /// [`crate::Error::TooLong`] beyond a limit, [`crate::Error::Database`] when the disk refuses. Nothing is stored
    /// then.
    pub async fn commit_turn(&self, turn: &GroupTurn) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction;
        let now = nanos("a turn", turn.at)?;
        let changed = match &turn.next {
            Some((memory, due_at)) => {
                at_most("a group's memory", memory, MEMORY_BYTES_MAX)?;
                sqlx::query(
                    "UPDATE notification_groups SET memory = ?, due_at = ?, version = version + 1 \
                     WHERE subject = ? AND version = ?",
                )
                .bind(memory)
                .bind(nanos("a turn", *due_at)?)
            }
            None => sqlx::query("DELETE FROM notification_groups WHERE subject = ? AND version = ?"),
        };
        let done = changed
            .bind(&turn.subject)
            .bind(turn.version)
            .execute(&mut *connection)
            .await
            .map_err(failed("write a group of alerts"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for fate in &turn.fates {
            sqlx::query(
                "UPDATE notification_events SET status = ?, reason = ?, finished_at = ? WHERE id = ?",
            )
            .bind(fate.status)
            .bind(&fate.reason)
            .bind((fate.status != "muted").then_some(now))
            .bind(fate.id)
            .execute(&mut *connection)
            .await
            .map_err(failed("write a notification event"))?;
        }
        for delivery in &turn.deliveries {
            insert(&mut *connection, delivery).await?;
        }
        transaction.commit().await.map_err(failed("commit a turn"))?;
        Ok(true)
    }

    /// Adds events outside of a tick, those that are not there yet: of alerts that fire already when a route to a
    /// receiver is new. Returns how many were added.
    ///
    /// # Errors
    /// As [`State::commit_turn`].
    pub async fn add_events(&self, tenant: &Tenant, entries: &[OutboxEntry]) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let added = enqueue(&mut transaction, tenant, entries).await?;
        transaction.commit().await.map_err(failed("commit notification events"))?;
        Ok(added)
    }
}

/// Adds the events that are not there yet, with their groups, and returns how many that was.
pub(crate) async fn enqueue(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    entries: &[OutboxEntry],
) -> Result<u64> {
    if entries.is_empty() {
        return Ok(0);
    }
    let mut waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notification_events WHERE status = 'waiting'")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed("count notification events"))?;
    let mut added = 0;
    for entry in entries {
        at_most("a notification event", &entry.payload, PAYLOAD_BYTES_MAX)?;
        let full = || format!("{EVENTS_WAITING_MAX} others wait already; check the receivers");
        let (status, reason) = match &entry.unsent {
            Some(reason) => ("unsent", Some(reason.clone())),
            None if waiting >= EVENTS_WAITING_MAX => ("dead", Some(full())),
            None => ("waiting", None),
        };
        let subject = subject(tenant, &entry.receiver, &entry.group_key);
        let new = insert_event(connection, tenant, entry, &subject, status, reason.as_deref()).await?;
        if new && status == "waiting" {
            waiting += 1;
            join_group(connection, tenant, entry, &subject).await?;
        }
        if new && status == "dead" {
            tracing::error!(
                receiver = entry.receiver,
                waiting,
                "an alert is not told because {waiting} events are waiting already; check the receivers"
            );
        }
        added += u64::from(new);
    }
    Ok(added)
}

async fn insert_event(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    entry: &OutboxEntry,
    subject: &str,
    status: &str,
    reason: Option<&str>,
) -> Result<bool> {
    let finished_at = (status == "dead").then_some(entry.created_at);
    let done = sqlx::query(
        "INSERT INTO notification_events (tenant, receiver, group_key, subject, dedup_key, payload, created_at, \
         status, reason, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (subject, dedup_key) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(&entry.receiver)
    .bind(&entry.group_key)
    .bind(subject)
    .bind(&entry.dedup_key)
    .bind(&entry.payload)
    .bind(nanos("a notification event", entry.created_at)?)
    .bind(status)
    .bind(reason)
    .bind(opt_nanos("a notification event", finished_at)?)
    .execute(connection)
    .await
    .map_err(failed("write a notification event"))?;
    Ok(done.rows_affected() == 1)
}

/// Begins the group, or tells a turn that is being decided that it knows too little.
async fn join_group(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    entry: &OutboxEntry,
    subject: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO notification_groups (subject, tenant, receiver, group_key, memory, version, due_at) \
         VALUES (?, ?, ?, ?, '', 0, ?) ON CONFLICT (subject) DO UPDATE SET version = version + 1",
    )
    .bind(subject)
    .bind(tenant.as_str())
    .bind(&entry.receiver)
    .bind(&entry.group_key)
    .bind(nanos("a turn", entry.flush_at)?)
    .execute(connection)
    .await
    .map_err(failed("write a group of alerts"))?;
    Ok(())
}

/// Short, the same for ever, and fit for a header: the tenant and 128 bits of what makes the group.
fn subject(tenant: &Tenant, receiver: &str, group_key: &str) -> String {
    let identity = serde_json::json!([receiver, group_key]).to_string();
    format!("{tenant}/{}", hex::encode(&Sha256::digest(identity)[..16]))
}

fn due_group(row: &SqliteRow) -> Result<DueGroup> {
    let cells = Cells::of("notification_groups", row);
    Ok(DueGroup {
        subject: cells.text("subject")?,
        tenant: cells.tenant()?,
        receiver: cells.text("receiver")?,
        group_key: cells.text("group_key")?,
        memory: cells.text("memory")?,
        version: cells.get("version")?,
    })
}

#[cfg(test)]
mod tests;
