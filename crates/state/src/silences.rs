use hindsight_model::{NewSilence, Silence, SilenceId, Tenant};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::audit::AUDIT_WORD_BYTES_MAX;
use crate::cells::{Cells, at_most, json, nanos};
use crate::database::State;
use crate::error::{Error, Result, failed};

/// Most silences of one tenant that are not over; each alert is held against all of them.
pub const SILENCES_MAX: u64 = 1_000;
/// Longest comment.
pub const SILENCE_COMMENT_BYTES_MAX: usize = 4_096;
/// Longest list of matchers, as JSON text.
const MATCHERS_BYTES_MAX: usize = 64 * 1024;
/// Most silences that one call returns.
const LISTED_MAX: i64 = 10_000;

impl State {
    /// Stores a silence and returns it with its id. Whether its matchers make sense is for the caller to check.
    ///
    /// # Errors
    /// [`Error::TooMany`] when [`SILENCES_MAX`] are not over yet, [`Error::TooLong`] beyond a limit,
    /// [`Error::Database`] when the disk refuses.
    pub async fn add_silence(&self, asked: NewSilence, now: Timestamp) -> Result<Silence> {
        at_most("a silence's author", &asked.author, AUDIT_WORD_BYTES_MAX)?;
        at_most("a silence's comment", &asked.comment, SILENCE_COMMENT_BYTES_MAX)?;
        let matchers = json(&asked.matchers);
        at_most("a silence's matchers", &matchers, MATCHERS_BYTES_MAX)?;
        let mut transaction = self.begin().await?;
        let lasting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM silences WHERE tenant = ? AND ends_at > ?")
                .bind(asked.tenant.as_str())
                .bind(nanos("a silence", now)?)
                .fetch_one(&mut *transaction)
                .await
                .map_err(failed("count silences"))?;
        if lasting.unsigned_abs() >= SILENCES_MAX {
            return Err(Error::TooMany { what: "silences that are not over", limit: SILENCES_MAX });
        }
        let done = sqlx::query(
            "INSERT INTO silences (tenant, matchers, starts_at, ends_at, author, comment, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(asked.tenant.as_str())
        .bind(matchers)
        .bind(nanos("a silence", asked.starts_at)?)
        .bind(nanos("a silence", asked.ends_at)?)
        .bind(&asked.author)
        .bind(&asked.comment)
        .bind(nanos("a silence", now)?)
        .execute(&mut *transaction)
        .await
        .map_err(failed("write a silence"))?;
        transaction.commit().await.map_err(failed("commit a silence"))?;
        let id = SilenceId(done.last_insert_rowid().unsigned_abs());
        Ok(Silence { id, asked, created_at: now, expired: None })
    }

    /// Ends a silence at `now` in somebody's name and returns it; one that is over already stays as it is. `None`
    /// when there is none with this id or it is another tenant's.
    ///
    /// # Errors
    /// As [`State::add_silence`], and [`Error::Damaged`] for a row that makes no sense.
    pub async fn expire_silence(
        &self,
        tenant: &Tenant,
        id: SilenceId,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Silence>> {
        at_most("a silence's author", by, AUDIT_WORD_BYTES_MAX)?;
        let Ok(number) = i64::try_from(id.0) else { return Ok(None) };
        let mut transaction = self.begin().await?;
        // One that has not begun begins and ends now: an end before its beginning would make no sense.
        sqlx::query(
            "UPDATE silences SET ends_at = ?1, starts_at = min(starts_at, ?1), expired_at = ?1, expired_by = ?2 \
             WHERE tenant = ?3 AND id = ?4 AND ends_at > ?1",
        )
        .bind(nanos("a silence", now)?)
        .bind(by)
        .bind(tenant.as_str())
        .bind(number)
        .execute(&mut *transaction)
        .await
        .map_err(failed("end a silence"))?;
        let row = sqlx::query("SELECT * FROM silences WHERE tenant = ? AND id = ?")
            .bind(tenant.as_str())
            .bind(number)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("read a silence"))?;
        transaction.commit().await.map_err(failed("commit the end of a silence"))?;
        row.as_ref().map(silence).transpose()
    }

    /// The tenant's silences that are not over at `now`, those to come included, by id.
    ///
    /// # Errors
    /// [`Error::Database`] when they cannot be read, [`Error::Damaged`] for a row that makes no sense.
    pub async fn lasting_silences(&self, tenant: &Tenant, now: Timestamp) -> Result<Vec<Silence>> {
        let rows = sqlx::query("SELECT * FROM silences WHERE tenant = ? AND ends_at > ? ORDER BY id")
            .bind(tenant.as_str())
            .bind(nanos("a silence", now)?)
            .fetch_all(self.reader())
            .await
            .map_err(failed("read silences"))?;
        rows.iter().map(silence).collect()
    }

    /// All the tenant's silences that are kept, newest first, at most ten thousand.
    ///
    /// # Errors
    /// As [`State::lasting_silences`].
    pub async fn silences(&self, tenant: &Tenant) -> Result<Vec<Silence>> {
        let rows = sqlx::query("SELECT * FROM silences WHERE tenant = ? ORDER BY id DESC LIMIT ?")
            .bind(tenant.as_str())
            .bind(LISTED_MAX)
            .fetch_all(self.reader())
            .await
            .map_err(failed("read silences"))?;
        rows.iter().map(silence).collect()
    }
}

fn silence(row: &SqliteRow) -> Result<Silence> {
    let cells = Cells::of("silences", row);
    let expired_by: Option<String> = cells.get("expired_by")?;
    Ok(Silence {
        id: SilenceId(cells.unsigned("id")?),
        asked: NewSilence {
            tenant: cells.tenant()?,
            matchers: cells.json("matchers")?,
            starts_at: cells.time("starts_at")?,
            ends_at: cells.time("ends_at")?,
            author: cells.text("author")?,
            comment: cells.text("comment")?,
        },
        created_at: cells.time("created_at")?,
        expired: expired_by.zip(cells.opt_time("expired_at")?),
    })
}

#[cfg(test)]
mod tests;
