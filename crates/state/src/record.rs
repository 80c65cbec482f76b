//! One incident with all that this database knows of it, as a whole that can leave it: for capsules. Only what is named
//! here goes along; what other incidents, silences, notifications and the audit log say stays.

use hindsight_model::{
    ActionKey, ActionRecord, AlertInstance, Incident, IncidentId, Tenant, TimelineChange, TimelineEntry,
    Transition,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;

use crate::alerts::{instance, transition};
use crate::cells::{Cells, at_most, json, nanos, opt_nanos};
use crate::database::State;
use crate::error::{Error, Result, failed};
use crate::incidents::{number, save};
use crate::tick::{insert_transition, upsert_instance};
use crate::timeline::{TIMELINE_ROWS_MAX, TIMELINE_TEXT_BYTES_MAX, row_number};
use crate::{actions, audit};

/// An incident and what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentRecord {
    /// The incident: severity, status, times, alerts, suspects, roles.
    pub incident: Incident,
    /// Its timeline with the rows' numbers, dismissed rows too.
    pub timeline: Vec<TimelineEntry>,
    /// What happened to its alerts, in the order of commit.
    pub transitions: Vec<NumberedTransition>,
    /// Those of its alerts that fire or recover now.
    pub firing: Vec<AlertInstance>,
    /// What people and tokens did to it, from the audit log.
    pub steps: Vec<Taken>,
    /// What became of the action items of its post-mortems.
    pub actions: Vec<KeptAction>,
}

/// A transition and its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberedTransition {
    /// Its number in `alert_transitions`.
    pub seq: i64,
    /// The transition.
    #[serde(flatten)]
    pub transition: Transition,
}

/// Something that was done to the incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// What, as `incident.note`.
    pub action: String,
    /// The particulars, JSON text.
    pub detail: String,
}

/// What is known of one action item beside its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAction {
    /// Which one.
    pub key: ActionKey,
    /// What is known.
    pub record: ActionRecord,
}

impl State {
    /// The incident's record, with the action items of these post-mortems; `None` when there is no such incident.
    ///
    /// # Errors
    /// As [`State::incidents`].
    pub async fn incident_record(
        &self,
        tenant: &Tenant,
        id: IncidentId,
        postmortems: &[String],
    ) -> Result<Option<IncidentRecord>> {
        let Some(incident) = self.incident(tenant, id).await? else { return Ok(None) };
        let episodes: Vec<&String> = incident.alerts.keys().collect();
        let actions = self.action_records(tenant).await?;
        let actions = actions.into_iter().filter(|(key, _)| postmortems.contains(&key.postmortem));
        Ok(Some(IncidentRecord {
            timeline: self.timeline_entries(tenant, id).await?,
            transitions: self.transitions_of(tenant, &json(&episodes)).await?,
            firing: self.firing_of(tenant, &json(&episodes)).await?,
            steps: self.steps_of(tenant, id).await?,
            actions: actions.map(|(key, record)| KeptAction { key, record }).collect(),
            incident,
        }))
    }

    /// Stores a record that came from elsewhere as `tenant`'s, all of it or nothing. Its steps are not put into the
    /// audit log, which tells of this database only.
    ///
    /// # Errors
    /// As [`State::save_incidents`]; [`Error::Database`] when a number in it is taken.
    pub async fn put_record(&self, tenant: &Tenant, record: &IncidentRecord) -> Result<()> {
        let mut transaction = self.begin().await?;
        let incident = Incident { tenant: tenant.clone(), ..record.incident.clone() };
        save(&mut transaction, &incident, &TimelineChange::default()).await?;
        if record.timeline.len() as u64 > TIMELINE_ROWS_MAX {
            return Err(Error::TooMany { what: "rows in this timeline", limit: TIMELINE_ROWS_MAX });
        }
        for entry in &record.timeline {
            put_entry(&mut transaction, number(incident.id)?, entry).await?;
        }
        for NumberedTransition { seq, transition } in &record.transitions {
            let transition = Transition { tenant: tenant.clone(), ..transition.clone() };
            put_transition(&mut transaction, *seq, &transition).await?;
        }
        for instance in &record.firing {
            let instance = AlertInstance { tenant: tenant.clone(), ..instance.clone() };
            upsert_instance(&mut transaction, &instance).await?;
        }
        for KeptAction { key, record } in &record.actions {
            if let Some(said) = &record.statement {
                actions::put_statement(&mut transaction, tenant, key, said).await?;
            }
            if let Some(check) = &record.check {
                actions::put_check(&mut transaction, tenant, key, check).await?;
            }
        }
        transaction.commit().await.map_err(failed("commit an incident from elsewhere"))
    }

    async fn transitions_of(&self, tenant: &Tenant, episodes: &str) -> Result<Vec<NumberedTransition>> {
        let rows = sqlx::query(
            "SELECT * FROM transitions WHERE tenant = ? AND episode IN (SELECT value FROM json_each(?)) ORDER BY seq",
        )
        .bind(tenant.as_str())
        .bind(episodes)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read the transitions of an incident"))?;
        let numbered = |row| {
            let seq = Cells::of("transitions", row).get("seq")?;
            Ok(NumberedTransition { seq, transition: transition(row)? })
        };
        rows.iter().map(numbered).collect()
    }

    async fn firing_of(&self, tenant: &Tenant, episodes: &str) -> Result<Vec<AlertInstance>> {
        let rows = sqlx::query(
            "SELECT * FROM instances WHERE tenant = ? AND state IN ('firing', 'recovering') \
             AND episode IN (SELECT value FROM json_each(?)) ORDER BY rule, labels",
        )
        .bind(tenant.as_str())
        .bind(episodes)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read the alerts of an incident"))?;
        rows.iter().map(instance).collect()
    }

    async fn steps_of(&self, tenant: &Tenant, id: IncidentId) -> Result<Vec<Taken>> {
        let rows = sqlx::query("SELECT * FROM audit_log WHERE tenant = ? AND subject = ? ORDER BY seq")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_all(self.reader())
            .await
            .map_err(failed("read the steps of an incident"))?;
        let taken = |row| {
            let cells = Cells::of("audit_log", row);
            Ok(Taken {
                at: cells.time("at")?,
                actor: cells.text("actor")?,
                action: cells.text("action")?,
                detail: cells.text("detail")?,
            })
        };
        rows.iter().map(taken).collect()
    }
}

async fn put_entry(connection: &mut SqliteConnection, incident: i64, kept: &TimelineEntry) -> Result<()> {
    let TimelineEntry { id, row, role, author, original_at, original_text } = kept;
    at_most("a timeline row's text", &row.text, TIMELINE_TEXT_BYTES_MAX)?;
    at_most(
        "a timeline row's first text",
        original_text.as_deref().unwrap_or_default(),
        TIMELINE_TEXT_BYTES_MAX,
    )?;
    at_most("a timeline row's role", role.as_deref().unwrap_or_default(), audit::AUDIT_WORD_BYTES_MAX)?;
    at_most("a timeline row's author", author.as_deref().unwrap_or_default(), audit::AUDIT_WORD_BYTES_MAX)?;
    sqlx::query(
        "INSERT INTO timeline (seq, incident, at, kind, source, service, text, sql, state, role, author, \
         original_at, original_text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row_number(*id)?)
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
    .bind(opt_nanos("a timeline row", *original_at)?)
    .bind(original_text.as_deref())
    .execute(connection)
    .await
    .map_err(failed("write a timeline row from elsewhere"))?;
    Ok(())
}

/// The number is kept: people and documents may have written it down.
async fn put_transition(connection: &mut SqliteConnection, seq: i64, transition: &Transition) -> Result<()> {
    if insert_transition(connection, transition).await? == 0 {
        return Ok(());
    }
    sqlx::query("UPDATE transitions SET seq = ? WHERE seq = last_insert_rowid()")
        .bind(seq)
        .execute(connection)
        .await
        .map_err(failed("write a transition from elsewhere"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
