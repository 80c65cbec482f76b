//! The outbox (RUL-2): notifications are written with what makes them ([`crate::GroupTurn`]), claimed under a lease, and
//! leave the `pending` status only when they were sent or given up. A worker that dies leaves its lease to run out, or
//! to the next start of the process that owns the database.

use std::time::Duration;

use hindsight_model::Tenant;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::cells::{Cells, at_most, nanos, span_nanos};
use crate::database::State;
use crate::error::{Result, failed};

/// Longest payload stored.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Most rows claimed at once.
pub const CLAIM_MAX: u32 = 1_000;
/// How much of an error text is kept.
const ERROR_CHARS_MAX: usize = 500;

/// A notification to be sent at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose alerts.
    pub tenant: Tenant,
    /// Receiver's name in the configuration.
    pub receiver: String,
    /// The group that speaks.
    pub group_key: String,
    /// The same for every attempt: the group's subject, a slash, and what is of this delivery alone.
    pub dedup_key: String,
    /// The body to send, as JSON text.
    pub payload: String,
    /// The alerts that it tells, as JSON text.
    pub alerts: String,
    /// When the group spoke.
    pub created_at: Timestamp,
}

/// A notification that this worker, and no other until the lease runs out, may send.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The row's number.
    pub id: i64,
    /// Whose alert it is about.
    pub tenant: Tenant,
    /// Receiver's name in the configuration.
    pub receiver: String,
    /// The same for every attempt and after every crash, so the receiver can drop repeats.
    pub dedup_key: String,
    /// What to send, as JSON text.
    pub payload: String,
    /// Which attempt this is, from 1. It counts claims, so a payload that kills its worker is given up in the end.
    pub attempts: u32,
}

/// How many notifications stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Events that wait for their group's turn.
    pub waiting: u64,
    /// Waiting for their time, or claimed.
    pub pending: u64,
    /// Accepted by their receiver.
    pub sent: u64,
    /// Given up.
    pub dead: u64,
    /// Events that were muted when their group spoke.
    pub muted: u64,
    /// Recorded only.
    pub unsent: u64,
}

impl State {
    /// Claims up to `limit` (at most [`CLAIM_MAX`]) notifications that are due at `now`, oldest first. Until
    /// `now + lease` nobody else gets them; after that they are due again. Of one receiver's rows with the same
    /// subject (the dedup key up to its last `/`: one group) only the first is claimed, so that "resolved" never
    /// overtakes "firing".
    ///
    /// # Errors
    /// [`crate::Error::Database`] when the claim cannot be written; nothing is claimed then.
    pub async fn claim_outbox(&self, now: Timestamp, lease: Duration, limit: u32) -> Result<Vec<Claimed>> {
        self.claim(now, lease, limit, None).await
    }

    /// As [`State::claim_outbox`], of one receiver's notifications only.
    ///
    /// # Errors
    /// As [`State::claim_outbox`].
    pub async fn claim_outbox_of(
        &self,
        receiver: &str,
        now: Timestamp,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>> {
        self.claim(now, lease, limit, Some(receiver)).await
    }

    /// Receivers that have a notification to be claimed at `now`.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read.
    pub async fn due_receivers(&self, now: Timestamp) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT DISTINCT receiver FROM outbox WHERE status = 'pending' AND not_before <= ?1 \
             AND (lease_until IS NULL OR lease_until <= ?1) ORDER BY receiver",
        )
        .bind(nanos("a claim", now)?)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read which receivers are due"))
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
        receiver: Option<&str>,
    ) -> Result<Vec<Claimed>> {
        let now = nanos("a claim", now)?;
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(
            "UPDATE outbox SET lease_until = ?1, attempts = attempts + 1 WHERE id IN (\
             SELECT id FROM outbox o WHERE status = 'pending' AND not_before <= ?2 \
             AND (lease_until IS NULL OR lease_until <= ?2) AND (?4 IS NULL OR receiver = ?4) AND NOT EXISTS (\
             SELECT 1 FROM outbox earlier WHERE earlier.status = 'pending' AND earlier.receiver = o.receiver \
             AND earlier.subject = o.subject AND earlier.id < o.id) \
             ORDER BY not_before, id LIMIT ?3) RETURNING *",
        )
        .bind(now.saturating_add(span_nanos(lease)))
        .bind(now)
        .bind(limit.min(CLAIM_MAX))
        .bind(receiver)
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
            "UPDATE outbox SET status = 'sent', sent_at = ?1, finished_at = ?1, lease_until = NULL, last_error = NULL \
             WHERE id = ?2",
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
        self.finish_attempt(claimed, "pending", nanos("a retry", not_before)?, None, error).await
    }

    /// It is given up for good at `now`, with the reason. Returns as [`State::outbox_retry`].
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be written.
    pub async fn outbox_dead(&self, claimed: &Claimed, now: Timestamp, error: &str) -> Result<bool> {
        let now = nanos("a notification", now)?;
        self.finish_attempt(claimed, "dead", i64::MAX, Some(now), error).await
    }

    async fn finish_attempt(
        &self,
        claimed: &Claimed,
        status: &str,
        not_before: i64,
        finished_at: Option<i64>,
        error: &str,
    ) -> Result<bool> {
        let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
        let mut transaction = self.begin().await?;
        let done = sqlx::query(
            "UPDATE outbox SET status = ?, not_before = ?, finished_at = ?, lease_until = NULL, last_error = ? \
             WHERE id = ? AND status = 'pending' AND attempts = ?",
        )
        .bind(status)
        .bind(not_before)
        .bind(finished_at)
        .bind(error)
        .bind(claimed.id)
        .bind(claimed.attempts)
        .execute(&mut *transaction)
        .await
        .map_err(failed("put a notification back"))?;
        transaction.commit().await.map_err(failed("put a notification back"))?;
        Ok(done.rows_affected() == 1)
    }

    /// How many notifications to each receiver were given up in `[from, to)`, by receiver.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be counted.
    pub async fn dead_notifications(
        &self,
        tenant: &Tenant,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(String, u64)>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT receiver, count(*) FROM outbox WHERE tenant = ? AND status = 'dead' \
             AND finished_at >= ? AND finished_at < ? GROUP BY receiver ORDER BY receiver",
        )
        .bind(tenant.as_str())
        .bind(nanos("a filter", from)?)
        .bind(nanos("a filter", to)?)
        .fetch_all(self.reader())
        .await
        .map_err(failed("count the notifications that were given up"))?;
        Ok(rows.into_iter().map(|(receiver, count)| (receiver, u64::try_from(count).unwrap_or(0))).collect())
    }

    /// How many notifications of all tenants stand where.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be counted.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT status, count(*) FROM outbox GROUP BY status UNION ALL \
             SELECT status, count(*) FROM notification_events WHERE status <> 'told' GROUP BY status",
        )
        .fetch_all(self.reader())
        .await
        .map_err(failed("count notifications"))?;
        let mut counts = OutboxCounts::default();
        for (status, count) in rows {
            let count = u64::try_from(count).unwrap_or(0);
            match status.as_str() {
                "waiting" => counts.waiting += count,
                "pending" => counts.pending += count,
                "sent" => counts.sent += count,
                "dead" => counts.dead += count,
                "muted" => counts.muted += count,
                _ => counts.unsent += count,
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

/// Adds a notification that is to be sent from now on.
pub(crate) async fn insert(connection: &mut SqliteConnection, delivery: &Delivery) -> Result<()> {
    at_most("a notification's payload", &delivery.payload, PAYLOAD_BYTES_MAX)?;
    at_most("a notification's list of alerts", &delivery.alerts, PAYLOAD_BYTES_MAX)?;
    let created_at = nanos("a notification", delivery.created_at)?;
    sqlx::query(
        "INSERT INTO outbox (tenant, receiver, dedup_key, subject, payload, created_at, status, not_before, \
         group_key, alerts) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)",
    )
    .bind(delivery.tenant.as_str())
    .bind(&delivery.receiver)
    .bind(&delivery.dedup_key)
    .bind(subject(&delivery.dedup_key))
    .bind(&delivery.payload)
    .bind(created_at)
    .bind(created_at)
    .bind(&delivery.group_key)
    .bind(&delivery.alerts)
    .execute(connection)
    .await
    .map_err(failed("queue a notification"))?;
    Ok(())
}

fn subject(dedup_key: &str) -> &str {
    dedup_key.rsplit_once('/').map_or(dedup_key, |(subject, _)| subject)
}

fn claimed_row(row: &SqliteRow) -> Result<Claimed> {
    let cells = Cells::of("outbox", row);
    Ok(Claimed {
        id: cells.get("id")?,
        tenant: cells.tenant()?,
        receiver: cells.text("receiver")?,
        dedup_key: cells.text("dedup_key")?,
        payload: cells.text("payload")?,
        attempts: cells.unsigned("attempts")?,
    })
}

#[cfg(test)]
mod tests;
