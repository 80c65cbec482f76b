//! The timelines of incidents: rows with numbers that stay, whatever is gathered again or edited.

use hindsight_model::{
    IncidentId, NewTimelineRow, Tenant, TimelineChange, TimelineEdit, TimelineEntry, TimelineRow,
};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::audit::AUDIT_WORD_BYTES_MAX;
use crate::cells::{Cells, at_most, nanos, opt_nanos};
use crate::database::State;
use crate::error::{Error, Result, failed};
use crate::incidents::number;

/// Longest text of one timeline row.
pub const TIMELINE_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most rows of one timeline, dismissed ones too; a further one is refused.
pub const TIMELINE_ROWS_MAX: u64 = 10_000;

impl State {
    /// The incident's timeline in order of time, dismissed rows too; empty when there is no such incident.
    ///
    /// # Errors
    /// As [`State::incidents`].
    pub async fn timeline(&self, tenant: &Tenant, id: IncidentId) -> Result<Vec<TimelineRow>> {
        Ok(self.timeline_entries(tenant, id).await?.into_iter().map(|entry| entry.row).collect())
    }

    /// The same with the rows' numbers and what people did with them.
    ///
    /// # Errors
    /// As [`State::incidents`].
    pub async fn timeline_entries(&self, tenant: &Tenant, id: IncidentId) -> Result<Vec<TimelineEntry>> {
        let rows = sqlx::query(
            "SELECT timeline.* FROM timeline JOIN incidents ON incidents.id = timeline.incident \
             WHERE incidents.tenant = ? AND incidents.id = ? ORDER BY timeline.at, timeline.seq",
        )
        .bind(tenant.as_str())
        .bind(number(id)?)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read a timeline"))?;
        rows.iter().map(entry).collect()
    }
}

/// Carries out a change of one incident's timeline.
pub(crate) async fn store(
    connection: &mut SqliteConnection,
    incident: i64,
    change: &TimelineChange,
) -> Result<()> {
    for id in &change.removed {
        sqlx::query("DELETE FROM timeline WHERE incident = ? AND seq = ?")
            .bind(incident)
            .bind(row_number(*id)?)
            .execute(&mut *connection)
            .await
            .map_err(failed("remove a timeline row"))?;
    }
    for (id, row) in &change.refreshed {
        refresh(connection, incident, *id, row).await?;
    }
    for edit in &change.edited {
        apply(connection, incident, edit).await?;
    }
    if change.added.is_empty() {
        return Ok(());
    }
    for row in &change.added {
        insert(connection, incident, row).await?;
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM timeline WHERE incident = ?")
        .bind(incident)
        .fetch_one(connection)
        .await
        .map_err(failed("count the rows of a timeline"))?;
    if rows.unsigned_abs() > TIMELINE_ROWS_MAX {
        return Err(Error::TooMany { what: "rows in this timeline", limit: TIMELINE_ROWS_MAX });
    }
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, incident: i64, new: &NewTimelineRow) -> Result<()> {
    let NewTimelineRow { row, role, author } = new;
    at_most("a timeline row's text", &row.text, TIMELINE_TEXT_BYTES_MAX)?;
    at_most("a timeline row's role", role.as_deref().unwrap_or_default(), AUDIT_WORD_BYTES_MAX)?;
    at_most("a timeline row's author", author.as_deref().unwrap_or_default(), AUDIT_WORD_BYTES_MAX)?;
    sqlx::query(
        "INSERT INTO timeline (incident, at, kind, source, service, text, sql, state, role, author) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(incident)
    .bind(nanos("a timeline row", row.at)?)
    .bind(row.kind.as_str())
    .bind(row.source.as_str())
    .bind(row.service.as_deref())
    .bind(&row.text)
    .bind(row.sql.as_deref())
    .bind(&row.state)
    .bind(role.as_deref())
    .bind(author.as_deref())
    .execute(connection)
    .await
    .map_err(failed("write a timeline row"))?;
    Ok(())
}

async fn refresh(connection: &mut SqliteConnection, incident: i64, id: u64, row: &TimelineRow) -> Result<()> {
    at_most("a timeline row's text", &row.text, TIMELINE_TEXT_BYTES_MAX)?;
    sqlx::query(
        "UPDATE timeline SET at = ?, kind = ?, service = ?, text = ?, sql = ? WHERE incident = ? AND seq = ?",
    )
    .bind(nanos("a timeline row", row.at)?)
    .bind(row.kind.as_str())
    .bind(row.service.as_deref())
    .bind(&row.text)
    .bind(row.sql.as_deref())
    .bind(incident)
    .bind(row_number(id)?)
    .execute(connection)
    .await
    .map_err(failed("refresh a timeline row"))?;
    Ok(())
}

async fn apply(connection: &mut SqliteConnection, incident: i64, edit: &TimelineEdit) -> Result<()> {
    at_most("a timeline row's text", edit.text.as_deref().unwrap_or_default(), TIMELINE_TEXT_BYTES_MAX)?;
    at_most("a timeline row's author", &edit.author, AUDIT_WORD_BYTES_MAX)?;
    // The time and the text that it came with stay beside those that people gave it.
    let done = sqlx::query(
        "UPDATE timeline SET state = coalesce(?1, state), author = ?2, \
         original_at = CASE WHEN ?3 <> at THEN coalesce(original_at, at) ELSE original_at END, \
         original_text = CASE WHEN ?4 <> text THEN coalesce(original_text, text) ELSE original_text END, \
         at = coalesce(?3, at), text = coalesce(?4, text) WHERE incident = ?5 AND seq = ?6",
    )
    .bind(edit.state.map(hindsight_model::TimelineState::as_str))
    .bind(&edit.author)
    .bind(opt_nanos("a timeline row", edit.at)?)
    .bind(edit.text.as_deref())
    .bind(incident)
    .bind(row_number(edit.id)?)
    .execute(connection)
    .await
    .map_err(failed("edit a timeline row"))?;
    if done.rows_affected() == 0 {
        return Err(Error::NoTimelineRow(edit.id));
    }
    Ok(())
}

pub(crate) fn row_number(id: u64) -> Result<i64> {
    i64::try_from(id).map_err(|_| Error::NoTimelineRow(id))
}

fn entry(row: &SqliteRow) -> Result<TimelineEntry> {
    let cells = Cells::of("timeline", row);
    Ok(TimelineEntry {
        id: cells.unsigned("seq")?,
        row: TimelineRow {
            at: cells.time("at")?,
            kind: cells.word("kind")?,
            source: cells.word("source")?,
            service: cells.get("service")?,
            text: cells.text("text")?,
            sql: cells.get("sql")?,
            state: cells.text("state")?,
        },
        role: cells.get("role")?,
        author: cells.get("author")?,
        original_at: cells.opt_time("original_at")?,
        original_text: cells.get("original_text")?,
    })
}

#[cfg(test)]
mod tests;
