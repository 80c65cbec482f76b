use hindsight_model::{Incident, IncidentId, Tenant, TimelineChange};
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::audit::{self, AuditEntry};
use crate::cells::{Cells, at_most, json, nanos};
use crate::database::State;
use crate::error::{Error, Result, failed};
use crate::timeline;

/// Largest incident as JSON.
pub const INCIDENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far a reader of transitions has come: its name and the last number it has dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed<'a> {
    /// The reader's name, as given to [`State::cursor`].
    pub reader: &'a str,
    /// The last transition it has dealt with; see [`State::transitions_after`].
    pub seq: i64,
}

impl State {
    /// The number of the last transition that `reader` has dealt with; 0 before the first.
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot be read.
    pub async fn cursor(&self, reader: &str) -> Result<i64> {
        let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM cursors WHERE name = ?")
            .bind(reader)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("read a cursor"))?;
        Ok(seq.unwrap_or(0))
    }

    /// An id that was never given before. Ids are not reused, so a crash before the save leaves a gap.
    ///
    /// # Errors
    /// [`Error::Database`] when the counter cannot be written.
    pub async fn next_incident_id(&self) -> Result<IncidentId> {
        let mut transaction = self.begin().await?;
        let last: i64 = sqlx::query_scalar(
            "INSERT INTO counters (name, last) VALUES ('incident', 1) \
             ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last",
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed("count up the incident ids"))?;
        transaction.commit().await.map_err(failed("count up the incident ids"))?;
        Ok(IncidentId(last.unsigned_abs()))
    }

    /// Stores one incident as [`State::save_incidents`] does.
    ///
    /// # Errors
    /// As [`State::save_incidents`].
    pub async fn save_incident(
        &self,
        incident: &Incident,
        timeline: &TimelineChange,
        consumed: Option<Consumed<'_>>,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        save(&mut transaction, incident, timeline).await?;
        advance(&mut transaction, consumed).await?;
        transaction.commit().await.map_err(failed("commit an incident"))
    }

    /// Stores incidents, each with the changes of its timeline, and moves the cursor behind the transitions they were
    /// made from, all or nothing. An empty list moves the cursor alone; it never goes back.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a suspect's score that is no number, [`Error::TooLong`] and [`Error::TooMany`] beyond
    /// a limit, [`Error::NoIncident`] when the id belongs to another tenant, [`Error::NoTimelineRow`] for a row of
    /// another incident, [`Error::Database`] when the disk refuses.
    pub async fn save_incidents(
        &self,
        incidents: &[(Incident, TimelineChange)],
        consumed: Option<Consumed<'_>>,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        for (incident, timeline) in incidents {
            save(&mut transaction, incident, timeline).await?;
        }
        advance(&mut transaction, consumed).await?;
        transaction.commit().await.map_err(failed("commit incidents"))
    }

    /// Stores what a person changed, and who did, in one transaction (SEC-2).
    ///
    /// # Errors
    /// As [`State::save_incidents`].
    pub async fn change_incidents(
        &self,
        incidents: &[(Incident, TimelineChange)],
        by: &AuditEntry,
        now: Timestamp,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        for (incident, timeline) in incidents {
            save(&mut transaction, incident, timeline).await?;
        }
        audit::append(&mut transaction, by, now).await?;
        transaction.commit().await.map_err(failed("commit a person's change"))
    }

    /// The tenant's incidents, newest first.
    ///
    /// # Errors
    /// [`Error::Database`] when they cannot be read, [`Error::Damaged`] for a row that makes no sense.
    pub async fn incidents(&self, tenant: &Tenant) -> Result<Vec<Incident>> {
        let rows =
            sqlx::query("SELECT body FROM incidents WHERE tenant = ? ORDER BY opened_at DESC, id DESC")
                .bind(tenant.as_str())
                .fetch_all(self.reader())
                .await
                .map_err(failed("read incidents"))?;
        rows.iter().map(|row| Cells::of("incidents", row).json("body")).collect()
    }

    /// One incident; `None` when there is none with this id or it is another tenant's.
    ///
    /// # Errors
    /// As [`State::incidents`].
    pub async fn incident(&self, tenant: &Tenant, id: IncidentId) -> Result<Option<Incident>> {
        let row = sqlx::query("SELECT body FROM incidents WHERE tenant = ? AND id = ?")
            .bind(tenant.as_str())
            .bind(number(id)?)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("read an incident"))?;
        row.map(|row| Cells::of("incidents", &row).json("body")).transpose()
    }
}

pub(crate) async fn save(
    connection: &mut SqliteConnection,
    incident: &Incident,
    timeline: &TimelineChange,
) -> Result<()> {
    if let Some(suspect) = incident.suspects.iter().find(|suspect| !suspect.score.is_finite()) {
        let what = format!("the score of suspect `{}` of {}", suspect.service, incident.id);
        return Err(Error::NotFinite { what });
    }
    let body = json(incident);
    at_most("an incident", &body, INCIDENT_BYTES_MAX)?;
    let id = number(incident.id)?;
    let done = sqlx::query(
        "INSERT INTO incidents (id, tenant, status, opened_at, body) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, opened_at = excluded.opened_at, \
         body = excluded.body WHERE tenant = excluded.tenant",
    )
    .bind(id)
    .bind(incident.tenant.as_str())
    .bind(incident.status.as_str())
    .bind(nanos("an incident", incident.opened_at)?)
    .bind(body)
    .execute(&mut *connection)
    .await
    .map_err(failed("write an incident"))?;
    if done.rows_affected() == 0 {
        return Err(Error::NoIncident(incident.id));
    }
    timeline::store(connection, id, timeline).await?;
    // An id that did not come from the counter must not be given again.
    sqlx::query(
        "INSERT INTO counters (name, last) VALUES ('incident', ?) \
         ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)",
    )
    .bind(id)
    .execute(connection)
    .await
    .map_err(failed("count up the incident ids"))?;
    Ok(())
}

async fn advance(connection: &mut SqliteConnection, consumed: Option<Consumed<'_>>) -> Result<()> {
    let Some(Consumed { reader, seq }) = consumed else { return Ok(()) };
    sqlx::query(
        "INSERT INTO cursors (name, seq) VALUES (?, ?) \
         ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)",
    )
    .bind(reader)
    .bind(seq)
    .execute(connection)
    .await
    .map_err(failed("move a cursor"))?;
    Ok(())
}

pub(crate) fn number(id: IncidentId) -> Result<i64> {
    i64::try_from(id.0).map_err(|_| Error::NoIncident(id))
}

#[cfg(test)]
mod tests;
