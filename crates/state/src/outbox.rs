//! The outbox (RUL-2): rows are written with the transition behind them, claimed under a lease, and leave the
//! `pending` status only when they were sent or given up. A worker that dies leaves its lease to run out, or to the
//! next start of the process that owns the database.

use std::time::Duration;

use hindsight_model::{OutboxEntry, Tenant};
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::cells::{Cells, at_most, nanos, span_nanos};
use crate::database::State;
use crate::error::{Result, failed};

/// Longest payload stored.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Most notifications waiting to be sent. Further ones are recorded as dead, so that a receiver that is down for
/// days cannot stop the rules.
pub const OUTBOX_PENDING_MAX: i64 = 50_000;
/// Most rows claimed at once.
pub const CLAIM_MAX: u32 = 1_000;
/// How much of an error text is kept.
const ERROR_CHARS_MAX: usize = 500;

/// A notification that this worker, and no other until the lease runs out, may send.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The row's number.
    pub id: i64,
    /// Whose alert it is about.
    pub tenant: Tenant,
    /// What to send, and to whom.
    pub entry: OutboxEntry,
    /// Which attempt this is, from 1. It counts claims, so a payload that kills its worker is given up in the end.
    pub attempts: u32,
}

/// How many notifications stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Waiting for their time, or claimed.
    pub pending: u64,
    /// Accepted by their receiver.
    pub sent: u64,
    /// Given up.
    pub dead: u64,
    /// Recorded only.
    pub unsent: u64,
}

impl State {
    /// Claims up to `limit` (at most [`CLAIM_MAX`]) notifications that are due at `now`, oldest first. Until
    /// `now + lease` nobody else gets them; after that they are due again. Of one receiver's rows with the same
    /// subject (the dedup key up to its last `/`: one episode of one alert) only the first is claimed, so that
    /// "resolved" never overtakes "firing".
    ///
    /// # Errors
    /// [`crate::Error::Database`] when the claim cannot be written; nothing is claimed then.
    pub async fn claim_outbox(&self, now: Timestamp, lease: Duration, limit: u32) -> Result<Vec<Claimed>> {
        let now = nanos("a claim", now)?;
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(
            "UPDATE outbox SET lease_until = ?1, attempts = attempts + 1 WHERE id IN (\
             SELECT id FROM outbox o WHERE status = 'pending' AND not_before <= ?2 \
             AND (lease_until IS NULL OR lease_until <= ?2) AND NOT EXISTS (\
             SELECT 1 FROM outbox earlier WHERE earlier.status = 'pending' AND earlier.receiver = o.receiver \
             AND earlier.subject = o.subject AND earlier.id < o.id) \
             ORDER BY not_before, id LIMIT ?3) RETURNING *",
        )
        .bind(now.saturating_add(span_nanos(lease)))
        .bind(now)
        .bind(limit.min(CLAIM_MAX))
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("claim notifications"))?;
        transaction.commit().await.map_err(failed("claim notifications"))?;
        let mut claimed = rows.iter().map(claimed_row).collect::<Result<Vec<_>>>()?;
        claimed.sort_by_key(|claimed| claimed.id);
        Ok(claimed)
    }

    /// Ends every lease, so that what a dead process was sending is due at once; returns how many there were. For the
    /// start of the one process that owns the database: beside a living worker it would make pages go out twice.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be written; the leases then run out by themselves.
    pub async fn release_outbox(&self) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(
            "UPDATE outbox SET lease_until = NULL WHERE status = 'pending' AND lease_until IS NOT NULL",
        )
        .execute(&mut *transaction)
        .await
        .map_err(failed("release notifications"))?;
        transaction.commit().await.map_err(failed("release notifications"))?;
        Ok(done.rows_affected())
    }

    /// The receiver accepted it. True whatever became of the claim meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be written; the row is then sent again after its lease.
    pub async fn outbox_sent(&self, id: i64, now: Timestamp) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE outbox SET status = 'sent', sent_at = ?, lease_until = NULL, last_error = NULL WHERE id = ?",
        )
        .bind(nanos("a notification", now)?)
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(failed("mark a notification as sent"))?;
        transaction.commit().await.map_err(failed("mark a notification as sent"))
    }

    /// It failed; it is due again at `not_before`. Returns whether the claim still held: a claim that ran out and
    /// was taken by another changes nothing.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be written.
    pub async fn outbox_retry(&self, claimed: &Claimed, not_before: Timestamp, error: &str) -> Result<bool> {
        self.finish_attempt(claimed, "pending", nanos("a retry", not_before)?, error).await
    }

    /// It is given up for good, with the reason. Returns as [`State::outbox_retry`].
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be written.
    pub async fn outbox_dead(&self, claimed: &Claimed, error: &str) -> Result<bool> {
        self.finish_attempt(claimed, "dead", i64::MAX, error).await
    }

    async fn finish_attempt(
        &self,
        claimed: &Claimed,
        status: &str,
        not_before: i64,
        error: &str,
    ) -> Result<bool> {
        let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
        let mut transaction = self.begin().await?;
        let done = sqlx::query(
            "UPDATE outbox SET status = ?, not_before = ?, lease_until = NULL, last_error = ? \
             WHERE id = ? AND status = 'pending' AND attempts = ?",
        )
        .bind(status)
        .bind(not_before)
        .bind(error)
        .bind(claimed.id)
        .bind(claimed.attempts)
        .execute(&mut *transaction)
        .await
        .map_err(failed("put a notification back"))?;
        transaction.commit().await.map_err(failed("put a notification back"))?;
        Ok(done.rows_affected() == 1)
    }

    /// How many notifications of all tenants stand where.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be counted.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT status, count(*) FROM outbox GROUP BY status")
            .fetch_all(self.reader())
            .await
            .map_err(failed("count notifications"))?;
        let mut counts = OutboxCounts::default();
        for (status, count) in rows {
            let count = u64::try_from(count).unwrap_or(0);
            match status.as_str() {
                "pending" => counts.pending = count,
                "sent" => counts.sent = count,
                "dead" => counts.dead = count,
                _ => counts.unsent = count,
            }
        }
        Ok(counts)
    }

    /// When the next notification can be claimed: the earliest of retry times and leases, of the first row of each
    /// subject; `None` when none waits.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be read.
    pub async fn outbox_next_due(&self) -> Result<Option<Timestamp>> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT min(max(not_before, coalesce(lease_until, not_before))) FROM outbox o \
             WHERE status = 'pending' AND NOT EXISTS (SELECT 1 FROM outbox earlier \
             WHERE earlier.status = 'pending' AND earlier.receiver = o.receiver \
             AND earlier.subject = o.subject AND earlier.id < o.id)",
        )
        .fetch_one(self.reader())
        .await
        .map_err(failed("read when the next notification is due"))?;
        Ok(due.map(crate::cells::time))
    }
}

/// Adds the rows that are not there yet and returns how many that was.
pub(crate) async fn enqueue(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    entries: &[OutboxEntry],
) -> Result<u64> {
    if entries.is_empty() {
        return Ok(0);
    }
    let mut waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE status = 'pending'")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("count notifications"))?;
    let mut added = 0;
    for entry in entries {
        at_most("a notification's payload", &entry.payload, PAYLOAD_BYTES_MAX)?;
        let (status, error) = match &entry.unsent {
            Some(reason) => ("unsent", Some(reason.as_str())),
            None if waiting >= OUTBOX_PENDING_MAX => ("dead", Some("the outbox is full")),
            None => ("pending", None),
        };
        let new = insert(connection, tenant, entry, status, error).await?;
        if new == 1 && status == "pending" {
            waiting += 1;
        }
        if new == 1 && status == "dead" {
            tracing::error!(
                receiver = entry.receiver,
                waiting,
                "a notification was not queued because {waiting} are waiting already; check the receivers"
            );
        }
        added += new;
    }
    Ok(added)
}

async fn insert(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    entry: &OutboxEntry,
    status: &str,
    error: Option<&str>,
) -> Result<u64> {
    let created_at = nanos("a notification", entry.created_at)?;
    let done = sqlx::query(
        "INSERT INTO outbox (tenant, receiver, dedup_key, subject, payload, created_at, status, not_before, \
         last_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (receiver, dedup_key) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(&entry.receiver)
    .bind(&entry.dedup_key)
    .bind(subject(&entry.dedup_key))
    .bind(&entry.payload)
    .bind(created_at)
    .bind(status)
    .bind(created_at)
    .bind(error)
    .execute(connection)
    .await
    .map_err(failed("queue a notification"))?;
    Ok(done.rows_affected())
}

fn subject(dedup_key: &str) -> &str {
    dedup_key.rsplit_once('/').map_or(dedup_key, |(subject, _)| subject)
}

fn claimed_row(row: &SqliteRow) -> Result<Claimed> {
    let cells = Cells::of("outbox", row);
    Ok(Claimed {
        id: cells.get("id")?,
        tenant: cells.tenant()?,
        entry: OutboxEntry {
            receiver: cells.text("receiver")?,
            dedup_key: cells.text("dedup_key")?,
            payload: cells.text("payload")?,
            created_at: cells.time("created_at")?,
            unsent: None,
        },
        attempts: cells.unsigned("attempts")?,
    })
}

#[cfg(test)]
mod tests;
