//! Stored answers of mutating calls (DESIGN §8): same key and body give the same answer, same key with another body
//! is a conflict.

use std::time::Duration;

use hindsight_model::Tenant;
use jiff::Timestamp;

use crate::cells::{at_most, nanos, span_nanos};
use crate::database::State;
use crate::error::{Result, failed};

/// Longest key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Longest answer stored.
pub const IDEMPOTENCY_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long an answer is remembered.
pub const IDEMPOTENCY_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A call begun so long ago and not finished is taken to have died; its key may begin again.
pub const IDEMPOTENCY_LEASE: Duration = Duration::from_secs(60);

/// What to do with a call that carries a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Not seen before: do it, then [`State::idempotent_finish`].
    New,
    /// The same call is being done right now: ask the caller to retry.
    Running,
    /// It was done: give this answer again.
    Done(String),
    /// The key was used with another body: 422.
    Conflict,
}

impl State {
    /// Enters a call under its key, unless it is there already. `body_hash` is any stable digest of method, path
    /// and body.
    ///
    /// # Errors
    /// [`crate::Error::TooLong`] for the key, [`crate::Error::Database`] when the disk refuses.
    pub async fn idempotent_begin(
        &self,
        tenant: &Tenant,
        key: &str,
        body_hash: &str,
        now: Timestamp,
    ) -> Result<Begin> {
        at_most("an Idempotency-Key", key, IDEMPOTENCY_KEY_BYTES_MAX)?;
        let now = nanos("a call", now)?;
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM idempotency WHERE begun_at < ?1 OR (answer IS NULL AND begun_at < ?2)")
            .bind(now.saturating_sub(span_nanos(IDEMPOTENCY_AGE_MAX)))
            .bind(now.saturating_sub(span_nanos(IDEMPOTENCY_LEASE)))
            .execute(&mut *transaction)
            .await
            .map_err(failed("forget old answers"))?;
        let known: Option<(String, Option<String>)> =
            sqlx::query_as("SELECT body_hash, answer FROM idempotency WHERE tenant = ? AND key = ?")
                .bind(tenant.as_str())
                .bind(key)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed("look a call up"))?;
        let begin = match known {
            Some((hash, _)) if hash != body_hash => Begin::Conflict,
            Some((_, Some(answer))) => Begin::Done(answer),
            Some((_, None)) => Begin::Running,
            None => Begin::New,
        };
        if begin == Begin::New {
            sqlx::query("INSERT INTO idempotency (tenant, key, body_hash, begun_at) VALUES (?, ?, ?, ?)")
                .bind(tenant.as_str())
                .bind(key)
                .bind(body_hash)
                .bind(now)
                .execute(&mut *transaction)
                .await
                .map_err(failed("enter a call"))?;
        }
        transaction.commit().await.map_err(failed("enter a call"))?;
        Ok(begin)
    }

    /// Stores the answer of a call that began; `None` takes the entry out, so that a failed call may be repeated.
    ///
    /// # Errors
    /// [`crate::Error::TooLong`] for the answer, [`crate::Error::Database`] when the disk refuses.
    pub async fn idempotent_finish(&self, tenant: &Tenant, key: &str, answer: Option<&str>) -> Result<()> {
        let sql = match answer {
            Some(_) => "UPDATE idempotency SET answer = ?3 WHERE tenant = ?1 AND key = ?2",
            None => "DELETE FROM idempotency WHERE tenant = ?1 AND key = ?2 AND answer IS ?3",
        };
        at_most("a stored answer", answer.unwrap_or_default(), IDEMPOTENCY_ANSWER_BYTES_MAX)?;
        let mut transaction = self.begin().await?;
        sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(key)
            .bind(answer)
            .execute(&mut *transaction)
            .await
            .map_err(failed("store an answer"))?;
        transaction.commit().await.map_err(failed("store an answer"))
    }
}

#[cfg(test)]
mod tests;
