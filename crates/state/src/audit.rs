//! The audit log (SEC-2): each row's hash covers the hash before it, so a row that is changed, taken out or put in
//! later breaks every hash after it.

use futures::TryStreamExt as _;
use hindsight_model::Tenant;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::cells::{Cells, at_most, nanos};
use crate::database::State;
use crate::error::{Error, Result, failed};

/// Longest actor, action or subject.
pub const AUDIT_WORD_BYTES_MAX: usize = 1024;
/// Longest detail.
pub const AUDIT_DETAIL_BYTES_MAX: usize = 64 * 1024;
/// What stands for the hash before the first row.
const BEFORE_FIRST: &str = "";

/// Something a person or a token did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Whose data it touched.
    pub tenant: Tenant,
    /// Who: a user, or a token's name. Never the token itself.
    pub actor: String,
    /// What, as `noun.verb`: `incident.note`.
    pub action: String,
    /// To what: `INC-7`.
    pub subject: String,
    /// More about it, as JSON text.
    pub detail: String,
}

/// What [`State::verify_audit`] found intact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerified {
    /// How many rows.
    pub rows: u64,
    /// Hash of the last one as hex; kept elsewhere, it also proves that no tail was cut off. Empty without rows.
    pub head: String,
}

impl State {
    /// Appends to the audit log and returns the row's number.
    ///
    /// # Errors
    /// [`Error::TooLong`] beyond a limit, [`Error::Database`] when the disk refuses.
    pub async fn audit(&self, entry: &AuditEntry, now: Timestamp) -> Result<i64> {
        let mut transaction = self.begin().await?;
        let seq = append(&mut transaction, entry, now).await?;
        transaction.commit().await.map_err(failed("commit the audit log"))?;
        Ok(seq)
    }

    /// Recomputes the chain from its first row.
    ///
    /// # Errors
    /// [`Error::AuditBroken`] naming the first row that does not hold.
    pub async fn verify_audit(&self) -> Result<AuditVerified> {
        let mut snapshot = self.reader().begin().await.map_err(failed("read the audit log"))?;
        let head: Option<(i64, String)> = sqlx::query_as("SELECT seq, hash FROM audit_head")
            .fetch_optional(&mut *snapshot)
            .await
            .map_err(failed("read the head of the audit log"))?;
        let mut verified = AuditVerified { rows: 0, head: BEFORE_FIRST.to_owned() };
        let mut last = 0;
        let mut rows = sqlx::query("SELECT * FROM audit_log ORDER BY seq").fetch(&mut *snapshot);
        while let Some(row) = rows.try_next().await.map_err(failed("read the audit log"))? {
            verified.head = check(&row, last, &verified.head)?;
            verified.rows += 1;
            last += 1;
        }
        let (head_seq, head_hash) = head.unwrap_or((0, BEFORE_FIRST.to_owned()));
        if head_seq > last {
            return Err(Error::AuditBroken { seq: last + 1, why: "is missing" });
        }
        if head_seq < last || head_hash != verified.head {
            return Err(Error::AuditBroken { seq: last, why: "is not the one the log's head names" });
        }
        Ok(verified)
    }
}

/// Appends within a transaction, so that a change and its row in the log are one.
pub(crate) async fn append(
    connection: &mut SqliteConnection,
    entry: &AuditEntry,
    now: Timestamp,
) -> Result<i64> {
    at_most("an audit actor", &entry.actor, AUDIT_WORD_BYTES_MAX)?;
    at_most("an audit action", &entry.action, AUDIT_WORD_BYTES_MAX)?;
    at_most("an audit subject", &entry.subject, AUDIT_WORD_BYTES_MAX)?;
    at_most("an audit detail", &entry.detail, AUDIT_DETAIL_BYTES_MAX)?;
    let at = nanos("an audit row", now)?;
    let head: Option<(i64, String)> = sqlx::query_as("SELECT seq, hash FROM audit_head")
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read the head of the audit log"))?;
    let (last, previous) = head.unwrap_or((0, BEFORE_FIRST.to_owned()));
    let seq = last + 1;
    let hash = chain(&previous, seq, at, entry);
    sqlx::query(
        "INSERT INTO audit_log (seq, at, tenant, actor, action, subject, detail, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(seq)
    .bind(at)
    .bind(entry.tenant.as_str())
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(&entry.subject)
    .bind(&entry.detail)
    .bind(&hash)
    .execute(&mut *connection)
    .await
    .map_err(failed("write the audit log"))?;
    sqlx::query("INSERT OR REPLACE INTO audit_head (one, seq, hash) VALUES (1, ?, ?)")
        .bind(seq)
        .bind(&hash)
        .execute(connection)
        .await
        .map_err(failed("write the head of the audit log"))?;
    Ok(seq)
}

/// Checks the row after number `last` and returns its hash.
fn check(row: &SqliteRow, last: i64, previous: &str) -> Result<String> {
    let cells = Cells::of("audit_log", row);
    let seq: i64 = cells.get("seq")?;
    if seq != last + 1 {
        return Err(Error::AuditBroken { seq: last + 1, why: "is missing" });
    }
    let entry = AuditEntry {
        tenant: cells.tenant()?,
        actor: cells.text("actor")?,
        action: cells.text("action")?,
        subject: cells.text("subject")?,
        detail: cells.text("detail")?,
    };
    let hash = chain(previous, seq, cells.get("at")?, &entry);
    if hash != cells.text("hash")? {
        return Err(Error::AuditBroken { seq, why: "does not match its hash" });
    }
    Ok(hash)
}

/// SHA-256, as hex, of the previous hash, a newline and the row as a JSON array: JSON's quoting keeps neighbouring
/// fields apart.
fn chain(previous: &str, seq: i64, at: i64, entry: &AuditEntry) -> String {
    let row = serde_json::json!([
        seq,
        at,
        entry.tenant.as_str(),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail
    ]);
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update("\n");
    hasher.update(row.to_string());
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests;
