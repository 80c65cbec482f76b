//! What became of action items: what people said beside the document, and what verification found.

use std::collections::BTreeMap;

use hindsight_model::{ActionCheck, ActionKey, ActionRecord, ActionStatement, Tenant};
use sqlx::sqlite::SqliteConnection;

use crate::audit::{self, AUDIT_WORD_BYTES_MAX, AuditEntry};
use crate::cells::{Cells, at_most, nanos, opt_nanos};
use crate::database::State;
use crate::error::{Result, failed};

/// Longest reason, condition or evidence of an action item.
pub const ACTION_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Changes of outcome kept in all; the oldest go first.
const VERIFICATIONS_MAX: i64 = 100_000;

impl State {
    /// What is known of the tenant's action items, by item. Items that are gone from their documents stay.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be read, [`crate::Error::Damaged`] for a row that makes no sense.
    pub async fn action_records(&self, tenant: &Tenant) -> Result<BTreeMap<ActionKey, ActionRecord>> {
        let mut records: BTreeMap<ActionKey, ActionRecord> = BTreeMap::new();
        let read = |sql: &'static str| sqlx::query(sql).bind(tenant.as_str()).fetch_all(self.reader());
        let said = read("SELECT * FROM action_statements WHERE tenant = ?").await;
        for row in &said.map_err(failed("read what was said of action items"))? {
            let cells = Cells::of("action_statements", row);
            records.entry(key(&cells)?).or_default().statement = Some(statement(&cells)?);
        }
        let checked = read("SELECT * FROM action_checks WHERE tenant = ?").await;
        for row in &checked.map_err(failed("read the checks of action items"))? {
            let cells = Cells::of("action_checks", row);
            records.entry(key(&cells)?).or_default().check = Some(check(&cells)?);
        }
        Ok(records)
    }

    /// Stores what a person said of an item, instead of what was said before, and who did, in one transaction.
    ///
    /// # Errors
    /// [`crate::Error::TooLong`] beyond a limit, [`crate::Error::Database`] when the disk refuses.
    pub async fn say_of_action(
        &self,
        tenant: &Tenant,
        key: &ActionKey,
        said: &ActionStatement,
        by: &AuditEntry,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        put_statement(&mut transaction, tenant, key, said).await?;
        audit::append(&mut transaction, by, said.at).await?;
        transaction.commit().await.map_err(failed("commit what was said of an action item"))
    }

    /// Stores the result of a verification instead of the one before, and enters it in `action_verifications` when
    /// condition or outcome changed.
    ///
    /// # Errors
    /// As [`State::say_of_action`].
    pub async fn save_action_check(
        &self,
        tenant: &Tenant,
        key: &ActionKey,
        check: &ActionCheck,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        let before: Option<(String, String)> = sqlx::query_as(
            "SELECT verify, outcome FROM action_checks WHERE tenant = ? AND postmortem = ? AND item = ?",
        )
        .bind(tenant.as_str())
        .bind(&key.postmortem)
        .bind(&key.item)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("read the last check of an action item"))?;
        put_check(&mut transaction, tenant, key, check).await?;
        let is_news = before
            .is_none_or(|(verify, outcome)| verify != check.verify || outcome != check.outcome.as_str());
        if is_news {
            enter(&mut transaction, tenant, key, check).await?;
        }
        transaction.commit().await.map_err(failed("commit the check of an action item"))
    }
}

/// What a person said of an item, instead of what was said before.
pub(crate) async fn put_statement(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    key: &ActionKey,
    said: &ActionStatement,
) -> Result<()> {
    at_most("an action item's id", &key.to_string(), AUDIT_WORD_BYTES_MAX)?;
    at_most("a reason", said.reason.as_deref().unwrap_or_default(), ACTION_TEXT_BYTES_MAX)?;
    at_most("an approver", said.approver.as_deref().unwrap_or_default(), AUDIT_WORD_BYTES_MAX)?;
    sqlx::query("INSERT OR REPLACE INTO action_statements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(tenant.as_str())
        .bind(&key.postmortem)
        .bind(&key.item)
        .bind(nanos("a word about an action", said.at)?)
        .bind(&said.author)
        .bind(&said.status)
        .bind(&said.document_status)
        .bind(said.reason.as_deref())
        .bind(said.approver.as_deref())
        .execute(connection)
        .await
        .map_err(failed("write what was said of an action item"))?;
    Ok(())
}

/// The last check of an item, instead of the one before.
pub(crate) async fn put_check(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    key: &ActionKey,
    check: &ActionCheck,
) -> Result<()> {
    at_most("an action item's id", &key.to_string(), AUDIT_WORD_BYTES_MAX)?;
    at_most("a condition", &check.verify, ACTION_TEXT_BYTES_MAX)?;
    at_most("evidence", &check.evidence, ACTION_TEXT_BYTES_MAX)?;
    sqlx::query("INSERT OR REPLACE INTO action_checks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(tenant.as_str())
        .bind(&key.postmortem)
        .bind(&key.item)
        .bind(&check.verify)
        .bind(check.outcome.as_str())
        .bind(&check.evidence)
        .bind(nanos("a check", check.checked_at)?)
        .bind(nanos("a check", check.since)?)
        .bind(opt_nanos("a check", check.verified_at)?)
        .bind(opt_nanos("a check", check.reopened_at)?)
        .execute(connection)
        .await
        .map_err(failed("write the check of an action item"))?;
    Ok(())
}

/// Adds a row to the history, and forgets the oldest beyond the limit.
async fn enter(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    key: &ActionKey,
    check: &ActionCheck,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO action_verifications (tenant, postmortem, item, at, verify, outcome, evidence) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant.as_str())
    .bind(&key.postmortem)
    .bind(&key.item)
    .bind(nanos("a check", check.checked_at)?)
    .bind(&check.verify)
    .bind(check.outcome.as_str())
    .bind(&check.evidence)
    .execute(&mut *connection)
    .await
    .map_err(failed("enter a verification"))?;
    sqlx::query(
        "DELETE FROM action_verifications WHERE seq <= (SELECT max(seq) FROM action_verifications) - ?",
    )
    .bind(VERIFICATIONS_MAX)
    .execute(connection)
    .await
    .map_err(failed("forget old verifications"))?;
    Ok(())
}

fn key(cells: &Cells<'_>) -> Result<ActionKey> {
    Ok(ActionKey { postmortem: cells.text("postmortem")?, item: cells.text("item")? })
}

fn statement(cells: &Cells<'_>) -> Result<ActionStatement> {
    Ok(ActionStatement {
        status: cells.text("status")?,
        document_status: cells.text("document_status")?,
        reason: cells.get("reason")?,
        approver: cells.get("approver")?,
        author: cells.text("author")?,
        at: cells.time("at")?,
    })
}

fn check(cells: &Cells<'_>) -> Result<ActionCheck> {
    Ok(ActionCheck {
        verify: cells.text("verify")?,
        outcome: cells.word("outcome")?,
        evidence: cells.text("evidence")?,
        checked_at: cells.time("checked_at")?,
        since: cells.time("since")?,
        verified_at: cells.opt_time("verified_at")?,
        reopened_at: cells.opt_time("reopened_at")?,
    })
}

#[cfg(test)]
mod tests;
